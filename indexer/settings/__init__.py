"""The settings, with their defaults and bounds: one frozen struct."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from indexer.errors import SettingsError
from indexer.ignore import IGNORED_NAMES
from indexer.settings.hooks import Hook

_DAY_S = 86_400

Seconds = Annotated[
    float,
    Meta(ge=0, le=_DAY_S, description="a number of seconds, such as 2.0 (at most a day, 86400)"),
]
Pause = Annotated[
    float,
    Meta(gt=0, le=_DAY_S, description="a number of seconds above 0, such as 0.5 (at most 86400)"),
]
_MOST = 1_000_000_000
"""In milliseconds or bytes, so many days or megabytes are still a number of SQLite's. A guess."""
_UP_TO = f"(at most {_MOST})"
Count = Annotated[int, Meta(ge=1, le=_MOST, description=f"a whole number, 1 or more {_UP_TO}")]
Amount = Annotated[int, Meta(ge=0, le=_MOST, description=f"a whole number, 0 or more {_UP_TO}")]
Few = Annotated[int, Meta(ge=1, le=1000, description="a whole number, 1 to 1000")]
Switch = Annotated[bool, Meta(description="true or false")]
Name = Annotated[str, Meta(min_length=1, description='a name in quotes, such as "audio"')]
Location = Annotated[str, Meta(min_length=1, description='a path in quotes, such as "/srv/music"')]
Suffix = Annotated[str, Meta(pattern=r"^\.?[^\s./]+$")]
Suffixes = Annotated[
    tuple[Suffix, ...], Meta(min_length=1, description='a list of suffixes, such as ["mp3"]')
]


Names = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[^/]+$")], ...],
    Meta(description='a list of names in quotes, without slashes, such as ["@eaDir", "*.tmp"]'),
]


Tags = Annotated[
    tuple[Name, ...],
    Meta(description='a list of names of tags in quotes, such as ["barcode"], or ["*"] for all'),
]


Polled = Annotated[
    tuple[Name, ...], Meta(description='a list of names of roots in quotes, such as ["nas"]')
]


_HOST = Annotated[str, Meta(pattern=r"^([^/:\s]+|[0-9A-Fa-f.:]*:[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*)$")]
Hosts = Annotated[
    tuple[_HOST, ...],
    Meta(
        description="a list of names or addresses of machines in quotes, without a port, such as"
        ' ["music.example.org"]'
    ),
]


Hour = Annotated[int, Meta(ge=0, le=23, description="an hour of the day, 0 to 23")]
Command = Annotated[
    tuple[str, ...], Meta(description='a command in words, such as ["/usr/local/bin/asleep", "-q"]')
]


Redis = Annotated[
    str,
    Meta(
        pattern=r"^(rediss?://[^/\s]|unix:///?[^\s])",
        description='the address of a Redis, such as "redis://localhost:6379/0",'
        ' "rediss://user:password@nas:6380/0" or "unix:///run/music-indexer/redis.sock"',
    ),
]
Megabytes = Annotated[
    int,
    Meta(ge=64, le=_MOST, description=f"a whole number of megabytes, 64 or more {_UP_TO}"),
]
Profile = Annotated[
    str, Meta(pattern="^(pi|server)$", description='the name of a profile: "pi" or "server"')
]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. `deploy/config.example.toml` explains each key."""

    db: Path
    """Absolute."""
    group: Name | None = None
    workers: Count | None = None
    suffixes: Suffixes | None = None
    """Lower case, each with its dot."""
    ignored_names: Names = IGNORED_NAMES
    """Names of files and folders to ignore; `*` and `?` are wildcards."""
    hidden: Switch = False
    follow_links: Switch = False
    keep_tags: Tags = ()
    """Names of other tags that are kept in `track_tags`; `*` is all of them."""
    still: Seconds = 2.0
    held: Seconds = 60.0
    leases: Switch = True
    clock_granularity: Seconds = 0.0
    retry_first: Pause = 0.01
    retry_longest: Pause = 10.0
    small_work: Amount = 64
    chunk_files: Count = 800
    reader_timeout: Pause = 60.0
    worker_memory: Megabytes = 192
    """Memory limit of a process that reads by mutagen, and of a process of a worker."""
    busy_timeout: Seconds = 30.0
    quiet: Seconds = 0.002
    """How long a folder must be quiet before the files closed in it are read."""
    patience: Pause = 10.0
    """Maximum batching delay."""
    incomplete: Seconds = 10.0
    """How long a file that is empty or truncated must be unchanged before it is read."""
    probe_interval: Pause = 5.0
    """How often a daemon checks whether its disks are present."""
    polled: Polled = ()
    """Names of roots for which the kernel reports no changes; network disks are detected."""
    poll_interval: Pause = 300.0
    reconcile_interval: Amount = 24
    """Hours between full scans of a daemon, in case a change was missed; 0: never."""
    reconcile_hour: Hour | None = None
    asleep_command: Command = ()
    """Gets a root's path as its last argument; exits with 0 if the disk sleeps, with 1 if not."""
    reconcile_max_age: Amount = 168
    """Hours after which a full scan runs even if the disk sleeps."""
    scrub: Switch = False
    """Whether a daemon reads whole files in idle time, and compares them with what they were."""
    artwork: Switch = True
    """Whether covers and artists' images are chosen."""
    album_cover_files: Names = ("cover", "folder", "front", "album", "albumart", "artwork")
    """Names of covers without their suffixes, in any case, the preferred ones first."""
    artist_image_files: Names = ("artist", "fanart", "folder")
    artwork_cache: Location | None = None
    """The folder of thumbnails; None: beside the database, see `artwork_folder`."""
    artwork_cache_size: Megabytes = 200
    """Bound of the thumbnails that are made on demand."""
    playlists: Switch = True
    """Whether playlists below the roots are indexed."""
    copy_window: Amount = 24
    """Hours in which a copy must have been added to take over from a file that is gone; 0: none."""
    keep_missing: Amount = 30
    """Days on which the root was present, before a track whose file is gone is deleted."""
    keep_changes: Amount = 90
    """Days after which `changes` keeps only present tracks; 0: it keeps all."""
    redis: Redis | None = None
    """The Redis of the queues; None: the stages run in this process."""
    profile: Profile = "pi"
    """How many processes `indexer worker` starts for each queue: `engine.profiles`."""
    lease: Pause = 15.0
    """A job without a heartbeat for this time is dispatched again (rule R5)."""
    queue_files: Count = 4_800
    """A scan pauses while the queues hold this many files."""
    queue_live_files: Few = 200
    """Maximum files in one job of live work; a rebuild has `chunk_files`."""
    queue_retry_first: Pause = 1.0
    queue_retry_longest: Pause = 600.0
    queue_retries: Amount = 1
    """How often files whose whole worker was lost are tried again together, before they are read
    one by one (rule R9)."""
    reconnect_longest: Pause = 30.0
    """Maximum pause between attempts to reach a Redis that does not answer."""
    web_hosts: Hosts = ()
    """Further names by which browsers may ask for the pages of this machine."""
    web_audio: Switch = False
    """Whether `indexer web` serves the audio files themselves."""
    roots: dict[str, Path] = {}
    """Name -> absolute path, not yet resolved."""
    hooks: tuple[Hook, ...] = ()
    """Programs that receive changes: `indexer hooks`."""
    origins: dict[str, str] = {}
    """Not a key: where each value that is not the default was set; see `said`."""

    @property
    def artwork_folder(self) -> Path:
        """The folder of thumbnails."""
        if self.artwork_cache is not None:
            return Path(self.artwork_cache)
        return self.db.with_name(self.db.name + ".artwork")

    @property
    def worker_count(self) -> int:
        """Maximum number of reading processes: `workers`, else one per core of this process.

        Fewer for rotational disks (`indexer.disk.rotational`).
        """
        return self.workers or len(os.sched_getaffinity(0))

    def said(self, key: str) -> str:
        """The name of this key in errors: `config.toml:7: group`, `--group`, or just `group`."""
        return self.origins.get(key, key)


KEYS = tuple(field for field in Settings.__struct_fields__ if field != "origins")


def check_suffixes(settings: Settings, known: Collection[bytes]) -> frozenset[bytes]:
    """The suffixes to index, out of those that have a reader (`known`: lower case, with dot).

    A separate step, since this module must not import the readers. Raises SettingsError.
    """
    wanted = frozenset(suffix.encode() for suffix in settings.suffixes or ())
    if strange := wanted.difference(known):
        raise SettingsError(
            f"{settings.said('suffixes')}: there is no reader for {_listed(strange)};"
            f" expected some of {_listed(known)}"
        )
    return wanted or frozenset(known)


def check_picture_names(settings: Settings, suffixes: Collection[bytes]) -> None:
    """Raise SettingsError where a name of pictures has one of the `suffixes` that they have."""
    for key in ("album_cover_files", "artist_image_files"):
        for name in getattr(settings, key):
            stem, dot, suffix = name.lower().rpartition(".")
            if f"{dot}{suffix}".encode() in suffixes:
                raise SettingsError(
                    f"{settings.said(key)}: {name!r}: expected names without their suffix, such as"
                    f' "{stem}"'
                )


def _listed(suffixes: Collection[bytes]) -> str:
    return " ".join(suffix.decode() for suffix in sorted(suffixes))
