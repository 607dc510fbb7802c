"""Defaults, the TOML file, the environment and the flags -> settings, one frozen struct.

Later ones win. Only this module reads the environment.
"""

from __future__ import annotations

import codecs
import os
import pwd
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_type_hints

from msgspec import Meta, Struct, ValidationError, convert

from indexer.errors import SettingsError
from indexer.hook_settings import Hook, hooks_from
from indexer.ignore import IGNORED_NAMES

_DAY_S = 86_400
_MOST_BYTES = 1 << 20
"""Of a file of settings; far more than one has."""

Seconds = Annotated[
    float,
    Meta(ge=0, le=_DAY_S, description="a number of seconds, such as 2.0 (at most a day, 86400)"),
]
Pause = Annotated[
    float,
    Meta(gt=0, le=_DAY_S, description="a number of seconds above 0, such as 0.5 (at most 86400)"),
]
Count = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
Amount = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
Switch = Annotated[bool, Meta(description="true or false")]
Name = Annotated[str, Meta(min_length=1, description='a name in quotes, such as "audio"')]
Location = Annotated[str, Meta(min_length=1, description='a path in quotes, such as "/srv/music"')]
Suffix = Annotated[str, Meta(pattern=r"^\.?[^\s./]+$")]
Suffixes = Annotated[
    tuple[Suffix, ...], Meta(min_length=1, description='a list of suffixes, such as ["mp3"]')
]


Names = Annotated[
    tuple[Name, ...], Meta(description='a list of names in quotes, such as ["@eaDir", "*.tmp"]')
]


Tags = Annotated[
    tuple[Name, ...],
    Meta(description='a list of names of tags in quotes, such as ["barcode"], or ["*"] for all'),
]


Polled = Annotated[
    tuple[Name, ...], Meta(description='a list of names of roots in quotes, such as ["nas"]')
]


Hosts = Annotated[
    tuple[Name, ...], Meta(description='a list of names in quotes, such as ["music.example.org"]')
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
Megabytes = Annotated[int, Meta(ge=64, description="a whole number of megabytes, 64 or more")]
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
    cache_ttl: Pause = 600.0
    """How long Redis keeps what was read of a file."""
    cache_memory: Amount = 32
    """Megabytes of Redis for that; 0: nothing is kept."""
    queue_files: Count = 20_000
    """A scan pauses while the queues hold this many files."""
    queue_live_files: Annotated[Count, Meta(le=1000)] = 200
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
    """Programs that are told of changes: `indexer hooks`."""
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
_VARIABLES = {"INDEXER_DB": "db", "INDEXER_REDIS": "redis"}


def load(
    config: Path | None = None,
    db: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    **flags: object,
) -> Settings:
    """The settings of this run. `config` and `db` are the flags of that name.

    The file is `config`, else $INDEXER_CONFIG, else $XDG_CONFIG_HOME/music-indexer/config.toml;
    only the last may be missing. None means that a flag was not given. Relative paths start at the
    file that contains them, else at the working folder. Raises SettingsError.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = _config_file(config, environ)
    if file is not None:
        values, origins = _read(file, environ)
    for variable, key in _VARIABLES.items():
        if text := environ.get(variable):
            values[key] = _checked(key, text, f"{variable}={text}", Path.cwd(), environ)
            origins[key] = variable
    for key, value in {"db": db and os.fspath(db), **flags}.items():
        if value is None:
            continue
        flag = "--" + key.replace("_", "-")
        if key not in KEYS:
            _refuse_key(flag, key, KEYS)
        values[key] = _checked(key, value, f"{flag} {value}", Path.cwd(), environ)
        origins[key] = flag
    if "db" not in values:
        values["db"] = _xdg_file("XDG_DATA_HOME", ".local/share", "library.db", environ)
    settings = Settings(**values, origins=origins)
    _check_pauses(settings, "retry_first", "retry_longest")
    _check_pauses(settings, "queue_retry_first", "queue_retry_longest")
    return settings


def _check_pauses(settings: Settings, first: str, longest: str) -> None:
    one, other = getattr(settings, first), getattr(settings, longest)
    if one > other:
        raise SettingsError(
            f"{settings.said(first)} is {one}, but {settings.said(longest)} is {other}:"
            " expected the first pause to be the shorter one"
        )


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


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line (from 1) on which each key of a valid TOML text is set, as a path of names.

    tomllib reports no lines. But each statement of TOML can be parsed alone, and a truncated one
    cannot: so lines are collected until they parse, and these lines are a statement.
    """
    import tomllib  # late: few have a file

    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    statement, start = "", 1
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        statement += line
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            statement += "\n"
            continue
        is_header = statement.lstrip().startswith("[")
        paths = _key_paths(found, () if is_header else table)
        for path in paths:
            lines.setdefault(path, start)
        if is_header:
            table = paths[-1]
        statement, start = "", number + 1
    return lines


def _key_paths(found: object, above: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All keys in a parsed statement, outer ones first."""
    if not isinstance(found, dict):
        return []
    return [
        path
        for key, value in found.items()
        for path in ((*above, key), *_key_paths(value, (*above, key)))
    ]


def _config_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if named := environ.get("INDEXER_CONFIG"):
        return Path(named)
    default = _xdg_file("XDG_CONFIG_HOME", ".config", "config.toml", environ)
    # os.path, not Path: with another user's HOME (sudo -u), Path.exists raises PermissionError.
    return default if os.path.exists(default) else None


def _xdg_file(variable: str, below_home: str, name: str, environ: Mapping[str, str]) -> Path:
    """A file in one of the XDG folders; relative ones are ignored, as specified."""
    named = Path(environ.get(variable, ""))
    folder = named if named.is_absolute() else _home(environ) / below_home
    return folder / "music-indexer" / name


def _home(environ: Mapping[str, str]) -> Path:
    """The home folder; `/` for a user without one, such as an unnamed user in a container."""
    if named := environ.get("HOME"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/")


def _read(file: Path, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """(values, origins) of one file."""
    text, found = _parse(file)
    lines = key_lines(text)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in found.items():
        where = f"{file}:{lines[key,]}: "
        if key not in KEYS:
            _refuse_key(where + key, key, KEYS)
        origins[key] = where + key
        if key == "roots":
            values[key] = _roots(value, file, lines, environ)
            for name in values[key]:
                origins[f"roots.{name}"] = f"{file}:{lines['roots', name]}: roots.{name}"
        elif key == "hooks":
            values[key] = hooks_from(value, where + key)
        else:
            shown = f"{where}{key} = {_shown(value)}"
            values[key] = _checked(key, value, shown, file.parent.absolute(), environ)
    return values, origins


def _parse(file: Path) -> tuple[str, dict[str, Any]]:
    import tomllib  # late: few have a file

    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1).removeprefix(codecs.BOM_UTF8)  # Notepad's
    except OSError as error:
        raise SettingsError(
            f"{file}: {error.strerror}: expected a TOML file like config.example.toml"
        ) from error
    if len(data) > _MOST_BYTES:
        raise SettingsError(f"{file}: larger than 1 MB: expected a file like config.example.toml")
    try:
        text = data.decode("utf-8")
        return text, tomllib.loads(text)
    except RecursionError as error:
        raise SettingsError(
            f"{file}: not valid TOML: brackets within brackets too often"
        ) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}:{line}: not UTF-8: save it in that encoding") from error
    except tomllib.TOMLDecodeError as error:
        # Python 3.14 has error.lineno; until then the position stands in the message alone.
        position = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(position[1]) if position else text.rstrip().count("\n") + 1
        raise SettingsError(f"{file}:{line}: not valid TOML: {error}") from error


def _roots(
    found: object, file: Path, lines: dict[tuple[str, ...], int], environ: Mapping[str, str]
) -> dict[str, Path]:
    roots: dict[str, Path] = {}
    if not isinstance(found, dict):
        _refuse(f"{file}:{lines['roots',]}: roots = {_shown(found)}", "[roots.NAME] with a path")
    for name, table in found.items():
        where = f"{file}:{lines['roots', name]}: roots.{name}"
        if not name or "/" in name or not name.isprintable():
            _refuse(where, "a name without slashes and control characters")
        if not isinstance(table, dict) or "path" not in table:
            _refuse(where, 'a line path = "/the/folder" in the table')
        for key, value in table.items():
            where = f"{file}:{lines['roots', name, key]}: roots.{name}.{key}"
            if key != "path":
                _refuse_key(where, key, ("path",))
            folder = file.parent.absolute()
            roots[name] = _path(value, f"{where} = {_shown(value)}", folder, environ)
    return roots


def _checked(
    key: str, value: object, shown: str, folder: Path, environ: Mapping[str, str]
) -> object:
    """Convert a value to the type of its field. `shown` is its name in errors."""
    if key == "db":
        file = _path(value, shown, folder, environ)
        return file if file.name else _refuse(shown, "the path of a file")
    if key == "artwork_cache":
        return str(_path(value, shown, folder, environ))
    kind = _types()[key]
    kind = kind if hasattr(kind, "__metadata__") else get_args(kind)[0]  # the X of X | None
    try:
        checked = convert(value, kind)
    except ValidationError:
        _refuse(shown, kind.__metadata__[0].description)
    if key == "group":
        _check_group(str(checked), shown)
    if key == "suffixes":
        return tuple("." + suffix.removeprefix(".").lower() for suffix in checked)
    return checked


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Settings, include_extras=True)


def _check_group(name: str, shown: str) -> None:
    import grp  # late: few settings name one

    try:
        grp.getgrnam(name)
    except KeyError:
        _refuse(shown, "the name of a group of this machine; `getent group` lists them")


def _path(value: object, shown: str, folder: Path, environ: Mapping[str, str]) -> Path:
    try:
        text = convert(value, Location)
    except ValidationError:
        _refuse(shown, get_args(Location)[1].description)
    if text == "~" or text.startswith("~/"):
        return _home(environ) / text[2:]
    return folder / text


def _refuse(shown: str, expected: str) -> NoReturn:
    raise SettingsError(f"{shown}: expected {expected}")


def _refuse_key(shown: str, key: str, known: Collection[str]) -> NoReturn:
    from difflib import get_close_matches  # late: only for errors

    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"
    raise SettingsError(f"{shown} is not a setting: {hint}")


def _shown(value: object) -> str:
    """A value in approximately TOML's format."""
    import json  # late: only for errors

    return json.dumps(value, ensure_ascii=False, default=str)


def _listed(suffixes: Collection[bytes]) -> str:
    return " ".join(suffix.decode() for suffix in sorted(suffixes))
