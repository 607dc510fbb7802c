"""A number or words for one -> the other ways to write it in names: `4`, `IV`, `four`, `4ever`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Final

_LOW: Final = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS: Final = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_UNITS: Final = tuple(f"{_LOW} {_TEENS}".split())
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS: Final = (
    "first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th", "seventh 7th",
    "eighth 8th", "ninth 9th", "tenth 10th",
)  # fmt: skip
_ROMAN_TENS: Final = ("", "x", "xx", "xxx")
_ROMAN_UNITS: Final = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
_VALUES: Final = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: 10 * tens for tens, word in enumerate(_TENS, 2)},
    "hundred": 100, "thousand": 1000, "million": 1_000_000,
}  # fmt: skip
_BELOW_HUNDRED: Final = 100
_MOST_DIGITS: Final = 5
_SOUNDS: Final = {"1": "one", "2": "to too two tu", "4": "for four", "8": "ate eat ait eight at"}
"""Digits that names have in place of a part of a word: `2gether`, `2Pac`, `Sk8er`, `gr8`."""
_SHORTEST_SOUNDED: Final = 4
_LOOKING_ALIKE: Final = {"0": "o", "o": "0", "1": "il", "i": "1", "l": "1", "5": "s", "s": "5"}
_SHORTEST_ALIKE: Final = 3
_MOST_ALIKE: Final = 32
"""Maximum ways to read the digits and letters of one word. A guess."""


def groups() -> list[list[str]]:
    """The small numbers, each in all of its ways."""
    same = [[str(number), spelled(number), *_as_roman(number)] for number in range(_BELOW_HUNDRED)]
    return same + [_as_ordinals(number) for number in range(1, len(_ORDINALS) + 1)]


def spelled(number: int) -> str:
    """In English: `five hundred`, `twenty one`."""
    if number < len(_UNITS):
        return _UNITS[number]
    if number < _BELOW_HUNDRED:
        tens, units = divmod(number, 10)
        return f"{_TENS[tens - 2]} {_UNITS[units]}" if units else _TENS[tens - 2]
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, size)
    return f"{spelled(head)} {name} {spelled(rest)}" if rest else f"{spelled(head)} {name}"


def ways_of_large(text: str) -> tuple[str, ...]:
    """How names have a number of three to five digits, a year also as two numbers."""
    if not (text.isdecimal() and 2 < len(text) <= _MOST_DIGITS and text[0] != "0"):
        return ()
    head, rest = int(text[:-2]), int(text[-2:])
    found = [spelled(int(text))]
    if 10 <= head < _BELOW_HUNDRED and head % 10 and rest:
        found.append(f"{spelled(head)} {spelled(rest) if rest > 9 else f'oh {spelled(rest)}'}")
    return tuple(found)


def number_of(words: Sequence[str]) -> int | None:
    """The number that English words say together, a year also as two numbers; else None."""
    values = [_VALUES.get(word) for word in words]
    if None in values:
        return None
    known = [value for value in values if value is not None]
    if (whole := _sum(known)) is not None:
        return whole
    for cut in range(1, len(known)):
        century, rest = _sum(known[:cut]), _sum(known[cut:])
        if century and rest and 10 < century < _BELOW_HUNDRED and 9 < rest < _BELOW_HUNDRED:
            return century * 100 + rest
    return None


def _sum(values: Sequence[int]) -> int | None:
    """What values say in the order of a number: 2 100 40 1 is 241; 1 2 is none."""
    total = part = 0
    last = 0
    for value in values:
        if value >= 100:
            if not part or (total and value >= last >= 1000):
                return None
            part *= value
            if value >= 1000:
                total, part = total + part, 0
            last = value
        elif part % 100 == 0 or (part % 10 == 0 and part % 100 >= 20 and 0 < value < 10):
            part += value
        else:
            return None
    return total + part


def sounding(text: str) -> Iterator[str]:
    """A word in which a digit stands for a sound, as it is written, and the other way round."""
    for digit, sounds in _SOUNDS.items():
        for sound in sounds.split():
            if digit in text and not text.isdecimal():
                yield text.replace(digit, sound)
            if len(text) >= _SHORTEST_SOUNDED and sound in text and text != sound:
                yield text.replace(sound, digit)


def looking_like(text: str) -> Iterator[str]:
    """A word with digits, some of which were typed for letters, or the other way round: `h20`."""
    if len(text) >= _SHORTEST_ALIKE and any(map(str.isdecimal, text)) and not text.isdecimal():
        ways = product(*(letter + _LOOKING_ALIKE.get(letter, "") for letter in text))
        yield from ("".join(way) for way in islice(ways, 1, _MOST_ALIKE))


def _as_ordinals(number: int) -> list[str]:
    """The ordinals of a number, and the signs for one; no single letter, as the word `I` is."""
    roman = (one for one in _as_roman(number) if len(one) > 1)
    return [str(number), *roman, *_ORDINALS[number - 1].split()]


def _as_roman(number: int) -> list[str]:
    if not 0 < number < 10 * len(_ROMAN_TENS):
        return []
    return [_ROMAN_TENS[number // 10] + _ROMAN_UNITS[number % 10]]
