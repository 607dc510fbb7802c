"""A tree as a literal -> files on the disk; helpers for made-up rows and for reading the index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from indexer.library import Library
from indexer.model import Entry, IndexedFile, RowState, Stamp
from indexer.results.report import ChangeRow
from indexer.store.connection import Connection, select
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.search import index_rows
from indexer.walk import Found, Listed, Run, Unlisted, Unseen, entries_of
from tests.corpus import Value, noise, tagged

Name = str | bytes
Plant = Callable[[dict[Any, bytes | None]], None]
BAD: Final = noise(600)
"""Content that no reader accepts."""


def song(
    title: str = "Jóga", artist: Value = "Björk", album: str = "Homogenic", **tags: Value
) -> bytes:
    """An MP3 file. Texts of equal length make files of equal size."""
    texts: dict[str, Any] = {"title": title, "artist": artist, "album": album, **tags}
    return tagged(".mp3", **texts)


def stamp(number: int = 1, *, size: int = 100, inode: int | None = None) -> Stamp:
    """A made-up stamp: equal numbers are equal stamps."""
    return Stamp(size, number, number, number if inode is None else inode)


def entry(path: bytes, number: int = 1, *, special: str | None = None) -> Entry:
    """A made-up file in a listing."""
    return Entry(path, stamp(number), 1, special)


def known(
    path: bytes,
    number: int = 1,
    *,
    track_id: int = 1,
    place: RowState = RowState.PRESENT,
    reader_version: int = 1,
    scan_id: int = 0,
    added_at: int | None = 1,
    missing_at: int | None = None,
) -> IndexedFile:
    """A made-up row of root 1, which has disk 1."""
    return IndexedFile(
        track_id, 1, path, stamp(number), place, 1, scan_id, reader_version, added_at, missing_at
    )


def at(root: Path, name: Name) -> bytes:
    """The path on the disk of a name of a tree."""
    return os.path.join(os.fsencode(root), os.fsencode(name))


def put(root: Path, name: Name, content: bytes) -> None:
    """Overwrite a file in place, as tag editors do."""
    with open(at(root, name), "r+b") as file:
        file.write(content)
        file.truncate()


def put_in_disguise(root: Path, name: Name, content: bytes) -> None:
    """Overwrite a file with as many bytes, and restore its mtime."""
    path = at(root, name)
    before = os.stat(path)
    assert len(content) == before.st_size
    put(root, name, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_in_place_of(root: Path, name: Name, content: bytes) -> None:
    """Write another file and rename it over this one, as careful tag editors do."""
    aside = at(root, ".aside")
    with open(aside, "xb") as file:
        file.write(content)
    os.rename(aside, at(root, name))


def swap(root: Path, one: Name, other: Name) -> None:
    aside = at(root, ".aside")
    os.rename(at(root, one), aside)
    os.rename(at(root, other), at(root, one))
    os.rename(aside, at(root, other))


def ask(library: Library, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The result of a query to the index."""
    return list(select(library._reading(), statement, values))


def titles(library: Library) -> dict[Name, str]:
    """The view: path -> title."""
    return dict(ask(library, "SELECT path, title FROM library"))


def ids(library: Library) -> dict[Name, int]:
    """The view: path -> id."""
    return dict(ask(library, "SELECT path, id FROM library"))


def shown(library: Library, path: Name) -> dict[str, Any]:
    """One row of the view by column."""
    (row,) = ask(library, "SELECT * FROM library WHERE path = ?", path)
    return dict(zip(LIBRARY_COLUMNS, row, strict=True))


def told(library: Library, since: int = 0) -> list[tuple[str, str]]:
    """The feed after a sequence number, as kinds and paths."""
    return [(change.kind, change.path) for change in library.changes(since)]


def newest_change(library: Library) -> int:
    """The newest sequence number, to get later changes."""
    return int(ask(library, "SELECT coalesce(max(seq), 0) FROM changes")[0][0])


def replayed(changes: Iterable[ChangeRow]) -> dict[int, tuple[str, str, object]]:
    """The state of a program that only follows the feed: id -> root and path of present tracks.

    Fails if a change contradicts the earlier ones.
    """
    present: dict[int, tuple[str, str, object]] = {}
    met: set[int] = set()
    for change in changes:
        place = (change.root, change.path, change.path_b64)
        match change.kind:
            case "added":
                assert change.track_id not in met, f"added twice: {change}"
                present[change.track_id] = place
            case "returned":
                assert change.track_id in met - present.keys(), f"it never left: {change}"
                present[change.track_id] = place
            case "moved":
                old = (change.old_root, change.old_path, change.old_path_b64)
                assert present[change.track_id] == old, f"it was not there: {change}"
                present[change.track_id] = place
            case "modified":
                assert present[change.track_id] == place, f"it is elsewhere: {change}"
            case _:
                assert change.track_id in present, f"it was not there: {change}"
                del present[change.track_id]
        met.add(change.track_id)
    return present


def dump(library: Library) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, except `scans` and the counter of its ids."""
    named = ask(library, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    rows = {name: ask(library, f'SELECT * FROM "{name}"') for (name,) in named if name != "scans"}
    rows["sqlite_sequence"] = [row for row in rows["sqlite_sequence"] if row[0] != "scans"]
    return rows


_FAULTS: Final = {
    "an artist without tracks": """
        SELECT name FROM catalog_artists WHERE id NOT IN (SELECT artist_id FROM track_artists)""",
    "a genre without tracks": """
        SELECT name FROM genres WHERE id NOT IN (SELECT genre_id FROM track_genres)""",
    "an album without tracks": """
        SELECT title FROM catalog_albums
        WHERE id NOT IN (SELECT album_id FROM tracks WHERE album_id IS NOT NULL)""",
    "a link of a track that is not in the view": """
        SELECT track_id FROM (SELECT track_id FROM track_artists
            UNION SELECT track_id FROM track_genres)
        WHERE track_id NOT IN (SELECT id FROM library)""",
    "a track of the view without an album": """
        SELECT id FROM tracks WHERE place = 0 AND album_id IS NULL""",
    "an album of a track that is not in the view": """
        SELECT id FROM tracks WHERE place <> 0 AND album_id IS NOT NULL""",
    "an artist text that is not its links joined": """
        SELECT id, artist FROM library WHERE artist IS NOT (
            SELECT group_concat(said, '; ') FROM (
                SELECT coalesce(spelling, key, name) AS said FROM track_artists
                JOIN catalog_artists ON catalog_artists.id = artist_id
                WHERE track_id = library.id AND role = 'artist' ORDER BY position))""",
    "a genre text that is not its links joined": """
        SELECT id, genre FROM library WHERE genre IS NOT (
            SELECT group_concat(said, '; ') FROM (
                SELECT coalesce(spelling, key, name) AS said FROM track_genres
                JOIN genres ON genres.id = genre_id
                WHERE track_id = library.id ORDER BY position))""",
    "an artist that is not named as most of its tracks name it": """
        SELECT id, name FROM catalog_artists WHERE name IS NOT (
            SELECT coalesce(spelling, catalog_artists.key, catalog_artists.name) AS said
            FROM track_artists WHERE artist_id = catalog_artists.id
            GROUP BY said ORDER BY count(DISTINCT track_id) DESC, said LIMIT 1)""",
    "an album that is not named as most of its tracks name it": """
        SELECT id, title, albumartist FROM catalog_albums WHERE (title, albumartist) IS NOT (
            SELECT album, tracks.albumartist FROM tracks WHERE album_id = catalog_albums.id
            GROUP BY album, tracks.albumartist
            ORDER BY count(*) DESC, album, tracks.albumartist LIMIT 1)""",
    "a refused file without a problem": """
        SELECT id, path FROM tracks WHERE place = 2 AND NOT EXISTS (SELECT 1 FROM problems
            WHERE problems.root_id = tracks.root_id AND problems.path = tracks.path)""",
}


def faults(library: Library) -> list[str]:
    """Violated invariants, found in a copy of the index."""
    copy = apsw.Connection(":memory:")
    with copy.backup("main", library._reading(), "main") as backup:
        backup.step()
    found = [
        f"{fault}: {row}" for fault, statement in _FAULTS.items() for row in select(copy, statement)
    ]
    for (word,) in select(copy, "PRAGMA integrity_check"):
        if word != "ok":
            found.append(word)
    try:
        copy.execute("INSERT INTO track_search (track_search, rank) VALUES ('integrity-check', 1)")
    except apsw.CorruptError as error:
        found.append(f"full text: {error}")
    before = _words(copy)
    copy.execute("INSERT INTO track_search (track_search) VALUES ('delete-all')")
    index_rows.add_all(copy, index_rows.texts_in_rows(copy))
    found += [f"full text: {word}" for word in sorted(before ^ _words(copy))]
    copy.close()
    return found


def _words(connection: Connection) -> set[tuple[Any, ...]]:
    """Every word of the full-text index with its positions."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.words "
        "USING fts5vocab (main, track_search, instance)"
    )
    return set(select(connection, "SELECT term, doc, col, offset FROM temp.words"))


def entries(found: Iterable[Found]) -> Iterator[Entry | Listed | Unlisted | Unseen]:
    """The items of a walk, each file by itself."""
    for item in found:
        if isinstance(item, Run):
            yield from entries_of(item.files)
        else:
            yield item


def assert_settled(library: Library) -> None:
    """Nothing is to be read again, and all tags are those of the disk."""
    again = library.scan()
    assert (again.files_read, again.unchanged, again.pending) == (0, again.seen, 0)
    verdict = library.verify(deep=True)
    assert verdict.ok, verdict.differences
    assert faults(library) == []
