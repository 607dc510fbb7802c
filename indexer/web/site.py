"""What the pages of one index share, and how it is shown."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from msgspec import Struct

from indexer.lookup import Lookup
from indexer.reports.status import counts_of
from indexer.results import report
from indexer.settings import Settings
from indexer.store import view_rows
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.search.folding import fold
from indexer.web import words
from indexer.web.calm import Line, Standing
from indexer.web.feed import Feed
from indexer.web.files import AudioFiles, CoverMaker
from indexer.web.pool import Kept, Pool
from indexer.web.shelf import Directory, Shelf

if TYPE_CHECKING:
    from flask import Flask


HERE: Final = Path(__file__).parent
_TONES: Final = 6
_PLAYED: Final = frozenset({"mp3", "flac", "aac", "alac", "vorbis", "opus", "pcm"})
"""What browsers play."""
_TITLE = LIBRARY_COLUMNS.index("title")
_ARTIST = LIBRARY_COLUMNS.index("artist")
_ALBUM = LIBRARY_COLUMNS.index("album_id")


class Site:
    """One index as pages show it. Close it when done."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = Pool(settings)
        self.disks = ThreadPoolExecutor(1, "disks")
        """The one thread that looks at roots: helpers belong to the thread that starts them."""
        self.counts = Kept(self.pool, counts_of)
        self.standing = Standing(self.pool, self.disks, self.counts.now)
        self.shelf = Kept(self.pool, Shelf)
        self.directory = Kept(self.pool, Directory)
        self.covers = CoverMaker(self.pool)
        self.audio = AudioFiles(self.pool, self.disks)
        self.feed = Feed(self.pool, self.standing, self.change_items, self.line_text)
        self._parts: Any = None

    def close(self) -> None:
        self.disks.shutdown(wait=False, cancel_futures=True)
        self.pool.close()

    def dress(self, app: Flask) -> None:
        """Give the templates the words that they use."""
        app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}  # before it is made
        env = app.jinja_env
        env.filters.update(
            number=words.number,
            size=words.size,
            clock=words.clock,
            short=words.short,
            clean=words.clean,
            codec=words.codec,
            label=words.label,
            day=words.day,
            initials=words.initials,
            quoted=lambda text: quote(str(text), safe=""),
            tone=_tone,
            iso=words.iso,
        )
        env.globals.update(
            counted=words.counted,
            link=_link,
            since=_since,
            since_ms=lambda at_ms: words.ago(time.time() - at_ms / 1000),
            machine=socket.gethostname().partition(".")[0],
            style=_version("page.css"),
            script=_version("page.js"),
            web_audio=self.settings.web_audio,
            plays=lambda codec: codec in _PLAYED,
        )
        self._parts = env.get_template("_parts.html").module

    def change_items(self, lookup: Lookup, rows: list[report.ChangeRow]) -> list[str]:
        """Each change as an item of the feed."""
        return [str(self._parts.change(one)) for one in shown_changes(lookup, rows)]

    def line_text(self, line: Line) -> str:
        """The line as it stands on the first page."""
        return str(self._parts.line(line))


def _since(text: str) -> str:
    return words.ago(time.time() - words.moment(text).timestamp())


def _link(query: Mapping[str, object], **other: object) -> str:
    """The query of an address with other values; empty ones are left out."""
    return urlencode({key: value for key, value in {**query, **other}.items() if value != ""})


def _tone(name: str) -> int:
    """One of a few colours for something without a cover, always the same one."""
    text = fold(name[:100])
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=1).digest()[0] % _TONES


def _version(name: str) -> str:
    data = (HERE / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.blake2b(data, digest_size=6).hexdigest()}"


class ShownChange(Struct, frozen=True):
    """One change, in words."""

    row: report.ChangeRow
    title: str | None
    artist: str | None
    album_id: int | None
    """None: the track is not present."""

    @property
    def name(self) -> str:
        """The title, or the name of the file."""
        return self.title or self.row.path.rpartition("/")[2]

    @property
    def place(self) -> str:
        """Where the file is; of a move, where it came from, too."""
        here = f"{self.row.root}/{self.row.path}"
        if not self.row.changed_place:
            return here
        return f"{self.row.old_root}/{self.row.old_path} → {here}"


def shown_changes(lookup: Lookup, rows: Sequence[report.ChangeRow]) -> list[ShownChange]:
    """These changes in words, in this order."""
    ids = list(dict.fromkeys(row.track_id for row in rows))
    known = {track[0]: track for track in view_rows.rows(lookup.connection, ids)}
    return [_shown_change(row, known.get(row.track_id)) for row in rows]


def _shown_change(row: report.ChangeRow, track: tuple[object, ...] | None) -> ShownChange:
    if track is None:
        return ShownChange(row, None, None, None)
    title, artist, album_id = track[_TITLE], track[_ARTIST], track[_ALBUM]
    return ShownChange(
        row,
        None if title is None else str(title),
        None if artist is None else str(artist),
        album_id if isinstance(album_id, int) else None,
    )
