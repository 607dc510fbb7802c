"""An MP4 file that our own reader declines -> its track, parsed by mutagen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutagen.mp4 import MP4, AtomDataType, MP4FreeForm, MP4Tags
from mutagen.mp4._atom import Atoms

from indexer.tags import columns
from indexer.tags.fast.mp4 import media_size
from indexer.tags.fast.mp4_sample_entry import refine
from indexer.tags.items import (
    ATOMS,
    COVER_PARTS,
    EMPTY_COVER,
    FREEFORM,
    LOSSLESS,
    OTHER_FREEFORM,
    PAIRS,
    codec_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mutagen.mp4 import MP4Info
    from mutagen.mp4._atom import Atom

    from indexer.model import Track
    from indexer.tags.window import Window


REFINED = frozenset({"fLaC", "ec-3"})
"""Sample entries of which mutagen reads the header only."""


class _Tags(MP4Tags):
    """mutagen's reader without the pictures' data."""

    has_picture = False

    def load(self, atoms: Atoms, fileobj: Window) -> None:
        """Parse all tags except `covr` atoms, of which only the size is needed."""
        metadata = atoms.path(b"moov", b"udta", b"meta", b"ilst")[-1]
        others = []
        for atom in metadata.children:
            if atom.name == b"covr" and atom.offset + atom.length <= fileobj.size:
                self.has_picture |= atom.length > EMPTY_COVER and _holds_data(atom, fileobj)
            else:
                others.append(atom)
        metadata.children = others
        super().load(atoms, fileobj)

    def __setitem__(self, key: str, value: object) -> None:
        """Store a parsed value without rendering it, which takes mutagen a quarter of its time."""
        super(MP4Tags, self).__setitem__(key, value)


class _Mp4(MP4):
    MP4Tags = _Tags


def _holds_data(cover: Atom, window: Window) -> bool:
    """Whether a cover holds data; mutagen drops one whose first atom is of another kind."""
    begin = cover.offset + cover.length - cover.datalength
    return window.peek(begin + 4, 4) in COVER_PARTS


def read(window: Window) -> Track:
    window.seek(0)
    file = _Mp4(window)
    if file.info.codec in REFINED or (file.info.codec and not file.info.bitrate):
        _refine(file.info, window)
    return track(file)


def _refine(info: MP4Info, window: Window) -> None:
    window.seek(0)
    tracks = list(Atoms(window).path(b"moov")[-1].findall(b"trak"))
    refine(info, _sample_entries(window, tracks))
    if not info.bitrate and len(tracks) == 1:
        info.bitrate = columns.mean_bitrate(media_size(window), info.length)


def _sample_entries(window: Window, tracks: Iterable[Atom]) -> bytes:
    """The sample entries of the first audio track."""
    for found in tracks:
        _, handler = found[b"mdia", b"hdlr"].read(window)
        if handler[8:12] == b"soun":
            _, entries = found[b"mdia", b"minf", b"stbl", b"stsd"].read(window)
            return bytes(entries[8:])
    return b""


def track(file: MP4) -> Track:
    """Convert mutagen's result to a track."""
    tags = {} if file.tags is None else file.tags
    values: columns.Values = {}
    others: columns.Values = {}
    for key, atoms in tags.items():
        if key in ATOMS:
            values[ATOMS[key]] = [str(value) for value in atoms if value]
        elif key in PAIRS:
            for column, number in zip(PAIRS[key], atoms[0] if atoms else (), strict=False):
                values[column] = [str(number)] if number else []
        elif key.startswith("----:"):
            for names, found in ((FREEFORM, values), (OTHER_FREEFORM, others)):
                known = names.get(key.lower())
                if known is not None:
                    found.setdefault(known, [_decode(value) for value in atoms])
        elif key == "cpil":
            values["compilation"] = ["1"] if atoms else []
    codec = codec_of(file.info.codec)
    return columns.track(
        codec,
        file.info,
        columns.filled(values, others),
        has_picture=getattr(tags, "has_picture", False) or bool(tags.get("covr")),
        lossless=codec in LOSSLESS,
    )


def _decode(value: MP4FreeForm) -> str:
    """The text of a freeform value, which mutagen leaves as bytes."""
    encoding = "utf-16-be" if value.dataformat == AtomDataType.UTF16 else "utf-8"
    return str(value, encoding, "replace")
