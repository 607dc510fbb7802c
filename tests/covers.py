"""Pictures for tests, made by Pillow."""

from __future__ import annotations

from hashlib import blake2b
from io import BytesIO

from mutagen.id3 import APIC
from mutagen.mp3 import MP3
from PIL import Image


def picture(color: str = "red", size: tuple[int, int] = (40, 30), kind: str = "JPEG") -> bytes:
    """A picture of one color."""
    made = BytesIO()
    Image.new("RGB", size, color).save(made, kind)
    return made.getvalue()


def held_by(song: bytes, data: bytes) -> bytes:
    """An MP3 file with this picture in its tags."""
    file = BytesIO(song)
    audio = MP3(file)
    if audio.tags is None:
        audio.add_tags()
    audio.tags.add(APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=data))
    file.seek(0)
    audio.save(file)
    return file.getvalue()


def hash_of(data: bytes) -> str:
    """The hash by which a picture is known."""
    return blake2b(data, digest_size=16).hexdigest()
