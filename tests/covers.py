"""Pictures for tests, made by Pillow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

from mutagen.id3 import APIC
from mutagen.mp3 import MP3
from PIL import Image

from indexer.store.problems import BY_MACHINE


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


def make_unread(db: Path) -> None:
    """Have an index say of its picture files that the machine could not read them."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM artwork_choices WHERE source = 'file'")
        connection.execute("UPDATE pictures SET hash = NULL")
        connection.execute(
            "INSERT INTO problems SELECT root_id, CAST(folder || name AS BLOB), 1, 'picture',"
            " 'EIO', size, mtime_ns, ctime_ns, inode, 0, ? FROM pictures",
            (BY_MACHINE,),
        )
