"""A question that finds nothing -> one whose words may be written as other names have them.

`Led Zeppelin 4` is `Led Zeppelin IV`, `30 Seconds to Mars` is `Thirty Seconds to Mars`, and `feat.`
stands in some names as `ft.`, in others not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from msgspec import structs

from indexer.store.search import number_words
from indexer.store.search.fields import Fact
from indexer.store.search.query import Group, Question, Term, Words, asking_loosely

_SAME: Final = (
    "feat ft featuring", "vs versus", "and e och og en ja i и", "vol volume", "pt part teil",
    "no nr number num", "op opus", "st saint", "mr mister", "dr doctor", "jr junior", "mt mount",
    "k kv kochel koechel", "d deutsch", "rv ryom", "hob hoboken", "ol old",
    "lil little", "symphony symphonie sinfonie sinfonia",
    "of o", "cd disc disk", "minor moll mineur", "major dur majeur", "sonata sonate",
    "quartet quartett quatuor", "orch orchestra orchester orchestre", "bros brothers",
    "u you", "r are re", "yr ur your", "2 to too", "4 for", "am m", "is s", "have ve", "will ll",
    "til till until", "thru through", "nite night", "luv love", "xmas christmas",
)  # fmt: skip
"""Words with one meaning in names, each abbreviation without its dot or apostrophe."""
_KEYS: Final = (
    "cis:c sharp", "dis:d sharp", "eis:e sharp", "fis:f sharp", "gis:g sharp", "ais:a sharp",
    "ces:c flat", "des:d flat", "es:e flat", "ges:g flat", "as:a flat", "b:b flat", "h:b",
)  # fmt: skip
"""German names of keys: `cis-moll` is C-sharp minor."""
_OF_TWO_NAMES: Final = "feat ft featuring with vs versus and und et y n e och og en ja i и of o"
_ARTICLES: Final = "the a an der die das el los las la le les il gli"
_OPTIONAL: Final = frozenset(f"{_OF_TWO_NAMES} {_ARTICLES}".split())
"""Words between names, and articles before them: where one has them, another has not."""
_SHORTEST_BEGINNING: Final = 3
_ORDINAL: Final = r"(\d+)(?:st|nd|rd|th)"
_NUMBERED: Final = r"([^\W\d_]+)(\d+)"
"""A word and its number that were typed as one: `kv550`, `cd2`."""
_AFTER_NUMBER: Final = r"(\d+)([^\W\d_]+)"
"""The same, the other way round: `4tet`, `2u`."""
_NUMBER_OF: Final = r"(.*\d) (\d+)"
"""A number within an opus, typed with a sign between: `op. 27/2`."""
_MOST_OTHERS: Final = 100
"""Maximum other ways to write a text of several words. A guess."""
_YEAR: Final = r"(?:19|20)\d\d|[3-9]\d"


def _table() -> dict[str, tuple[str, ...]]:
    same = [group.split() for group in _SAME]
    same += [group.split(":") for group in _KEYS]
    same += number_words.groups()
    found: dict[str, tuple[str, ...]] = {}
    for group in same:
        for word in group:
            others = tuple(other for other in group if other != word)
            found[word] = tuple(dict.fromkeys((*found.get(word, ()), *others)))
    return found


_OTHERS: Final = _table()


def looser(question: Question) -> Question:
    """The same question, which each word answers also by its equivalents or its beginning.

    A word between names may be missing. Words in quotes and excluded ones stay as they are.
    """
    return asking_loosely(map(loosened_group, question.groups))


def loosened_group(group: Group) -> Group:
    """Words, which their equivalents or their beginnings answer as well; other terms as they are.

    Of several words with OR between them, one is needed.
    """
    is_only = sum(isinstance(term, Words) for term in group) == 1
    found: dict[Term, None] = {}
    for term in group:
        if not isinstance(term, Words) or term.negated or term.quoted:
            found[term] = None
            continue
        found[_loosened(term, may_be_missing=is_only)] = None
        if not term.field and (fact := _fact_of(term.text)):
            found[fact] = None
    return tuple(found)


def _loosened(words: Words, *, may_be_missing: bool) -> Words:
    equivalents = others_of(words.text)
    has_others = bool(words.others or equivalents)
    begins = words.prefix or (not has_others and len(words.text) >= _SHORTEST_BEGINNING)
    is_between = may_be_missing and words.field is None and words.text in _OPTIONAL
    sounding = () if " " in words.text else number_words.sounding(words.text)
    return structs.replace(
        words,
        equivalents=tuple(dict.fromkeys((*equivalents, *sounding))),
        prefix=begins,
        optional=words.optional or is_between,
    )


def others_of(text: str) -> tuple[str, ...]:
    """The other ways in which names have these folded words."""
    if ordinal := re.fullmatch(_ORDINAL, text):
        return tuple(dict.fromkeys((*_OTHERS.get(text, ()), ordinal[1])))
    if " " not in text:
        return _OTHERS.get(text) or number_words.ways_of_large(text) or tuple(_parted(text))
    parts = text.split()
    ways = product(*((part, *_OTHERS.get(part, ())) for part in parts))
    found = [*_OTHERS.get(text, ()), *(" ".join(way) for way in islice(ways, 1, _MOST_OTHERS))]
    if (number := number_words.number_of(parts)) is not None:
        found.append(str(number))
    if number_in := re.fullmatch(_NUMBER_OF, text):
        opus = re.sub(_NUMBERED, r"\1 \2", number_in[1])
        found += (f"{opus} {no} {number_in[2]}" for no in ("no", "nr"))
    if parts[-1] == "s" or is_suffix(parts[-1]):  # a genitive, or the name of a file
        found.append(" ".join(parts[:-1]))
    return tuple(dict.fromkeys(found))


def is_between_names(word: str) -> bool:
    """Whether some names have this word where others have not."""
    return word in _OPTIONAL


def without_article(name: str) -> str:
    """A name as it is without an article before it."""
    first, _, rest = name.partition(" ")
    return rest if rest and first.lower() in _ARTICLES.split() else name


def _parted(text: str) -> Iterator[str]:
    """A word and its number that were typed as one, each also in its other ways."""
    if parted := re.fullmatch(_NUMBERED, text):
        yield from (f"{one} {parted[2]}" for one in (parted[1], *_OTHERS.get(parted[1], ())))
    if parted := re.fullmatch(_AFTER_NUMBER, text):
        yield from (f"{one} {parted[2]}" for one in (parted[1], *_OTHERS.get(parted[1], ())))


def _fact_of(text: str) -> Fact | None:
    """What else a word may say of a track: its year (`1969`, `'69`), or how its file ends."""
    if re.fullmatch(_YEAR, text):
        return Fact("tracks.year = ?", (int(text) if len(text) > 2 else 1900 + int(text),))
    if is_suffix(text):
        return Fact("CAST(tracks.path AS TEXT) LIKE ?", (f"%.{text}",))
    return None


def is_suffix(text: str) -> bool:
    """Whether the names of audio files end so: `flac`."""
    from indexer.tags import SUFFIXES  # late: only a question that finds nothing needs it

    return f".{text}".encode() in SUFFIXES
