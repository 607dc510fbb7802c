"""The machine, the settings, the index and the music -> what is well, what is not, and what to do.

Each check yields findings, and nothing is changed. A check that cannot be made is a finding, too.
"""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk.access import Access, access_to, name_of
from indexer.disk.filesystem import holds_wal, reports_changes
from indexer.disk.mounts import mount_of, read_mounts
from indexer.ignore_files import path_filter_of
from indexer.lookup import Lookup
from indexer.process import page_bytes
from indexer.reports.status import covered_lines
from indexer.results.status_report import RelayStatus, RootStatus
from indexer.runs.lock import LockInfo, lock_info
from indexer.runs.stall import state_of_process
from indexer.settings import Settings
from indexer.version import versions

_INOTIFY: Final = Path("/proc/sys/fs/inotify")
_LEASES: Final = Path("/proc/sys/fs/leases-enable")
_ROOM: Final = 500 * 1024 * 1024
"""Less free space is reported. A guess: the index of a million tracks is twice as large."""
_LITTLE_ROOM: Final = 20 * 1024 * 1024
_OLDEST_SQLITE: Final = (3, 40)
_OLDEST_REDIS: Final = (5,)
_PAGE_SIZES: Final = (4096, 16384, 65536)
"""Those of x86-64 and aarch64: a Raspberry Pi 5 has 16 KiB, which our libraries are built for."""
_UNITS: Final = ("music-watcher.service", "music-redis.service", "music-worker@config.service")

_RESTART: Final = "systemctl restart music-watcher, or stop watcher run and start it again"


class State(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(Struct, frozen=True, kw_only=True):
    """One line of `indexer doctor`."""

    check: str
    """What was looked at: config, python, sqlite, index, space, root, inotify, leases, clock,
    redis, relay, daemon, unit."""
    state: State
    detail: str
    remedy: str | None = None
    """A command, or what to write where; None where nothing is to be done."""


def _ok(check: str, detail: str) -> Finding:
    return Finding(check=check, state=State.OK, detail=detail)


def _warning(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check=check, state=State.WARNING, detail=detail, remedy=remedy)


def _fault(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check=check, state=State.FAULT, detail=detail, remedy=remedy)


class Doctor:
    """The checks, for the index of these settings and for folders that are no roots yet."""

    def __init__(
        self, settings: Settings, folders: Sequence[bytes] = (), user: str | None = None
    ) -> None:
        """`user` is the one with whose rights the music is read.

        None: those of this process, and for root those of the index's owner. Raises UsageError for
        one that does not exist.
        """
        self._settings = settings
        self._folders = [os.path.abspath(one) for one in folders]
        self._user = _checked_user(user) or _owner_of(settings.db)
        self._watched_folders = 0
        self._root_names: list[str] = []

    def findings(self) -> Iterator[Finding]:
        """All findings, check by check."""
        checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
            ("python", self._python),
            ("sqlite", self._sqlite),
            ("clock", self._clock),
            ("index", self._index),
            ("root", self._roots),
            ("inotify", self._inotify),
            ("leases", self._leases),
            ("redis", self._redis),
            ("daemon", self._daemon),
            ("unit", self._units),
        ]
        for name, check in checks:
            try:
                yield from check()
            except errors.IndexerError as error:
                yield _fault(name, str(error), "see above")
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                what = f"could not be checked: {where}{error.strerror or error}"
                yield _fault(name, what, "run this as root, or as the user of the index")

    # The machine

    def _python(self) -> Iterator[Finding]:
        machine = f"{platform.python_version()} on {platform.machine()}"
        if sys.maxsize < 2**32:
            yield _fault("python", f"{machine}, 32 bits", "install a 64-bit system")
            return
        size = page_bytes()
        if size not in _PAGE_SIZES:
            yield _warning(
                "python",
                f"{machine}, memory pages of {size} bytes, with which nothing was tried",
                "report it if a library cannot be loaded",
            )
            return
        yield _ok("python", f"{machine}, memory pages of {size // 1024} KiB")

    def _sqlite(self) -> Iterator[Finding]:
        found = versions()["SQLite"]
        if _numbers(found) < _OLDEST_SQLITE:
            yield _fault("sqlite", f"{found} is too old: 3.40 is needed", "pip install -U apsw")
        else:
            yield _ok("sqlite", found)

    def _clock(self) -> Iterator[Finding]:
        now = time.time()
        newest = Path(__file__).stat().st_mtime
        db = self._settings.db
        if db.exists():
            newest = max(newest, db.stat().st_mtime)
        shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
        if now < newest - 60:
            yield _fault(
                "clock", f"{shown} is before files that were written already",
                "timedatectl set-ntp true",
            )  # fmt: skip
        else:
            yield _ok("clock", shown)

    def _inotify(self) -> Iterator[Finding]:
        needed = self._watched_folders
        watches = int((_INOTIFY / "max_user_watches").read_text("ascii"))
        instances = int((_INOTIFY / "max_user_instances").read_text("ascii"))
        if needed > watches * 0.9:
            most = max(1 << 16, 1 << (2 * needed).bit_length())
            yield _fault(
                "inotify",
                f"{_count(needed, 'folder')}, but the kernel allows {_number(watches)} watches",
                f"echo fs.inotify.max_user_watches={most} > /etc/sysctl.d/60-music-indexer.conf"
                " && sysctl --system",
            )
        elif instances < 64:
            yield _warning(
                "inotify", f"only {instances} programs of a user may watch",
                "sysctl fs.inotify.max_user_instances=512",
            )  # fmt: skip
        else:
            yield _ok("inotify", f"{_count(needed, 'folder')} of at most {_number(watches)}")

    def _leases(self) -> Iterator[Finding]:
        if not self._settings.leases:
            yield _ok("leases", "off in the settings: a file is read 2 s after its last change")
        elif _LEASES.read_text("ascii").strip() == "1":
            yield _ok("leases", "the kernel tells whether a file is still being written")
        else:
            yield _warning(
                "leases",
                "off in the kernel: a file is read only 2 s after its last change",
                "sysctl fs.leases-enable=1",
            )

    # The index

    def _index(self) -> Iterator[Finding]:
        db = self._settings.db
        place = db.parent
        while not place.exists():
            place = place.parent
        mount = mount_of(os.fsencode(place), read_mounts())
        if mount is not None and not holds_wal(mount.fs_type):
            yield _fault(
                "index", f"{db} lies on {mount.fs_type}, where SQLite's log is not safe",
                "set `db` to a file on a local disk",
            )  # fmt: skip
        if mount is not None and mount.is_read_only:
            point = paths.shell_word(mount.point)
            yield _fault(
                "index", f"{db}: its disk is read-only, so it follows no change",
                f"the kernel says why (dmesg); mount -o remount,rw {point}",
            )  # fmt: skip
        if not db.exists() and not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            yield _fault(
                "index", f"{db}: cannot be created: this user may not write to {place}",
                "set `db` to a file where it may, or name one with --db FILE",
            )  # fmt: skip
            return
        if not db.exists():
            remedy = "indexer rebuild FOLDER, or watcher run FOLDER"
            yield _warning("index", f"{db}: there is none yet", remedy)
        elif not os.access(db, os.R_OK):
            owner = name_of(db.stat().st_uid)
            yield _fault("index", f"{db}: belongs to {owner}", "ask for the group of the index")
            return
        else:
            with Lookup.open(self._settings) as index:
                tracks = index.status().tracks
            yield _ok("index", f"{db}: {_count(tracks, 'track')}")
        yield from _space(place)

    def _roots(self) -> Iterator[Finding]:
        places: list[tuple[str, bytes]] = [(os.fsdecode(one), one) for one in self._folders]
        if self._settings.db.exists():
            with Lookup.open(self._settings) as index:
                known = list(index.roots())
                folders = index.root_paths()
            self._root_names = [root.name for root in known]
            for root in known:
                path = folders[root.name]
                if root.state == "offline" or isinstance(root.reason, str):
                    yield _of_state(root)
                elif path not in self._folders:
                    places.append((root.name, path))
            for line in covered_lines(index.connection):
                yield _warning(
                    "root", line.text, "umount it to see them, if it is not to stay there"
                )
        for name, path in places:
            yield from self._tree(name, path)

    def _tree(self, name: str, path: bytes) -> Iterator[Finding]:
        """Whether the music in a folder can be read."""
        path_filter = path_filter_of(self._settings)
        try:
            access = access_to(
                path, self._user, path_filter.file, path_filter.folder,
                follow_links=path_filter.follow_links,
            )  # fmt: skip
        except FileNotFoundError:
            yield _fault("root", f"{name}: there is no such folder", "is its disk mounted? findmnt")
            return
        self._watched_folders += access.folders
        yield from _of_access(name, access, self._user or name_of(os.geteuid()))
        mount = mount_of(path, read_mounts())
        if mount is not None and not reports_changes(mount.fs_type):
            yield _warning(
                "root", f"{name}: the kernel does not report changes on {mount.fs_type}",
                f"nothing: it is polled every {self._settings.poll_interval:g} s (`poll_interval`)",
            )  # fmt: skip

    # The programs

    def _redis(self) -> Iterator[Finding]:
        if self._settings.redis is None:
            return
        from indexer.queue import redis_client, relays  # late: most have no Redis

        client = redis_client.connect(self._settings, timeout_s=5.0)
        try:
            with redis_client.answering(self._settings):
                found = redis_client.state_of(client)
                found_relays = relays.relay_statuses(client, self._root_names)
        except errors.QueueError as error:
            is_away = isinstance(error, errors.RedisAway)
            mend = "systemctl start music-redis" if is_away else "see above"
            yield _fault("redis", str(error), mend)
            return
        finally:
            client.close()
        shown = redis_client.shown(self._settings)
        if _numbers(found.version) < _OLDEST_REDIS:
            yield _fault(
                "redis", f"{shown}: {found.version} is too old", "install Redis 5 or newer"
            )
        elif found.warning:
            yield _warning("redis", f"{shown}: {found.warning}", "see above")
        else:
            yield _ok("redis", f"{shown}: {found.version}")
        yield from (_of_relay(name, relay) for name, relay in found_relays.items())

    def _daemon(self) -> Iterator[Finding]:
        if not self._settings.db.exists():
            return
        holder = lock_info(self._settings.db)
        if holder is None or holder.role != "daemon":
            yield _warning(
                "daemon", "none is running: changes are not followed",
                "systemctl start music-watcher, or watcher run",
            )  # fmt: skip
            return
        pid = holder.pid_here()
        state = None if pid is None else state_of_process(pid)
        if state is not None and state.is_watcher and state.is_stopped:
            detail = f"process {pid} is stopped: changes are not followed"
            yield _fault("daemon", detail, f"kill -CONT {pid}")
            return
        if holder.trouble:
            detail = f"process {holder.pid}: {holder.trouble}, so changes wait"
            yield _fault("daemon", detail, "see the log: journalctl -u music-watcher")
            return
        old = _old_settings(holder, self._settings)
        if old is not None:
            yield _warning("daemon", f"process {holder.pid} {old}", _RESTART)
        if holder.unwatched_folders:
            yield _warning(
                "daemon", f"{_count(holder.unwatched_folders, 'folder')} polled, not watched",
                "see the log: journalctl -u music-watcher",
            )  # fmt: skip
        elif old is None:
            yield _ok(
                "daemon", f"process {holder.pid} watches {_count(holder.watched_folders, 'folder')}"
            )

    def _units(self) -> Iterator[Finding]:
        if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
            return
        for unit in _UNITS:
            done = subprocess.run(  # noqa: S603 - our own words
                ["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", unit],  # noqa: S607
                capture_output=True, text=True, check=False, timeout=10,
            )  # fmt: skip
            properties = dict(
                line.split("=", 1) for line in done.stdout.splitlines() if "=" in line
            )
            if properties.get("LoadState") != "loaded":
                continue
            if properties["ActiveState"] not in ("active", "activating", "reloading"):
                yield _fault(
                    "unit", f"{unit} is {properties['ActiveState']}", f"systemctl start {unit}"
                )
            elif properties["UnitFileState"] != "enabled":
                detail = f"{unit} runs, but does not start with the machine"
                yield _warning("unit", detail, f"systemctl enable {unit}")
            else:
                yield _ok("unit", f"{unit} runs, and starts with the machine")


def config_fault(error: errors.SettingsError) -> Finding:
    """The finding for settings that cannot be used."""
    return _fault(
        "config", str(error), "mend it there; deploy/config.example.toml explains each key"
    )


def config_ok(settings: Settings) -> Finding:
    """The finding for settings that can be used: those that are set, and where."""
    said = ", ".join(sorted(set(settings.origins.values())))
    return _ok("config", said or "the defaults")


def _checked_user(user: str | None) -> str | None:
    if user is None:
        return None
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise errors.UsageError(f"--user {user}: there is no such user") from None
    if os.geteuid() != 0 and pwd.getpwnam(user).pw_uid != os.geteuid():
        raise errors.UsageError(f"--user {user}: only root may act as another user; use sudo")
    return None if os.geteuid() != 0 else user


def _owner_of(db: Path) -> str | None:
    """The owner of the index, for root; None for any other user, and where it is root's."""
    if os.geteuid() != 0 or not db.exists() or db.stat().st_uid == 0:
        return None
    return name_of(db.stat().st_uid)


def _space(folder: Path) -> Iterator[Finding]:
    usage = shutil.disk_usage(folder)
    if not usage.total:
        return  # ramfs and some of FUSE count no blocks
    free = usage.free
    detail = f"{_number(free // 1_000_000)} MB free at {folder}"
    remedy = "make room there, or set `db` to a file on another disk"
    if free < _LITTLE_ROOM:
        yield _fault("space", detail, remedy)
    elif free < _ROOM:
        yield _warning("space", detail, remedy)
    else:
        yield _ok("space", detail)


def _of_state(root: RootStatus) -> Finding:
    reason = root.reason if isinstance(root.reason, str) else f"{root.name}: {root.state}"
    return _fault("root", reason, f"findmnt --target {paths.shell_word(os.fsencode(root.path))}")


def _of_relay(name: str, relay: RelayStatus) -> Finding:
    heard = f"{name}: its relay on {relay.host} was heard {relay.silent_seconds:.0f} s ago"
    if relay.alive:
        return _ok("relay", heard)
    return _warning(
        "relay", f"{heard}, and is away: changes there are found by polling",
        f"systemctl start music-relay on {relay.host}",
    )  # fmt: skip


def _of_access(name: str, access: Access, user: str) -> Iterator[Finding]:
    for one in access.blocked:
        text = one.path.decode("utf-8", "replace")
        yield _fault("root", f"{name}: {text} {one.reason} by {user}", one.remedy)
    more = access.blocked_count - len(access.blocked)
    if more > 0:
        yield _fault("root", f"{name}: and {more} more", "mend the ones above, and look again")
    if access.blocked:
        return
    if not access.files:
        yield _warning("root", f"{name}: no audio file in it", "is its disk mounted? findmnt")
    else:
        found = f"{_count(access.files, 'file')} in {_count(access.folders, 'folder')}"
        yield _ok("root", f"{name}: {user} can read {found}")


def _old_settings(daemon: LockInfo, settings: Settings) -> str | None:
    """What a daemon does by settings that were changed since it was started; None: nothing."""
    if settings.redis is not None and daemon.engine == "local":
        return "was started without Redis, which is set now: workers get nothing to do from it"
    if settings.redis is None and daemon.engine == "rq":
        return "was started with Redis, which is not set now: commands and it differ"
    if daemon.reload.restart:
        return f"has other values than the settings now: {', '.join(daemon.reload.restart)}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _count(number: int, what: str) -> str:
    return f"{_number(number)} {what}" if number == 1 else f"{_number(number)} {what}s"


def _number(number: int) -> str:
    """1234567 as `1 234 567`, as in all other answers."""
    return f"{number:,}".replace(",", " ")
