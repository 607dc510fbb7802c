"""`indexer artwork`, as a person and a script see it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.pictures import picture
from tests.programs import run
from tests.screens import screen

COVER = picture("PNG", 1000, 500)
KEYS = {"kind", "id", "name", "albumartist", "year", "waiting", "artwork", "candidates"}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("artwork")
    plant(place / "music", {
        "Björk/artist.jpg": picture("JPEG", 70, 70),
        "Björk/Post/1.mp3": tagged(title="Isobel", artist="Björk", album="Post", date="1995"),
        "Björk/Post/cover.png": COVER,
        "Björk/Post/back.jpg": picture(),
        b"Odd/\xff.jpg": picture("JPEG", 80, 60),
        "Odd/1.mp3": tagged(title="Odd", artist="Odd One", album="Out"),
        "Bad/1.mp3": tagged(title="Bad", artist="Bad One", album="Cover"),
        "Bad/cover.gif": b"GIF89a",
        **{f"Long/{number}.mp3": tagged(
            title="x", artist="Long", album="One", track=str(number), picture=99
        ) for number in range(1, 7)},
        "Long/cover.jpg": picture("JPEG", 50, 50),
    })  # fmt: skip
    run("rebuild", place / "music", db=place / "library.db")
    return place / "library.db"


def test_a_line_for_each_album_and_for_artists_with_an_image(db: Path) -> None:
    lines = run("artwork", db=db).out.splitlines()
    assert lines == [
        "Bad One – Cover  no cover",
        f"Björk – Post  (1995)  music/Björk/Post/cover.png  1000 x 500  {size(COVER)}",
        f"Long – One  music/Long/cover.jpg  50 x 50  {size(picture('JPEG', 50, 50))}",
        f"Odd One – Out  music/Odd/\\xff.jpg  80 x 60  {size(picture('JPEG', 80, 60))}",
        f"Björk (artist)  music/Björk/artist.jpg  70 x 70  {size(picture('JPEG', 70, 70))}",
    ]


def size(data: bytes) -> str:
    return f"{len(data) / 1000:.1f} KB" if len(data) >= 1000 else f"{len(data)} B"


def test_no_more_albums_than_the_limit_are_shown(db: Path) -> None:
    lines = run("artwork", db=db).out.splitlines()
    assert run("artwork", "--limit", "2", db=db).out.splitlines() == lines[:2]
    assert run("artwork", "--limit", "0", db=db).out.splitlines() == lines
    assert len(run("artwork", "--limit", "3", "--json", db=db).objects) == 3


def test_words_show_what_was_considered_and_why(db: Path) -> None:
    lines = run("artwork", "post", db=db).out.splitlines()
    unlisted = "its name is not listed in the settings, and others are in its folder"
    assert lines[1:4] == [
        "  * music/Björk/Post/cover.png  chosen: its name is listed in the settings",
        f"    music/Björk/Post/back.jpg  {unlisted}",
        "    music/Björk/Post/1.mp3  the tags of the track hold no picture",
    ]


def test_tracks_that_were_not_opened_are_counted(db: Path) -> None:
    lines = run("artwork", "album:one", "artist:long", db=db).out.splitlines()
    assert lines[2] == (
        "    music/Long/1.mp3  not opened, since another comes first: it is embedded in a track"
    )
    assert lines[5] == "    and 3 more tracks"
    assert lines[6].startswith("Long (artist)  no image")


def test_pictures_and_tracks_that_were_passed_for_one_reason_are_counted(tmp_path: Path) -> None:
    """An artist has as many pictures in question as albums; a person reads three."""
    db, music = tmp_path / "library.db", tmp_path / "music"
    for number in range(5):
        album = f"Album {number}"
        tracks = [tagged(title=str(n), artist="Muse", album=album) for n in range(5)]
        plant(music, {f"{number}/{n}.mp3": track for n, track in enumerate(tracks)})
        plant(music, {f"{number}/cover.jpg": picture("JPEG", 20, 20 + number)})
    run("rebuild", music, db=db)
    lines = run("artwork", "muse", db=db).out.splitlines()
    where = [number for number, line in enumerate(lines) if line.startswith("Muse (artist)")]
    assert len(lines[where[0] + 1 :]) == 4
    assert lines[-1] == "    and 2 more pictures"
    assert lines[where[0] - 1] == "    and 2 more tracks"
    *_, artist = run("artwork", "muse", "--json", db=db).objects
    assert len(artist["candidates"]) == 5


def test_albums_without_a_cover_and_broken_pictures(db: Path) -> None:
    assert run("artwork", "--missing", db=db).out == "Bad One – Cover  no cover\n"
    broken = run("artwork", "--broken", db=db).out.splitlines()
    assert broken[1].startswith("  ! music/Bad/cover.gif  broken: the picture is cut short")
    assert run("artwork", "--missing", "post", db=db).out == "no album without a cover\n"
    assert run("artwork", "--broken", "post", db=db).out == "no broken pictures\n"


def test_nothing_found_is_told_by_the_exit_code(db: Path) -> None:
    ran = run("artwork", "absent", db=db, check=1)
    assert (ran.out, ran.err) == ("", "indexer: nothing found for absent\n")
    assert run("artwork", "absent", "--json", db=db, check=1).out == ""


def test_copies_in_the_music_are_refused_by_the_name_that_was_given(db: Path) -> None:
    music = db.parent / "music"
    ran = run("artwork", "--extract", music / "x", db=db, check=2)
    assert ran.err.startswith(f"indexer: {music}/x: lies in the root music ")
    ran = run("backup", "--keep", "2", music / "y", db=db, check=2)
    assert ran.err.startswith(f"indexer: {music}/y: lies in the root music ")
    assert not {music / "x", music / "y"} & set(music.iterdir())


def test_json_has_one_object_a_line(db: Path) -> None:
    rows = run("artwork", "--json", db=db).objects
    assert [set(row) for row in rows] == [KEYS] * 5
    assert rows[0]["artwork"] is None
    assert set(rows[1]["artwork"]) == {
        "source", "root", "path", "mime", "width", "height", "bytes", "hash",
    }  # fmt: skip
    assert rows[3]["artwork"]["path_b64"]
    (told, _) = run("artwork", "post", "--json", db=db).objects
    assert [one["state"] for one in told["candidates"]] == ["chosen", "passed", "passed"]


def test_originals_are_copied_once(db: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "covers"
    for _ in range(2):
        lines = run("artwork", "--extract", folder, db=db).out.splitlines()
        assert lines[0] == str(folder / "Björk - Post.png")
        assert sorted(os.listdir(folder)) == [
            "Björk - Post.png", "Björk.jpg", "Long - One.jpg", "Odd One - Out.jpg",
        ]  # fmt: skip
    assert (folder / "Björk - Post.png").read_bytes() == COVER
    (row, _) = run("artwork", "post", "--extract", folder, "--json", db=db).objects
    assert row["copy"] == str(folder / "Björk - Post.png")


def test_a_copy_that_two_albums_share_is_told_once(tmp_path: Path) -> None:
    music, folder, db = tmp_path / "music", tmp_path / "covers", tmp_path / "library.db"
    for year in ("1995", "2005"):
        disc = tagged(".flac", title="Isobel", artist="Björk", album="Post", date=year)
        plant(music, {f"{year}/1.flac": disc, f"{year}/cover.png": COVER})
    run("rebuild", music, db=db)
    words = ("artwork", "--extract", folder)
    assert run(*words, db=db).out == f"{folder / 'Björk - Post.png'}\n"
    told = run(*words, "--json", db=db).objects
    assert [row["copy"] for row in told if row["kind"] == "album"] == 2 * [
        str(folder / "Björk - Post.png")
    ]


def test_wrong_uses_say_what_is_right(db: Path, tmp_path: Path) -> None:
    inside = db.parent / "music" / "covers"
    refused = run("artwork", "--extract", inside, db=db, check=2).err
    assert f"{inside}: lies in the root" in refused
    assert "a folder outside" in refused
    assert not inside.exists()
    words = ("artwork", "--missing", "--extract", tmp_path)
    assert "leave --missing" in run(*words, db=db, check=2).err
    (tmp_path / "file").write_text("")
    for taken in (tmp_path / "file", Path("/dev/null"), db):
        refused = run("artwork", "--extract", taken, db=db, check=2).err
        assert refused == f"indexer: {taken}: is there and is no folder: name a folder\n"


def test_one_that_changed_since_is_told_and_the_others_are_copied(db: Path, tmp_path: Path) -> None:
    changed = db.parent / "music/Long/cover.jpg"
    before = changed.read_bytes()
    changed.write_bytes(picture("JPEG", 9, 9))
    try:
        ran = run("artwork", "--extract", tmp_path / "covers", db=db, check=3)
    finally:
        changed.write_bytes(before)
    assert ran.err == ("indexer: One: not copied: it has changed since it was chosen: scan again\n")
    assert len(ran.out.splitlines()) == 3


def test_one_that_is_not_there_is_told_with_what_to_do(db: Path, tmp_path: Path) -> None:
    """As where its disk is unplugged."""
    folder = db.parent / "music" / "Long"
    folder.rename(tmp_path / "aside")
    try:
        ran = run("artwork", "one", "--extract", tmp_path / "covers", db=db, check=3)
    finally:
        (tmp_path / "aside").rename(folder)
    where = "music/Long/cover.jpg is not there: mount its disk, or scan again"
    assert ran.err == f"indexer: One: not copied: {where}\n"


def test_where_no_artwork_is_wanted_it_says_so(db: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("artwork = false\n")
    ran = run("artwork", "post", db=db, env={"INDEXER_CONFIG": str(config)})
    assert ran.err == "indexer: artwork is not looked at: the setting `artwork` is false\n"


def test_paths_of_pictures_are_whole_in_a_narrow_terminal(db: Path) -> None:
    shown = screen("artwork", "album:post", db=db, columns=40).splitlines()
    assert shown[:5] == [
        "Björk – Post  (1995)",
        "  music/Björk/Post/cover.png  1000 x 500",
        f"  {size(COVER)}",
        "  * music/Björk/Post/cover.png",
        "  chosen: its name is listed in the",
    ]
    assert max(map(len, shown)) <= 40
