"""Playlists and what in them leads nowhere: as a page and as data."""

from __future__ import annotations

from itertools import islice
from typing import Final

import msgspec
from flask import Flask, Response, render_template

from indexer import report
from indexer.lookup import Lookup
from indexer.web.answers import listed
from indexer.web.site import Site

_SHOWN: Final = 500
_COLUMNS: Final = (
    "id", "root", "path", "name", "items", "tracks", "streams", "broken", "waiting", "problem",
)  # fmt: skip


def add_to(app: Flask, site: Site) -> None:
    """Add the addresses."""
    app.add_url_rule("/playlists", "playlists", lambda: _page(site))
    app.add_url_rule("/playlists.<kind>", "playlists_data", lambda kind: _data(site, kind))


def _page(site: Site) -> str:
    def ask(lookup: Lookup) -> tuple[list[report.PlaylistRow], list[report.BrokenItem]]:
        return list(lookup.playlists()), list(islice(lookup.broken_items(), _SHOWN))

    rows, broken = site.pool.answer("playlists", ask)
    return render_template(
        "playlists.html", rows=rows[:_SHOWN], total=len(rows), broken=broken, most=_SHOWN
    )


def _data(site: Site, kind: str) -> Response:
    with site.pool.reader() as lookup:
        rows = list(lookup.playlists())
    return listed(kind, "playlists", map(msgspec.to_builtins, rows), _COLUMNS)
