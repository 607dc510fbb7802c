"""A question that finds nothing -> one whose words may be written as other names have them.

`Led Zeppelin 4` is `Led Zeppelin IV`, `30 Seconds to Mars` is `Thirty Seconds to Mars`, and `feat.`
stands in some names as `ft.`, in others not at all.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from indexer.store.search.query import Group, Question, Words

_SAME: Final = (
    "feat ft featuring", "vs versus", "and e och og en ja i и", "vol volume", "pt part teil",
    "no nr number num", "op opus", "st saint", "mr mister", "dr doctor", "jr junior", "mt mount",
    "k kv", "ol old", "lil little", "symphony symphonie sinfonie sinfonia",
    "of o",
)  # fmt: skip
"""Words with one meaning in names, each abbreviation without its dot."""
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


def _spelled(number: int) -> str:
    """English, below 100."""
    if number < len(_UNITS):
        return _UNITS[number]
    tens, units = divmod(number, 10)
    return f"{_TENS[tens - 2]} {_UNITS[units]}" if units else _TENS[tens - 2]


def _as_words(number: int) -> list[str]:
    """A number in digits and letters, a small one also in Roman numerals and as an ordinal."""
    words = [str(number), _spelled(number)]
    if 0 < number < 10 * len(_ROMAN_TENS):
        words.append(_ROMAN_TENS[number // 10] + _ROMAN_UNITS[number % 10])
    if 0 < number <= len(_ORDINALS):
        words += _ORDINALS[number - 1].split()
    return words


def _table() -> dict[str, tuple[str, ...]]:
    same = [group.split() for group in _SAME]
    same += [_as_words(number) for number in range(100)]
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
    groups = tuple(map(_loosened, question.groups))
    wanted = Question(groups).wanted
    if any(not one.optional for group in wanted for one in group):
        return Question(groups)
    return Question(
        tuple(
            tuple(
                structs.replace(one, optional=False) if isinstance(one, Words) else one
                for one in group
            )
            for group in groups
        )
    )


def _loosened(group: Group) -> Group:
    words = group[0]
    if len(group) > 1 or not isinstance(words, Words) or words.negated or words.quoted:
        return group
    equivalents = _OTHERS.get(words.text, ())
    has_others = bool(words.others or equivalents)
    begins = words.prefix or (not has_others and len(words.text) >= _SHORTEST_BEGINNING)
    return (
        structs.replace(
            words,
            equivalents=equivalents,
            prefix=begins,
            optional=words.optional or (words.field is None and words.text in _OPTIONAL),
        ),
    )
