"""What mutagen reads of an MP4 file -> a track, to compare our own readers with."""

from __future__ import annotations

from mutagen.mp4 import MP4, AtomDataType, MP4FreeForm

from indexer.model import Track
from indexer.tags import columns
from indexer.tags.mp4.item_columns import ATOMS, FREEFORM, LOSSLESS, OTHER_FREEFORM, PAIRS, codec_of


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
        has_picture=bool(tags.get("covr")),
        lossless=codec in LOSSLESS,
    )


def _decode(value: MP4FreeForm) -> str:
    """The text of a freeform value, which mutagen leaves as bytes."""
    encoding = "utf-16-be" if value.dataformat == AtomDataType.UTF16 else "utf-8"
    return str(value, encoding, "replace")
