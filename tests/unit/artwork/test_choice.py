"""What is chosen as artwork, and why the rest is not."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.artwork.choice import (
    album_candidates,
    artist_candidates,
    decide,
    is_picture,
    places_of_album,
    places_of_artist,
)
from indexer.artwork.model import (
    AlbumTrack,
    Candidate,
    Chosen,
    FolderView,
    Needs,
    NoPicture,
    PictureSource,
    Place,
    Reason,
    Verdict,
)
from indexer.model import PictureFacts

COVERS = ("cover", "folder", "front", "album", "albumart", "artwork")
IMAGES = ("artist", "fanart", "folder")
FACTS = PictureFacts(bytes(16), "image/jpeg", 10, 10, 100)


def tracks(*paths: str, album: int = 1, pictures: bool = False) -> list[AlbumTrack]:
    """Tracks of an album; `CD 2/` in a path is its disc, and their order that of the tracks."""
    made = []
    for number, path in enumerate(paths, 1):
        disc = int(path.partition("CD ")[2][:1] or 1)
        made.append(
            AlbumTrack(
                100 * album + number, 1, path.encode(), disc, number, pictures, album_id=album
            )
        )
    return made


def views(**folders: str) -> dict[Place, FolderView]:
    """Folders (`_` is a slash, `ROOT` the root) and their pictures; `!` holds other tracks, too."""
    return {
        Place(1, b"" if folder == "ROOT" else folder.replace("_", "/").encode()): FolderView(
            tuple(name.encode() for name in names.replace("!", "").split()), "!" in names
        )
        for folder, names in folders.items()
    }


def chosen(candidates: list[Candidate]) -> str | None:
    """The path of the first that counts, all of them being sound."""
    match decide(candidates, {one.key: FACTS for one in candidates}):
        case Chosen(candidate=candidate):
            return candidate.key.path.decode()
    return None


def cover(present: list[AlbumTrack], seen: Mapping[Place, FolderView]) -> str | None:
    return chosen(album_candidates(present, seen, COVERS))


def image(name: str, present: list[AlbumTrack], seen: Mapping[Place, FolderView]) -> str | None:
    return chosen(artist_candidates(name, present, seen, IMAGES, COVERS))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("folder.jpg", "cover.png"), "cover.png"),
        (("cover.webp", "cover.jpeg", "cover.jpg"), "cover.jpg"),
        (("COVER.JPG", "back.jpg"), "COVER.JPG"),
        (("Front.Gif", "x.png"), "Front.Gif"),
        (("cover.avif", "artwork.jpg"), "cover.avif"),
        (("Cover.jpg", "cover.jpg"), "Cover.jpg"),
        (("scan.jpg",), "scan.jpg"),
        (("scan1.jpg", "scan2.jpg"), None),
        (("cover (1).jpg", "covers.jpg"), None),
        ((), None),
    ],
)
def test_a_cover_is_found_by_its_name_or_by_being_alone(
    names: tuple[str, ...], expected: str | None
) -> None:
    seen = {Place(1, b"A"): FolderView(tuple(name.encode() for name in names))}
    assert cover(tracks("A/1.mp3"), seen) == (f"A/{expected}" if expected else None)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "webp", "gif", "avif"])
def test_pictures_are_told_by_their_suffix(suffix: str) -> None:
    assert is_picture(f"x.{suffix}".encode())
    assert not is_picture(f"x.{suffix}.bmp".encode())
    assert not is_picture(f".{suffix}".encode())


def test_the_first_disc_with_a_picture_wins_and_not_the_first_by_name() -> None:
    present = tracks("Z CD 1/1.mp3", "A CD 2/1.mp3")
    seen = {
        Place(1, b"A CD 2"): FolderView((b"cover.jpg",)),
        Place(1, b"Z CD 1"): FolderView((b"cover.jpg",)),
    }
    assert cover(present, seen) == "Z CD 1/cover.jpg"


def test_a_shared_parent_is_taken_where_the_discs_have_none() -> None:
    present = tracks("A/CD 1/1.mp3", "A/CD 2/1.mp3")
    assert cover(present, {Place(1, b"A"): FolderView((b"cover.jpg",))}) == "A/cover.jpg"
    own = {
        Place(1, b"A"): FolderView((b"cover.jpg",)),
        Place(1, b"A/CD 2"): FolderView((b"x.png",)),
    }
    assert cover(present, own) == "A/CD 2/x.png"


@pytest.mark.parametrize(
    "paths",
    [
        ("A/1.mp3",),  # one folder: the parent is the artist's, or anything
        ("CD 1/1.mp3", "CD 2/1.mp3"),  # it is the root
        ("A/CD 1/1.mp3", "B/CD 2/1.mp3"),  # two parents
        ("A/CD 1/1.mp3", "A/x/CD 2/1.mp3"),  # one is deeper
    ],
)
def test_no_other_parent_gives_a_cover(paths: tuple[str, ...]) -> None:
    present = tracks(*paths)
    above = {Place(1, folder): FolderView((b"cover.jpg",)) for folder in (b"", b"A/x", b"B/x")}
    assert places_of_album(present)[1] is None
    assert cover(present, above) is None


def test_a_parent_above_another_album_gives_none_and_says_why() -> None:
    present = tracks("A/CD 1/1.mp3", "A/CD 2/1.mp3")
    found = album_candidates(present, views(A="cover.jpg !"), COVERS)
    assert [one.reason for one in found if one.key.path == b"A/cover.jpg"] == [Reason.PARENT_OTHERS]
    assert chosen(found) is None


def test_a_folder_of_several_albums_gives_its_picture_to_none_of_them() -> None:
    one = tracks("Singles/a.mp3", pictures=True)
    two = tracks("Singles/b.mp3", album=2)
    seen = views(Singles="cover.jpg !")
    assert cover(one, seen) == "Singles/a.mp3"
    assert cover(two, seen) is None


def test_two_albums_of_one_name_have_their_own_covers() -> None:
    seen = views(A="cover.jpg", B="cover.jpg")
    assert cover(tracks("A/1.mp3"), seen) == "A/cover.jpg"
    assert cover(tracks("B/1.mp3"), seen) == "B/cover.jpg"


def test_embedded_pictures_come_last_in_the_order_of_the_tracks() -> None:
    present = [
        AlbumTrack(1, 1, b"A/z.mp3", 2, 1),
        AlbumTrack(2, 1, b"A/b.mp3", 1, 2),
        AlbumTrack(3, 1, b"A/c.mp3", 1, 1, has_picture=False),
    ]
    found = album_candidates(present, views(A="x.jpg y.jpg"), COVERS)
    assert [(one.key.path, one.track_id, one.reason) for one in found] == [
        (b"A/x.jpg", None, Reason.UNLISTED),
        (b"A/y.jpg", None, Reason.UNLISTED),
        (b"A/c.mp3", 3, Reason.NO_PICTURE),
        (b"A/b.mp3", 2, Reason.EMBEDDED),
        (b"A/z.mp3", 1, Reason.EMBEDDED),
    ]
    assert found[0].key.source is PictureSource.FILE
    assert found[2].key.source is PictureSource.TRACK
    assert chosen(found) == "A/b.mp3"


def test_one_source_is_asked_for_at_a_time_and_a_broken_one_is_passed_over() -> None:
    found = album_candidates(tracks("A/1.mp3", pictures=True), views(A="cover.jpg"), COVERS)
    file, track = (one.key for one in found)
    assert decide(found, {}) == Needs(found[0])
    assert decide(found, {track: FACTS}) == Needs(found[0])
    assert decide(found, {file: FACTS}) == Chosen(found[0], FACTS)
    assert decide(found, {file: Verdict.REFUSED}) == Needs(found[1])
    assert decide(found, {file: Verdict.REFUSED, track: FACTS}) == Chosen(found[1], FACTS)
    assert decide(found, {file: Verdict.REFUSED, track: Verdict.EMPTY}) == NoPicture()


def test_the_names_are_those_of_the_setting() -> None:
    found = album_candidates(tracks("A/1.mp3"), views(A="cover.jpg Hülle.png"), ("HÜLLE",))
    assert chosen(found) == "A/Hülle.png"


@pytest.mark.parametrize(
    ("artist", "folder"),
    [
        ("AC/DC", "AC_DC"),
        ("Björk", "bjork"),
        ("M.I.A.", "MIA"),
        ("!!!", "!!!"),
        ("The XX", "the xx"),
    ],
)
def test_a_folder_named_after_the_artist_gives_its_image(artist: str, folder: str) -> None:
    present = tracks(f"{folder}/Album/1.mp3")
    seen = {Place(1, folder.encode()): FolderView((b"artist.jpg",), has_others=True)}
    assert image(artist, present, seen) == f"{folder}/artist.jpg"
    assert image("Somebody Else", present, seen) is None


def test_a_folder_with_no_other_artist_is_the_artists_up_to_three_levels_above() -> None:
    deep = tracks("a/b/c/d/1.mp3")
    assert [place.folder for place in places_of_artist(deep)] == [
        b"a/b/c/d",
        b"a/b/c",
        b"a/b",
        b"a",
    ]
    assert b"a" not in {place.folder for place in places_of_artist(tracks("a/b/c/d/e/1.mp3"))}
    assert image("X", deep, views(a="fanart.jpg", a_b="artist.png")) == "a/b/artist.png"
    assert image("X", deep, views(a="artist.jpg !")) is None


def test_the_root_gives_no_image_even_if_it_is_named_after_the_artist() -> None:
    assert image("X", tracks("1.mp3", "A/1.mp3"), views(ROOT="artist.jpg")) is None


def test_an_artists_image_is_never_taken_for_being_the_only_picture() -> None:
    found = artist_candidates("X", tracks("X/A/1.mp3"), views(X="me.jpg"), IMAGES, COVERS)
    assert [one.reason for one in found] == [Reason.UNLISTED_NAME]


def test_the_cover_of_an_album_is_no_image_of_its_artist() -> None:
    loose = tracks("X/1.mp3")  # in the folder of the artist itself
    deep = tracks("X/A/1.mp3")
    assert image("X", loose, views(X="folder.jpg artist.png")) == "X/artist.png"
    assert image("X", loose, views(X="folder.jpg")) is None
    assert image("X", deep, views(X_A="folder.jpg")) is None
    assert image("X", deep, views(X="folder.jpg", X_A="folder.jpg")) == "X/folder.jpg"


def test_the_folder_above_discs_is_that_of_an_album() -> None:
    named_discs = tracks("X/A/CD 1/1.mp3", "X/A/CD 2/1.mp3")
    assert image("Y", named_discs, views(X_A="folder.jpg")) is None
    other_names = [
        AlbumTrack(1, 1, b"X/A/East/1.mp3", 1, 1, album_id=1),
        AlbumTrack(2, 1, b"X/A/West/1.mp3", 2, 1, album_id=1),
    ]
    assert image("Y", other_names, views(X_A="folder.jpg")) is None
    assert image("Y", other_names, views(X="folder.jpg")) == "X/folder.jpg"


def test_a_self_titled_album_does_not_hide_the_artists_own_folder() -> None:
    present = tracks("Weezer/Weezer/1.mp3")
    seen = views(Weezer="artist.jpg", Weezer_Weezer="fanart.jpg")
    assert image("Weezer", present, seen) == "Weezer/artist.jpg"


NAMES = st.sampled_from(
    [b"cover.jpg", b"Cover.PNG", b"folder.gif", b"x.webp", b"artist.jpg", b"\xff.png"]
)
FOLDERS = st.sampled_from([b"", b"A", b"A/CD 1", b"A/CD 2", b"X/A", b"X"])
TRACKS = st.lists(
    st.builds(
        AlbumTrack,
        id=st.integers(1, 9),
        root_id=st.integers(1, 2),
        path=st.builds(
            lambda folder, name: folder + b"/" + name, FOLDERS, st.binary(max_size=2)
        ).map(lambda path: path.lstrip(b"/") + b".mp3"),
        disc=st.none() | st.integers(1, 2),
        track=st.none() | st.integers(0, 3),
        has_picture=st.booleans(),
        album_id=st.integers(1, 2),
    ),
    max_size=6,
    unique_by=lambda track: (track.root_id, track.path),
)
VIEWS = st.dictionaries(
    st.builds(Place, st.integers(1, 2), FOLDERS),
    st.builds(FolderView, st.lists(NAMES, unique=True).map(tuple), st.booleans()),
)


@given(TRACKS, VIEWS, st.randoms(use_true_random=False))
def test_the_order_of_what_comes_in_does_not_matter(
    present: list[AlbumTrack], seen: dict[Place, FolderView], chance: random.Random
) -> None:
    mixed = chance.sample(present, len(present))
    turned = {
        place: FolderView(tuple(chance.sample(view.pictures, len(view.pictures))), view.has_others)
        for place, view in chance.sample(list(seen.items()), len(seen))
    }
    covers = album_candidates(present, seen, COVERS)
    images = artist_candidates("X", present, seen, IMAGES, COVERS)
    assert album_candidates(mixed, turned, COVERS) == covers
    assert artist_candidates("X", mixed, turned, IMAGES, COVERS) == images
    assert len({one.key for one in covers}) == len(covers)
    assert all(one.key.path.rpartition(b"/")[0] for one in images)
