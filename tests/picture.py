"""A session on a terminal, run for real -> the first picture of the README, as SVG.

    python -m tests.picture      # as root

A disk is unplugged and plugged in again, and nothing is lost. The disk is a file with an ext4,
mounted in a mount namespace of its own, which ends with the process. Durations are all shown as
0.1 s; all else is what the programs said.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.corpus import plant, tagged
from tests.programs import CHECKOUT, ENVIRONMENT, PROGRAM
from tests.screens import drawn_by, without_progress

PICTURE: Final = CHECKOUT / "deploy" / "session.svg"
POINT: Final = Path("/media/usb")
_COLUMNS: Final = 84
_SONGS: Final = (
    ("Debut", "1993", ("Human Behaviour", "Crying", "Venus as a Boy", "There's More to Life")),
    ("Post", "1995", ("Army of Me", "Hyperballad", "The Modern Things", "Isobel")),
    ("Homogenic", "1997", ("Hunter", "Jóga", "Unravel", "Bachelorette")),
)
SESSION: Final = (
    f"indexer rebuild {POINT}/Music",
    f"umount {POINT}",
    "indexer scan",
    "indexer search bjork hyper",
    f"mount {POINT}",
    "indexer verify --deep",
)
_NOTES: Final = {f"umount {POINT}": "the disk is unplugged", f"mount {POINT}": "plugged in again"}
_FONTS: Final = re.compile(r" *@font-face \{\{.*?\}\}\n", re.DOTALL)
"""Rich's template fetches fonts from another server."""


def played() -> str:
    """The session as a terminal has it, with its colours; in a mount namespace of its own."""
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-P", "-m"]
    inside = subprocess.run(
        [*command, "tests.picture", "--inside"], cwd=CHECKOUT, env=ENVIRONMENT,
        stdout=subprocess.PIPE, check=True, timeout=120,
    )  # fmt: skip
    return inside.stdout.decode()


def _play() -> str:
    """Run the session on a disk that only this process and its children see."""
    with TemporaryDirectory(prefix="picture-") as folder:
        place = Path(folder)
        image, table = place / "disk.img", place / "fstab"
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", POINT.parent], check=True)
        POINT.mkdir()
        image.touch()
        with image.open("wb") as file:
            file.truncate(8 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        table.write_text(f"{image} {POINT} ext4 loop 0 0\n")
        programs: dict[str, tuple[str | Path, ...]] = {
            "indexer": PROGRAM,
            "umount": ("umount",),
            "mount": ("mount", "--fstab", table),
        }
        subprocess.run(["mount", "--fstab", table, POINT], check=True)
        plant(POINT / "Music", dict(_files()))
        shown = ""
        for line in SESSION:
            program, *words = line.split()
            note = f"   \x1b[2m# {_NOTES[line]}\x1b[0m" if line in _NOTES else ""
            shown += f"\x1b[32m$\x1b[0m \x1b[1m{line}\x1b[0m{note}\n"
            shown += drawn_by(
                *programs[program], *words, columns=_COLUMNS,
                env={"TERM": "xterm-256color", "INDEXER_DB": str(place / "library.db")},
            )  # fmt: skip
        subprocess.run(["umount", POINT], check=True)
    return re.sub(r"\b[\d.]+ s\b", "0.1 s", without_progress(shown).replace("\r\n", "\n"))


def _files() -> list[tuple[str, bytes]]:
    return [
        (
            f"Björk/{album}/{number:02} {title}.mp3",
            tagged(
                ".mp3", title=title, artist="Björk", albumartist="Björk", album=album, date=year,
                track=number,
            ),
        )
        for album, year, titles in _SONGS
        for number, title in enumerate(titles, 1)
    ]  # fmt: skip


def picture(session: str) -> str:
    """The session as an SVG that needs nothing from elsewhere."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    console = Console(
        record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(Text.from_ansi(session), end="", soft_wrap=True)
    return console.export_svg(
        title="nothing is lost",
        theme=MONOKAI,
        code_format=_FONTS.sub("", CONSOLE_SVG_FORMAT),
        unique_id="session",
    )


def words_of(svg: str) -> list[str]:
    """The lines of text of a picture, without styles."""
    lines: dict[float, str] = {}
    for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        at = float(text.get("y", "0"))
        gap = " " if text.get("class", "").endswith("title") else ""
        lines[at] = lines.get(at, "") + gap + (text.text or "")
    return [" ".join(lines[at].replace("\N{NO-BREAK SPACE}", " ").split()) for at in sorted(lines)]


if __name__ == "__main__":
    if sys.argv[1:] == ["--inside"]:
        sys.stdout.buffer.write(_play().encode())
    else:
        PICTURE.write_text(picture(played()), encoding="utf-8")
