"""One album, artist or track; covers and audio files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from flask import Flask, Response, abort, render_template, request, send_file
from werkzeug.datastructures import ContentRange, Range
from werkzeug.http import quote_etag

from indexer import errors, paths
from indexer.lookup import Lookup
from indexer.store import browse, tracks
from indexer.store.view_rows import library_rows
from indexer.web.answers import single
from indexer.web.history import gone_of, of_album, of_tracks, together
from indexer.web.site import ShownChange, Site

_MOST_TRACKS: Final = 2000
"""Tracks of an album that are shown: files without tags in one folder are an album, too."""
_MOST_ALBUMS: Final = 300
"""Albums of an artist that are shown: `Various Artists` may have thousands."""
_MOST_CHANGES: Final = 20
"""Of an artist's tracks, in JSON."""
_IMMUTABLE: Final = "private, max-age=31536000, immutable"
_NO_BYTES: Final = re.compile(r"\s*bytes\s*=\s*-0+\s*", re.IGNORECASE)
_SOON: Final = "private, max-age=60"
_NAME: Final = re.compile(r"([0-9a-f]{32})-(256|600)")
_FACTS: Final = (
    "date", "genre", "label", "composer", "mb_albumid", "codec", "bitrate", "sample_rate",
    "bit_depth", "channels", "replaygain_album_gain",
)  # fmt: skip


def add_to(app: Flask, site: Site) -> None:
    """Add the addresses of single things."""
    rule = app.add_url_rule
    rule("/albums/<int:number>", "album", lambda number: _album(site, number))
    rule(
        "/albums/<int:number>.<kind>",
        "album_data",
        lambda number, kind: _album_data(site, number, kind),
    )
    rule("/artists/<int:number>", "artist", lambda number: _artist(site, number))
    rule(
        "/artists/<int:number>.<kind>",
        "artist_data",
        lambda number, kind: _artist_data(site, number, kind),
    )
    rule("/tracks/<int:number>", "track", lambda number: _track(site, number))
    rule(
        "/tracks/<int:number>.<kind>",
        "track_data",
        lambda number, kind: _track_data(site, number, kind),
    )
    rule("/covers/<name>.jpg", "cover", lambda name: _cover(site, name))
    if site.settings.web_audio:
        rule("/audio/<int:number>", "audio", lambda number: _audio(site, number))


class _Album:
    """An album with its tracks."""

    def __init__(self, lookup: Lookup, album_id: int) -> None:
        connection = lookup.connection
        ids = browse.tracks_of_album(connection, album_id)[:_MOST_TRACKS]
        found = browse.albums(connection, [album_id])
        self.album = found[0] if found else None
        self.tracks: list[dict[str, Any]] = list(library_rows(connection, ids))
        self.artists = browse.artists_of(connection, ids)
        self.changes: list[ShownChange] = []
        known = tracks.by_id(connection, ids[0]) if ids else None
        if known is not None:
            folder = paths.album_folder(known.path)
            self.changes = of_album(lookup, ids, known.root_id, folder)

    @property
    def discs(self) -> dict[int, list[dict[str, Any]]]:
        discs: dict[int, list[dict[str, Any]]] = {}
        for track in self.tracks:
            discs.setdefault(track["disc"] or 1, []).append(track)
        return discs

    @property
    def owners(self) -> list[tuple[int, str]]:
        """The album artists; without any, the artists."""
        for role in ("albumartist", "artist"):
            found = [(one, name) for one, name, its, _ in self.artists if its == role]
            if found:
                return found[:8]
        return []

    @property
    def facts(self) -> list[tuple[str, list[tuple[Any, int]]]]:
        """Column -> its values, the most frequent first, each with its number of tracks."""
        found = []
        for column in _FACTS:
            counts = Counter(_values(row[column] for row in self.tracks))
            if counts:
                found.append((column, counts.most_common(6)))
        return found

    @property
    def folders(self) -> list[str]:
        return list(
            dict.fromkeys(f"{row['root']}/{row['path']}".rpartition("/")[0] for row in self.tracks)
        )


def _values(cells: Iterable[Any]) -> list[Any]:
    return [cell for cell in cells if cell is not None and cell != ""]


def _album_of(site: Site, number: int) -> _Album:
    _check(number)
    found = site.pool.answer(("album", number), lambda lookup: _Album(lookup, number))
    if found.album is None:
        abort(404)
    return found


def _album(site: Site, number: int) -> str:
    found = _album_of(site, number)
    return render_template("album.html", one=found, changes=together(found.changes))


def _album_data(site: Site, number: int, kind: str) -> Response:
    from indexer.store.schema import LIBRARY_COLUMNS

    found = _album_of(site, number)
    return single(
        kind, {"album": found.album, "tracks": found.tracks}, found.tracks, LIBRARY_COLUMNS
    )


def _artist_of(site: Site, number: int) -> dict[str, Any]:
    def ask(lookup: Lookup) -> dict[str, Any] | None:
        connection = lookup.connection
        known = browse.artist(connection, number)
        if known is None:
            return None
        roles = browse.albums_of_artist(connection, number)
        ids = sorted(roles, key=lambda album_id: not _is_own(album_id, roles))
        albums = browse.albums(connection, ids[:_MOST_ALBUMS])
        albums.sort(key=lambda album: (-int(str(album["year"] or 0)), str(album["title"])))
        own = [album for album in albums if _is_own(album["id"], roles)]
        track_ids = browse.tracks_of_artist(connection, number)
        return {
            "id": number,
            "name": known[1],
            "cover": browse.cover(connection, "artist", number),
            "tracks": len(track_ids),
            "total": len(roles),
            "albums": own,
            "guest": [album for album in albums if album not in own],
            "changes": of_tracks(lookup, [*track_ids, *gone_of(connection, known[1])]),
        }

    _check(number)
    found = site.pool.answer(("artist", number), ask)
    if found is None:
        abort(404)
    return found


def _is_own(album_id: object, roles: dict[int, set[str]]) -> bool:
    has_albumartist = any("albumartist" in its for its in roles.values())
    return not has_albumartist or "albumartist" in roles[int(str(album_id))]


def _artist(site: Site, number: int) -> str:
    found = _artist_of(site, number)
    return render_template("artist.html", one=found, changes=together(found["changes"]))


def _artist_data(site: Site, number: int, kind: str) -> Response:
    found = _artist_of(site, number)
    return single(
        kind,
        {**found, "changes": [one.row for one in found["changes"][:_MOST_CHANGES]]},
        [*found["albums"], *found["guest"]],
        (*browse.ALBUM_COLUMNS, "cover"),
    )


def _track_of(
    site: Site, number: int
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[ShownChange]]:
    """(what is known of it, or what it was, its changes)."""

    def ask(
        lookup: Lookup,
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[ShownChange]]:
        word = b"%d" % number
        shown = lookup.show(word)
        gone = lookup.gone(word) if shown is None else None
        return shown, gone, of_tracks(lookup, [number]) if shown or gone else []

    _check(number)
    found = site.pool.answer(("track", number), ask)
    if found[0] is None and found[1] is None:
        abort(404)
    return found


def _track(site: Site, number: int) -> tuple[str, int]:
    shown, gone, changes = _track_of(site, number)
    cover = None
    if shown is not None and shown.get("album_id") is not None:
        with site.pool.reader() as lookup:
            cover = browse.cover(lookup.connection, "album", int(shown["album_id"]))
    row = shown or gone or {}
    text = render_template(
        "track.html", row=row, gone=gone, changes=changes, cover=cover, number=number
    )
    return text, 200 if shown is not None else 404


def _track_data(site: Site, number: int, kind: str) -> Response:
    shown, gone, _ = _track_of(site, number)
    row = shown or gone or {}
    return single(kind, row, [row], [key for key in row if not isinstance(row[key], (dict, list))])


def _cover(site: Site, name: str) -> Response:
    known = _NAME.fullmatch(name)
    if known is None:
        abort(404)
    digest, size = known[1], int(known[2])
    etag = f"{digest}-{size}"
    if request.if_none_match.contains_weak(etag):
        return Response(status=304, headers={"ETag": quote_etag(etag), "Cache-Control": _IMMUTABLE})
    try:
        path, is_whole = site.covers.path_of(digest, size)
        response = send_file(path, "image/jpeg", etag=False, max_age=None)
    except (errors.CannotDo, errors.UsageError, OSError):
        abort(404)
    if is_whole:
        response.headers["ETag"] = quote_etag(etag)
    response.headers["Cache-Control"] = _IMMUTABLE if is_whole else _SOON
    return response


def _audio(site: Site, number: int) -> Response:
    _check(number)
    try:
        audio = site.audio.find(number)
    except (OSError, errors.RootSilent):
        audio = None
    if audio is None:
        abort(404)
    tag = f"{number}-{audio.size}-{audio.mtime_ns}"
    etag = quote_etag(tag)
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    if request.if_none_match.contains_weak(tag):
        return Response(status=304, headers=headers)
    is_same = request.headers.get("If-Range") in {None, etag}
    asked = _suffix_cut(request.range, audio.size) if is_same else None
    if asked is None:
        body = site.audio.bytes_of(audio, 0, audio.size)
        return Response(
            body, 200, {**headers, "Content-Length": str(audio.size)}, mimetype=audio.type
        )
    part = asked.range_for_length(audio.size)
    if part is None:
        headers["Content-Range"] = ContentRange("bytes", None, None, audio.size).to_header()
        return Response("", 416, headers)
    begin, end = part
    headers["Content-Range"] = ContentRange("bytes", begin, end, audio.size).to_header()
    headers["Content-Length"] = str(end - begin)
    return Response(site.audio.bytes_of(audio, begin, end), 206, headers, mimetype=audio.type)


def _suffix_cut(asked: Range | None, size: int) -> Range | None:
    """The range that is answered; None: the whole, also for several and for unknown units.

    The last bytes are all of them, where there are fewer; the last 0 cannot be sent (RFC 9110,
    14.1.2).
    """
    if re.fullmatch(_NO_BYTES, request.headers.get("Range", "")):  # Werkzeug takes it for no range
        return Range("bytes", [(size, None)])
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    begin, end = asked.ranges[0]
    return Range("bytes", [(max(begin, -size), end)]) if begin < 0 and size else asked


def _check(number: int) -> None:
    """An id has 63 bits."""
    if number >= 2**63:
        abort(404)
