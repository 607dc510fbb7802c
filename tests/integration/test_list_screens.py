"""Whole screens of the commands that ask, at 60 and at 100 columns, with and without colour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from indexer.cli.terminal import unstyled
from tests.corpus import plant, tagged
from tests.programs import run
from tests.screens import screen

COLOUR = {"TERM": "xterm"}


class Collection(NamedTuple):
    """An index of a root `Music`: two tracks, one that is gone, two files that are refused."""

    db: Path
    home: Path
    file_system: str
    compared_by: str
    first_scan: str


def song(
    title: str, number: int, artist: str = "Björk", album: str = "Post", date: str = "1995"
) -> bytes:
    return tagged(
        ".flac", title=title, artist=artist, albumartist=artist, album=album, date=date,
        track=number,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Iterator[Collection]:
    """In a folder whose name has the same length everywhere, since lines break by it."""
    with TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        home = Path(folder)
        db, music = home / "library.db", home / "Music"
        plant(
            music,
            {
                "Björk/01 Army of Me.flac": song("Army of Me", 1),
                "Björk/02 Hyperballad.flac": song("Hyperballad", 2),
                "Kino/03.flac": song("Восьмиклассница", 3, "Кино", "45", "1982"),
                "Notes/notes.mp3": b"Dear all,\nplease find the songs attached.\n",
                "Notes/empty.flac": b"",
            },
        )
        first = screen("rebuild", music, db=db, columns=100)
        (music / "Björk/01 Army of Me.flac").unlink()
        gone = screen("verify", db=db, columns=60)
        assert gone == (
            "Music/Björk/01 Army of Me.flac  gone  the index has it, the\n"
            "  disk has not\n"
            "1 difference, 4 files checked; indexer scan brings the index\n"
            "  up to date\n"
        )
        run("scan", db=db)
        (root,) = run("roots", "--json", db=db).objects
        yield Collection(db, home, root["file_system"], root["stamp_fields"], first)


def at(columns: int, made: Collection, *words: str, env: dict[str, str] | None = None) -> str:
    """The screen; HOME is where the music is, and sizes of the index are N."""
    shown = screen(*words, db=made.db, columns=columns, cwd=made.home, env=env)
    return re.sub(r"\d+ KB\)", "N KB)", shown.replace(str(made.home), "HOME"))


def both(made: Collection, *words: str) -> str:
    """The screen of 60 columns, which is that of 100, too."""
    shown = at(60, made, *words)
    assert shown == at(100, made, *words)
    return shown


def test_a_scan_ends_with_what_it_found(made: Collection) -> None:
    assert made.first_scan == (
        "5 files: 3 added; 5 read (4.7 KB) in N s\n2 problems: see indexer problems\n"
    )
    assert both(made, "scan") == "4 files: 4 unchanged; 0 read (0 B) in N s\n"
    assert both(made, "verify") == "ok: 4 files checked, index equals disk\n"


def test_a_search_lists_the_best_first_and_keeps_paths_whole(made: Collection) -> None:
    assert at(100, made, "search", "year:1982", "OR", "hyper") == (
        "Björk – Hyperballad  (Post, 1995)  Music/Björk/02 Hyperballad.flac\n"
        "Кино – Восьмиклассница  (45, 1982)  Music/Kino/03.flac\n"
    )
    assert at(60, made, "search", "hyper") == (
        "Björk – Hyperballad  (Post, 1995)\n  Music/Björk/02 Hyperballad.flac\n"
    )
    assert both(made, "search", "--albums", "post") == "Björk – Post  (1995)  1 track\n"
    assert both(made, "search", "--artists", "kino") == "Кино  1 track\n"


def test_a_search_says_what_it_took_and_what_it_left_out(made: Collection) -> None:
    assert at(100, made, "search", "bjrok") == (
        "indexer: nothing for bjrok; showing björk\n"
        "Björk – Hyperballad  (Post, 1995)  Music/Björk/02 Hyperballad.flac\n"
    )
    assert at(60, made, "search", "--limit", "1", "--sort", "year", "year:1980-1999") == (
        "Кино – Восьмиклассница  (45, 1982)  Music/Kino/03.flac\n"
        "indexer: 1 of 2; --limit 0 shows all\n"
    )
    assert both(made, "search", "zzzz") == "indexer: nothing found for zzzz\n"
    assert at(60, made, "search", "year:soon") == (
        "indexer: year:soon: not understood; write year:1997,\n"
        "  year:1990-1999, year:80s or year:>=1995\n"
    )


def test_what_came_and_what_changed_is_listed(made: Collection) -> None:
    assert at(100, made, "new") == (
        "WHEN  Björk – Hyperballad  (Post, 1995)  Music/Björk/02 Hyperballad.flac\n"
        "WHEN  Кино – Восьмиклассница  (45, 1982)  Music/Kino/03.flac\n"
    )
    assert at(60, made, "new", "--limit", "1") == (
        "WHEN  Björk – Hyperballad  (Post, 1995)\n"
        "  Music/Björk/02 Hyperballad.flac\n"
        "indexer: 1 of 2; --limit 0 shows all\n"
    )
    assert at(100, made, "changes") == (
        "1  WHEN  added     Music/Björk/01 Army of Me.flac\n"
        "2  WHEN  added     Music/Björk/02 Hyperballad.flac\n"
        "3  WHEN  added     Music/Kino/03.flac\n"
        "4  WHEN  missing   Music/Björk/01 Army of Me.flac\n"
    )
    assert at(60, made, "changes", "--kind", "missing") == (
        "4  WHEN  missing\n  Music/Björk/01 Army of Me.flac\n"
    )


def test_a_file_is_shown_with_its_units(made: Collection) -> None:
    assert both(made, "show", "3") == (
        "path         Music/Björk/02 Hyperballad.flac\n"
        "id           3\n"
        "size         1.5 KB\n"
        "changed      WHEN\n"
        "title        Hyperballad\n"
        "artist       Björk\n"
        "albumartist  Björk\n"
        "album        Post\n"
        "date         1995\n"
        "year         1995\n"
        "track        2\n"
        "compilation  no\n"
        "duration     0:00\n"
        "bitrate      55 kbit/s\n"
        "sample_rate  22 050 Hz\n"
        "channels     1\n"
        "bit_depth    16 bit\n"
        "codec        flac\n"
        "has_picture  no\n"
        "guessed      no\n"
        "added        WHEN\n"
        "indexed      WHEN\n"
        "has_lyrics   no\n"
        "has_cover    no\n"
        "essence      0d8cae41ded1a5798b1476e54e39a3fb\n"
    )
    assert both(made, "show", "Music/Notes/empty.flac") == (
        "path     Music/Notes/empty.flac\nproblem  the file is empty\n"
    )
    assert at(60, made, "show", "Music/No.flac") == (
        "indexer: Music/No.flac: not in the index; `indexer scan`\n"
        "  with this path looks at it now\n"
    )


def test_the_status_names_what_needs_a_look(made: Collection) -> None:
    fs, by = f"{made.file_system:<11}", f"{made.compared_by:<22}"
    unwell = "warning   2 new problems in the last 24 hours (see indexer problems), since WHEN\n"
    head = (
        "tracks    2 on 2 albums by 2 artists\n"
        "missing   1\n"
        "problems  2 (see indexer problems)\n"
        "pending   0\n"
        "daemon    not running\n"
        "database  HOME/library.db (N KB)\n"
        "\n"
    )
    wide = (
        "root   state  tracks  file system  compared by             path\n"
        f"Music  idle        2  {fs}  {by}  HOME/Music\n"
    )
    assert at(100, made, "roots") == wide
    narrow = (
        "root   state  tracks  file system  compared by\n"
        "       path\n"
        f"Music  idle        2  {fs}  {made.compared_by}\n"
        "       HOME/Music\n"
    )
    assert at(60, made, "roots") == narrow
    shown, scans = at(100, made, "status").split("\n\nWHEN")
    assert shown + "\n" == unwell + head + wide
    assert scans.endswith("\nWHEN  rebuild  done  N s  Music  3 added\n")
    assert head + narrow in at(60, made, "status")


def test_colour_helps_the_eye_and_changes_no_word(made: Collection) -> None:
    found = at(100, made, "search", "hyper", env=COLOUR)
    assert found == (
        "Björk – \x1b[1mHyperballad\x1b[0m  (Post, 1995)  "
        "\x1b[2mMusic/Björk/02 Hyperballad.flac\x1b[0m\n"
    )
    changed = at(100, made, "changes", "--kind", "missing", env=COLOUR)
    assert changed == (
        "\x1b[2m4\x1b[0m  WHEN  \x1b[31mmissing\x1b[0m   Music/Björk/01 Army of Me.flac\n"
    )
    for words in (
        ("search", "--albums", "post"), ("search", "--artists", "kino"), ("new",), ("changes",),
        ("problems",), ("roots",), ("status",), ("show", "3"), ("show", "2"), ("verify",),
    ):  # fmt: skip
        for columns in (60, 100):
            coloured = at(columns, made, *words, env=COLOUR)
            assert "\x1b[" in coloured
            assert unstyled(coloured) == at(columns, made, *words)


def test_no_colour_is_shown_where_it_is_not_wanted(made: Collection) -> None:
    assert "\x1b" not in at(100, made, "changes", env={**COLOUR, "NO_COLOR": "1"})
    assert "\x1b" not in run("changes", db=made.db, env=COLOUR).out
    assert "\x1b" not in run("search", "hyper", "--json", db=made.db, env=COLOUR).out


@pytest.mark.parametrize("columns", [60, 100])
def test_the_help_of_a_command_fits_its_screen(columns: int, made: Collection) -> None:
    words = {
        60: (
            "  A track counts from when it was first indexed: one that\n"
            "  was moved, retagged or came back is not new. Exit code\n"
            "  1: there is nothing.\n"
        ),
        100: (
            "  A track counts from when it was first indexed: one that was moved, retagged\n"
            "  or came back is not new. Exit code 1: there is nothing.\n"
        ),
    }
    options = {
        60: (
            "  --since WHEN      2h, 7d, yesterday, 2026-11-01.\n"
            "                    [default: 7d]\n"
            "  --albums          List the albums of these tracks.\n"
            "  --limit N         Maximum number of results; 0: all.\n"
            "                    [default: 50]\n"
            "  --paths           Print absolute paths only.\n"
            "  --format PATTERN  Such as '{artist} - {title}': the\n"
            "                    fields of --json.\n"
        ),
        100: (
            "  --since WHEN      2h, 7d, yesterday, 2026-11-01.  [default: 7d]\n"
            "  --albums          List the albums of these tracks.\n"
            "  --limit N         Maximum number of results; 0: all.  [default: 50]\n"
            "  --paths           Print absolute paths only.\n"
            "  --format PATTERN  Such as '{artist} - {title}': the fields of --json.\n"
        ),
    }
    assert at(columns, made, "new", "-h") == (
        "Usage: indexer new [OPTIONS]\n"
        "\n"
        "  List what came into the index, the newest first.\n"
        "\n"
        f"{words[columns]}"
        "\n"
        "Options:\n"
        f"{options[columns]}"
        "  -0, --print0      End each with a NUL, for xargs -0.\n"
        "  --json            Answer in JSON.\n"
        "  -h, --help        Show this message and exit.\n"
        "\n"
        "  Examples:\n"
        "    indexer new\n"
        "    indexer new --since 2026-11-01 --albums\n"
    )
