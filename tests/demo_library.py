"""A small library that looks like a real one: covers, many scripts, odd names, albums without much.

For tests of pages, and for the pictures of them.
"""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from tests.corpus import plant, tagged

LONG = (
    "An Inventory of Very Quiet Things That Happened While No One Was Looking, and of the Louder"
    " Ones That Followed Soon After"
)
ALBUMS = (
    ("Marit Solheim", "Salt Harbour", 1994, "Folk", ".flac", 9),
    ("The Paper Kites of Ada", "Letters to a Lighthouse", 2018, "Pop", ".mp3", 11),
    ("Juno Abara", "Copper Rain", 2003, "Jazz", ".flac", 8),
    ("Quartetto Lume", "Nocturnes for a Small Room", 1987, "Classical", ".m4a", 6),
    ("Ólöf Bjarnadóttir", "Hvítur Dagur", 2011, "Ambient", ".opus", 7),
    ("東京スロウモーション", "夜明けの電車", 2021, "Electronic", ".flac", 10),
    ("فرقة النهر", "ليالي القاهرة", 1979, "World", ".mp3", 6),
    ("להקת הים", "שירים מהחוף", 1983, "Folk", ".mp3", 5),
    ("Нина Ветрова", "Тихий город", 1999, "Rock", ".ogg", 8),
    ("Delta Morgan", "Slow Trains, Long Shadows", 1968, "Blues", ".mp3", 10),
    ("Vela & the Tidewater Band", "Undertow", 1972, "Soul", ".flac", 9),
    ("Kite Machine", "404 Songs About Rain", 2024, "Electronic", ".mp3", 12),
    ("Ensemble Ruisseau", "Les Heures bleues", 2006, "Classical", ".flac", 4),
    ("Hollow Orchard", LONG, 2015, "Folk", ".mp3", 5),
)  # fmt: skip
WITHOUT_COVER = {3, 8, 11, 13}
WORDS = (
    "Harbour", "Lantern", "Window", "Winter", "Ember", "Glass", "River", "Orchard", "Signal",
    "Tide", "Copper", "Moth", "Letter", "Stair", "Engine", "Garden", "Hour", "Thread", "Salt",
    "Mirror",
)  # fmt: skip
PALETTES = (
    ("#f2e3c6", "#d9603b", "#27374d"),
    ("#e8ecef", "#2f6f73", "#f0b429"),
    ("#1f2430", "#c9a227", "#8c2f39"),
    ("#f7f1e3", "#3b5b92", "#c44536"),
    ("#dfe7e3", "#7a9e9f", "#283845"),
    ("#14213d", "#e5e5e5", "#fca311"),
    ("#f4efe6", "#8a5a44", "#4a6c6f"),
    ("#fbf3e4", "#e07a5f", "#3d405b"),
    ("#2b2d42", "#8d99ae", "#ef233c"),
)
"""Ground and two colours."""
SIZE = 1280


def cover_of(number: int) -> bytes:
    """A picture that looks like a cover, made of a few shapes."""
    ground, first, second = PALETTES[number % len(PALETTES)]
    image = Image.new("RGB", (SIZE, SIZE), ground)
    draw = ImageDraw.Draw(image)
    (rings, tiles, waves, hills)[number % 4](draw, Random(number), (ground, first, second))
    made = BytesIO()
    image.save(made, "JPEG", quality=88)
    return made.getvalue()


Colours = tuple[str, str, str]


def rings(draw: ImageDraw.ImageDraw, _random: Random, colours: Colours) -> None:
    for step in range(9, 0, -1):
        around = 62 * step
        box = (640 - around, 700 - around, 640 + around, 700 + around)
        draw.ellipse(box, fill=(colours[1], colours[0])[step % 2])
    draw.rectangle((0, 980, SIZE, SIZE), fill=colours[2])


def tiles(draw: ImageDraw.ImageDraw, random: Random, colours: Colours) -> None:
    for x in range(0, SIZE, 160):
        for y in range(0, SIZE, 160):
            draw.pieslice((x - 160, y, x + 160, y + 320), 270, 360, fill=random.choice(colours))


def waves(draw: ImageDraw.ImageDraw, _random: Random, colours: Colours) -> None:
    for line in range(26):
        points = [
            (x, 90 + 46 * line + 100 * math.sin(x / 110 + line / 3) * swell(x))
            for x in range(0, SIZE + 1, 20)
        ]
        draw.line(points, fill=colours[2 if line % 5 == 0 else 1], width=12)


def swell(x: int) -> float:
    return math.exp(-(((x - 640) / 330) ** 2))


def hills(draw: ImageDraw.ImageDraw, _random: Random, colours: Colours) -> None:
    draw.ellipse((700, 130, 1130, 560), fill=colours[2])
    for hill in range(4):
        top = 620 + 150 * hill
        ridge = [
            (x, top + 70 * math.sin(x / (150 + 40 * hill) + hill * 2))
            for x in range(0, SIZE + 1, 20)
        ]
        shade = [round(int(colours[1][i : i + 2], 16) * (1 - 0.18 * hill)) for i in (1, 3, 5)]
        draw.polygon([*ridge, (SIZE, SIZE), (0, SIZE)], fill=(shade[0], shade[1], shade[2]))


def plant_demo(music: Path) -> None:
    """Write the library."""
    random = Random(7)
    tree: dict[str | bytes, bytes | None] = {}
    for number, (artist, album, year, genre, suffix, count) in enumerate(ALBUMS):
        folder = f"{artist}/{album[:80]}"
        for track in range(1, count + 1):
            title = f"{random.choice(WORDS)} {random.choice(WORDS)}"
            tree[f"{folder}/{track:02} {title}{suffix}"] = tagged(
                suffix, title=title, artist=artist, albumartist=artist, album=album, genre=genre,
                date=str(year), track=track,
            )  # fmt: skip
        if number not in WITHOUT_COVER:
            tree[f"{folder}/cover.jpg"] = cover_of(number)
    tree["Loose/no tags at all.mp3"] = tagged(".mp3")
    tree["Loose/broken.flac"] = b"fLaC but nothing more"
    plant(music, tree)
