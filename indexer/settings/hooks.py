"""`[[hooks]]` of the settings: where changes are sent, and which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, ValidationError, convert

from indexer.errors import SettingsError

OF_TRACKS: Final = ("added", "modified", "moved", "missing", "returned")
OTHERS: Final = ("root-offline", "root-online", "problem", "damage", "scan-done")
KINDS: Final = (*OF_TRACKS, *OTHERS)
"""Every kind of event."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix of Standard Webhooks
_DAY_S: Final = 86_400
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class Hook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One receiver. `deploy/config.example.toml` explains each key."""

    name: str
    command: tuple[str, ...] | str = ()
    """It gets the events on its standard input, as JSON, one a line; exit code 0: received."""
    url: str = ""
    """It gets the events as a POST with a JSON body, as Standard Webhooks describes."""
    kinds: tuple[str, ...] = KINDS
    roots: tuple[str, ...] = ()
    """Only these; none: all."""
    map: dict[str, str] = {}
    """Name of a root -> its folder as the receiver knows it."""
    quiet: float = 2.0
    """Seconds without a change before a batch is sent."""
    batch: int = 500
    """Maximum events of one message."""
    timeout: float = 30.0
    """Seconds for one attempt."""
    secret: str = ""
    """Signs each POST; in base64 after `whsec_`, else the text itself. None: not signed."""

    @property
    def words(self) -> tuple[str, ...]:
        """The command and its arguments."""
        if not isinstance(self.command, str):
            return self.command
        import shlex  # late, as all below: every command reads settings, few have hooks

        return tuple(shlex.split(self.command))

    @property
    def receiver(self) -> str:
        """The receiver as it is shown, without a password."""
        if not self.url:
            return " ".join(self.words)
        return self.address[0].partition("?")[0]

    @property
    def address(self) -> tuple[str, bytes]:
        """The URL without user and password, and both as Basic takes them; empty: none."""
        from urllib.parse import unquote_to_bytes, urlsplit

        parts = urlsplit(self.url)
        login, _, place = parts.netloc.rpartition("@")
        user, _, password = map(unquote_to_bytes, login.partition(":"))
        plain = parts._replace(netloc=place, fragment="").geturl()
        return plain, b"%s:%s" % (user, password) if login else b""

    @property
    def key(self) -> bytes:
        """The secret as bytes."""
        if not self.secret.startswith(SECRET_PREFIX):
            return self.secret.encode()
        import base64

        return base64.b64decode(self.secret.removeprefix(SECRET_PREFIX), validate=True)

    def wants(self, kind: str, root: str | None) -> bool:
        """Whether an event goes to this receiver; `root` None: it is of no single root."""
        return kind in self.kinds and (root is None or not self.roots or root in self.roots)


def hooks_from(found: object, where: str) -> tuple[Hook, ...]:
    """The hooks of a parsed file; `where` is its place in errors. Raises SettingsError."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SettingsError(f'{where}: expected tables [[hooks]], each with name = "..."')
    hooks = tuple(_hook(table, f"{where}, number {n}") for n, table in enumerate(found, 1))
    names = [hook.name for hook in hooks]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{where}: there are two hooks {name}; give each its own name")
    return hooks


def _hook(table: Mapping[str, Any], where: str) -> Hook:
    name = table.get("name")
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise SettingsError(
            f'{where}: expected a name of letters, digits, dots and dashes, such as name = "mpd"'
        )
    where = f"{where} ({name})"
    try:
        hook = convert({**table}, Hook, strict=True)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_said(error)}") from error
    _check_receiver(hook, where)
    if unknown := [kind for kind in hook.kinds if kind not in KINDS]:
        raise SettingsError(f"{where}: kinds: {unknown[0]!r} is none of {', '.join(KINDS)}")
    in_time = 0 <= hook.quiet <= _DAY_S and 0 < hook.timeout <= _DAY_S  # no `nan`, no `inf`
    if not in_time or not 1 <= hook.batch <= 10_000:
        raise SettingsError(
            f"{where}: expected quiet of 0 or more, timeout above 0 (each up to a day, {_DAY_S}),"
            " and batch of 1 to 10000"
        )
    return hook


def _check_receiver(hook: Hook, where: str) -> None:
    try:
        words = hook.words
    except ValueError as error:
        raise SettingsError(f"{where}: command: {error}: a quotation mark is missing") from error
    if words and (not words[0] or "\0" in "".join(words)):
        raise SettingsError(f"{where}: command: expected a program, and no NUL in its arguments")
    if bool(words) == bool(hook.url):
        raise SettingsError(f'{where}: expected one of command = ["..."] and url = "https://..."')
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(hook.url)
        is_web = not hook.url or (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        )
    except ValueError:
        is_web = False
    if not is_web:
        raise SettingsError(f'{where}: url: expected an address, such as "https://nas:8080/music"')
    try:
        is_empty = bool(hook.secret) and not hook.key
    except ValueError:
        is_empty = True
    if is_empty:
        raise SettingsError(f"{where}: secret: expected base64 after {SECRET_PREFIX}")


def _said(error: ValidationError) -> str:
    """`Expected ... - at $.quiet` -> `quiet: Expected ...`."""
    said, _, at = str(error).partition(" - at `$.")
    return f"{at.rstrip('`')}: {said}" if at else said
