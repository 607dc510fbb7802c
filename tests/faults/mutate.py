"""A seed and a number -> one damaged audio file, the same every time.

Nothing is drawn from a stream that other inputs share: the number alone replays its input.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import PurePath
from random import Random
from typing import NamedTuple

import pytest

from indexer import tags
from tests import corpus, raw_formats
from tests.integration import oddities
from tests.integration.test_mutagen_samples import fetched

LARGEST = 256 * 1024
"""Bytes of a sample or an input: more would only cost time."""

NEAR = 700
"""Where most of the damage is done: within so many bytes of the head or the end stand the sizes."""

SIZES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x7f\x7f\x7f\x7f",
    b"\xff" * 8,
    b"\x7f" + b"\xff" * 7,
    b"\xff\xff",
    b"\xff",
    b"\x00\x00\x00\x00",
    b"\x00\x00\x00\x01",
    b"\x01\x00\x00\x00",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x08",
    b"\x08\x00\x00\x00",
)
"""What a size field says when it lies: the largest of either order, none, and hardly any."""

TAGS: dict[str, corpus.Value] = {
    "title": "Human Behaviour",
    "artist": ["Björk", "Guest"],
    "album": "Debut",
    "genre": ["17", "Pop"],
    "date": "1993-06-07",
    "track": 1,
    "track_total": 11,
    "comment": "x",
    "bpm": "120",
    "isrc": "GBAAA9300001",
    "compilation": 1,
    "mb_trackid": "f3b1d3d3",
    "mb_albumid": "a1b2",
    "replaygain_track_gain": "-7 dB",
}


class Input(NamedTuple):
    """A file that a reader is asked to read."""

    suffix: bytes
    content: bytes


Mutation = Callable[[Random, bytearray, Sequence[Input]], None]


@cache
def samples(*, with_mutagens: bool = True) -> tuple[Input, ...]:
    """Whole files of every format, and mutagen's own samples where they can be fetched."""
    found = [
        Input(_suffix(name), corpus.tagged(name, id3_version=version, picture=cover, **TAGS))
        for name in sorted(corpus.STREAMS)
        for version, cover in ((3, None), (4, 300))
    ]
    found += [Input(_suffix(name), make()) for name, make in sorted(raw_formats.HANDMADE.items())]
    found += [
        Input(_suffix(name), make()) for name, make in sorted(corpus.DAMAGED.items()) if make()
    ]
    found += [
        Input(b".mp3", oddities.with_id3v1(b"Title", b"Artist", b"Album")),
        Input(b".mp3", oddities.with_apev2(".mp3")),
        Input(b".wav", oddities.with_riff_info()),
    ]
    if with_mutagens:
        found += _mutagens()
    return tuple(found)


def _mutagens() -> list[Input]:
    try:
        archive = fetched()
    except pytest.skip.Exception:
        return []
    found = []
    with tarfile.open(archive) as files:
        for member in sorted(files, key=lambda member: member.name):
            name = PurePath(member.name)
            if not member.isfile() or name.parts[1:3] != ("tests", "data"):
                continue
            stream = files.extractfile(member)
            assert stream is not None
            content = stream.read(LARGEST)
            if content:
                suffix = os.fsencode(name.suffix)
                found.append(Input(suffix if suffix in tags.SUFFIXES else b".mp3", content))
    return found


def _suffix(name: str) -> bytes:
    return os.fsencode(name[name.rindex(".") :])


def made(seed: int, number: int, wholes: Sequence[Input]) -> Input:
    """The input with this number: a sample after one to six mutations, perhaps misnamed."""
    dice = Random(f"{seed}/{number}")
    sample = dice.choice(wholes)
    content = bytearray(sample.content)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4, 6))):
        dice.choice(MUTATIONS)(dice, content, wholes)
        del content[LARGEST:]
    suffix = sample.suffix
    if dice.random() < 0.15:
        suffix = dice.choice(sorted(tags.SUFFIXES))
    return Input(suffix, bytes(content))


def _place(dice: Random, content: bytearray) -> int:
    """Where to do harm: mostly near the head or the end."""
    kind = dice.random()
    if kind < 0.6:
        return dice.randint(0, min(len(content), NEAR))
    if kind < 0.8:
        return len(content) - dice.randint(0, min(len(content), NEAR))
    return dice.randint(0, len(content))


def _flip_bits(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    for _time in range(dice.choice((1, 1, 2, 8))):
        at = _place(dice, content)
        if at < len(content):
            content[at] ^= 1 << dice.randrange(8)


def _change_bytes(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    at = _place(dice, content)
    size = dice.choice((1, 2, 4, 16))
    content[at : at + size] = dice.randbytes(size)


def _lie_about_a_size(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    at = _place(dice, content)
    size = dice.choice(SIZES)
    content[at : at + len(size)] = size


def _lie_behind_a_name(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    """A size field stands before or behind four letters in most formats."""
    letters = [
        at
        for at in range(min(len(content), 4 * NEAR))
        if content[at : at + 4].decode("latin-1").isalnum()
    ]
    if letters:
        at = dice.choice(letters)
        size = dice.choice(SIZES)
        at = at + 4 if dice.random() < 0.6 else max(0, at - len(size))
        content[at : at + len(size)] = size


def _cut_the_end(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    del content[_place(dice, content) :]


def _cut_the_head(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    del content[: dice.randint(0, min(len(content), NEAR))]


def _cut_out(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    at = _place(dice, content)
    del content[at : at + dice.choice((1, 2, 4, 10, 128, 1000))]


def _insert_zeros(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    at = _place(dice, content)
    content[at:at] = bytes(dice.choice((1, 2, 4, 8, 64, 1024, 20_000)))


def _zero_out(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    at = _place(dice, content)
    size = min(dice.choice((1, 2, 4, 16, 512, 4096)), len(content) - at)
    content[at : at + size] = bytes(size)


def _copy_a_block(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    begin = _place(dice, content)
    block = content[begin : begin + dice.choice((4, 8, 10, 32, 128, 1000, 5000))]
    at = _place(dice, content)
    if dice.random() < 0.5:
        content[at : at + len(block)] = block
    else:
        content[at:at] = block * dice.choice((1, 1, 2, 50))


def _splice(dice: Random, content: bytearray, wholes: Sequence[Input]) -> None:
    """The head of one format on the tail of another."""
    other = dice.choice(wholes).content
    if dice.random() < 0.5:
        content[_place(dice, content) :] = other[dice.randint(0, len(other)) :]
    else:
        content[: _place(dice, content)] = other[: dice.randint(0, len(other))]


def _put_a_tag_around(dice: Random, content: bytearray, _: Sequence[Input]) -> None:
    """ID3v2 of any version and flags at the head, or ID3v1, APEv2 or Lyrics3 at the end."""
    size = bytes(dice.choice((0, 0, 1, 127)) for _time in range(4))
    match dice.randrange(4):
        case 0:
            content[:0] = (
                b"ID3" + bytes([dice.randrange(6), 0, dice.choice((0, 0x40, 0x80))]) + size
            )
        case 1:
            content += b"TAG" + dice.randbytes(125)
        case 2:
            content += (
                b"APETAGEX\xd0\x07\0\0"
                + dice.randrange(400).to_bytes(4, "little")
                + dice.randrange(20).to_bytes(4, "little")
                + bytes([0, 0, 0, dice.choice((0, 0x80, 0xA0))])
                + bytes(8)
            )
        case _:
            content += b"LYRICSBEGIN" + dice.randbytes(20) + b"000020LYRICS200TAG" + bytes(125)


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_bits,
    _change_bytes,
    _lie_about_a_size,
    _lie_about_a_size,
    _lie_behind_a_name,
    _cut_the_end,
    _cut_the_head,
    _cut_out,
    _insert_zeros,
    _zero_out,
    _copy_a_block,
    _splice,
    _put_a_tag_around,
)
