"""What was hinted -> the symbolic links that show it, too, where links are followed.

The kernel tells of a change under one name of a folder, and of none of the links that lead there.
So the links below each root are known here, also those that lead nowhere yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from indexer import paths
from indexer.disk.mounts import is_share
from indexer.model import Hint


class Links:
    """The symbolic links below the roots of a daemon that follows them.

    Not of roots that may hang: these are polled as a whole. All paths here are absolute.
    """

    def __init__(self, enters: Callable[[bytes], bool] = lambda _name: True) -> None:
        """`enters`: whether a folder of this name is entered by a walk."""
        self._enters = enters
        self._links: dict[int, dict[bytes, bytes]] = {}
        """By root id: each with what stands in it; its folder is named by its real path."""
        self._targets: dict[int, dict[bytes, bytes]] = {}
        """Each of them with the real path to which it leads, whether something is there or not."""

    def find_links(self, root: bytes, hint: Hint) -> None:
        """Look which links are below what is hinted; `root` is the real path of its root."""
        if is_share(root):
            self._forget(hint.root_id)
            return
        known = self._links.get(hint.root_id, {})
        folder = os.path.realpath(paths.join(root, hint.folder).rstrip(b"/"))
        if hint.names is None:
            places, deep = [folder], hint.recursive
        else:
            places, deep = [paths.join(folder, name) for name in hint.names], True
        # Of the whole root nothing is kept: it may stand at another path than before.
        found = {} if hint.recursive and not hint.folder and hint.names is None else dict(known)
        for place in places:
            for one in list(found):
                if paths.is_below(one, place) if deep else paths.parent_of(one) == place:
                    del found[one]
            found.update(_links_at(place, self._enters, deep=deep))
        if found != known:  # one that leads elsewhere now may lead others there
            self._links[hint.root_id] = found
            self._targets[hint.root_id] = {one: os.path.realpath(one) for one in found}

    def keep_roots(self, root_ids: Iterable[int]) -> None:
        """Forget all other roots."""
        for root_id in self._links.keys() - set(root_ids):
            self._forget(root_id)

    def _forget(self, root_id: int) -> None:
        self._links.pop(root_id, None)
        self._targets.pop(root_id, None)

    def is_link(self, root_id: int, path: bytes) -> bool:
        """Whether there is, or was, a link at a path. Any thread may ask."""
        return path in self._links.get(root_id, ()) or os.path.islink(path)

    def with_shown(self, hints: Iterable[Hint], roots: Mapping[int, bytes]) -> list[Hint]:
        """The hints, and those for each link that shows what they are about.

        `roots`: the real path of each root, by its id. Links that came or went are learned.
        """
        hints = list(hints)
        gone = {root_id: self._targets.get(root_id, {}) for root_id in roots}
        for hint in hints:
            self.find_links(roots[hint.root_id], hint)
        more: list[Hint] = []
        for hint in hints:
            targets = gone[hint.root_id] | self._targets.get(hint.root_id, {})
            if targets and not (hint.recursive and not hint.folder and hint.names is None):
                more += self._shown(roots[hint.root_id], hint, targets)
        return list(dict.fromkeys([*hints, *more]))

    def _shown(self, root: bytes, hint: Hint, targets: Mapping[bytes, bytes]) -> Iterator[Hint]:
        folder = os.path.realpath(paths.join(root, hint.folder).rstrip(b"/"))
        places = [(folder, hint.names, hint.recursive)]
        for link, target in targets.items():
            if _is_about(folder, hint, link) or _is_about(folder, hint, target):
                holder, name = paths.parent_of(link), paths.name_of(link)
                places.append((holder, (name,), False))
                yield _hint(root, hint.root_id, link, None, recursive=True)
        for place, names, recursive in places:
            yield _hint(root, hint.root_id, place, names, recursive=recursive)
            for link, target in targets.items():
                is_loop = paths.is_below(paths.parent_of(link), target)
                if paths.is_below(place, target) and not is_loop:
                    shown = link + place[len(target) :]
                    yield _hint(root, hint.root_id, shown, names, recursive=recursive)


def _is_about(folder: bytes, hint: Hint, path: bytes) -> bool:
    """Whether a hint, whose folder is really this one, is about a path."""
    if hint.names is not None:
        return any(paths.is_below(path, paths.join(folder, name)) for name in hint.names)
    return paths.is_below(path, folder) if hint.recursive else paths.parent_of(path) == folder


def _hint(
    root: bytes, root_id: int, folder: bytes, names: tuple[bytes, ...] | None, *, recursive: bool
) -> Hint:
    return Hint(root_id, folder[len(root.rstrip(b"/")) + 1 :], names, recursive)


def _links_at(
    place: bytes, enters: Callable[[bytes], bool], *, deep: bool
) -> Iterator[tuple[bytes, bytes]]:
    """The links in a folder, or the place itself if it is one; `deep`: at all levels below.

    With what stands in each. Folders that are not to be entered are not: a share that is mounted in
    a hidden one makes no root one that may hang.
    """
    text = _text_of(place)
    if text is not None:
        yield place, text
        return
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = paths.join(folder, name)
            text = _text_of(path)
            if text is not None:
                yield path, text
        if not deep:
            return
        folders[:] = filter(enters, folders)


def _text_of(path: bytes) -> bytes | None:
    """What stands in a symbolic link; None where there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None
