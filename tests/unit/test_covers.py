"""What `covers` says of chosen pictures, copies of them, and thumbnails on demand."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import pytest
from mutagen.flac import FLAC, Picture

from indexer.artwork.embedded import hash_of
from indexer.covers import _copy_to, _name_of
from indexer.errors import CannotDo, UsageError
from indexer.library import Library
from indexer.results.report import ArtworkRow
from indexer.settings import Settings
from tests.corpus import tagged
from tests.pictures import opened, picture
from tests.trees import Plant, song

COVER = picture("PNG", 1000, 500)


@pytest.fixture
def planted(library: Library, plant: Plant) -> Library:
    plant(
        {
            "Björk/artist.jpg": picture("JPEG", 70, 70),
            "Björk/Post/1.mp3": song("Hyperballad", artist="Björk", album="Post", date="1995"),
            "Björk/Post/2.mp3": song("Isobel", artist="Björk", album="Post", date="1995"),
            "Björk/Post/cover.png": COVER,
            "Björk/Post/back.jpg": picture(),
            "Björk/Debut/1.mp3": song("Crying", artist="Björk", album="Debut"),
            "Björk/Debut/cover.jpg": picture()[:200],
            "Múm/1.mp3": song("Weeping Rock", artist="Múm", album="Summer"),
        }
    )
    library.scan()
    return library


def states(row: ArtworkRow) -> list[tuple[str, str]]:
    return [(one.path, one.state) for one in row.candidates]


def test_every_album_is_told_and_the_artists_that_have_an_image(planted: Library) -> None:
    rows = list(planted.artwork())
    told = [(row.kind, row.name, row.artwork and row.artwork.path) for row in rows]
    assert told == [
        ("album", "Debut", None),
        ("album", "Post", "Björk/Post/cover.png"),
        ("album", "Summer", None),
        ("artist", "Björk", "Björk/artist.jpg"),
    ]
    assert not any(row.waiting or row.candidates for row in rows)
    post = rows[1].artwork
    assert post is not None
    assert (post.source, post.mime, post.width, post.height) == ("file", "image/png", 1000, 500)
    assert (post.bytes, post.hash) == (len(COVER), hash_of(COVER).hex())


def test_words_tell_all_that_was_considered(planted: Library) -> None:
    album, artist = planted.artwork(["post"])
    assert states(album) == [
        ("Björk/Post/cover.png", "chosen"),
        ("Björk/Post/back.jpg", "passed"),
        ("Björk/Post/1.mp3", "passed"),
        ("Björk/Post/2.mp3", "passed"),
    ]
    assert states(artist)[0] == ("Björk/artist.jpg", "chosen")
    assert not list(planted.artwork(["absent"]))


def test_albums_without_a_cover(planted: Library) -> None:
    assert [row.name for row in planted.artwork(missing=True)] == ["Debut", "Summer"]


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        ("has:cover", ["Hyperballad", "Isobel"]),
        ("-missing:cover", ["Hyperballad", "Isobel"]),
        ("missing:cover", ["Crying", "Weeping Rock"]),
        ("missing:cover artist:bjork", ["Crying"]),
    ],
)
def test_a_search_asks_for_covers(planted: Library, words: str, titles: list[str]) -> None:
    found = [row["title"] for row in planted.search([words], sort="path")]
    assert found == titles


def test_broken_pictures_are_told_with_what_is_wrong(planted: Library) -> None:
    (row,) = planted.artwork(broken=True)
    assert (row.name, states(row)) == ("Debut", [("Björk/Debut/cover.jpg", "broken")])
    assert "broken" in row.candidates[0].reason or "cut short" in row.candidates[0].reason


def test_originals_are_copied_under_the_names_of_albums(planted: Library, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    for _ in range(2):  # a second time changes nothing
        rows = list(planted.copy_artwork(planted.artwork(), folder))
        assert [why for _, why in rows] == [None] * 4
        assert sorted(os.listdir(folder)) == ["Björk - Post.png", "Björk.jpg"]
    assert (folder / "Björk - Post.png").read_bytes() == COVER


def test_a_picture_that_has_changed_since_is_not_copied(
    planted: Library, music: Path, tmp_path: Path
) -> None:
    (music / "Björk/Post/cover.png").write_bytes(picture("PNG", 5, 5))
    rows = planted.copy_artwork(planted.artwork(["post"]), tmp_path / "copies")
    assert [why for row, why in rows if row.kind == "album"] == [
        "it has changed since it was chosen: scan again"
    ]


def test_an_embedded_picture_is_copied(library: Library, plant: Plant, tmp_path: Path) -> None:
    whole = BytesIO(tagged(".flac", title="Q", artist="X", album="Y"))
    flac = FLAC(whole)
    embedded = Picture()
    embedded.type, embedded.mime, embedded.data = 3, "image/png", COVER
    flac.add_picture(embedded)
    whole.seek(0)
    flac.save(whole)
    plant({"X/1.flac": whole.getvalue()})
    library.scan()
    ((row, why),) = library.copy_artwork(library.artwork(), tmp_path / "copies")
    assert why is None
    assert row.artwork is not None
    assert row.artwork.source == "track"
    assert (tmp_path / "copies" / "X - Y.png").read_bytes() == COVER


def test_copies_are_never_put_into_a_root(planted: Library, music: Path) -> None:
    with pytest.raises(UsageError, match="folder outside"):
        list(planted.copy_artwork(planted.artwork(), music / "covers"))


@pytest.mark.parametrize(
    ("artist", "album", "name"),
    [
        ("Björk", "Post", "Björk - Post"),
        ("AC/DC", 'a:b*c?"<>|', "AC_DC - a_b_c_____"),
        (None, "...", "album 7"),
        (None, None, "album 7"),
        (None, "a\nb\x00", "a_b_"),
        ("ü" * 300, None, "ü" * 100),
    ],
)
def test_a_copy_has_a_name_that_each_file_system_takes(
    artist: str | None, album: str | None, name: str
) -> None:
    row = ArtworkRow(
        kind="album", id=7, name=album, albumartist=artist, waiting=False, artwork=None
    )
    assert _name_of(row) == name


def test_two_albums_of_one_name_have_two_copies(tmp_path: Path) -> None:
    made = [_copy_to(tmp_path, "x", ".jpg", data) for data in (b"1", b"2", b"1", b"2")]
    assert [path.name for path in made] == ["x.jpg", "x (2).jpg", "x.jpg", "x (2).jpg"]


def test_a_copy_that_cannot_be_written_whole_is_taken_back(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        _copy_to(tmp_path, "x", ".jpg", "no bytes")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_thumbnail_is_made_on_demand_and_then_found(planted: Library, settings: Settings) -> None:
    digest = hash_of(COVER).hex()
    path = planted.thumbnail(digest, 600)
    assert path == settings.artwork_folder / "600" / digest[:2] / f"{digest}.jpg"
    assert opened(path.read_bytes()).size == (600, 300)
    before = path.stat().st_ino
    assert planted.thumbnail(digest, 600).stat().st_ino == before
    assert opened(planted.thumbnail(digest, 256).read_bytes()).size == (256, 128)


def test_a_thumbnail_that_was_deleted_is_made_again(planted: Library) -> None:
    digest = hash_of(COVER).hex()
    planted.thumbnail(digest, 256).unlink()
    assert planted.thumbnail(digest, 256).exists()


def test_what_is_no_hash_or_size_is_a_wrong_use(planted: Library) -> None:
    with pytest.raises(UsageError, match="256 or 600"):
        planted.thumbnail(hash_of(COVER).hex(), 300)
    for wrong in ("x", "", "00", "00" * 16):
        with pytest.raises(UsageError, match="view `artwork` has them"):
            planted.thumbnail(wrong, 600)


def test_a_picture_that_has_gone_is_told(planted: Library, music: Path) -> None:
    (music / "Björk/Post/cover.png").unlink()
    with pytest.raises(CannotDo, match="has changed since it was chosen"):
        planted.thumbnail(hash_of(COVER).hex(), 600)
