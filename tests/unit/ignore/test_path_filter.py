"""Which files are wanted, by name and by ignore files."""

from __future__ import annotations

import pickle

import pytest

from indexer.ignore.path_filter import NO_RULES, IgnoreFile, IgnoreRules, PathFilter

WANTED = PathFilter(frozenset({b".mp3", b".flac"}))


def rules(*files: tuple[bytes, bytes]) -> IgnoreRules:
    made = NO_RULES
    for folder, text in files:
        made = made.and_(IgnoreFile.parse(folder, text))
    return made


@pytest.mark.parametrize(
    "name",
    [
        b"@eaDir", b".@__thumb", b"#recycle", b"@Recycle", b"$RECYCLE.BIN", b".Trash-1000",
        b"lost+found", b".AppleDouble", b"#snapshot", b".zfs", b".snapshots", b".stfolder",
        b".stversions", b"song.mp3.download",
    ],
)  # fmt: skip
def test_ignored_folders_are_not_entered(name: bytes) -> None:
    assert not WANTED.folder(name)
    assert not WANTED.folders(b"Artist/" + name + b"/Album")


@pytest.mark.parametrize(
    "name", [b".01 Song.mp3.Xy12z", b"._01 Song.mp3", b".hidden.mp3", b"song.mp3.part", b"a.txt"]
)
def test_temporaries_and_hidden_files_are_no_music(name: bytes) -> None:
    assert not WANTED.file(name)


@pytest.mark.parametrize("name", [b"a.mp3", b"A.MP3", b"x.y.Flac", b"\xff.mp3", b"#1.mp3"])
def test_music_is_wanted_however_its_suffix_is_written(name: bytes) -> None:
    assert WANTED.file(name)


def test_an_ignored_name_need_not_be_a_whole_regular_expression() -> None:
    chosen = PathFilter(WANTED.suffixes, ["Podcasts", "*.tmp", "[ab]x"])
    assert not chosen.folder(b"Podcasts")
    assert not chosen.folder(b"ax")
    assert chosen.folder(b"Podcasts 2")
    assert chosen.folder(b"@eaDir")


@pytest.mark.parametrize("pattern", ["1.mp3", "*.MP3", "*3", "*", "*live.mp3", "1?mp3"])
def test_music_that_has_an_ignored_name_is_not_wanted(pattern: str) -> None:
    chosen = PathFilter(WANTED.suffixes, ["lost+found", pattern])
    music = {"*.MP3": b"1.MP3", "*live.mp3": b"1 live.mp3"}.get(pattern, b"1.mp3")
    assert not chosen.file(music)
    assert chosen.file(b"2.flac") == (pattern != "*")


def test_a_filter_of_any_patterns_can_be_sent_to_the_helper_of_a_share() -> None:
    chosen = PathFilter(WANTED.suffixes, ["Podcasts", "*.tmp", "caf?", "[ab]x*"])
    sent = pickle.loads(pickle.dumps(chosen))
    assert not any(map(sent.folder, (b"Podcasts", b"a.tmp", "caf\xe9".encode(), b"bx2")))
    assert sent.folder(b"caf")
    assert sent.file(b"1.mp3")


def test_without_ignored_names_only_hidden_ones_are_left_out() -> None:
    chosen = PathFilter(WANTED.suffixes, [])
    assert chosen.folder(b"lost+found")
    assert not chosen.folder(b".git")


def test_hidden_files_can_be_wanted_but_never_an_apple_double() -> None:
    chosen = PathFilter(WANTED.suffixes, hidden=True)
    assert chosen.file(b".hidden.mp3")
    assert not chosen.file(b"._01 Song.mp3")


def test_a_pattern_counts_from_the_folder_of_its_file() -> None:
    made = rules((b"Artist", b"/live/\n*.flac\n"))
    assert made.ignore(b"Artist/live", is_folder=True)
    assert not made.ignore(b"Artist/Album/live", is_folder=True)
    assert made.ignore(b"Artist/Album/a.flac")


def test_a_deeper_file_has_the_last_word() -> None:
    made = rules((b"", b"*.flac\n"), (b"Artist", b"!keep.flac\n"))
    assert made.ignore(b"Artist/a.flac")
    assert not made.ignore(b"Artist/keep.flac")
    assert made.ignore(b"a.flac")


def test_a_folder_pattern_spares_a_file_of_that_name() -> None:
    made = rules((b"", b"x.mp3/\n"))
    assert made.ignore(b"x.mp3", is_folder=True)
    assert not made.ignore(b"x.mp3")


def test_a_line_that_is_no_pattern_is_told_and_the_others_hold() -> None:
    file = IgnoreFile.parse(b"", b"*.flac\n\\\n")
    assert file.patterns.bad_lines
    assert file.patterns.bad_lines[0].startswith("line 2: ")
    assert IgnoreRules((file,)).ignore(b"a.flac")


def test_names_that_are_not_utf8_match_like_others() -> None:
    assert rules((b"", b"*.mp3\n")).ignore(b"\xff\xfe.mp3")
    assert rules((b"", b"\xff*\n")).ignore(b"\xff\xfe.mp3")
