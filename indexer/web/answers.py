"""Rows -> JSON or CSV, as the end of an address asks for.

A list is sent as it is read: all albums of a large library would take more memory than all else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from flask import Response, abort

from indexer.web.words import clean

_AT_ONCE: Final = 200

Rows = Iterable[Mapping[str, Any]]


def listed(kind: str, name: str, rows: Rows, columns: Sequence[str], **more: object) -> Response:
    """A list under its name and what else is known as JSON, or the list as CSV."""
    if kind == "json":
        return Response(_objects(name, rows, more), mimetype="application/json")
    return _csv(kind, rows, columns)


def single(kind: str, whole: object, rows: Rows, columns: Sequence[str]) -> Response:
    """One thing as JSON, or the rows that belong to it as CSV."""
    if kind == "json":
        return Response(msgspec.json.encode(whole), mimetype="application/json")
    return _csv(kind, rows, columns)


def _csv(kind: str, rows: Rows, columns: Sequence[str]) -> Response:
    if kind != "csv":
        abort(404)
    return Response(_table(rows, columns), mimetype="text/csv")


def _objects(name: str, rows: Rows, more: Mapping[str, object]) -> Iterator[bytes]:
    head = msgspec.json.encode(more)[1:-1]
    yield b"{%s%s:[" % (head + b"," if head else b"", msgspec.json.encode(name))
    left, separator = iter(rows), b""
    while part := list(islice(left, _AT_ONCE)):
        yield separator + msgspec.json.encode(part)[1:-1]
        separator = b","
    yield b"]}"


def _table(rows: Rows, columns: Sequence[str]) -> Iterator[str]:
    """RFC 4180, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    left = iter(rows)
    while True:
        part = list(islice(left, _AT_ONCE))
        for row in part:
            writer.writerow([_cell(row.get(column)) for column in columns])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        if not part:
            return


def _cell(value: object) -> object:
    return clean(value) if isinstance(value, str) else value
