"""What a person should know of the answer to a search -> lines on stderr, beside the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from indexer.cli.output import say
from indexer.cli.terminal import escaped, number

if TYPE_CHECKING:
    from indexer.results.report import SearchNote

_SHOWN: Final = 200
"""Maximum characters of a question that are repeated. A guess."""


def as_typed(text: str) -> str:
    """A question in a message; a long one, as from a file, by its beginning."""
    return escaped(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def notices(note: SearchNote, typed: str, limit: int | None) -> Iterator[str]:
    """What is said of an answer; without a limit nothing of how many there are."""
    if note.total is not None:
        if limit is not None:
            yield f"{number(limit)} of {_total(note.total)}; --limit 0 shows all"
    elif note.instead or note.unread:
        yield from instead_lines(note)
    elif not typed.strip():
        yield "there is no track"
    elif note.nearest:
        nearest = ", ".join(note.nearest)
        yield f"nothing found for {as_typed(typed)}; the nearest words are {nearest}"
    else:
        yield f"nothing found for {as_typed(typed)}"
    for tag in map(escaped, note.absent_tags):
        yield f"no track has the tag {tag}; which are kept is the setting keep_tags"


def instead_lines(note: SearchNote) -> Iterator[str]:
    """What was looked for in place of words that no track has, and what was not looked for."""
    for typed, shown in note.instead.items():
        yield f"nothing for {as_typed(typed)}; showing {as_typed(shown)}"
    if note.unread:
        yield f"too long: its last {number(note.unread)} characters were not looked for"


def saying(typed: str) -> Callable[[SearchNote], None]:
    """How to say all of an answer at once, but how many there are."""

    def note(search_note: SearchNote) -> None:
        for line in notices(search_note, typed, None):
            say(line)

    return note


def say_instead(note: SearchNote) -> None:
    """Say only what was looked for, and what was not."""
    for line in instead_lines(note):
        say(line)


def _total(total: int) -> str:
    from indexer.store.search.full_text import COUNTED  # late: `--help` needs none of it

    return number(total) if total <= COUNTED else f"more than {number(COUNTED)}"
