"""The text of playlists, and the places that their lines may mean."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.model import PlaylistFacts
from indexer.sidecars import PlaylistError, folded, text_of
from indexer.sidecars.playlist import MOST_ITEMS, line_text, parse
from indexer.sidecars.targets import Meaning, folder_key, meaning_of, parent_key

ROOTS = {1: b"/srv/Music", 2: b"/srv/Other"}


def places(line: bytes, folder: bytes = b"lists") -> list[list[tuple[int, bytes]]]:
    """The places that a line in root 1 may mean, by rank."""
    meaning = meaning_of(line, 1, folder, ROOTS)
    return [[(one.root_id, one.path) for one in group] for group in meaning.groups]


def test_comments_are_no_items_and_one_of_them_names_the_list() -> None:
    text = b"#EXTM3U\n#EXTINF:12,A - B\na.mp3\n\n  \n#playlist:  The Best \nb c.mp3\n#PLAYLIST:no\n"
    assert parse(text, b".m3u") == PlaylistFacts("The Best", (b"a.mp3", b"b c.mp3"))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_as_any_system_ends_them(end: bytes) -> None:
    assert parse(end.join([b"#EXTM3U", b"a.mp3", b"b.mp3"]), b".m3u").items == (b"a.mp3", b"b.mp3")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")],
)
def test_a_byte_order_mark_says_the_encoding(encoding: str, mark: bytes) -> None:
    text = mark + "#PLAYLIST:Möwe\r\nBjörk.mp3\r\n".encode(encoding)
    assert parse(text, b".m3u8") == PlaylistFacts("Möwe", ("Björk.mp3".encode(),))


def test_an_m3u_may_mix_encodings_line_by_line() -> None:
    items = parse("Björk.mp3\n".encode() + "Múm – x.mp3\n".encode("cp1252"), b".m3u").items
    assert [line_text(line, b".m3u") for line in items] == ["Björk.mp3", "Múm – x.mp3"]


def test_an_m3u8_is_utf8_whatever_its_bytes_are() -> None:
    assert line_text(b"B\xf6.mp3", b".m3u8") == "B\N{REPLACEMENT CHARACTER}.mp3"


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"\x89PNG\0\0\n", "binary"), (b"x" * 20_000, "a line has 20000 bytes"),
     (b"a\n" * (MOST_ITEMS + 1), f"{MOST_ITEMS + 1} items")],
    ids=["binary", "long line", "many items"],
)  # fmt: skip
def test_what_is_no_playlist_or_too_long_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(PlaylistError, match=why):
        parse(text, b".m3u")


def test_as_many_items_as_are_allowed_are_read() -> None:
    assert len(parse(b"a\n" * MOST_ITEMS, b".m3u").items) == MOST_ITEMS


@given(st.binary(max_size=400), st.sampled_from([b".m3u", b".m3u8"]))
@example(b"\xff\xfe\n", b".m3u")
@example(b"\xef\xbb\xbf#PLAYLIST:", b".m3u8")
def test_any_bytes_are_read_or_refused(data: bytes, suffix: bytes) -> None:
    try:
        facts = parse(data, suffix)
    except PlaylistError:
        return
    assert facts.title != ""
    for line in facts.items:
        assert line.strip() == line != b""
        assert not line.startswith(b"#")
        line_text(line, suffix).encode()


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), max_size=9))
def test_what_is_written_is_read_again(names: list[str]) -> None:
    lines = tuple(name.encode() for name in names if not name.startswith("#"))
    assert parse(b"\n".join(lines) + b"\n", b".m3u8").items == lines


def test_relative_paths_start_at_the_folder_of_the_playlist() -> None:
    assert places(b"a.mp3") == [[(1, b"lists/a.mp3")]]
    assert places(b"./../A//b.mp3") == [[(1, b"A/b.mp3")]]
    assert places(b"a.mp3", folder=b"") == [[(1, b"a.mp3")]]


def test_a_path_may_lead_into_another_root_and_out_of_all() -> None:
    assert places(b"../../Other/b.mp3") == [[(2, b"b.mp3")]]
    assert places(b"../../../../../../etc/passwd") == []
    assert places(b"..") == []


def test_absolute_paths_in_a_root_are_of_this_root_only() -> None:
    assert places(b"/srv/Music/A/b.mp3") == [[(1, b"A/b.mp3")]]
    assert places(b"file:///srv/Other/B%C3%B6/a%20b.mp3") == [[(2, "Bö/a b.mp3".encode())]]
    assert places(b"file://localhost/srv/Other/a.mp3") == [[(2, b"a.mp3")]]
    assert places(b"/srv/Musical/x.mp3")[-1] == [(1, b"Musical/x.mp3"), (2, b"Musical/x.mp3")]


def test_backslashes_are_slashes_unless_a_name_has_them() -> None:
    assert places(b"..\\A\\b.mp3") == [[(1, b"lists/..\\A\\b.mp3")], [(1, b"A/b.mp3")]]


def test_a_path_as_in_an_address_is_tried_last() -> None:
    assert places(b"a%20b.mp3") == [[(1, b"lists/a%20b.mp3")], [(1, b"lists/a b.mp3")]]
    assert places(b"100%.mp3") == [[(1, b"lists/100%.mp3")]]
    assert places(b"a%00.mp3") == [[(1, b"lists/a%00.mp3")]]
    assert places(b"file:///srv/Other/a%2520b.mp3") == [[(2, b"a%20b.mp3")]]


@pytest.mark.parametrize(
    "line",
    [b"D:\\x\\A\\B\\c.mp3", b"d:/x/A/B/c.mp3", b"\\\\nas\\x\\A\\B\\c.mp3", b"/media/x/A/B/c.mp3",
     b"file:///D:/x/A/B/c.mp3", b"file://nas/x/A/B/c.mp3", b"\\x\\A\\B\\c.mp3"],
)  # fmt: skip
def test_of_a_path_of_another_machine_the_end_counts(line: bytes) -> None:
    found = places(line)
    assert [(1, b"A/B/c.mp3"), (2, b"A/B/c.mp3")] in found
    assert found[-1] == [(1, b"B/c.mp3"), (2, b"B/c.mp3")]
    assert found.index([(1, b"A/B/c.mp3"), (2, b"A/B/c.mp3")]) < len(found) - 1


def test_a_name_alone_counts_after_a_folder_that_is_named_as_a_root() -> None:
    assert places(b"C:\\music\\a.mp3")[-1] == [(1, b"a.mp3")]
    assert places(b"C:\\a.mp3") == []


@pytest.mark.parametrize(
    "line", [b"http://radio/x.mp3", b"HTTPS://radio/", b"mms://x", b"rtsp://x"]
)
def test_a_stream_is_no_file(line: bytes) -> None:
    assert meaning_of(line, 1, b"", ROOTS) == Meaning(is_stream=True)


_LINES = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.text("aA./\\:%é#C", min_size=1, max_size=40).map(str.encode),
    st.from_regex(rb"(file://)?[A-Za-z:/\\.%0-9]{1,30}", fullmatch=True),
)


@given(_LINES, st.sampled_from([b"", b"a", b"a/b c"]))
@example(b"file://", b"")
@example(b"file:///%00", b"")
@example(b"C:\\..\\..\\x", b"")
def test_any_line_stays_in_the_roots_and_has_a_key_for_each_place(
    line: bytes, folder: bytes
) -> None:
    meaning = meaning_of(line, 1, folder, ROOTS)
    assert len(meaning.parents) <= 2
    for group in meaning.groups:
        for one in group:
            assert one.path
            assert not one.path.startswith(b"/")
            assert b"\0" not in one.path
            assert posixpath.normpath(one.path) == one.path
            assert b".." not in one.path.split(b"/")
            assert parent_key(one.path, ROOTS[one.root_id]) in meaning.parents


def test_names_are_equal_but_for_case_and_composed_accents() -> None:
    assert folded("BJÖRK".encode()) == folded("bjo\N{COMBINING DIAERESIS}rk".encode())
    assert folded("BJÖRK".encode("cp1252")) == folded("björk".encode())
    assert folded(b"a") != folded("ä".encode())
    assert folder_key(b"", b"/srv/Music") == folder_key(b"x/MUSIC", b"/srv/Other") == b"music"


@given(st.binary(max_size=30))
def test_any_name_has_a_text_and_a_key(name: bytes) -> None:
    assert folded(name) == folded(text_of(name).encode())
