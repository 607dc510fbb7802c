"""Names and paths inside a root."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer import paths
from indexer.paths import Guess, guess

# A small alphabet around the slash's neighbours (`.` and `0`), where sorting goes wrong.
names = st.text(alphabet="a!./0\xff", min_size=1, max_size=4).map(
    lambda text: text.encode("latin-1").replace(b"/", b"-")
)
folders = st.lists(names, max_size=4).map(b"/".join)
files = st.lists(names, min_size=1, max_size=4).map(b"/".join)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        (b"song.mp3", b".mp3"),
        (b"SONG.Mp3", b".mp3"),
        (b"a.tar.gz", b".gz"),
        (b"song", b""),
        (b".mp3", b""),
        (b"song.", b""),
        (b"", b""),
        (b"\xff.FLAC", b".flac"),
    ],
)
def test_a_suffix_is_what_follows_the_last_dot_in_lower_case(name: bytes, suffix: bytes) -> None:
    assert paths.suffix_of(name) == suffix


def test_a_leading_dot_hides_a_folder() -> None:
    assert paths.is_hidden(b".Trash-1000")
    assert not paths.is_hidden(b"Vol. 1")


def test_a_path_is_taken_apart_and_put_together() -> None:
    assert paths.join(b"", b"a") == b"a"
    assert paths.join(b"a/b", b"c") == b"a/b/c"
    assert paths.parent_of(b"a/b/c") == b"a/b"
    assert paths.parent_of(b"a") == b""
    assert paths.parent_of(b"") == b""
    assert paths.name_of(b"a/b/c") == b"c"
    assert paths.name_of(b"a") == b"a"


@given(files)
def test_folder_and_name_joined_are_the_path(path: bytes) -> None:
    assert paths.join(paths.parent_of(path), paths.name_of(path)) == path


def test_a_folder_whose_name_only_begins_alike_is_not_below() -> None:
    assert paths.is_below(b"a", b"a")
    assert paths.is_below(b"a/b/c", b"a")
    assert paths.is_below(b"a/b", b"")
    assert paths.is_below(b"", b"")
    assert not paths.is_below(b"ab", b"a")
    assert not paths.is_below(b"a", b"a/b")
    assert not paths.is_below(b"", b"a")


@given(files, folders)
@example(b"a0", b"a")
@example(b"a.", b"a")
@example(b"a", b"a")
def test_the_range_of_a_folder_holds_exactly_what_lies_in_it(path: bytes, folder: bytes) -> None:
    low, high = paths.below_range(folder)
    assert (low <= path < high) == (paths.is_below(path, folder) and path != folder)


def test_the_range_of_the_root_holds_the_highest_name_there_can_be() -> None:
    low, high = paths.below_range(b"")
    assert low <= b"/".join([b"\xff" * 255] * 15) < high


@given(st.sets(files))
def test_a_walk_in_key_order_yields_paths_in_byte_order(found: set[bytes]) -> None:
    leaves = {path for path in found if not any(other.startswith(path + b"/") for other in found)}

    def walk(folder: bytes) -> list[bytes]:
        inside = {path for path in leaves if paths.is_below(path, folder)}
        level = folder.count(b"/") + 1 if folder else 0
        listing = {(path.split(b"/")[level], path.count(b"/") > level) for path in inside}
        walked = []
        for name, is_folder in sorted(listing, key=lambda entry: paths.order_key(*entry)):
            path = paths.join(folder, name)
            walked += walk(path) if is_folder else [path]
        return walked

    assert walk(b"") == sorted(leaves)


@pytest.mark.parametrize(
    "disc",
    [
        *(b"CD1", b"CD 1", b"cd01", b"Disc 2", b"disc_2", b"DISK-03", b"disk.4", b"DVD - 1"),
        *(b"CD1 - Live", b"CD 2: Remixes", b"Disc One", b"disc two - Live", b"(CD1)", b"[Disc 2]"),
        *(b"Vinyl A", b"Side B", b"LP1", b"Disc II", b"CD 1 of 2", b"Disc 1 (Bonus)", b"(CD 1) A"),
        "CD 1 – Live".encode(),
    ],
)
def test_a_disc_folder_counts_as_the_album_above_it(disc: bytes) -> None:
    assert paths.album_folder(b"Artist/Album/" + disc + b"/1.mp3") == b"Artist/Album"


@pytest.mark.parametrize(
    "name",
    [
        b"CD",
        b"Disc",
        b"CD 123",
        b"CD1 Live",
        b"CD One Day",
        b"Disc Jockey",
        b"Vinyl",
        b"Side Effects",
        b"CD A",
        b"LP",
        b"Record of the Year",
        b"Disco 1",
        b"My CD 1",
        b"ABCD 1",
        b"CD    1",
        b"1",
    ],
)
def test_other_folders_are_albums_themselves(name: bytes) -> None:
    assert paths.album_folder(b"Artist/" + name + b"/1.mp3") == b"Artist/" + name


def test_only_one_disc_folder_is_skipped() -> None:
    assert paths.album_folder(b"CD 1/CD 2/1.mp3") == b"CD 1"
    assert paths.album_folder(b"CD 1/1.mp3") == b""
    assert paths.album_folder(b"1.mp3") == b""


def test_a_path_that_is_not_utf8_is_told_apart() -> None:
    assert paths.fits_utf8("Björk/Jóga.mp3".encode())
    assert not paths.fits_utf8("Björk".encode("latin-1"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Björk/Debut/01 Crying.mp3", Guess("01 Crying", "Debut", "Björk")),
        ("Rock/Björk/Debut/01 Crying.mp3", Guess("01 Crying", "Debut", "Björk")),
        ("Björk/Debut/CD 1/01 Crying.mp3", Guess("01 Crying", "Debut", "Björk")),
        ("Debut/01 Crying.mp3", Guess("01 Crying", "Debut", None)),
        ("01 Crying.mp3", Guess("01 Crying", "music", None)),
        ("CD 1/01 Crying.mp3", Guess("01 Crying", "music", None)),
        ("a/b/Vol. 1", Guess("Vol", "b", "a")),
        ("a/b/no suffix", Guess("no suffix", "b", "a")),
    ],
)
def test_a_path_names_title_album_and_artist(path: str, expected: Guess) -> None:
    assert guess(path.encode(), "music") == expected


def test_a_guess_from_bytes_that_are_not_utf8_is_text_all_the_same() -> None:
    assert guess(b"Bj\xf6rk/\xff/\xfe.mp3", "music") == Guess("\ufffd", "\ufffd", "Bj\ufffdrk")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/srv/Björk/Post".encode(), "/srv/Björk/Post"),
        (b"/srv/my music", "'/srv/my music'"),
        (b"/srv/it's $HOME", None),
        (b"/srv/\xff it's \\ \n", None),
        (b"", None),
    ],
)
def test_a_path_is_one_word_of_a_shell_that_can_be_pasted(path: bytes, word: str | None) -> None:
    told = paths.shell_word(path)
    assert word is None or told == word
    assert told.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {told}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert done.stdout == path
