"""Defaults, the TOML file, the environment and the flags -> settings.

Later ones win. Only this module reads the environment.
"""

from __future__ import annotations

import codecs
import os
import pwd
import re
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from msgspec import ValidationError, convert

from indexer.errors import SettingsError
from indexer.paths import may_name_root
from indexer.settings import KEYS, Location, Settings
from indexer.settings.hooks import hooks_from

_MOST_BYTES = 1 << 20
"""Of a file of settings; far more than one has."""
_MOST_LINKS = 40
"""After so many the kernel gives up (path_resolution(7))."""
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
            values[key] = _checked(key, text, f"{variable}={text}", Path(), environ)
            origins[key] = variable
    for key, value in {"db": db and os.fspath(db), **flags}.items():
        if value is None:
            continue
        flag = "--" + key.replace("_", "-")
        if key not in KEYS:
            _refuse_key(flag, key, KEYS)
        values[key] = _checked(key, value, f"{flag} {value}", Path(), environ)
        origins[key] = flag
    if "db" not in values:
        values["db"] = _xdg_file("XDG_DATA_HOME", ".local/share", "library.db", environ)
    values["db"] = _behind_links(values["db"])
    settings = Settings(**values, origins=origins)
    _check_pauses(settings, "retry_first", "retry_longest")
    _check_pauses(settings, "queue_retry_first", "queue_retry_longest")
    return settings


def _behind_links(file: Path) -> Path:
    """The file to which links of this name lead: an index has one lock, whatever name is given.

    A link that another user may have put there is not followed; opening the index refuses it. Nor
    is one that leads in a circle.
    """
    place = file
    for _ in range(_MOST_LINKS):
        try:
            link = os.lstat(place)
        except OSError:
            return place  # not made yet, or told when it is opened
        if not stat.S_ISLNK(link.st_mode):
            return place
        trusted = {0, os.geteuid()}
        with suppress(OSError):  # it leads nowhere, or in a circle
            trusted.add(os.stat(place).st_uid)
        if link.st_uid not in trusted:
            return place
        with suppress(OSError):  # it was replaced a moment ago: then it is looked at again
            place = place.parent / os.readlink(place)
    return file


def _check_pauses(settings: Settings, first: str, longest: str) -> None:
    one, other = getattr(settings, first), getattr(settings, longest)
    if one > other:
        raise SettingsError(
            f"{settings.said(first)} is {one}, but {settings.said(longest)} is {other}:"
            " expected the first pause to be the shorter one"
        )


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


def place_of(config: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the settings file is, or would be."""
    if config is not None:
        return config
    if named := environ.get("INDEXER_CONFIG"):
        return Path(named)
    return _xdg_file("XDG_CONFIG_HOME", ".config", "config.toml", environ)


def _config_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    file = place_of(config, environ)
    if config is not None or environ.get("INDEXER_CONFIG"):
        return file
    # os.path, not Path: with another user's HOME (sudo -u), Path.exists raises PermissionError.
    return file if os.path.exists(file) else None


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
            shown = _Given(where + key, value)
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
    except ValueError as error:
        raise SettingsError(f"{str(file)!r} is no path: expected that of a TOML file") from error
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
        _refuse(_Given(f"{file}:{lines['roots',]}: roots", found), "[roots.NAME] with a path")
    for name, table in found.items():
        where = f"{file}:{lines['roots', name]}: roots.{name}"
        if not may_name_root(name):
            _refuse(where, "a name without slashes and control characters, and not . or ..")
        if not isinstance(table, dict) or "path" not in table:
            _refuse(where, 'a line path = "/the/folder" in the table')
        for key, value in table.items():
            where = f"{file}:{lines['roots', name, key]}: roots.{name}.{key}"
            if key != "path":
                _refuse_key(where, key, ("path",))
            folder = file.parent.absolute()
            roots[name] = _path(value, _Given(where, value), folder, environ)
    return roots


def _checked(
    key: str, value: object, shown: str | _Given, folder: Path, environ: Mapping[str, str]
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


def _check_group(name: str, shown: str | _Given) -> None:
    import grp  # late: few settings name one

    try:
        grp.getgrnam(name)
    except KeyError:
        _refuse(shown, "the name of a group of this machine; `getent group` lists them")


def _path(value: object, shown: str | _Given, folder: Path, environ: Mapping[str, str]) -> Path:
    try:
        text = convert(value, Location)
        is_path = b"\0" not in os.fsencode(text)
    except (ValidationError, UnicodeEncodeError):
        is_path = False
    if not is_path:
        _refuse(shown, get_args(Location)[1].description)
    if text == "~" or text.startswith("~/"):
        return _home(environ) / text[2:]
    return (folder / text).absolute()


def _refuse(shown: str | _Given, expected: str) -> NoReturn:
    raise SettingsError(f"{shown}: expected {expected}")


def _refuse_key(shown: str, key: str, known: Collection[str]) -> NoReturn:
    from difflib import get_close_matches  # late: only for errors

    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"
    raise SettingsError(f"{shown} is not a setting: {hint}")


class _Given:
    """A value as a file gives it: text for errors only, in approximately TOML's format."""

    def __init__(self, where: str, value: object) -> None:
        self._where = where
        self._value = value

    def __str__(self) -> str:
        import json  # late: only for errors

        return f"{self._where} = {json.dumps(self._value, ensure_ascii=False, default=str)}"
