"""Names and tags that would be commands to a shell, a database or a terminal, and are only text."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from indexer.errors import UsageError
from indexer.library import Library
from indexer.settings import Settings
from tests.corpus import Tree, noise, plant, tagged
from tests.daemons import watching
from tests.programs import PROGRAM, rows, run
from tests.trees import Plant

TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
WINDOW_TITLE = "\x1b]0;pwned\x07"
CLEARED = "\x1b[2J"

EVIL = {
    "sql comment": "'; DROP TABLE tracks; --",
    "sql always": '" OR 1=1',
    "sql union": "x') UNION SELECT sql FROM sqlite_schema --",
    "sql like": "100%_\\",
    "near": "alpha NEAR/2 beta",
    "near call": "NEAR(alpha beta, 5)",
    "star": "alph*",
    "only a star": "*",
    "first": "^alpha",
    "column": "title : alpha",
    "columns": "{title album} : alpha",
    "minus": "alpha -beta",
    "and": "alpha AND NOT beta",
    "or": "OR",
    "plus": "alpha + beta",
    "open quote": 'alpha "beta',
    "three quotes": '"""',
    "open parenthesis": "(alpha",
    "close parenthesis": ") OR (beta",
    "window title": WINDOW_TITLE,
    "cleared": CLEARED,
    "one byte escape": "\x9b2J\x90q\x9c",
    "bells": "\x07\x08\x7f\r\x0b\x0c",
    "lines": "alpha\nbeta\r\ngamma\x85delta\u2028",
    "tab": "alpha\tbeta",
    "right to left": "\u202egnp.exe\u202c \u2066x\u2069",
    "format": "%s%n{}{0.__class__}${HOME}`id`$(id)",
    "markup": "[red]alpha[/red][/] [link=file:///]",
    "formula": '=cmd|"/c calc"!A1',
    "playlist": "#EXTINF:1,alpha\n/etc/passwd",
    "long": "long " * 5000,
    "one long word": "z" * 20_000,
}
"""What is bad about each, and it. A word of its own is put behind each in a tag."""

FILE_NAME_BYTES = 200


class Place(NamedTuple):
    db: Path
    music: Path


def word(key: str) -> str:
    """A word that stands in one title only."""
    return f"unique{key.replace(' ', '')}end"


def title(key: str) -> str:
    return f"{EVIL[key]} {word(key)}"


def file_name(key: str) -> str:
    name = EVIL[key].replace("/", "\N{FRACTION SLASH}").encode()[:FILE_NAME_BYTES]
    return f"{name.decode(errors='ignore')} {word(key)}.mp3"


ROOT = f"{WINDOW_TITLE}{CLEARED}\n'; DROP TABLE roots; --\u202e%s{{0}}[red]"
FOLDER = '\x1b[31m\r\n\u2066" OR 1=1 *'
TREE: Tree = {
    **{
        f"{FOLDER}/{file_name(key)}": tagged(
            title=title(key), artist=evil, albumartist=evil, album=evil, genre=evil, comment=evil
        )
        for key, evil in EVIL.items()
    },
    "nul.flac": tagged(".flac", title="alpha\0beta uniquenul", artist="a\0\x1b[2J"),
    "surrogates.flac": tagged(".flac", title="lone ### uniquelone").replace(
        b"###", "\ud800".encode("utf-8", "surrogatepass")
    ),
    f"bad {WINDOW_TITLE}\n{CLEARED}.mp3": noise(),
    f"bad\u202e{CLEARED}.flac": b"fLaC\x1b]0;pwned\x07" + noise(200),
}
TRACKS = len(EVIL) + 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("injection")
    place = Place(home / "index" / "library.db", home / ROOT)
    plant(place.music, TREE)
    ran = run("rebuild", place.music, db=place.db)
    assert harmful(ran.out + ran.err) == []
    return place


def harmful(text: str) -> list[str]:
    """What a terminal would obey, but for the ends of lines."""
    return [
        repr(letter)
        for letter in text
        if letter != "\n" and (unicodedata.category(letter) in {"Cc", "Cs"} or letter in TURNING)
    ]


def test_the_odd_library_is_all_there(place: Place) -> None:
    assert rows(place.db, "SELECT count(*) FROM library") == [(TRACKS,)]
    assert rows(place.db, "SELECT count(*) FROM problems") == [(2,)]
    tags = dict(rows(place.db, "SELECT path, artist FROM library WHERE path LIKE '%unique%'"))
    for key, evil in EVIL.items():
        assert tags[f"{FOLDER}/{file_name(key)}"] == evil
    assert rows(place.db, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    "words",
    [
        ("search", "unique", "--limit", "1000"),
        ("search", "unique", "--albums", "--limit", "1000"),
        ("search", "unique", "--artists", "--limit", "1000"),
        ("problems",),
        ("changes",),
        ("status",),
        ("verify", "--deep"),
        ("roots", "list"),
        ("scan",),
    ],
    ids=" ".join,
)
def test_a_command_writes_nothing_that_a_terminal_would_obey(
    place: Place, words: tuple[str, ...]
) -> None:
    ran = run(*words, db=place.db)
    assert harmful(ran.out + ran.err) == []
    assert ran.out
    as_json = run(*words, "--json", db=place.db)
    if words[0] in {"search", "changes"}:
        assert ran.out.count("\n") == len(as_json.objects)
    assert as_json.objects
    assert "\x1b" not in as_json.out + as_json.err


@pytest.mark.parametrize("key", sorted(EVIL))
def test_one_file_is_shown_harmlessly_and_its_json_is_what_the_tag_says(
    place: Place, key: str
) -> None:
    path = place.music / FOLDER / file_name(key)
    ran = run("show", path, db=place.db)
    assert harmful(ran.out + ran.err) == []
    assert word(key) in ran.out
    with opened(place) as library:
        shown = library.show(os.fsencode(path))
    assert shown is not None
    assert (shown["title"], shown["artist"]) == (title(key), EVIL[key])
    assert shown["path"] == f"{FOLDER}/{file_name(key)}"


def test_a_broken_file_is_shown_harmlessly(place: Place) -> None:
    for name, content in TREE.items():
        if isinstance(name, str) and name.startswith("bad") and content is not None:
            ran = run("show", place.music / name, db=place.db)
            assert harmful(ran.out + ran.err) == []
            assert "problem" in ran.out


@pytest.mark.parametrize(
    "words",
    [
        ("search", "{}"),
        ("show", "/nowhere/{}"),
        ("scan", "/nowhere/{}"),
        ("rebuild", "/nowhere/{}"),
        ("roots", "add", "/nowhere/{}"),
        ("roots", "remove", "{}"),
        ("roots", "accept", "{}"),
        ("search", "x", "--sort", "{}"),
        ("export", "{}", "--m3u"),
        ("{}",),
    ],
    ids=" ".join,
)
def test_what_was_typed_comes_back_harmless_in_complaints(
    place: Place, words: tuple[str, ...]
) -> None:
    for evil in (WINDOW_TITLE + CLEARED, "\u202e'; DROP TABLE tracks; --", "\x9b2J{0}%s"):
        ran = run(*(one.replace("{}", evil) for one in words), db=place.db, check=None)
        assert ran.code in {0, 1, 2, 3}
        assert harmful(ran.out.removeprefix("#EXTM3U") + ran.err) == []
        assert "Traceback" not in ran.err


def test_a_database_and_a_setting_of_such_a_name_are_harmless_in_complaints(tmp_path: Path) -> None:
    db = tmp_path / f"{CLEARED}{WINDOW_TITLE}.db"
    ran = run("status", db=db, check=3)
    assert harmful(ran.out + ran.err) == []
    db.write_text(CLEARED * 200)
    ran = run("status", db=db, check=3)
    assert harmful(ran.out + ran.err) == []
    config = tmp_path / f"{CLEARED}.toml"
    config.write_text('workers = "\\u001b[2J"\n"\\u001b]0;x\\u0007" = 1\n')
    ran = run("status", db=tmp_path / "x.db", check=None, env={"INDEXER_CONFIG": str(config)})
    assert ran.code == 2
    assert harmful(ran.out + ran.err) == []


@pytest.mark.parametrize("key", sorted(EVIL))
def test_a_track_is_found_by_the_very_words_of_its_title(place: Place, key: str) -> None:
    """As they are, but for a question's own signs: a minus before a word, quotes in quotes.

    Of a question a thousand characters are read, so one that is longer is asked for by its end.
    """
    with opened(place) as library:
        whole = title(key)
        questions = [whole.replace(" -", " "), '"' + whole.replace('"', " ") + '"']
        for typed in (word(key), *(questions if len(whole) < 900 else ())):
            found = [row["title"] for row in library.search([typed], limit=None)]
            assert found == [whole], typed
        for field in ("artist", "album", "genre", "albumartist", "title", "year", "codec", "no"):
            for question in (f"{field}:{EVIL[key]}", f'{field}:"{EVIL[key]}"', f"-{field}:{key}"):
                with suppress(UsageError):  # no such field, or no such value
                    list(library.search([question]))
        for sort in ("relevance", "artist", "-added"):
            for typed in {EVIL[key], whole} - {EVIL["bells"]}:  # these alone are no word
                list(library.search([typed], sort=sort))
                list(library.search([typed], of="albums", sort=sort))
                list(library.search([typed], of="artists", sort=sort))


def opened(place: Place) -> Library:
    return Library.open(Settings(db=place.db))


def test_words_with_nuls_and_lone_surrogates_are_questions_too(place: Place) -> None:
    with opened(place) as library:
        for typed in ("alpha\0beta", "\ud800", "lone \udcff", "codec:\0"):
            list(library.search([typed]))
        for typed in ("\0", '"\0"', "title:\0", EVIL["bells"]):
            with pytest.raises(UsageError, match="no word"):
                list(library.search([typed]))
        assert [row["path"] for row in library.search(["uniquenul"])] == ["nul.flac"]
        (lone,) = library.search(["uniquelone"])
        assert lone["title"] == "lone \ufffd\ufffd\ufffd uniquelone"


def test_nothing_that_is_typed_reaches_sql(place: Place) -> None:
    before = rows(place.db, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    for evil in EVIL.values():
        ran = run("search", "--", evil[:2000], db=place.db, check=None)
        assert ran.code in {0, 1, 2}
        assert "Traceback" not in ran.err
        assert harmful(ran.out + ran.err) == []
    assert rows(place.db, "SELECT name, sql FROM sqlite_schema ORDER BY name") == before
    assert rows(place.db, "SELECT count(*) FROM library") == [(TRACKS,)]


def export(place: Place, *words: str) -> bytes:
    command = [*PROGRAM, "--db", str(place.db), "export", *words]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_a_table_read_by_another_program_holds_what_the_tags_say(place: Place) -> None:
    csv.field_size_limit(1 << 20)
    table = list(csv.DictReader(io.StringIO(export(place).decode(), newline="")))
    assert len(table) == TRACKS
    assert {row["title"] for row in table} >= {title(key) for key in EVIL}
    assert {row["root"] for row in table} == {ROOT}


def test_no_tag_and_no_name_makes_a_line_of_its_own_in_a_playlist(place: Place) -> None:
    """A root whose own name holds a line break can have no playlist, so another root is asked."""
    assert export(place, "--m3u") == b"#EXTM3U\n"


def test_a_playlist_names_nothing_but_files_of_the_library(tmp_path: Path) -> None:
    music, db = tmp_path / "music", tmp_path / "index" / "library.db"
    content: Tree = {
        f"{n}.mp3": tagged(title=evil, artist=evil) for n, evil in enumerate(EVIL.values())
    }
    plant(music, {**content, "a\n#b.mp3": tagged(), "#EXTM3U.mp3": tagged()})
    run("rebuild", music, db=db)
    lines = export(Place(db, music), "--m3u").splitlines()
    assert (lines[0], len(lines)) == (b"#EXTM3U", 1 + 2 * (len(EVIL) + 1))
    assert all(line.startswith(b"#EXTINF:") for line in lines[1::2])
    assert all(Path(os.fsdecode(line)).is_file() for line in lines[2::2])


@pytest.mark.parametrize("words", ["export", "export --m3u", "search unique", "rebuild", "changes"])
def test_a_real_terminal_is_told_no_command_of_theirs(place: Place, words: str) -> None:
    """`script` gives it a terminal; our own line that is drawn again has other commands in it."""
    line = " ".join([*PROGRAM, "--db", f"'{place.db}'", words])
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", line, "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout
    for payload in (WINDOW_TITLE, CLEARED, "\x1b[31m", "\x9b2J", "\x07", "\u202e", "\u2066"):
        assert payload.encode() not in done.stdout


def test_the_daemons_log_is_a_line_a_decision_whatever_names_are_called(
    tmp_path: Path, empty_index: Path
) -> None:
    music, db = tmp_path / ROOT, tmp_path / "index" / "library.db"
    db.parent.mkdir()
    db.write_bytes(empty_index.read_bytes())
    plant(music, {"a.mp3": tagged(title="A")})
    run("roots", "add", music, db=db)
    with watching(db=db) as daemon:
        plant(
            music, {f"{FOLDER}/{CLEARED}.mp3": tagged(title=WINDOW_TITLE), "b\x1b[2J.mp3": noise()}
        )
        plant(music, {".indexignore": f"\\\n{CLEARED}\n".encode()})
        daemon.shows({"a.mp3": "A", f"{FOLDER}/{CLEARED}.mp3": WINDOW_TITLE})
        ran = run("status", db=db)
        assert harmful(ran.out + ran.err) == []
        assert daemon.end() == 0
    assert harmful(daemon.log) == []
    assert "pwned" in daemon.log


def test_a_scan_by_the_library_takes_every_text_as_a_value(library: Library, plant: Plant) -> None:
    plant({f"{n}.mp3": tagged(title=evil, mb_albumid=evil) for n, evil in enumerate(EVIL.values())})
    assert library.scan().added == len(EVIL)
    verified = library.verify(deep=True)
    assert verified.ok
