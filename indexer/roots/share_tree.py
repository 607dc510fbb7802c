"""A root whose server may hang: a tree that is accessed by its helper process (`shares`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from indexer import errors
from indexer.disk.filesystem import Disk
from indexer.disk.identity import OpenedFolder, open_folders
from indexer.disk.mounts import Mount
from indexer.disk.tree import Answer, Arguments, Folders, MountPoint, Tree
from indexer.roots.opening import close_places, open_tree
from indexer.shares.helper_client import Helper, Silent
from indexer.shares.messages import Begin, Call, Close, Done, End, More, Open, Request
from indexer.shares.registry import Shares, shares
from indexer.store.roots import MountRow, RootRow

_numbers: Final = count(1)
"""Numbers of trees and streams: unique in this process, so that helpers never confuse them."""


class Share(Tree):
    """A `Tree` of which nothing is open here. Raises RootSilent where a tree would wait."""

    may_hang = True

    def __init__(
        self,
        root: RootRow,
        mount_points: Sequence[MountPoint],
        offline: dict[bytes, str],
        ask: Callable[..., Done],
        number: int,
        *,
        resting: Collection[bytes],
        follow_links: bool,
    ) -> None:
        """`ask` runs a function in its helper; `number` is the tree's there."""
        super().__init__(
            root.id,
            root.name,
            root.path,
            [replace(mount_point, fd=-1) for mount_point in mount_points],
            offline,
            resting=resting,
            follow_links=follow_links,
        )
        self._ask = ask
        self._number = number

    def close(self) -> None:
        """Have the helper release its disks."""
        with suppress(errors.RootSilent):
            self._ask(Close(self._number))

    def ask(self, function: Callable[[Tree, *Arguments], Answer], *arguments: *Arguments) -> Answer:
        """The result of a function of this tree, run in its helper."""
        answer: Answer = self._ask(Call(function, arguments, self._number)).value
        return answer

    def each(
        self, function: Callable[[Tree, *Arguments], Iterator[Answer]], *arguments: *Arguments
    ) -> Iterator[Answer]:
        """The same for a function that yields; nothing is requested before it is needed."""
        stream = next(_numbers)
        some = self._ask(Begin(stream, function, arguments, self._number))
        try:
            yield from some.value
            while some.goes_on:
                some = self._ask(More(stream))
                yield from some.value
        finally:
            if some.goes_on:
                with suppress(errors.RootSilent):
                    self._ask(End(stream))

    def folders(self, paths: Iterable[bytes] = ()) -> Folders:
        """Its folders; the status of `paths` is read in one request."""
        wanted = tuple(paths)
        return _Folders(self, dict(zip(wanted, self.ask(_lstats, wanted), strict=True)))

    def lstat(self, path: bytes) -> os.stat_result | None:
        """The present status of a path; None when nothing is there. Other errors raise OSError."""
        return self.ask(Tree.lstat, path)

    def disk_id_beyond(self, path: bytes, device: int) -> int:
        """The disk of a file whose `st_dev` is not that of its mount point."""
        return self.ask(Tree.disk_id_beyond, path, device)

    def is_offline(self, path: bytes) -> bool:
        """Whether a path lies on, or leads to, a disk that is not there or a resting automount."""
        if self.is_whole or not self.follow_links:
            return super().is_offline(path)
        return self.ask(Tree.is_offline, path)

    def open_folder(self, folder: bytes) -> int | None:
        """Nothing is open here: `ask` runs what needs that."""
        raise NotImplementedError(folder)

    def may_enter(self, link: bytes) -> bool:
        """Whether a link to a folder is followed."""
        return self.ask(Tree.may_enter, link)

    def lists(self, path: bytes) -> bool:
        """Whether each name of a path is spelled as its folder lists it."""
        return self.ask(Tree.lists, path)


class _Folders:
    """Statuses that were read in one request; others are read when they are asked for."""

    def __init__(self, share: Share, known: dict[bytes, os.stat_result | OSError | None]) -> None:
        self._share = share
        self._known = known

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._known.clear()

    def lstat(self, path: bytes) -> os.stat_result | None:
        if path not in self._known:
            return self._share.lstat(path)
        status = self._known[path]
        if isinstance(status, OSError):
            raise status
        return status


def _lstats(tree: Tree, paths: Sequence[bytes]) -> list[os.stat_result | OSError | None]:
    found: list[os.stat_result | OSError | None] = []
    with tree.folders() as folders:
        for path in paths:
            try:
                found.append(folders.lstat(path))
            except OSError as error:
                found.append(error)
    return found


def open_share(
    root: RootRow,
    known: Sequence[MountRow],
    mounts: Sequence[Mount],
    *,
    resting: Collection[bytes] = (),
    follow_links: bool = False,
    number_of: Callable[[Disk], int] = lambda _disk: 0,
    patience_s: float | None = None,
) -> Share:
    """As `open_tree`, in the helper of the root. Raises RootOffline, also if it does not answer.

    `patience_s` limits the wait for this call, where it differs from the usual limit.
    """
    helper = shares.helper_of(root.path)
    number = next(_numbers)
    asks = partial(_ask, shares, root, helper, number_of)
    named = {"resting": resting, "follow_links": follow_links}
    opened = asks(Open(number, open_tree, (root, known, mounts), named), patience_s=patience_s)
    mount_points, offline = opened.value
    return Share(
        root, mount_points, offline, asks, number, resting=resting, follow_links=follow_links
    )


def _ask(
    own: Shares,
    root: RootRow,
    helper: Helper,
    number_of: Callable[[Disk], int],
    request: Request,
    patience_s: float | None = None,
) -> Done:
    limit_s = own.patience_s if patience_s is None else patience_s
    try:
        return helper.ask(request, number_of, limit_s, own.stop)
    except Silent as silent:
        error = own.lose(root.path, helper, silent)
        error.root_id = root.id
        raise error from None


def look_at_places(
    root: RootRow, folders: Iterable[bytes], mounts: Sequence[Mount]
) -> tuple[list[OpenedFolder], Sequence[Mount]]:
    """What `open_folders` finds at folders of a root, opened in the helper only; no `fd`s."""
    return shares.ask(root.path, _look_at_places, root.path, tuple(folders), mounts)


def _look_at_places(
    root: bytes, folders: Sequence[bytes], mounts: Sequence[Mount]
) -> tuple[list[OpenedFolder], Sequence[Mount]]:
    places, mounts = open_folders(root, folders, mounts)
    close_places(places)
    return [replace(place, fd=None) for place in places], mounts
