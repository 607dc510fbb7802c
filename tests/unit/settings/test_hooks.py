"""`[[hooks]]` of the settings: what is taken, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.errors import SettingsError
from indexer.settings.hooks import KINDS, Hook
from indexer.settings.settings_file import load


def loaded(tmp_path: Path, text: str) -> tuple[Hook, ...]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file, tmp_path / "library.db", {}).hooks


def test_a_hook_has_defaults(tmp_path: Path) -> None:
    (hook,) = loaded(tmp_path, '[[hooks]]\nname = "mpd"\ncommand = "mpc -q update"\n')
    assert hook.words == ("mpc", "-q", "update")
    assert (hook.kinds, hook.quiet, hook.batch, hook.timeout, hook.key) == (KINDS, 2, 500, 30, b"")
    assert hook.wants("added", "any root")
    assert hook.wants("scan-done", None)


def test_all_keys_are_read(tmp_path: Path) -> None:
    (hook,) = loaded(
        tmp_path,
        """
        [[hooks]]
        name = "web"
        url = "https://me:word@nas:8080/x?token=y"
        kinds = ["added", "damage"]
        roots = ["a"]
        map = { a = "/media" }
        quiet = 1
        batch = 7
        timeout = 2.5
        secret = "whsec_AAEC"
        """,
    )
    assert hook.receiver == "https://nas:8080/x"
    assert hook.key == b"\0\1\2"
    assert hook.map == {"a": "/media"}
    assert (hook.quiet, hook.batch, hook.timeout) == (1, 7, 2.5)
    assert hook.wants("added", "a")
    assert not hook.wants("added", "b")
    assert not hook.wants("moved", "a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hooks = 1", "expected tables [[hooks]]"),
        ("[hooks]\nname = 'x'", "expected tables [[hooks]]"),
        ("[[hooks]]\ncommand = ['x']", "expected a name"),
        ("[[hooks]]\nname = 'a b'\ncommand = ['x']", "expected a name"),
        ("[[hooks]]\nname = 'x'", "expected one of command"),
        ("[[hooks]]\nname = 'x'\ncommand = ['a']\nurl = 'http://a'", "expected one of command"),
        ("[[hooks]]\nname = 'x'\ncommand = 'a \"b'", "a quotation mark is missing"),
        ("[[hooks]]\nname = 'x'\nurl = 'ftp://nas/'", "expected an address"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://[1'", "expected an address"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\nsecret = 'whsec_!'", "expected base64"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\nkinds = ['new']", "'new' is none of added"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\nbatch = 0", "batch of 1 to 10000"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\nquiet = -1", "quiet of 0 or more"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\nquiet = nan", "quiet of 0 or more"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\ntimeout = inf", "each up to a day, 86400"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a:99999/'", "expected an address"),
        ("[[hooks]]\nname = 'x'\ncommand = ['']", "expected a program"),
        ('[[hooks]]\nname = "x"\ncommand = ["a", "b\\u0000"]', "no NUL in its arguments"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\nquite = 1", "unknown field `quite`"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\ntimeout = 'x'", "timeout: Expected `float`"),
        ("[[hooks]]\nname = 'x'\nurl = 'http://a'\n" * 2, "there are two hooks x"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, text)
    assert said in str(raised.value)
    assert f"{tmp_path}/config.toml:" in str(raised.value)
