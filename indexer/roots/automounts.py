"""Mounts below roots -> the mount points to examine, and the automounts to leave alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from indexer import paths
from indexer.disk.identity import join
from indexer.disk.mounts import AUTOMOUNT, Mount, automounted, has_automounts, mounts_below
from indexer.model import Hint
from indexer.paths import is_below, is_ignored
from indexer.store.roots import MountRow, RootRow

Automounts = dict[bytes, Mount | None]
"""Folder in a root (`b""` is the root) behind an automount -> what is mounted there; None: expired.
"""

Touches = Callable[[int, bytes, bool], bool]
"""(root id, folder in it behind an automount, whether it has expired) -> whether to open it.

Opening mounts it, and any look-up keeps it mounted: its time without use begins anew.
"""


def touch_all(_root_id: int, _folder: bytes, _has_expired: bool) -> bool:  # noqa: FBT001
    """Open every automount: at a start, for commands, and to reconcile."""
    return True


def touch_mounted(_root_id: int, _folder: bytes, has_expired: bool) -> bool:  # noqa: FBT001
    """Open none that has expired: for work that can wait until another program mounts it."""
    return not has_expired


def touched_by(hints: Iterable[Hint], *, wakes: bool) -> Touches:
    """Open just the automounts that lie at the hinted paths.

    Without `wakes`, an expired one is left alone where a hint covers everything above it.
    """
    by_root: dict[int, list[Hint]] = {}
    for hint in hints:
        by_root.setdefault(hint.root_id, []).append(hint)

    def touches(root_id: int, folder: bytes, has_expired: bool) -> bool:  # noqa: FBT001
        return any(
            _lies_in(hint, folder)
            or (hint.recursive and (wakes or not has_expired) and is_below(folder, hint.folder))
            for hint in by_root.get(root_id, ())
        )

    return touches


def _lies_in(hint: Hint, folder: bytes) -> bool:
    """Whether the path of a hint lies in a folder."""
    if hint.names is None:
        return is_below(hint.folder, folder)
    return any(is_below(paths.join(hint.folder, name), folder) for name in hint.names)


def automounts_of(root: RootRow, known: Sequence[MountRow], mounts: Sequence[Mount]) -> Automounts:
    """Which of a root and the mount points below it lie behind automounts, by mountinfo alone."""
    if not has_automounts(root.path, mounts):
        return {}
    folders = {row.folder for row in known} | {
        folder
        for folder, mount in mounts_below(root.path, mounts).items()
        if mount.fs_type == AUTOMOUNT and not mount.is_indirect and not is_ignored(folder)
    }
    return automounted(((folder, join(root.path, folder)) for folder in sorted(folders)), mounts)


def resting_places(root: RootRow, behind: Automounts, touches: Touches) -> set[bytes]:
    return {
        folder for folder, mount in behind.items() if not touches(root.id, folder, mount is None)
    }


def fresh_mounts(accepted: Collection[bytes], mounted: Mapping[bytes, Mount]) -> list[bytes]:
    """Mount points below a root that are not known yet; some may be files, as in containers."""
    return [
        folder
        for folder, mount in mounted.items()
        if folder not in accepted and not mount.is_indirect and not is_ignored(folder)
    ]
