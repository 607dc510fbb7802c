"""Durations and bitrates that are asked for -> the few tracks that have them, by an index of both.

The index `tracks_lengths` has a fifteenth of the bytes of `tracks`, and is read from one end to the
other where it cannot be searched. Measured with 1 000 000 tracks of which none match: 35 ms in
place of 150. Where many match, it is of no use: each row would be looked up at another place of the
file. So it is first asked how many match, and its expressions are such that no other question, as
of another program, is answered through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from indexer.store.schema.views import WHOLE_BITRATE, WHOLE_SECONDS
from indexer.store.statements import Connection, select

_COLUMNS: Final = {"duration": WHOLE_SECONDS, "bitrate": WHOLE_BITRATE}
_OF_WHOLE: Final = {"> ?": ">= ?", "< ?": "<= ?"}
"""A comparison of seconds -> what it says of whole seconds."""
MATCHING: Final = "SELECT id FROM tracks WHERE {asked} LIMIT ?"


class Span(Struct, frozen=True):
    """A condition on `tracks_lengths` alone; it is true of all tracks that are asked for."""

    sql: str
    values: tuple[int | float, ...]


def span_of(field: str, comparison: str, values: tuple[int | float, ...]) -> Span | None:
    """The span of a comparison such as `> ?`; None: the index does not have this field."""
    column = _COLUMNS.get(field)
    if column is None:
        return None
    if field == "duration":
        comparison = _OF_WHOLE.get(comparison, comparison)
        values = tuple(map(int, values))
    return Span(f"{column} {comparison}", values)


def few(connection: Connection, spans: Sequence[Span], most: int) -> list[int] | None:
    """The tracks in all of these spans, in the view or not; None: there are more than `most`."""
    asked = " AND ".join(span.sql for span in spans)
    values = [value for span in spans for value in span.values]
    rows = select(connection, MATCHING.format(asked=asked), (*values, most + 1))
    found = [track_id for (track_id,) in rows]
    return found if len(found) <= most else None
