"""Texts of tags that are no columns -> the further tags of a track, as one text.

The names are MusicBrainz Picard's. Those in `NAMES` are always read; every other tag only if the
setting `keep_tags` names it, or all (`*`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from indexer import tag_names
from indexer.model import Track
from indexer.remembered import forget_by

NAMES: Final = tag_names.NAMES
"""The tags that are always read."""

Keep = frozenset[str]
"""Names of other tags to read, in lower case; `EVERY` is all of them."""
NOTHING: Final[Keep] = frozenset()
EVERY: Final = "*"

MARK: Final = "+"
"""Precedes the name of any other tag among columns: it may be the name of a column, too."""

NAME_LIMIT: Final = 128
"""Maximum characters of the name of another tag. A guess: Picard's longest has 25."""
VALUE_LIMIT: Final = 4096
"""Maximum bytes of UTF-8 kept of a value, as of a comment. A guess."""
VALUES_LIMIT: Final = 250
"""Maximum values kept of one file. A guess: Picard writes 40."""

_OF_TRACK: Final = frozenset(Track.__struct_fields__)

is_plain: Final = _OF_TRACK.issuperset
"""Whether all of these fields are those of a track."""


def column_of(name: str, keep: Keep) -> str | None:
    """How another tag stands among columns; None if it is not to be kept."""
    name = name.strip(" \0").lower()
    if (EVERY in keep or name in keep) and 0 < len(name) <= NAME_LIMIT and name.isprintable():
        return name if name in NAMES else MARK + name
    return None


def gather(fields: dict[str, Any]) -> None:
    """Leave a track's own fields, and put the other ones into `tags`."""
    others = []
    for name in fields.keys() - _OF_TRACK:
        value = fields.pop(name)
        if value:
            others.append((name.removeprefix(MARK), value))
    if others:
        others.sort()
        fields["tags"] = _encoded(tuple(others))


@lru_cache(maxsize=256)
def _encoded(tags: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """JSON, {name: [values]} in the order of the names; cached: the files of an album share it."""
    left = VALUES_LIMIT
    kept: dict[str, list[str]] = {}
    for name, values in tags:
        if left > 0:
            kept[name] = [cut(value, VALUE_LIMIT) for value in values[:left]]
            left -= len(values)
    return msgspec.json.encode(kept).decode()


forget_by(_encoded.cache_clear)


def cut(text: str, limit: int) -> str:
    """The text, or as many of its characters as fit into so many bytes of UTF-8."""
    if 4 * len(text) <= limit:
        return text
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")
