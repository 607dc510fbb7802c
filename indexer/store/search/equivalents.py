"""A question that finds nothing -> one whose words may be written as other names have them.

`Led Zeppelin 4` is `Led Zeppelin IV`, `30 Seconds to Mars` is `Thirty Seconds to Mars`, and `feat.`
stands in some names as `ft.`, in others not at all.
"""

from __future__ import annotations

import re
from itertools import islice, product
from typing import Final

from msgspec import structs

from indexer.store.search.fields import Fact
from indexer.store.search.query import Group, Question, Words, asking_loosely

_SAME: Final = (
    "feat ft featuring", "vs versus", "and e och og en ja i и", "vol volume", "pt part teil",
    "no nr number num", "op opus", "st saint", "mr mister", "dr doctor", "jr junior", "mt mount",
    "k kv", "ol old", "lil little", "symphony symphonie sinfonie sinfonia",
    "of o", "cd disc disk", "minor moll mineur", "major dur majeur", "sonata sonate",
    "quartet quartett quatuor", "orch orchestra orchester orchestre", "bros brothers",
    "u you", "r are re", "yr ur your", "2 to too", "4 for", "am m", "is s", "have ve", "will ll",
    "til till until", "thru through", "nite night", "luv love", "xmas christmas",
)  # fmt: skip
"""Words with one meaning in names, each abbreviation without its dot or apostrophe."""
_OF_TWO_NAMES: Final = "feat ft featuring with vs versus and und et y n e och og en ja i и of o"
_ARTICLES: Final = "the a an der die das el los las la le les il gli"
_OPTIONAL: Final = frozenset(f"{_OF_TWO_NAMES} {_ARTICLES}".split())
"""Words between names, and articles before them: where one has them, another has not."""
_LOW: Final = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS: Final = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_UNITS: Final = tuple(f"{_LOW} {_TEENS}".split())
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS: Final = (
    "first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th", "seventh 7th",
    "eighth 8th", "ninth 9th", "tenth 10th",
)  # fmt: skip
_ROMAN_TENS: Final = ("", "x", "xx", "xxx")
_ROMAN_UNITS: Final = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
_SHORTEST_BEGINNING: Final = 3
_ORDINAL: Final = r"(\d+)(?:st|nd|rd|th)"
_NUMBERED: Final = r"([^\W\d_]+)(\d+)"
"""A word and its number that were typed as one: `kv550`, `cd2`."""
_NUMBER_OF: Final = r"(.*\d) (\d+)"
"""A number within an opus, typed with a sign between: `op. 27/2`."""
_MOST_OTHERS: Final = 100
"""Maximum other ways to write a text of several words. A guess."""
_YEAR: Final = r"(?:19|20)\d\d|[3-9]\d"


def _spelled(number: int) -> str:
    """English, below 100."""
    if number < len(_UNITS):
        return _UNITS[number]
    tens, units = divmod(number, 10)
    return f"{_TENS[tens - 2]} {_UNITS[units]}" if units else _TENS[tens - 2]


def _as_words(number: int) -> list[str]:
    """A number in digits and letters, a small one also in Roman numerals."""
    return [str(number), _spelled(number), *_as_roman(number)]


def _as_ordinals(number: int) -> list[str]:
    """The ordinals of a number, and the signs for one; no single letter, as the word `I` is."""
    roman = (one for one in _as_roman(number) if len(one) > 1)
    return [str(number), *roman, *_ORDINALS[number - 1].split()]


def _as_roman(number: int) -> list[str]:
    if not 0 < number < 10 * len(_ROMAN_TENS):
        return []
    return [_ROMAN_TENS[number // 10] + _ROMAN_UNITS[number % 10]]


def _table() -> dict[str, tuple[str, ...]]:
    same = [group.split() for group in _SAME]
    same += [_as_words(number) for number in range(100)]
    same += [_as_ordinals(number) for number in range(1, len(_ORDINALS) + 1)]
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
    """A word, which its equivalents or its beginning answer as well; any other group as it is."""
    words = group[0]
    if len(group) > 1 or not isinstance(words, Words) or words.negated or words.quoted:
        return group
    equivalents = others_of(words.text)
    has_others = bool(words.others or equivalents)
    begins = words.prefix or (not has_others and len(words.text) >= _SHORTEST_BEGINNING)
    loosened = structs.replace(
        words,
        equivalents=equivalents,
        prefix=begins,
        optional=words.optional or (words.field is None and words.text in _OPTIONAL),
    )
    fact = None if words.field else _fact_of(words.text)
    return (loosened,) if fact is None else (loosened, fact)


def others_of(text: str) -> tuple[str, ...]:
    """The other ways in which names have these folded words."""
    if ordinal := re.fullmatch(_ORDINAL, text):
        return tuple(dict.fromkeys((*_OTHERS.get(text, ()), ordinal[1])))
    if " " not in text:
        numbered = re.fullmatch(_NUMBERED, text)
        if numbered is None or numbered[1] not in _OTHERS:
            return _OTHERS.get(text, ())
        return tuple(f"{one} {numbered[2]}" for one in (numbered[1], *_OTHERS[numbered[1]]))
    parts = text.split()
    ways = product(*((part, *_OTHERS.get(part, ())) for part in parts))
    found = [" ".join(way) for way in islice(ways, 1, _MOST_OTHERS)]
    if number := re.fullmatch(_NUMBER_OF, text):
        opus = re.sub(_NUMBERED, r"\1 \2", number[1])
        found += (f"{opus} {no} {number[2]}" for no in ("no", "nr"))
    if parts[-1] == "s" or is_suffix(parts[-1]):  # a genitive, or the name of a file
        found.append(" ".join(parts[:-1]))
    return tuple(found)


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
