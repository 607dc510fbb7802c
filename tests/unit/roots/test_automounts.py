"""Which automounts a scan triggers, and the effect of one that expires or returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from indexer.disk.filesystem import Disk
from indexer.disk.mounts import has_automounts, has_expired, mounts_below, parse_mounts
from indexer.model import Hint
from indexer.roots.automounts import (
    Automounts,
    automounts_of,
    fresh_mounts,
    resting_places,
    touched_by,
)
from indexer.settings import Settings
from indexer.store.roots import MountRow, RootRow
from watcher.log import EventLog
from watcher.roots.root import Root, RootCheck, RootEvent, RootState
from watcher.roots.root_states import Roots

# One unit whose disk is mounted, one that has expired, and an automounter's folder with one name.
MOUNTS = parse_mounts(rb"""
22 1 8:2 / / rw - ext4 /dev/sda2 rw
30 22 0:40 / /srv/nas rw - autofs systemd-1 rw,fd=40,pgrp=1,timeout=60,minproto=5,maxproto=5,direct
31 30 0:50 / /srv/nas rw - nfs4 nas:/music rw
32 22 0:41 / /srv/lib/usb rw - autofs systemd-1 rw,fd=41,pgrp=1,timeout=60,minproto=5,direct
33 22 0:42 / /srv/lib/net rw - autofs /etc/auto.net rw,fd=6,pgrp=7,minproto=5,indirect
34 33 8:17 / /srv/lib/net/disk rw - ext4 /dev/sdb1 rw
35 22 0:43 / /srv/lib/.cache rw - autofs systemd-1 rw,fd=41,direct
36 22 0:44 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw,direct
""")
NFS = MOUNTS[2]
LIB = RootRow(1, "lib", b"/srv/lib")
NAS = RootRow(2, "nas", b"/srv/nas/music")
EXT4 = Disk(uuid="one", fs_type="ext4")


def rows(*folders: bytes) -> list[MountRow]:
    return [MountRow(folder, 1, 2, EXT4) for folder in (b"", *folders)]


@pytest.mark.parametrize(
    ("path", "expired"),
    [
        (b"/srv/nas", False),
        (b"/srv/nas/music", False),
        (b"/srv/lib", False),
        (b"/srv/lib/usb", True),
        (b"/srv/lib/usb/below", True),
        (b"/srv/lib/usb2", False),
        (b"/srv/lib/net/disk", False),
        (b"/srv/lib/net/other", True),
    ],
)
def test_an_automount_has_expired_when_nothing_is_mounted_on_it(path: bytes, expired: bool) -> None:
    assert has_expired(path, MOUNTS) is expired


def test_automounts_elsewhere_do_not_concern_a_root() -> None:
    assert has_automounts(b"/srv", MOUNTS)
    assert has_automounts(b"/srv/nas/music", MOUNTS)
    assert not has_automounts(b"/srv/music", MOUNTS)
    assert automounts_of(RootRow(3, "music", b"/srv/music"), rows(), MOUNTS) == {}


def test_what_lies_behind_automounts_is_known_without_a_look_at_it() -> None:
    assert automounts_of(LIB, rows(b"usb", b"net/disk", b"net/gone"), MOUNTS) == {
        b"usb": None,
        b"net/disk": MOUNTS[5],
        b"net/gone": None,
    }
    assert automounts_of(LIB, rows(), MOUNTS) == {b"usb": None}
    assert automounts_of(NAS, rows(), MOUNTS) == {b"": NFS}


def test_a_folder_of_disks_by_name_is_no_mount_point_that_may_be_accepted() -> None:
    below = mounts_below(LIB.path, MOUNTS)
    assert fresh_mounts({b""}, below) == [b"usb", b"net/disk"]


@pytest.mark.parametrize(
    ("hint", "awake", "expired"),
    [
        (Hint(1, recursive=True), True, False),
        (Hint(1), False, False),
        (Hint(1, b"own", recursive=True), False, False),
        (Hint(1, b"usb"), True, True),
        (Hint(1, b"usb/a", (b"1.mp3",)), True, True),
        (Hint(1, b"", (b"usb/a/1.mp3",)), True, True),
        (Hint(1, b"", (b"usb2/1.mp3",)), False, False),
        (Hint(2, recursive=True), False, False),
    ],
)
def test_a_look_opens_the_automounts_that_it_is_about(
    hint: Hint, awake: bool, expired: bool
) -> None:
    touches = touched_by([hint], wakes=False)
    assert touches(1, b"usb", False) is awake
    assert touches(1, b"usb", True) is expired
    assert touched_by([hint], wakes=True)(1, b"usb", True) is awake


def test_a_root_is_opened_for_each_hint_of_it() -> None:
    behind: Automounts = {b"": None, b"usb": None}
    touches = touched_by([Hint(1, b"own")], wakes=False)
    assert resting_places(LIB, behind, touches) == {b"usb"}
    assert resting_places(NAS, behind, touches) == {b"", b"usb"}


# The daemon's roots


@pytest.fixture
def roots() -> Roots:
    """The watched root `nas`, behind an automount."""
    known = Roots(Settings(db=Path()), EventLog(), lambda _root_id: None)
    known.see([check({b"": NFS})])
    root = known.get(2)
    assert root is not None
    root.move(RootEvent.SCAN_BEGAN)
    known.note_scanned(root, 0.0)
    assert root.state is RootState.WATCHING
    return known


def check(automounts: dict[bytes, Any], **more: Any) -> RootCheck:
    return RootCheck(NAS, tuple(rows()), automounts=automounts, **more)


def nas(roots: Roots) -> Root:
    (root,) = roots
    return root


def test_a_watched_root_is_not_opened_to_look_at_the_disks(roots: Roots) -> None:
    assert not roots.touches(2, b"", False)
    assert roots.touches(3, b"", True)
    roots.mark_stale(nas(roots), "overflow", "")
    assert roots.touches(2, b"", True)


def test_a_root_keeps_its_state_when_its_automount_expires(roots: Roots) -> None:
    assert not roots.see([check({b"": None})])
    assert nas(roots).state is RootState.WATCHING
    assert roots.is_expired(2, b"a/1.mp3")
    assert not roots.recoveries


@pytest.mark.parametrize("was_seen_away", [True, False])
def test_an_automount_that_returns_is_in_doubt(roots: Roots, was_seen_away: bool) -> None:
    """It may be mounted again between two checks: then it is another mount."""
    if was_seen_away:
        roots.see([check({b"": None})])
    again = msgspec.structs.replace(NFS, id=40)
    assert roots.see([check({b"": again})])
    assert nas(roots).state is RootState.STALE
    assert roots.recoveries == {"automount returned": 1}
    assert not roots.see([check({b"": again})])
    assert roots.recoveries == {"automount returned": 1}


def test_what_is_known_of_a_disk_that_is_away_holds_while_it_is_not_opened(roots: Roots) -> None:
    away = {b"usb": "lib: it is away"}
    roots.see([check({b"": NFS, b"usb": None}, away=away)])
    root = nas(roots)
    root.move(RootEvent.SCAN_BEGAN)
    roots.note_scanned(root, 0.0)
    before = dict(roots.recoveries)
    roots.see([check({b"": NFS, b"usb": None})])
    assert root.check.away == away
    assert roots.recoveries == before
