"""A number of files and a seed -> the albums of a made-up library: names, formats and tags."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from random import Random

from msgspec import Struct
from msgspec.structs import replace

SHARES = {".mp3": 60, ".flac": 25, ".m4a": 10, ".ogg": 3, ".opus": 2}
"""Percent of the files, as in the library used to measure other programs."""

ALBUMS_AN_ARTIST = 3
FEWEST_TRACKS, MOST_TRACKS = 8, 16
SMALLEST_COVER, LARGEST_COVER, COVER_STEP = 30_000, 200_000, 10_000
FIRST_MTIME_S, LAST_MTIME_S = 1_000_000_000, 1_700_000_000
"""2001 to 2023: old enough to be read without waiting."""

FIRST = (
    "Amber Arctic Björk's Blue Bright Broken Cold Copper Crimson Dark Deep Distant Dusty Electric "
    "Élan Empty Fading First Floating Frozen Gentle Ghost Golden Grey Hidden Hollow Hungry Indigo "
    "Iron Jade Last Late Little Lonely Lost Lunar Midnight Naïve Neon New Northern Ódin Old Pale "
    "Paper Plastic Purple Quiet Red Restless Roaring Sad Silent Silver Slow Small Solar Stray "
    "Sweet Tiny Über Velvet Wild Zażółć Тихий 東京"
)
LAST = (
    "Ánima Animals Arrows Birds Boats Bones Bridges Castles Cities Clouds Coast Crows Dancers "
    "Days Dogs Doors Dreams Echoes Engines Fields Fires Forest Foxes Garden Ghosts Harbour Hearts "
    "Hours Islands Kings Lakes Lights Lines Machines Maps Mirrors Mountains Nights Oceans Orchard "
    "Owls Parade Pilots Rivers Roads Rooms Señor Shadows Ships Signals Sisters Skies Snow Songs "
    "Stars Stones Storm Streets Summer Thieves Trains Voices Winter Wolves Город 音楽"
)
FIRST_WORDS = tuple(FIRST.split())
LAST_WORDS = tuple(LAST.split())
GENRES = (
    "Ambient", "Blues", "Chanson", "Classical", "Country", "Electronic", "Folk", "Hip-Hop", "Jazz",
    "Latin", "Metal", "Pop", "Punk", "Reggae", "Rock", "Soul", "Soundtrack", "Techno", "World",
)  # fmt: skip


class Track(Struct, frozen=True):
    """One file: its name in the album's folder, and its tags for `corpus.tagged`."""

    name: str
    mtime_s: int
    tags: dict[str, str | int]


class Album(Struct, frozen=True):
    """One folder, all of one format."""

    folder: str
    suffix: str
    id3_version: int
    picture: int | None
    """Bytes of the cover embedded in every file."""
    cover: int | None
    """Bytes of the file `cover.jpg`."""
    tracks: tuple[Track, ...]


def albums(files: int, seed: int, *, tiny: bool = False) -> Iterator[Album]:
    """Albums with exactly `files` files in all; equal arguments give equal albums.

    Each has the format that is furthest below its share, so the mix is right at any size.
    `tiny`: without covers, so that each file is one block of most disks.
    """
    random = Random(seed)
    made = dict.fromkeys(SHARES, 0)
    left, number = files, 0
    while left:
        size = min(left, random.randint(FEWEST_TRACKS, MOST_TRACKS))
        total = files - left
        suffix = max(SHARES, key=lambda one: SHARES[one] / 100 * (total + size) - made[one])
        album = _album(random, number, suffix, size)
        yield replace(album, picture=None, cover=None) if tiny else album
        made[suffix] += size
        left -= size
        number += 1


def three(files: int, seed: int, *, tiny: bool = False) -> tuple[Album, Album, Album]:
    """The first, the middle and the last album, without keeping the others in memory."""
    made = albums(files, seed, tiny=tiny)
    first = middle = last = next(made)
    so_far = len(first.tracks)
    for last in made:
        middle = last if so_far <= files // 2 else middle
        so_far += len(last.tracks)
    return first, middle, last


def _album(random: Random, number: int, suffix: str, size: int) -> Album:
    artist = _artist(number // ALBUMS_AN_ARTIST)
    year = random.randint(1955, 2023)
    title = _title(random)
    tags: dict[str, str | int] = {
        "artist": artist,
        "albumartist": artist,
        "album": title,
        "genre": random.choice(GENRES),
        "date": f"{year}" if random.random() < 0.5 else f"{year}-{random.randint(1, 12):02}-01",
        "track_total": size,
        "disc": 1,
        "disc_total": 1,
        "label": f"{random.choice(FIRST_WORDS)} Records",
        "comment": "made up",
    }
    more = random.choice(("", "composer", "musicbrainz"))
    if more == "composer":
        tags["composer"] = _title(random)
    release = str(uuid.UUID(int=random.getrandbits(128), version=4))
    mtime_s = random.randint(FIRST_MTIME_S, LAST_MTIME_S)
    tracks = []
    for track in range(1, size + 1):
        name = _title(random)
        own: dict[str, str | int] = {"title": name, "track": track}
        if more == "musicbrainz":
            own["mb_albumid"] = release
            own["mb_trackid"] = str(uuid.UUID(int=random.getrandbits(128), version=4))
        file = f"{track:02} {name}{suffix}"
        tracks.append(Track(file, mtime_s + 60 * track, {**own, **tags}))
    return Album(
        folder=f"{artist}/{year} {title} {number % ALBUMS_AN_ARTIST + 1}",
        suffix=suffix,
        id3_version=random.choice((3, 4)),
        picture=_cover(random),
        cover=_cover(random),
        tracks=tuple(tracks),
    )


def _artist(number: int) -> str:
    """A unique name for each number."""
    rest, first = divmod(number, len(FIRST_WORDS))
    again, last = divmod(rest, len(LAST_WORDS))
    name = f"{FIRST_WORDS[first]} {LAST_WORDS[(last + first) % len(LAST_WORDS)]}"
    return f"{name} {again + 1}" if again else name


def _title(random: Random) -> str:
    words = [random.choice(FIRST_WORDS), random.choice(LAST_WORDS)]
    if random.random() < 0.3:
        words += ["of", "the", random.choice(LAST_WORDS)]
    return " ".join(words)


def _cover(random: Random) -> int | None:
    """The size of a cover, for one album in two."""
    size = random.randrange(SMALLEST_COVER, LARGEST_COVER + 1, COVER_STEP)
    return size if random.random() < 0.5 else None
