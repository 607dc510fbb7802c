from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import indexer
from indexer.errors import UsageError
from indexer.library import Library
from indexer.model import Track
from indexer.results.report import SearchNote
from indexer.settings import Settings
from indexer.store.connection import open_index
from indexer.store.search.folding import fold, of_symbols
from indexer.web.finding import find
from tests.rows import MadeUp
from tests.trees import faults

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
"""Texts of tags, without lone surrogates, which the store never gets."""
NAMES = TEXT | st.text("aé ßøΣİ!&-:\"'東か ｶﾞ가\u0301\u00ad\x00", min_size=1, max_size=12)
TERMS = st.lists(
    st.sampled_from(
        ["and", "&", "und", "y", "OR", "OR", "x", "-x", "-and", '"and"', "80s", "added:7d", "!",
         "the", "zzz", "qqqq", "1974", "flac", "27/2", "kv5", "東京x", "-",
         "added:1970..", "has:cover", "missing:year", "path:x", "title:and", "tag:mood=x",
         "artist: zzz", "title=zzz", "year > 1970", "zz-x", "zzz/zzz_x", "h20", "forty", "one",
         "2zzz", "z", "zz", "live", "title:zzz", "year:1999-1990", "NOT", "NEAR(", '"', "(zzz)"]
    ), max_size=6,
).map(" ".join)  # fmt: skip
TYPED = TERMS | st.text() | st.lists(
    st.sampled_from(
        ["artist:", "year:", "codec:", "title:", "-", '"', "1990", "-1999", "x", "ß", "東京", "!",
         " ", "*", "^", "{", ")", "AND", "NOT", "NEAR(", ":", "+", "'", ";", "\ud800", "\x00"]
    )
).map("".join)  # fmt: skip
SORTS = st.sampled_from(["relevance", "artist", "-year", "path"])


class Shelf:
    """An index to which a track is added temporarily, beside a permanent one."""

    def __init__(self, library: Library, rows: MadeUp) -> None:
        self.library = library
        self.rows = rows
        rows.add((b"other/other.mp3", Track(codec="flac", title="zzz", album="zzz")))
        self._count = 0

    def add(self, track: Track) -> int:
        self._count += 1
        return self.rows.add((b"some/%d.mp3" % self._count, track))[0]

    def finds(self, typed: str) -> list[object]:
        return [row["id"] for row in self.library.search([typed])]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """An index that is checked for consistency after all tests."""
    path: Path = tmp_path_factory.mktemp("search") / "library.db"
    connection = open_index(path, write=True)
    with Library(Settings(db=path)) as library:
        yield Shelf(library, MadeUp(connection))
        assert faults(library) == []
    connection.close()


@given(TEXT)
@example("\u1fb3\u0345İŉﬃ½™")
def test_folded_text_is_folded(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)


@given(typed=TYPED, sort=SORTS)
@example(typed="and OR x", sort="relevance")
@example(typed="and x 80s", sort="relevance")
@example(typed="codec:\ud800", sort="relevance")
def test_anything_may_be_typed(shelf: Shelf, typed: str, sort: str) -> None:
    for kind in ("tracks", "albums"):
        with suppress(UsageError):  # a field that there is not, or a value that it cannot have
            list(shelf.library.search([typed], of=kind, sort=sort))
    with suppress(UsageError):
        list(shelf.library.search([typed], of="artists"))


@given(typed=TYPED)
@example(typed='zzz OR "" live')
@example(typed="artist: zzz live")
@example(typed="z z z")
def test_command_package_and_page_answer_alike(shelf: Shelf, typed: str) -> None:
    notes: list[SearchNote] = []
    with indexer.open(shelf.library.database) as index:
        command, package, page = (
            _answer(ask)
            for ask in (
                lambda: [row["id"] for row in shelf.library.search([typed], note=notes.append)],
                lambda: [track.id for track in index.search(typed)],
                lambda: [row["id"] for row in find(shelf.library, typed).tracks],
            )
        )
    assert command == package == page
    assert command != [] or notes, "nothing is said of why nothing is found"


def _answer(ask: Callable[[], Sequence[object]]) -> Sequence[object] | None:
    """The ids of what is found; None for wrong use."""
    try:
        return ask()
    except UsageError:
        return None


@given(title=NAMES, artist=NAMES, album=NAMES, genre=NAMES)
def test_a_track_is_found_by_each_of_its_words_and_not_without_it(
    shelf: Shelf, title: str, artist: str, album: str, genre: str
) -> None:
    texts = {"title": title, "artist": artist, "album": album, "genre": genre}
    track_id = shelf.add(
        Track(codec="mp3", title=title, artists=(artist,), album=album, genres=(genre,))
    )
    try:
        for field, text in texts.items():
            for word in _words(text):
                assert track_id in shelf.finds(f'"{word}"'), word
                assert track_id in shelf.finds(f'{field}:"{word}"'), word
                assert track_id not in shelf.finds(f'-"{word}"'), word
                assert track_id not in shelf.finds(f'-{field}:"{word}"'), word
            folded = fold(text).split()
            if folded and fold(folded[-1][:1]) == folded[-1][:1]:  # not a sign for a word
                assert track_id in shelf.finds(folded[-1][:1]), folded
    finally:
        shelf.rows.take_out([track_id])
    assert track_id not in shelf.finds("")


def _words(text: str) -> list[str]:
    """Its words, unfolded and folded; symbols only if the text has nothing else."""
    written = text.replace('"', " ").split()
    folded = fold(text).split()
    words = [word for word in written if fold(word) and not of_symbols(fold(word))]
    return [*(word for word in words if set(fold(word).split()) <= set(folded)), *folded]
