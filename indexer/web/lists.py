"""The lists: home, search, albums, artists, changes, problems, duplicates, playlists.

Each is a page, and data as `.json` and `.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
from flask import Flask, Response, render_template, request

from indexer.lookup import Lookup
from indexer.reports import duplicates
from indexer.results import report
from indexer.store import browse, changes
from indexer.store.connection import token_of
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.search.query import READ
from indexer.web import finding
from indexer.web.answers import listed
from indexer.web.shelf import FACETS, ORDERS, Directory
from indexer.web.site import Site, shown_changes
from indexer.web.words import iso

PAGE: Final = 60
_NEW_DAYS: Final = 7
_NEW_ALBUMS: Final = 10
_NEW_ROWS: Final = 2000
"""Tracks that are looked at for the newest albums."""
_FEED: Final = 12
_CHANGES: Final = 200
_PROBLEMS: Final = 500
_MOST_CHANGES: Final = 10_000
_MOST_PROBLEMS: Final = 100_000
_CHANGE_COLUMNS: Final = (
    "seq", "at", "kind", "track_id", "root", "path", "old_root", "old_path",
)  # fmt: skip
_MOST_TRACKS: Final = 10_000
_AT_ONCE: Final = 200
"""Albums or artists that are read at once."""
_DUPLICATES: Final = 100
_MOST_DUPLICATES: Final = 1000
"""Groups as data."""
_PLAYLISTS: Final = 500
_PLAYLIST_COLUMNS: Final = (
    "id", "root", "path", "name", "items", "tracks", "streams", "broken", "waiting", "problem",
)  # fmt: skip


def add_to(app: Flask, site: Site) -> None:
    """Add the addresses of the lists."""
    rule = app.add_url_rule
    rule("/", "home", lambda: _home(site))
    rule("/search", "search", lambda: _search(site))
    rule("/search.<kind>", "search_data", lambda kind: _search_data(site, kind))
    rule("/albums", "albums", lambda: _albums(site))
    rule("/albums.atom", "atom", lambda: _atom(site))
    rule("/albums.<kind>", "albums_data", lambda kind: _albums_data(site, kind))
    rule("/artists", "artists", lambda: _artists(site))
    rule("/artists.<kind>", "artists_data", lambda kind: _artists_data(site, kind))
    rule("/changes", "changes", lambda: _changes(site))
    rule("/changes.<kind>", "changes_data", lambda kind: _changes_data(site, kind))
    rule("/problems", "problems", lambda: _problems(site))
    rule("/problems.<kind>", "problems_data", lambda kind: _problems_data(site, kind))
    rule("/duplicates", "duplicates", lambda: _duplicates(site))
    rule("/duplicates.<kind>", "duplicates_data", lambda kind: _duplicates_data(site, kind))
    rule("/playlists", "playlists", lambda: _playlists(site))
    rule("/playlists.<kind>", "playlists_data", lambda kind: _playlists_data(site, kind))


def _home(site: Site) -> str:
    def ask(lookup: Lookup) -> dict[str, Any]:
        connection = lookup.connection
        week = _days_ago(_NEW_DAYS)
        new = browse.newest_albums(connection, week, _NEW_ALBUMS, _NEW_ROWS)
        latest = new or browse.newest_albums(connection, "", _NEW_ALBUMS, _NEW_ROWS)
        return {
            "albums": browse.albums(connection, latest),
            "is_week": bool(new),
            "new_tracks": browse.count_new(connection, week),
            "changes": shown_changes(lookup, lookup.last_changes(_FEED))[::-1],
            "newest": changes.newest(connection),
            "problems": browse.problem_counts(connection),
        }

    line = site.standing.line()
    today = datetime.now(UTC).date()  # what is new changes with the day, too
    return render_template("home.html", line=line, **site.pool.answer(("home", today), ask))


def _search(site: Site) -> str:
    text = request.args.get("q", "").strip()
    found = _found(site, text, finding.TRACKS)
    template = "_found.html" if request.args.get("part") else "search.html"
    return render_template(template, q=text, found=found, unread=max(0, len(text) - READ))


def _search_data(site: Site, kind: str) -> Response:
    found = _found(site, request.args.get("q", "").strip(), _number("limit", 200, _MOST_TRACKS))
    albums = [_album_row(row) for row in found.albums]
    return listed(
        kind, "tracks", found.tracks, LIBRARY_COLUMNS,
        artists=found.artists, albums=albums, total=found.total,
    )  # fmt: skip


def _found(site: Site, text: str, limit: int) -> finding.Found:
    if not text:
        return finding.Found()
    text = text[:READ]
    return site.pool.answer(
        ("search", text, limit), lambda lookup: finding.find(lookup, text, limit)
    )


def _wanted() -> dict[str, str]:
    """The facets that the address chooses."""
    return {facet: request.args[facet] for facet in FACETS if request.args.get(facet)}


def _order() -> str:
    order = request.args.get("sort", "")
    return order if order in ORDERS else ORDERS[0]


def _number(name: str, default: int, most: int, least: int = 1) -> int:
    """A whole number of the address, from `least` to `most`; what is none: `default`."""
    text = request.args.get(name, "")
    if not (text.isascii() and text.isdigit()):
        return default
    digits = text.lstrip("0") or "0"
    return most if len(digits) > len(str(most)) else min(max(least, int(digits)), most)


def _albums(site: Site) -> str:
    wanted, order, page = _wanted(), _order(), _number("page", 1, 1_000_000)
    chosen = site.shelf.now().chosen(wanted, order, (page - 1) * PAGE, PAGE)
    with site.pool.reader() as lookup:
        albums = browse.albums(lookup.connection, chosen.ids)
    return render_template(
        "albums.html", chosen=chosen, albums=albums, wanted=wanted, order=order, orders=ORDERS,
        page=page, pages=-(-chosen.total // PAGE), query=dict(request.args),
    )  # fmt: skip


def _albums_data(site: Site, kind: str) -> Response:
    chosen = site.shelf.now().chosen(_wanted(), _order(), 0, None)
    columns = (*browse.ALBUM_COLUMNS, "cover")
    rows = _album_rows(site, chosen.ids)
    return listed(kind, "albums", rows, columns, total=chosen.total)


def _album_rows(site: Site, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(ids), _AT_ONCE):
        with site.pool.reader() as lookup:
            found = browse.albums(lookup.connection, ids[start : start + _AT_ONCE])
        yield from map(_album_row, found)


def _album_row(row: Mapping[str, Any]) -> dict[str, Any]:
    at_ms = row["added_at"]
    return {**row, "added_at": None if at_ms is None else report.iso(at_ms)}


def _atom(site: Site) -> Response:
    def ask(lookup: Lookup) -> tuple[str, list[dict[str, Any]]]:
        connection = lookup.connection
        ids = browse.newest_albums(connection, "", 3 * _NEW_ALBUMS, _NEW_ROWS)
        return token_of(connection), browse.albums(connection, ids)

    token, albums = site.pool.answer("atom", ask)
    newest = max((album["added_at"] or 0 for album in albums), default=0)
    text = render_template(
        "albums.xml", token=token, albums=albums, base=request.host_url, updated=iso(newest)
    )
    return Response(text, mimetype="application/atom+xml")


def _artists(site: Site) -> str:
    letter, page = request.args.get("letter", ""), _number("page", 1, 1_000_000)
    directory = site.directory.now()
    chosen = directory.of_letter(letter)
    size = 4 * PAGE
    with site.pool.reader() as lookup:
        rows = directory.rows(lookup.connection, chosen[(page - 1) * size : page * size])
    return render_template(
        "artists.html", rows=rows, total=len(chosen), letters=directory.letters, letter=letter,
        page=page, pages=-(-len(chosen) // size), query=dict(request.args),
    )  # fmt: skip


def _artists_data(site: Site, kind: str) -> Response:
    directory = site.directory.now()
    columns = ("id", "artist", "tracks")
    chosen = directory.of_letter(request.args.get("letter", ""))
    rows = (dict(zip(columns, row, strict=True)) for row in _artist_rows(site, directory, chosen))
    return listed(kind, "artists", rows, columns, total=len(chosen))


def _artist_rows(site: Site, directory: Directory, places: range) -> Iterator[tuple[int, str, int]]:
    for start in range(0, len(places), _AT_ONCE):
        with site.pool.reader() as lookup:
            found = directory.rows(lookup.connection, places[start : start + _AT_ONCE])
        yield from found


def _changes(site: Site) -> str:
    rows = site.pool.answer(
        "changes", lambda lookup: shown_changes(lookup, lookup.last_changes(_CHANGES))[::-1]
    )
    return render_template("changes.html", changes=rows)


def _changes_data(site: Site, kind: str) -> Response:
    """The last changes, or those after the number `after`; `limit` of them, the oldest first."""
    limit = _number("limit", _CHANGES, _MOST_CHANGES)
    with site.pool.reader() as lookup:
        if request.args.get("after"):
            rows = list(lookup.changes(_number("after", 0, 2**62, 0), limit=limit))
        else:
            rows = lookup.last_changes(limit)
    return listed(kind, "changes", map(msgspec.to_builtins, rows), _CHANGE_COLUMNS)


def _problems(site: Site) -> str:
    def ask(lookup: Lookup) -> tuple[dict[str, int], list[report.ProblemRow]]:
        counts = browse.problem_counts(lookup.connection)
        return counts, list(islice(lookup.problems(), _PROBLEMS))

    counts, rows = site.pool.answer("problems", ask)
    by_kind: dict[str, list[report.ProblemRow]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    return render_template(
        "problems.html", counts=counts, by_kind=by_kind, shown=len(rows), total=sum(counts.values())
    )


def _problems_data(site: Site, kind: str) -> Response:
    with site.pool.reader() as lookup:
        rows = list(islice(lookup.problems(), _MOST_PROBLEMS))
    columns = ("root", "path", "kind", "reason", "since")
    return listed(kind, "problems", map(msgspec.to_builtins, rows), columns)


def _days_ago(days: int) -> str:
    """A time as the view has it."""
    at = datetime.now(UTC) - timedelta(days=days)
    return report.iso(report.unix_ms(at))


def _duplicates_by() -> str:
    by = request.args.get("by", "")
    return by if by in duplicates.BY else duplicates.BY[0]


def _duplicate_groups(site: Site, by: str, limit: int) -> list[duplicates.Duplicates]:
    return site.pool.answer(
        ("duplicates", by, limit), lambda lookup: list(lookup.duplicates(by, limit))
    )


def _duplicates(site: Site) -> str:
    by = _duplicates_by()
    groups = _duplicate_groups(site, by, _DUPLICATES)
    unheard = 0
    if by == "essence":
        unheard = site.pool.answer(("unheard",), lambda lookup: lookup.unheard())
    return render_template(
        "duplicates.html", groups=groups, by=by, most=_DUPLICATES, unheard=unheard
    )


def _duplicates_data(site: Site, kind: str) -> Response:
    """One row for each file, with the number of its group in CSV."""
    groups = _duplicate_groups(site, _duplicates_by(), _MOST_DUPLICATES)
    if kind == "json":
        return listed(kind, "duplicates", map(msgspec.to_builtins, groups), ())
    rows: list[dict[str, Any]] = [
        {"group": number, **row} for number, group in enumerate(groups, 1) for row in group.files
    ]
    columns = tuple(name for name in duplicates.FIELDS if name != "path_b64")
    return listed(kind, "duplicates", rows, ("group", *columns))


def _playlists(site: Site) -> str:
    def ask(lookup: Lookup) -> tuple[list[report.PlaylistRow], list[report.BrokenItem]]:
        return list(lookup.playlists()), list(islice(lookup.broken_items(), _PLAYLISTS))

    rows, broken = site.pool.answer("playlists", ask)
    return render_template(
        "playlists.html", rows=rows[:_PLAYLISTS], total=len(rows), broken=broken, most=_PLAYLISTS
    )


def _playlists_data(site: Site, kind: str) -> Response:
    with site.pool.reader() as lookup:
        rows = list(lookup.playlists())
    return listed(kind, "playlists", map(msgspec.to_builtins, rows), _PLAYLIST_COLUMNS)
