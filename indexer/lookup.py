"""One index, opened for reading: search, lists, status. No lock is taken, and no file is read.

A command that only asks imports no more than its answer needs: each method imports the rest late.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from indexer.closable import Closable
from indexer.results import report
from indexer.runs.lock import check_is_kept, is_replaced, lock_info
from indexer.store import changes
from indexer.store.beside import check_is_file
from indexer.store.changes import EVERYTHING, Choice
from indexer.store.connection import IndexConnection, check_exists, open_index
from indexer.store.sqlite_errors import explained

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.reports.duplicates import Duplicates
    from indexer.reports.measures import Measures
    from indexer.reports.retags import Retag, Summary
    from indexer.reports.status import Counts
    from indexer.results import status_report
    from indexer.settings import Settings
    from indexer.store.search.query import Question
    from indexer.store.search.results import Kind
    from indexer.store.search.vocabulary import Meant, Vocabulary

Stop = Callable[[], bool]
Note = Callable[[report.SearchNote], None]
_Found = TypeVar("_Found")
_FOLLOW_PAUSE_S: Final = 0.2
_RELEVANCE: Final = "relevance"


def never() -> bool:
    """Do not stop."""
    return False


class Lookup(Closable):
    """What an index answers. Use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = settings.db
        self._reader: IndexConnection | None = None
        self._inode = 0
        """Of the database that it has open."""
        self._contradictions: list[str] | None = None
        self._vocabulary: tuple[object, Vocabulary] | None = None

    @classmethod
    def open(cls, settings: Settings, *, create: bool = False) -> Self:
        """Open the index. Without `create`, raises DatabaseMissing if there is none."""
        check_is_file(settings.db)
        check_is_kept(settings.db)
        if not create:
            check_exists(settings.db)
        return cls(settings)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = self._vocabulary = None

    @property
    def database(self) -> Path:
        """The file of the index."""
        return self._database

    @property
    def connection(self) -> IndexConnection:
        """The connection for reading, opened when it is first used."""
        return self._reading()

    def status(self, counts: Counts | None = None) -> status_report.Status:
        """How it stands; with `counts` of a moment before all tracks are not counted again."""
        from indexer.reports.status import status

        with explained(self._database):
            return status(self._reading(), self._settings, lock_info(self._database), counts)

    def measures(self) -> Measures:
        """What `indexer metrics` tells."""
        from indexer.reports.measures import measures

        with explained(self._database):
            return measures(self._reading(), self._settings, lock_info(self._database))

    def roots(self) -> Iterator[status_report.RootStatus]:
        """The watched roots with their current state."""
        from indexer.reports.status import root_statuses

        with explained(self._database):
            yield from root_statuses(self._reading(), lock_info(self._database))

    def show(self, path: bytes) -> dict[str, object] | None:
        """All that the index has about one file, by path or id; None if it has nothing."""
        from indexer.reports import history, queries

        with explained(self._database):
            located = history.locate(self._reading(), path)
            if located is None:
                return None
            return queries.shown(self._reading(), located.root, located.path)

    def track(self, track_id: int) -> dict[str, object]:
        """The columns of the view `library` of a track, or those kept of one that is gone."""
        from indexer.reports import history, queries

        with explained(self._database):
            row = queries.track(self._reading(), track_id)
            return row or history.gone(self._reading(), b"%d" % track_id) or {}

    def track_at(self, root: str, path: bytes) -> dict[str, object]:
        """The columns of the view `library` of the track at a path; empty if there is none."""
        from indexer.reports import queries

        with explained(self._database):
            return queries.track_at(self._reading(), root, path) or {}

    def columns_of(self, view: str) -> tuple[str, ...]:
        """The columns of the view `albums` or `artists`."""
        from indexer.store import view_rows

        with explained(self._database):
            return view_rows.columns_of(self._reading(), view)

    def row_of(self, view: str, row_id: int) -> dict[str, object]:
        """One row of the view `albums` or `artists`; empty if there is none."""
        from indexer.store import view_rows

        with explained(self._database):
            return view_rows.row_of(self._reading(), view, row_id) or {}

    def problems(self) -> Iterator[report.ProblemRow]:
        """Everything that could not be read, by root and path."""
        from indexer.reports import queries

        with explained(self._database):
            yield from queries.problem_rows(self._reading())

    def playlists(self) -> Iterator[report.PlaylistRow]:
        """All playlists, by root and path."""
        from indexer.reports import queries

        with explained(self._database):
            yield from queries.playlist_rows(self._reading())

    def broken_items(self) -> Iterator[report.BrokenItem]:
        """All items of playlists that lead nowhere, by root, path and position."""
        from indexer.reports import queries

        with explained(self._database):
            yield from queries.broken_items(self._reading())

    def gone(self, path: bytes) -> dict[str, object] | None:
        """What stood at a path, or bore an id, and when it left; None if nothing is remembered.

        Beside tags, it has `missing_at`, or `moved_at` with `moved_to` (`root`, `path`).
        """
        from indexer.reports import history

        with explained(self._database):
            return history.gone(self._reading(), path)

    def why_unknown(self, path: bytes) -> str:
        """What is to be said of a path or an id where `show` and `gone` have nothing."""
        from indexer.reports import history

        with explained(self._database):
            return history.why_unknown(self._reading(), path)

    def why_no_change(self, under: bytes) -> str | None:
        """What is to be said of a path or an id of which no change was ever known; else None."""
        from indexer.reports import history

        with explained(self._database):
            return history.why_no_change(self._reading(), under)

    def changes(
        self, since: int = 0, choice: Choice = EVERYTHING, *, limit: int | None = None
    ) -> Iterator[report.ChangeRow]:
        """The chosen changes after a sequence number, `limit` at the most. Raises HistoryPruned."""
        from indexer.reports import queries

        with explained(self._database):
            yield from islice(queries.change_rows(self._reading(), since, choice), limit)

    def last_changes(self, count: int, choice: Choice = EVERYTHING) -> list[report.ChangeRow]:
        """The newest of the chosen changes, the oldest of them first."""
        from indexer.reports import queries

        with explained(self._database):
            return queries.last_change_rows(self._reading(), count, choice)

    def last_changes_of_album(
        self, count: int, track_ids: Collection[int], root: str, folder: bytes
    ) -> list[report.ChangeRow]:
        """The newest changes of an album's tracks and of those that moved out of its folder."""
        from indexer.reports import queries

        with explained(self._database):
            return queries.last_changes_of_album(self._reading(), count, track_ids, root, folder)

    def change_before(self, moment: datetime) -> tuple[int, bool]:
        """The sequence number after which the changes from this time on stand.

        And whether all of these are kept; else it is the number after which all are.
        """
        from indexer.reports import history

        with explained(self._database):
            return history.change_before(self._reading(), moment)

    def change_kept(self, when: int | datetime) -> int:
        """The last change before a moment. Raises HistoryPruned if the library then is not known.

        `when` may be the number of that change.
        """
        from indexer.reports import past

        with explained(self._database):
            return past.number_of(self._reading(), when)

    def check_is_reached(self, number: int) -> None:
        """Raise UsageError for a number that no change has yet."""
        from indexer.reports import past

        with explained(self._database):
            past.check_is_reached(self._reading(), number)

    def as_of(
        self,
        when: int | datetime,
        words: Sequence[str] = (),
        *,
        limit: int | None = None,
        note: Note | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The library as it was (`past.library_at`), on a connection of its own."""
        from indexer.reports import past

        with (
            explained(self._database),
            closing(
                open_index(self._database, write=False, busy_timeout_s=self._settings.busy_timeout)
            ) as connection,
        ):
            yield from past.library_at(connection, when, words, limit, note)

    def retags(self, after: int, until: int | None = None) -> Iterator[Retag]:
        """Which tags held what after one change, and after another (None: now)."""
        from indexer.reports import retags

        with explained(self._database):
            yield from retags.retags(self._reading(), after, until)

    def summary(self, after: int, until: int | None = None) -> Summary:
        """What happened after one change, up to another (None: now)."""
        from indexer.reports import retags

        with explained(self._database):
            return retags.summary(self._reading(), after, until)

    def duplicates(self, by: str, limit: int | None = None) -> Iterator[Duplicates]:
        """Tracks that are there several times, by `essence` or `recording`.

        Those come first of which most could be freed.
        """
        from indexer.reports import duplicates

        with explained(self._database):
            yield from islice(duplicates.duplicates(self._reading(), by), limit)

    def unheard(self) -> int:
        """How many tracks `duplicates` by essence says nothing of: an older version read them."""
        from indexer.reports import duplicates

        with explained(self._database):
            return duplicates.unheard(self._reading())

    def choice(self, kinds: Sequence[str], under: bytes | None) -> Choice:
        """The choice of changes of these kinds, below a path or of the track with this id."""
        if under is None:
            return Choice(tuple(kinds))
        from indexer.reports import history

        with explained(self._database):
            return history.choice(self._reading(), kinds, under)

    def follow(
        self, since: int | None, stop: Stop = never, choice: Choice = EVERYTHING, *, last: int = 10
    ) -> Iterator[report.ChangeRow]:
        """The chosen changes after a number, then each new one when it is committed, until `stop`.

        Without a number it begins with the newest, `last` of them.
        """
        from indexer.reports import queries

        with explained(self._database):
            if since is None:
                connection = self._reading()
                since = changes.newest(connection)
                for change in queries.last_change_rows(connection, last, choice):
                    since = max(since, change.seq)
                    yield change
            while not stop():
                connection = self._reading()
                version = connection.pragma("data_version")
                for change in queries.change_rows(connection, since, choice):
                    since = change.seq
                    yield change
                while (
                    self._reading() is connection
                    and connection.pragma("data_version") == version
                    and not stop()
                ):
                    time.sleep(_FOLLOW_PAUSE_S)

    def search(
        self,
        words: Sequence[str],
        *,
        of: str = "tracks",
        sort: str = _RELEVANCE,
        limit: int | None = 50,
        note: Note | None = None,
    ) -> Iterator[dict[str, object]]:
        """The tracks that match these words (see `store.search.query`); no words: all.

        `of` albums or artists: those of these tracks; their `tracks` counts the matching ones.
        Where no track has a word, those are found that have it as a part of one, or the likeliest
        correction; where none has all words, those with the most important ones. `note` is told
        of that before the first row, and of a limit that cut rows off.
        `sort` is relevance, artist, album, year, title, added, path or duration; a `-` before one
        of the last seven reverses it. Raises UsageError for any other, and for an unknown field.
        """
        from indexer.store.search.results import KINDS

        with explained(self._database):
            kind = KINDS[of]
            found = self._found(words, note, limit, kind, sort)
            yield from kind.rows(self._reading(), found)

    def _found(
        self,
        words: Sequence[str],
        note: Note | None,
        limit: int | None,
        kind: Kind[_Found],
        sort: str,
    ) -> Sequence[_Found]:
        """The answer to these words, or to what they may have meant."""
        from indexer.store.search.query import READ, parse

        connection = self._reading()
        typed = " ".join(words).rstrip()
        question = parse(typed)
        if note is not None and len(typed) > READ:
            note(report.SearchNote(unread=len(typed) - READ))
        found = kind.find(connection, question, sort, limit)
        if not found:
            question, found, told = self._otherwise(
                typed, question, lambda other: kind.find(connection, other, sort, limit)
            )
            if note is not None and (of_it := told()) is not None:
                note(of_it)
        if note is not None and limit is not None and len(found) == limit:
            total = kind.total(connection, question)
            if total > limit:
                note(report.SearchNote(total=total))
        return found

    def _otherwise(
        self, typed: str, question: Question, find: Callable[[Question], Sequence[_Found]]
    ) -> tuple[Question, Sequence[_Found], Callable[[], report.SearchNote | None]]:
        """What a question that finds nothing may mean, what that finds, and how to tell of it."""
        from indexer.store.search.query import rewritten
        from indexer.store.tag_sets import without_tracks

        instead: dict[str, str] = {}
        if (written := rewritten(typed)) is not None:
            other, instead = written[1], {typed: written[0]}
            if found := find(other):
                return other, found, lambda: report.SearchNote(instead=instead)
            for meant in self._meant(other) if self._has_unknown(other) else ():
                if found := find(meant.question):
                    return meant.question, found, partial(self._told_of, meant, instead)
        near: tuple[str, ...] = ()
        for meant in self._meant(question):
            if found := find(meant.question):
                return meant.question, found, partial(self._told_of, meant, {})
            near = meant.near
        absent = without_tracks(self._reading(), question.tags)
        return question, (), lambda: report.SearchNote(nearest=near, absent_tags=absent)

    def _meant(self, question: Question) -> Iterator[Meant]:
        """What a question may mean whose words no track has together; nothing if some have."""
        from indexer.store.search import full_text

        if question.wanted and not full_text.count(self._reading(), question):
            yield from self._words().meant(question)

    def _has_unknown(self, question: Question) -> bool:
        """Whether it asks for a word that no track has, or none in its field."""
        from indexer.store.search import full_text

        there = partial(full_text.occurs, self._reading())
        return not all(any(map(there, group)) for group in question.wanted)

    def _told_of(self, meant: Meant, instead: dict[str, str]) -> report.SearchNote | None:
        shown = instead | self._taken(meant)
        return report.SearchNote(instead=shown) if shown else None

    def _taken(self, meant: Meant) -> dict[str, str]:
        """What was taken for which typed word, as the best track has it."""
        if not (meant.instead or meant.mistyped):
            return {}
        from indexer.store.search.results import some_names
        from indexer.store.search.vocabulary import as_written

        names = some_names(self._reading(), meant.question)
        return {
            typed: " ".join(as_written(word, names) for word in one.split())
            for typed, one in meant.taken(names).items()
        }

    def _words(self) -> Vocabulary:
        """The words of the full text, read again after a change."""
        from indexer.store.search.vocabulary import Vocabulary

        connection = self._reading()
        version = connection.pragma("data_version")
        if self._vocabulary is None or self._vocabulary[0] != version:
            self._vocabulary = None  # so that two are never in memory
            self._vocabulary = version, Vocabulary(connection)
        return self._vocabulary[1]

    def new(self, since: datetime, limit: int | None = None) -> Iterator[dict[str, object]]:
        """The tracks that came into the index since then, the newest first."""
        from indexer.store import browse
        from indexer.store.view_rows import library_rows

        with explained(self._database):
            ids = browse.new_tracks(self._reading(), report.unix_ms(since), limit)
            yield from library_rows(self._reading(), ids)

    def new_albums(self, since: datetime, limit: int | None = None) -> Iterator[dict[str, object]]:
        """The albums of those tracks; `tracks` counts the new ones."""
        from indexer.store import browse

        with explained(self._database):
            for row in browse.new_albums(self._reading(), report.unix_ms(since), limit):
                yield dict(zip(browse.NEW_ALBUM_COLUMNS, row, strict=True))

    def count_new(self, since: datetime, *, albums: bool = False) -> int:
        """How many of them there are in all."""
        from indexer.store import browse

        with explained(self._database):
            return browse.count_of_new(self._reading(), report.unix_ms(since), of_albums=albums)

    def last_added(self) -> datetime | None:
        """When the last track came into the index; None if it has none."""
        from indexer.store import browse

        with explained(self._database):
            at = browse.last_added(self._reading())
            return None if at is None else datetime.fromtimestamp(at / 1000).astimezone()

    def contradictions(self) -> list[str]:
        """What the settings say of roots that the index knows otherwise, one line each.

        After a run, as it was then: a connection for reading only would leave the log behind.
        """
        if self._contradictions is not None:
            return self._contradictions
        if not (self._settings.roots or self._settings.polled or self._settings.hooks):
            return []
        from indexer.roots.registry import contradictions
        from indexer.store import roots

        with explained(self._database):
            return contradictions(roots.watched(self._reading()), self._settings)

    def root_paths(self) -> dict[str, bytes]:
        """Name -> path of the watched roots; the path of a track is relative to its root."""
        from indexer.store import roots

        with explained(self._database):
            return {root.name: root.path for root in roots.watched(self._reading())}

    def _reading(self) -> IndexConnection:
        """The connection, opened anew where it would never see again what others write."""
        self._close_if_lost()
        if self._reader is None:
            self._reader = open_index(
                self._database, write=False, busy_timeout_s=self._settings.busy_timeout
            )
            self._inode = os.stat(self._database).st_ino
        return self._reader

    def _close_if_lost(self) -> None:
        """Close the index where another file has its name, or SQLite's beside it were deleted.

        What else this process opens would take over what it has of the log.
        """
        if self._reader is None:
            return
        if self._reader.has_lost_log or is_replaced(self._database, self._inode):
            check_is_kept(self._database)  # a daemon writes first what it alone has
            self._reader.close()
            self._reader = self._vocabulary = None
