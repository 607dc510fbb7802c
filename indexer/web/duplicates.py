"""Tracks that are there several times: as a page and as data."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from flask import Flask, Response, render_template, request

from indexer import duplicates
from indexer.web.answers import listed
from indexer.web.site import Site

_SHOWN: Final = 100
_MOST: Final = 1000
"""Groups as data."""


def add_to(app: Flask, site: Site) -> None:
    """Add the addresses."""
    app.add_url_rule("/duplicates", "duplicates", lambda: _page(site))
    app.add_url_rule("/duplicates.<kind>", "duplicates_data", lambda kind: _data(site, kind))


def _by() -> str:
    by = request.args.get("by", "")
    return by if by in duplicates.BY else duplicates.BY[0]


def _groups(site: Site, by: str, limit: int) -> list[duplicates.Duplicates]:
    return site.pool.answer(
        ("duplicates", by, limit), lambda lookup: list(lookup.duplicates(by, limit))
    )


def _page(site: Site) -> str:
    by = _by()
    groups = _groups(site, by, _SHOWN)
    unheard = 0
    if by == "essence":
        unheard = site.pool.answer(("unheard",), lambda lookup: lookup.unheard())
    return render_template("duplicates.html", groups=groups, by=by, most=_SHOWN, unheard=unheard)


def _data(site: Site, kind: str) -> Response:
    """One row for each file, with the number of its group in CSV."""
    groups = _groups(site, _by(), _MOST)
    if kind == "json":
        return listed(kind, "duplicates", map(msgspec.to_builtins, groups), ())
    rows: list[dict[str, Any]] = [
        {"group": number, **row} for number, group in enumerate(groups, 1) for row in group.files
    ]
    columns = tuple(name for name in duplicates.FIELDS if name != "path_b64")
    return listed(kind, "duplicates", rows, ("group", *columns))
