"""The first picture of the README shows what the programs say today."""

from __future__ import annotations

import io
import re
import shutil
import subprocess

import pytest
from rich.live import Live

from indexer.cli.progress import visible_cursor
from tests.picture import PICTURE, POINT, SESSION, picture, played, words_of
from tests.programs import CHECKOUT, ENVIRONMENT, can_be_root
from tests.screens import without_progress


@pytest.fixture(scope="module")
def session() -> str:
    """The session, run again. Skipped where no disk can be mounted for it."""
    if not can_be_root() or not POINT.parent.is_dir():
        pytest.skip("only root may mount")
    for name in ("unshare", "mkfs.ext4"):
        if shutil.which(name, path=ENVIRONMENT["PATH"]) is None:
            pytest.skip(f"{name} is not installed")
    mounting = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(POINT.parent)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount")
    return played()


def test_the_picture_says_what_the_programs_say(session: str) -> None:
    told = words_of(PICTURE.read_text(encoding="utf-8"))
    assert words_of(picture(session)) == told, "make it again: python -m tests.picture, as root"


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_line_of_a_slow_run_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    drawn = Terminal()
    with Live(console=visible_cursor(drawn), auto_refresh=False, transient=True) as live:
        for files in (3, 12):
            live.update(f"reading Music {files}", refresh=True)
    assert "reading" in drawn.getvalue()
    assert without_progress(f"a\r\n{drawn.getvalue()}b\r\n") == "a\r\nb\r\n"


def test_nothing_is_lost_while_a_disk_is_away(session: str) -> None:
    assert "no file was looked at; nothing in the index changed\n" in session
    assert "Björk" in session.partition("search bjork hyper")[2]
    assert re.search(r"ok\S*: 12 files checked, index equals disk\n$", session)
    assert not POINT.exists(), "the mount has left its namespace"


def test_the_picture_is_the_first_of_the_readme_and_needs_nothing_from_elsewhere() -> None:
    first = re.search(r"!\[[^]]+\]\(([^)]+)\)", (CHECKOUT / "README.md").read_text())
    assert first is not None
    assert CHECKOUT / first[1] == PICTURE
    svg = PICTURE.read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"')]+", svg))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
    typed = [line.partition("#")[0] for line in words_of(svg) if line.startswith("$")]
    assert [squeezed(line) for line in typed] == [squeezed(f"${line}") for line in SESSION]


def squeezed(text: str) -> str:
    """Without blanks, which a picture has as places."""
    return "".join(text.split())
