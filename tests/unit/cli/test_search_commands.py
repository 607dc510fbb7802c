"""`indexer search` and `indexer export` on an index of made-up tracks."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from indexer.cli import export, main
from indexer.cli.notices import notices
from indexer.cli.terminal import number
from indexer.library import Library
from indexer.model import Track
from indexer.results.report import SearchNote
from indexer.settings import Settings
from indexer.store.connection import Connection
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.search.full_text import COUNTED
from tests.rows import MadeUp

TRACKS = (
    (b"a/1.mp3", Track(codec="mp3", title='Say "x", y', artists=("Björk",), album="Debut",
                       year=1993, duration=61.7)),
    (b"a/2 \xff.mp3", Track(codec="mp3", title="Two\nlines\x1b[2J", artists=("Ida", "Eve"),
                            album="Debut")),
    (b"b/3\n.flac", Track(codec="flac", title="Live", artists=("Ida",), album="Other")),
)  # fmt: skip


class Answer(NamedTuple):
    code: int
    out: bytes
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def indexer(
    settings: Settings, connection: Connection, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    MadeUp(connection).add(*TRACKS)

    def run(*words: str) -> Answer:
        code = main(["--db", os.fspath(settings.db), *words])
        out, err = capfdbinary.readouterr()
        return Answer(code, out, err.decode())

    return run


def rows(out: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out.decode(), newline="")))


def test_a_word_with_a_dash_is_not_wanted(indexer: Run) -> None:
    assert indexer("search", "ida", "-live", "--json").out.count(b"\n") == 1
    assert indexer("search", "-live", "-title:two", "--json").out.count(b"\n") == 1
    after_all_options = indexer("search", "--", "ida", "-live", "--json")
    assert after_all_options.out.startswith(b"Ida; Eve")


def test_an_export_is_cut_off_at_its_limit(indexer: Run) -> None:
    whole = rows(indexer("export").out)
    assert rows(indexer("export", "--limit", "2").out) == whole[:2]
    assert rows(indexer("export", "--limit", "0").out) == whole
    assert indexer("export", "--m3u", "--limit", "1").out.count(b"#EXTINF") == 1
    assert indexer("export", "--limit", "-1").code == 2


def test_words_in_one_argument_are_words_as_typed(indexer: Run) -> None:
    assert indexer("search", "bjork say") == indexer("search", "bjork", "say")
    assert indexer("search", "x say").code == 0
    assert indexer("search", '"x say"').code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "x", "--limi", "5"), "No such option '--limi'. Did you mean '--limit'?"),
        (("search", "x", "--zzz"), "No such option '--zzz' (see: indexer search --help)"),
        (("search", "-q"), "No such option '-q'"),
        (("export", "-o", "x.csv"), "No such option '-o'"),
        (("search", "x", "--sort", "size"), "tracks cannot be sorted by size; choose one of"),
        (("search", "x", "--artists", "--sort", "path"), "artists cannot be sorted by path"),
        (("search", "x", "--albums", "--artists"), "choose one of --albums and --artists"),
        (("search",), "Missing argument"),
        (("export", "--m3u", "--json"), "choose one of --csv, --m3u, --json, --paths and --format"),
        (
            ("export", "--format", "m3u"),
            (
                "'m3u' names no field; try '{artist} - {title}'; indexer "
                "export has --csv, --m3u and --json"
            ),
        ),
        (("search", "--format", "title", "x"), "'title' names no field; try '{artist} - {title}'"),
        (("search", "--format", "{{title}}", "x"), "names no field"),
        (("search", "--format", "{title!r}", "x"), "leave out !r; a field is {title}"),
        (("search", "\u200b"), "there is no word in '\\u200b' to look for"),
        (("search", "--format", "{title:>99999999999}", "x"), "'>99999999999' is wider than 1000"),
        (("search", "--format", "{year:.99999999999f}", "x"), "is wider than 1000"),
        (("export", "--sort", "size"), "tracks cannot be sorted by size"),
    ],
)
def test_wrong_use_is_2(indexer: Run, words: Sequence[str], said: str) -> None:
    code, out, err = indexer(*words)
    assert (code, out) == (2, b"")
    assert said.lower() in err.lower()
    assert err.count("\n") == 1


def test_albums_and_artists_are_a_line_each(indexer: Run) -> None:
    assert indexer("search", "debut", "--albums").out.decode() == "Debut  (1993)  2 tracks\n"
    lines = indexer("search", "debut", "--artists", "--sort", "-artist").out.decode()
    assert lines == "Ida  1 track\nEve  1 track\nBjörk  1 track\n"
    assert indexer("search", "nothing", "--albums").code == 1
    album = json.loads(indexer("search", "year:1993", "--albums", "--json").out)
    assert (album["albumartist"], album["tracks"]) == ("Björk", 1)


def test_a_search_is_sorted_and_ends_at_its_limit(indexer: Run) -> None:
    lines = indexer("search", "debut", "--sort", "-path", "--limit", "1").out.decode()
    assert lines == "Ida; Eve – Two\\nlines\\x1b[2J  (Debut)  music/a/2 \\xff.mp3\n"


def test_a_table_has_the_columns_of_the_view_and_is_rfc_4180(indexer: Run) -> None:
    code, out, err = indexer("export")
    assert (code, err) == (0, "")
    assert out.startswith(",".join(LIBRARY_COLUMNS).encode() + b"\r\n")
    assert b'"Say ""x"", y",Bj\xc3\xb6rk,' in out
    table = rows(out)
    assert [row["path"] for row in table] == ["a/1.mp3", "a/2 \ufffd.mp3", "b/3\n.flac"]
    assert [row["year"] for row in table] == ["1993", "", ""]
    assert table[1]["title"] == "Two\nlines\x1b[2J"


def test_a_search_is_exported_whole_and_in_order(indexer: Run) -> None:
    out = indexer("export", "--csv", "ida", "--sort", "-path").out
    assert [row["title"] for row in rows(out)] == ["Live", "Two\nlines\x1b[2J"]
    out = indexer("export", "ida", "-codec:flac", "--json").out
    assert json.loads(out)["path_b64"] == "YS8yIP8ubXAz"


def test_a_playlist_holds_the_bytes_of_paths(indexer: Run) -> None:
    code, out, err = indexer("export", "--m3u", "--sort", "-year")
    assert code == 0
    assert out == (
        '#EXTM3U\n#EXTINF:62,Björk - Say "x", y\n/music/a/1.mp3\n'.encode()
        + b"#EXTINF:-1,Ida; Eve - Two lines\x1b[2J\n/music/a/2 \xff.mp3\n"
    )
    assert err == "indexer: 1 file left out: a playlist cannot hold a name with a line break\n"


@pytest.mark.parametrize(("form", "head"), [("--csv", b"id,root"), ("--m3u", b"#EXTM3U\n")])
def test_nothing_found_is_1_and_still_a_file(indexer: Run, form: str, head: bytes) -> None:
    code, out, err = indexer("export", form, "nothing")
    assert (code, out.startswith(head), out.count(b"\n")) == (1, True, 1)
    assert err == "indexer: nothing found for nothing\n"


def test_on_a_terminal_what_is_exported_is_escaped(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    MadeUp(connection).add(*TRACKS)
    with (tmp_path / "terminal").open("w+", encoding="utf-8") as terminal:
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdout", terminal)
        for form in ("--csv", "--m3u"):
            assert main(["--db", os.fspath(settings.db), "export", form]) == 0
        terminal.seek(0)
        shown = terminal.read()
    assert "lines\\x1b[2J" in shown
    assert [letter for letter in shown if not letter.isprintable() and letter != "\n"] == []


def test_a_root_that_is_removed_meanwhile_ends_no_playlist(library: Library) -> None:
    row = {"root": "away", "path": "x.mp3", "duration": None, "artist": None, "title": "x"}
    assert list(export.playlist([row], library)) == [b"#EXTM3U\n"]


def test_what_was_looked_for_instead_is_said(indexer: Run) -> None:
    code, out, err = indexer("search", "bjrok", "--json")
    assert (code, err) == (0, "indexer: nothing for bjrok; showing björk\n")
    assert [json.loads(line)["artist"] for line in out.splitlines()] == ["Björk"]


@pytest.mark.parametrize("command", ["search", "export", "artwork"])
def test_words_that_were_left_out_are_said(indexer: Run, command: str) -> None:
    found = indexer(command, "ida", "debut", "remastered", "xqzvw")
    assert (found.code, found.err) == (
        0,
        "indexer: nothing for ida debut remastered xqzvw; showing ida debut\n",
    )
    assert found.out


def test_a_part_of_a_word_needs_no_word_of_explanation(indexer: Run) -> None:
    code, out, err = indexer("search", "jör", "--albums")
    assert (code, out.decode(), err) == (0, "Björk – Debut  (1993)  1 track\n", "")


@pytest.mark.parametrize("kind", [[], ["--albums"], ["--artists"], ["--json"]])
def test_nothing_found_is_said(indexer: Run, kind: list[str]) -> None:
    assert indexer("search", "xqzvwk", *kind) == (
        1, b"", "indexer: nothing found for xqzvwk\n",
    )  # fmt: skip
    code, out, err = indexer("search", "beybut", *kind)
    assert (code, out) == (0, out)
    assert err == "indexer: nothing for beybut; showing debut\n"
    assert indexer("search", "dbxt", *kind) == (
        1, b"", "indexer: nothing found for dbxt; the nearest words are debut\n",
    )  # fmt: skip


@pytest.mark.parametrize("way", [[], ["--json"], ["--m3u"], ["--paths"]])
def test_an_export_of_nothing_says_why(indexer: Run, way: list[str]) -> None:
    code, _, err = indexer("export", "xqzvwk", *way)
    assert (code, err) == (1, "indexer: nothing found for xqzvwk\n")
    code, _, err = indexer("export", "tag:mytag", *way)
    assert err.endswith("no track has the tag mytag; which are kept is the setting keep_tags\n")


@pytest.mark.parametrize("way", [[], ["--json"]])
def test_artwork_of_nothing_says_why(indexer: Run, way: list[str]) -> None:
    assert indexer("artwork", "xqzvwk", *way) == (
        1, b"", "indexer: nothing found for xqzvwk\n",
    )  # fmt: skip


@pytest.mark.parametrize("command", [["search"], ["export"], ["artwork"], ["as-of", "1d"]])
def test_of_a_very_long_text_it_is_said_what_was_not_looked_for(
    indexer: Run, command: list[str]
) -> None:
    code, _, err = indexer(*command, "q" * 10_000)
    assert code == 1
    too_long, nothing = err.splitlines()
    assert too_long == "indexer: too long: its last 9 000 characters were not looked for"
    assert nothing == f"indexer: nothing found for {'q' * 200}..."
    found = indexer(*command, "ida", " " * 1200)
    assert (found.code, found.err) == (0, "")


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("artist: ida", "artist:ida"),
        ("Artist = ida", "Artist:ida"),
        ("year > 1990 bjork", "year:>1990 bjork"),
        ("year=1993", "year:1993"),
        ("ida NOT live", "ida -live"),
        ("ida AND NOT artist: eve", "ida AND -artist:eve"),
        ("artist: ida -title: live", "artist:ida -title:live"),
    ],
)
def test_a_field_is_understood_as_people_write_it_where_nothing_is_found(
    indexer: Run, typed: str, written: str
) -> None:
    meant = indexer("search", written)
    code, out, err = indexer("search", typed)
    assert (code, out) == (0, meant.out)
    assert err == f"indexer: nothing for {typed}; showing {written}\n"


@pytest.mark.parametrize(
    ("typed", "written", "mistyped", "word", "meant"),
    [
        ("artist: bjrok", "artist:bjrok", "bjrok", "björk", "artist:björk"),
        ("bjrok NOT live", "bjrok -live", "bjrok", "björk", "björk -live"),
    ],
)
def test_a_mistyped_word_of_a_field_as_people_write_it_is_corrected(
    indexer: Run, typed: str, written: str, mistyped: str, word: str, meant: str
) -> None:
    code, out, err = indexer("search", typed)
    assert (code, out) == (0, indexer("search", meant).out)
    assert err.splitlines() == [
        f"indexer: nothing for {typed}; showing {written}",
        f"indexer: nothing for {mistyped}; showing {word}",
    ]


@pytest.mark.parametrize("typed", ["year: xqzv", "year > zzzz", "artist: xqzv"])
def test_what_is_no_field_with_a_value_is_looked_for_as_words(indexer: Run, typed: str) -> None:
    code, out, err = indexer("search", typed)
    assert (code, out) == (1, b"")
    assert err.startswith(f"indexer: nothing found for {typed}")


def test_a_list_that_is_cut_says_how_long_it_is(indexer: Run) -> None:
    for kind, total in (([], 3), (["--albums"], 2), (["--artists"], 3)):
        code, out, err = indexer("search", "codec:mp3", "OR", "live", "--limit", "1", *kind)
        assert (code, out.count(b"\n"), err) == (
            0, 1, f"indexer: 1 of {total}; --limit 0 shows all\n",
        )  # fmt: skip
    code, out, err = indexer("search", "codec:mp3", "OR", "live", "--limit", "0")
    assert (code, out.count(b"\n"), err) == (0, 3, "")
    assert indexer("search", "ida", "--limit", "2").err == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [("yeer:1990", "there is no field yeer; fields are title, "), ("year:x", "write year:1997")],
)
def test_a_field_that_there_is_not_is_wrong_use(indexer: Run, typed: str, said: str) -> None:
    code, out, err = indexer("search", typed)
    assert (code, out) == (2, b"")
    assert said in err


def test_what_is_counted_only_so_far_is_told_so() -> None:
    (line,) = notices(SearchNote(total=COUNTED + 1), "x", 50)
    assert line == f"50 of more than {number(COUNTED)}; --limit 0 shows all"


def test_a_tag_that_no_track_has_is_named(indexer: Run) -> None:
    assert indexer("search", "tag:MyTag=x") == (
        1,
        b"",
        (
            "indexer: nothing found for tag:MyTag=x\n"
            "indexer: no track has the tag mytag; which are kept is the setting keep_tags\n"
        ),
    )
    found = indexer("search", "-tag:mytag", "debut")
    assert found.code == 0
    assert "mytag" not in found.err


def test_that_more_were_found_is_said_after_them(
    settings: Settings,
    connection: Connection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    MadeUp(connection).add(*TRACKS)
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    main(["--db", os.fspath(settings.db), "search", "--limit", "1", "album:debut"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1] == "indexer: 1 of 2; --limit 0 shows all"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ROOT", "a folder; name a file in it, such as ROOT/a/1.mp3"),
        ("ROOT/a", "a folder; name a file in it, such as ROOT/a/1.mp3"),
        ("ROOT/a/cover.JPG", "no track, but named like a picture; see indexer artwork"),
        ("ROOT/a/9.mp3", "not in the index; `indexer scan` with this path looks at it now"),
        ("4711", "no track has this id; for a file of this name: ./4711"),
    ],
)
def test_show_says_what_an_unknown_path_or_id_is(
    indexer: Run, connection: Connection, word: str, said: str
) -> None:
    (root,) = connection.execute("SELECT name FROM roots").fetchone() or ("",)
    code, out, err = indexer("show", word.replace("ROOT", root))
    assert (code, out) == (1, b"")
    assert err == f"indexer: {word}: {said}\n".replace("ROOT", root)


def test_a_year_is_not_taken_for_a_change_after_all_others(indexer: Run) -> None:
    assert indexer("as-of", "0", "--paths").code == 0  # made-up rows have no changes
    refused = indexer("as-of", "2020")
    assert (refused.code, refused.out) == (2, b"")
    assert "there is no change 2020 yet: the newest is 0; a time is written" in refused.err


def test_a_year_that_is_the_number_of_a_change_is_told(
    indexer: Run, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO changes (seq, at, kind, track_id, root, path)"
        " VALUES (2020, 0, 'missing', 1, 'm', 'a.mp3'), (2021, 0, 'missing', 2, 'm', 'b.mp3')"
    )
    said = "indexer: 2020 is the number of a change here; the year is written 2020-01\n"
    for words in (("as-of", "2020"), ("changes", "--since", "2020")):
        assert indexer(*words).err == said
        assert indexer(*words, "--json").err == ""
    both = said + said.replace("2020", "2021")
    assert indexer("changes", "--between", "2020", "2021").err == both
    assert indexer("changes", "--since", "2021").err != said
