"""Tags that held other values -> a table in CSV, for a person who undoes a retag."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.retags import Retag

_COLUMNS: Final = ("track_id", "at", "root", "path", "file", "tag", "before", "after")
_SEVERAL: Final = "; "


def table(rows: Iterable[Retag]) -> Iterator[bytes]:
    """RFC 4180, as `indexer export`: several values are joined, U+FFFD is in odd paths."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        yield _taken(line)
        before, after = _SEVERAL.join(row.before), _SEVERAL.join(row.after)
        known = (row.track_id, row.at, row.root, row.path, row.file, row.tag)
        writer.writerow((*known, before, after))
    yield _taken(line)


def _taken(line: io.StringIO) -> bytes:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text.encode()
