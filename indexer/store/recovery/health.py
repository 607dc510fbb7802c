"""An index -> the damage that SQLite and the index's own rules can detect.

SQLite's pages have no checksum, so a changed letter in a title is not detected. What is detected: a
broken file structure, rows that no version of this program writes, and any derived data (full text,
artists, albums, genres, indexes, the view) that disagrees with the rows of `tracks`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

import apsw

from indexer import paths
from indexer.model import ProblemKind
from indexer.store import catalog, former, schema, tag_sets
from indexer.store.recovery import values
from indexer.store.recovery.damage import RULES, Damage, Part
from indexer.store.schema import musicbrainz_ids
from indexer.store.schema.views import OTHER_VIEWS, SHOWN_PATH_OF_TRACKS
from indexer.store.search import index_check, index_rows
from indexer.store.statements import (
    CORRUPT,
    UNREADABLE,
    Connection,
    end_reading,
    select,
    select_value,
)
from indexer.store.work import pending, scans

_MOST_SHOWN: Final = 20
"""Maximum messages of one kind; a damaged page causes hundreds. A guess."""
_QUICK: Final = f"PRAGMA quick_check({_MOST_SHOWN})"
_WHOLE: Final = f"PRAGMA integrity_check({_MOST_SHOWN})"
_OF_INDEX: Final = re.compile(
    r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index"
    r"|values? of index .* out of order|row not in PRIMARY KEY order"
    r"|rowid not at end-of-record for row \d+ of index"
)
_OF_FULL_TEXT: Final = re.compile(r"fts5|FTS5 table|track_search")
_OF_VALUE: Final = re.compile(r"(?:NULL|NUMERIC|TEXT|BLOB|INT|REAL|non-\w+) value in (\w+)\.")

_CATALOG_TABLES: Final = frozenset(
    {
        "catalog_albums",
        "catalog_artists",
        "genres",
        "catalog_track_artists",
        "track_genres",
        "tag_words",
    }
)
_OBJECTS: Final = "SELECT type, name, sql FROM sqlite_schema"
_FOREIGN_KEYS: Final = "PRAGMA foreign_key_check"
_PROBLEM_KINDS: Final = "SELECT DISTINCT kind FROM problems"
_PENDING_NAMES: Final = "SELECT names FROM pending WHERE names IS NOT NULL"
_BEFORE: Final = "SELECT before FROM changes WHERE before IS NOT NULL"
_SCANS: Final = "SELECT roots, counts FROM scans"
_VIEWS: Final = {
    "library": schema.LIBRARY_COLUMNS, "recent": schema.LIBRARY_COLUMNS, **OTHER_VIEWS
}  # fmt: skip

_TEXTS: Final = f"""
SELECT id, concat_ws(char(0), title, artist, albumartist, album, genre, date, composer, comment,
    bpm, isrc, label, mb_trackid, {", ".join(map(musicbrainz_ids.shown, musicbrainz_ids.COLUMNS))},
    replaygain_track_gain, replaygain_track_peak, replaygain_album_gain, replaygain_album_peak,
    codec, several, CASE path_is_text WHEN 1 THEN CAST(path AS TEXT) END) FROM tracks
"""  # noqa: S608 - our own names
_OTHER_TEXTS: Final = (
    "SELECT name, CASE path_is_text WHEN 1 THEN CAST(path AS TEXT) END FROM roots",
    "SELECT uuid, fsid, fs_type, source FROM disks",
    "SELECT kind, reason FROM problems",
    "SELECT mime, CASE path_is_text WHEN 1 THEN CAST(folder || name AS TEXT) END FROM pictures",
    "SELECT mime FROM track_pictures",
    "SELECT flaw FROM scrubs WHERE flaw IS NOT NULL",
    """
SELECT stem, title, CASE path_is_text WHEN 1 THEN CAST(folder || name AS TEXT) END
 FROM playlist_files
""",
    "SELECT path FROM playlist_entries",
    "SELECT kind, source FROM artwork_choices",
    "SELECT kind FROM artwork_due",
    "SELECT name FROM catalog_artists",
    "SELECT name FROM genres",
    "SELECT title, albumartist FROM catalog_albums",
    "SELECT state, kind, roots, counts FROM scans",
    "SELECT token FROM identity",
    "SELECT name, value FROM tag_values",
    "SELECT name, words FROM tag_words",
)
_NOT_TEXTS: Final = f"""
SELECT path FROM roots WHERE path_is_text = 0
UNION ALL SELECT tracks.path FROM roots CROSS JOIN tracks
    ON tracks.root_id = roots.id AND {SHOWN_PATH_OF_TRACKS} >= x''
"""  # noqa: S608 - our own names
_CHANGE_TEXTS: Final = "SELECT kind, root, path, old_root, old_path FROM changes"


def check(connection: Connection, *, deep: bool, without: Collection[int] = ()) -> list[Damage]:
    """All damage found in one snapshot; nothing is written.

    Names and words of the tracks `without` are not compared: their rows are known to be wrong.

    `deep` also compares every index with its table, and every word with its track.
    Measured with 100 000 tracks, cached: 1.1 s, deep 3.1 s. Raises what SQLite raises of a
    database that cannot be read for a reason other than damage.
    """
    begun = False
    try:
        if not connection.in_transaction:
            connection.execute("BEGIN")
            begun = True
        return _check(connection, deep=deep, without=without)
    except UNREADABLE as error:
        return [Damage(Part.FILE, str(error))]
    except (TypeError, ValueError, AttributeError) as error:  # from invalid values
        return [Damage(Part.FILE, f"rows hold invalid values: {error}")]
    finally:
        if begun:
            end_reading(connection)


def _check(connection: Connection, *, deep: bool, without: Collection[int]) -> list[Damage]:
    found = list(_of_schema(connection))
    if any(one.part is Part.FILE for one in found):
        return found
    found.extend(_of_structure(connection, deep=deep))
    found.extend(_of_values(connection))
    for part, what, question in RULES:
        found.extend(_broken(connection, part, what, question))
    found.extend(_of_work(connection))
    found.extend(_of_sidecars(connection))
    found.extend(_of_views(connection))
    found.extend(_of_foreign_keys(connection))
    found.extend(_of_texts(connection, deep=deep))
    found.extend(_of_links(connection, without))
    found.extend(_of_tags(connection))
    if deep:
        found.extend(_of_history(connection))
    if deep and not any(one.part is Part.FULL_TEXT for one in found):
        found.extend(_of_words(connection, without))
    return list(dict.fromkeys(found))


def _broken(connection: Connection, part: Part, what: str, question: str) -> Iterator[Damage]:
    try:
        times = select_value(connection, question)
    except UNREADABLE as error:
        yield Damage(part, f"{what}? This cannot be checked: {error}")
    else:
        if times:
            yield Damage(part, f"{what} ({times})")


class Made(NamedTuple):
    """A table, index or view, as in `sqlite_schema`."""

    kind: str
    name: str
    sql: str

    @property
    def part(self) -> Part:
        if self.name.startswith("track_search"):
            return Part.FULL_TEXT
        if self.kind == "view":
            return Part.VIEW
        if self.kind == "index":
            return Part.INDEX
        return Part.CATALOG if self.name in _CATALOG_TABLES else Part.FILE

    @property
    def is_shadow(self) -> bool:
        """Whether it is created by FTS5."""
        return self.name.startswith("track_search_")

    def equals(self, other: Made | None) -> bool:
        """Whether both have the same SQL text."""
        return other is not None and self.sql.split() == other.sql.split()


def objects_made() -> dict[str, Made]:
    """The objects of a new index by name, without those that SQLite creates itself."""
    fresh = Connection(":memory:")
    try:
        for _, script in schema.MIGRATIONS:
            for statement in schema.statements(script):
                fresh.execute(statement)
        return objects_of(fresh)
    finally:
        fresh.close()


def objects_of(connection: Connection) -> dict[str, Made]:
    return {
        name: Made(kind, name, text)
        for kind, name, text in select(connection, _OBJECTS)
        if text is not None
    }


def _of_schema(connection: Connection) -> Iterator[Damage]:
    there = objects_of(connection)
    for name, made in objects_made().items():
        if not made.equals(there.get(name)):
            state = "has another definition" if name in there else "is missing"
            yield Damage(made.part, f"{made.kind} {name} {state}")


def _of_structure(connection: Connection, *, deep: bool) -> Iterator[Damage]:
    """SQLite's own check; for a virtual table it runs the integrity check of FTS5."""
    roots: dict[str, str] = {}
    try:
        for (line,) in select(connection, _WHOLE if deep else _QUICK):
            for text in str(line).splitlines():
                if text == "ok" or text.startswith("*** in database"):
                    continue
                roots = roots or _root_pages(connection)
                yield Damage(_part_of_complaint(text), _with_name(text, roots))
    except UNREADABLE as error:
        yield Damage(_part_of_complaint(str(error)), str(error))


def _part_of_complaint(text: str) -> Part:
    if _OF_INDEX.search(text):
        return Part.INDEX
    if _OF_FULL_TEXT.search(text):
        return Part.FULL_TEXT
    value = _OF_VALUE.match(text)
    if value is not None and value[1] in _CATALOG_TABLES:
        return Part.CATALOG
    return Part.FILE


def _root_pages(connection: Connection) -> dict[str, str]:
    try:
        rows = select(connection, "SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0")
        return {str(page): name for page, name in rows}
    except UNREADABLE:
        return {}


def _with_name(text: str, roots: dict[str, str]) -> str:
    tree = re.match(r"Tree (\d+) ", text)
    name = None if tree is None else roots.get(tree[1])
    return text if name is None else f"{text} (in {name})"


def _of_values(connection: Connection) -> Iterator[Damage]:
    """Values that the declarations of their columns exclude: SQLite takes nearly any."""
    for made in objects_made().values():
        if made.kind != "table" or made.part is Part.FULL_TEXT:
            continue
        question = values.count_of_wrong(connection, made.name)
        if question is not None:
            of_catalog = made.name in _CATALOG_TABLES or made.name == "artwork_choices"
            part = Part.CATALOG if of_catalog else Part.FILE
            yield from _broken(
                connection, part, f"rows of {made.name} hold values of another kind", question
            )


def _of_work(connection: Connection) -> Iterator[Damage]:
    """Values that only this program can read: names in `pending`, kinds of problems, counts."""
    try:
        names = [row[0] for row in select(connection, _PENDING_NAMES)]
        kinds = {kind for (kind,) in select(connection, _PROBLEM_KINDS)}
        runs = list(select(connection, _SCANS))
    except UNREADABLE as error:
        yield Damage(Part.FILE, str(error))
        return
    if unread := sum(not pending.is_readable(one) for one in names):
        yield Damage(Part.FILE, f"rows of pending cannot be read ({unread})")
    if strange := kinds - {str(kind) for kind in ProblemKind}:
        yield Damage(Part.FILE, f"problems are of unknown kinds: {strange}")
    if unread := sum(not scans.is_readable(*one) for one in runs):
        yield Damage(Part.FILE, f"rows of scans cannot be read ({unread})")


def _of_history(connection: Connection) -> Iterator[Damage]:
    """What changes tell of what was there before."""
    try:
        unread = sum(not former.is_readable(text) for (text,) in select(connection, _BEFORE))
    except UNREADABLE as error:
        yield Damage(Part.FILE, str(error))
        return
    if unread:
        yield Damage(Part.FILE, f"rows of changes tell what cannot be read ({unread})")


def _of_sidecars(connection: Connection) -> Iterator[Damage]:
    """Names that no picture, playlist or file of lyrics has: their suffix tells what they are."""
    try:
        counted = Counter(table for table, _ in values.strange_sidecars(connection))
    except UNREADABLE as error:
        yield Damage(Part.FILE, str(error))
        return
    for table, times in counted.items():
        yield Damage(Part.FILE, f"rows of {table} have names of other files ({times})")


def _of_views(connection: Connection) -> Iterator[Damage]:
    for view, columns in _VIEWS.items():
        yield from _of_view(connection, view, columns)


def _of_view(connection: Connection, view: str, columns: tuple[str, ...]) -> Iterator[Damage]:
    statement = f"SELECT * FROM {view} LIMIT 1"  # noqa: S608 - our own names
    try:
        cursor = connection.execute(statement)
        names = tuple(column for column, *_ in cursor.get_description())
        cursor.close()
    except apsw.ExecutionCompleteError:
        return  # without a row apsw has no columns
    except CORRUPT as error:
        yield Damage(Part.FILE, str(error))
    except UNREADABLE as error:
        yield Damage(Part.VIEW, f"the view {view} cannot be read: {error}")
    else:
        if names != columns:
            yield Damage(Part.VIEW, f"the view {view} has other columns")


def _of_foreign_keys(connection: Connection) -> Iterator[Damage]:
    counted: dict[tuple[str, str], int] = {}
    try:
        for table, _, parent, _ in select(connection, _FOREIGN_KEYS):
            counted[table, parent] = counted.get((table, parent), 0) + 1
    except UNREADABLE as error:
        yield Damage(Part.FILE, f"foreign keys cannot be checked: {error}")
    for (table, parent), times in counted.items():
        of_catalog = table in _CATALOG_TABLES or parent in _CATALOG_TABLES
        part = Part.CATALOG if of_catalog else Part.FILE
        yield Damage(part, f"rows of {table} refer to missing rows of {parent} ({times})")


def _of_texts(connection: Connection, *, deep: bool) -> Iterator[Damage]:
    """Find texts that are not UTF-8: SQLite returns them unchanged, and apsw raises."""
    for statement in (_TEXTS, *_OTHER_TEXTS, *((_CHANGE_TEXTS,) if deep else ())):
        try:
            for _ in connection.execute(statement):
                pass
        except UnicodeDecodeError as error:
            table = statement.split(" FROM ")[1].split()[0]
            part = Part.CATALOG if table in _CATALOG_TABLES else Part.FILE
            yield Damage(part, f"a text in {table} is not UTF-8: {error}")
        except UNREADABLE as error:
            yield Damage(Part.FILE, str(error))
    try:
        wrong = sum(paths.fits_utf8(path) for (path,) in select(connection, _NOT_TEXTS))
    except UNREADABLE as error:
        yield Damage(Part.FILE, str(error))
    else:
        if wrong:
            yield Damage(Part.FILE, f"paths that are UTF-8 are not marked so ({wrong})")


def _of_links(connection: Connection, without: Collection[int]) -> Iterator[Damage]:
    """Compare the names linked to each track with those in its row."""
    try:
        wrong = catalog.count_wrong_links(connection, without)
    except UNREADABLE as error:
        yield Damage(Part.CATALOG, f"artists and genres cannot be compared with tracks: {error}")
        return
    if wrong:
        yield Damage(Part.CATALOG, f"tracks are linked to wrong artists or genres ({wrong})")


def _of_tags(connection: Connection) -> Iterator[Damage]:
    """Compare the sets of further tags with their checksums and their words.

    Words of another version are made again by the next change.
    """
    wrong_words = 0
    try:
        wrong_sets = tag_sets.count_wrong_sets(connection)
        if not wrong_sets and index_rows.is_current(connection):
            wrong_words = tag_sets.count_wrong_words(connection)
    except (*UNREADABLE, TypeError, AttributeError) as error:
        yield Damage(Part.FILE, f"further tags cannot be checked: {error}")
        return
    if wrong_sets:
        yield Damage(Part.FILE, f"sets of further tags have other values ({wrong_sets})")
    if wrong_words:
        yield Damage(Part.CATALOG, f"words of further tags are wrong ({wrong_words})")


def _of_words(connection: Connection, without: Collection[int]) -> Iterator[Damage]:
    """Compare each word with its track. Those of another version are made again by a change."""
    try:
        if not index_rows.is_current(connection):
            return
        wrong = index_check.count_wrong_words(connection, without)
    except UNREADABLE as error:
        yield Damage(Part.FULL_TEXT, f"the full text cannot be compared with tracks: {error}")
        return
    if wrong:
        yield Damage(Part.FULL_TEXT, f"words refer to wrong tracks ({wrong})")
