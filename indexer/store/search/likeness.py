"""A name, or the names of a track -> how well they are what a question asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from indexer.store.search.folding import fold
from indexer.store.search.query import Question, Words
from indexer.store.search.spellings import searchable

EXACT: Final = 2
ALL: Final = 1


class Likeness:
    """Compares names with the free words of one question."""

    def __init__(self, question: Question) -> None:
        self._free = question.free
        texts = [one.text for one in self._free]
        self._phrases = {" ".join(texts), "".join(texts)}
        if len(self._free) == 1:
            self._phrases.update(self._free[0].others)
        self._phrases.discard("")

    def of_name(self, name: str | None) -> int:
        """2 for a name that is what was asked for, 1 for one with all its words, 0 for another."""
        if not name or not self._phrases:
            return 0
        if not self._phrases.isdisjoint(_spelled(name)):
            return EXACT
        return ALL if self._has_all([name]) else 0

    def of_track(self, album: str | None, *names: str | None) -> int:
        """The same for a track: 2 if one of its names is what was asked for.

        Its names are title, artist and album artist.
        """
        if any(self.of_name(name) == EXACT for name in names):
            return EXACT
        return ALL if self._has_all([name for name in (album, *names) if name]) else 0

    def _has_all(self, names: Sequence[str]) -> bool:
        plain = [f" {fold(name)} " for name in names]
        if all(any(_is_in(words, one) for one in plain) for words in self._free):
            return True  # told without their other spellings, which may need a library
        text = " " + " ".join(searchable(name) for name in names) + " "
        return all(_is_in(words, text) for words in self._free)


def _spelled(name: str) -> set[str]:
    """A name in each spelling: its words, these as one, and for a single word its others."""
    folded = fold(name)
    spelled = {folded, folded.replace(" ", "")}
    if len(name.split()) == 1:
        spelled.update(searchable(name).split())
    return spelled


def _is_in(words: Words, text: str) -> bool:
    end = "" if words.prefix else " "
    return any(f" {one}{end}" in text for one in (words.text, *words.others))
