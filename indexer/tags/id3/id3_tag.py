"""A file with ID3 tags (at its ends or in a chunk) -> texts by column, and its track."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from indexer.model import Track
from indexer.tags import columns
from indexer.tags.fast.id3 import Tag, plain_tag
from indexer.tags.id3 import id3_dates, id3v1
from indexer.tags.id3.frames import (
    FRAMES,
    GAINS,
    GROUPS,
    column_of,
    description_of,
    genres,
    is_by_program,
)
from indexer.tags.id3.id3v1 import Texts
from indexer.tags.id3.other_frames import column_in
from indexer.tags.window import id3v2_behind

if TYPE_CHECKING:
    from indexer.tags.window import Window


CUT = {"TIT2": "title", "TPE1": "artist", "TALB": "album"}
"""Frames of what ID3v1 has in 30 bytes -> column."""


def read_tag(window: Window, *, with_v1: bool = True) -> Tag:
    """The file's ID3 tags merged: ID3v2, then ID3v1 for what it lacks."""
    tag = plain_tag(window)
    if tag is None:
        tag = _by_mutagen(window, 0)
    tail = window.tail
    if b"3DI" in tail or b"APETAGEX" in tail:
        behind = id3v2_behind(window)
        if behind is not None:
            _add_newer(tag, _by_mutagen(window, behind))
    return with_older(window, tag) if with_v1 else tag


def _by_mutagen(window: Window, at: int) -> Tag:
    """The ID3v2 tag at an offset."""
    window.leave_to_mutagen()
    from indexer.tags.id3 import mutagen_id3

    return mutagen_id3.tag_at(window, at, with_v1=False)


def _add_newer(tag: Tag, behind: Tag) -> None:
    """Add what the tag at the head lacks from an ID3v2 tag behind the sound, by columns.

    Dates are those of one tag, since each version writes them in other frames.
    """
    keys = {key for key, texts, _ in tag.found if texts}
    filled = set(map(column_of, keys)) - {None}
    has_date = not id3_dates.KEYS.isdisjoint(keys)
    if not keys:
        tag.version = behind.version
    for key, texts, part in behind.found:
        is_date = key in id3_dates.KEYS
        if key not in keys and column_of(key) not in filled and not (is_date and has_date):
            tag.found.append((key, texts, part))
    tag.has_picture |= behind.has_picture
    tag.fields = None


def with_older(window: Window, tag: Tag) -> Tag:
    """The tag, and the ID3v1 tag at the file's end for what it lacks."""
    if older := id3v1.texts_of(window, tag.version):
        _add(tag, older)
    return tag


def older_tag(window: Window) -> Tag:
    """The file's ID3v1 tag alone; an empty one without any."""
    tag = Tag([], fields={})
    _add(tag, id3v1.texts_of(window, tag.version))
    return tag


def _add(tag: Tag, older: Texts) -> None:
    """Add the texts of an ID3v1 tag that the newer tag lacks."""
    keys = {key for key, texts, _ in tag.found if texts}
    for name, texts in older.items():
        key = name
        if key in keys and key in id3v1.YEARS.values():
            if tag.fields is not None and tag.fields.get("year") is not None:
                continue
            key = id3_dates.V1_YEAR
        if key in CUT and key not in keys and CUT[key] in map(column_of, keys):
            continue  # a TXXX frame has it, uncut
        if key not in keys:
            tag.found.append((key, genres(texts) if key == "TCON" else texts, {}))
            has_comment = tag.fields is not None and tag.fields.get("comment") is not None
            if key != id3v1.COMMENT or not has_comment:
                tag.fields = None


def track(
    codec: str,
    info: object,
    tag: Tag,
    *others: columns.Values,
    lossless: bool = False,
    has_picture: bool = False,
) -> Track:
    """The track of a file with ID3 tags; `others` fill the columns that the tags lack."""
    has_picture = has_picture or tag.has_picture
    if tag.fields is not None and not others:
        return columns.made(codec, info, tag.fields, has_picture=has_picture, lossless=lossless)
    values = values_of(tag)
    return columns.track(
        codec,
        info,
        columns.filled(values, *others) if others else values,
        has_picture=has_picture,
        lossless=lossless,
    )


def completed(found: Track, window: Window) -> Track:
    """The track, with what it lacks from the ID3 tags at the ends of the file."""
    other = track(found.codec, None, read_tag(window))
    missing = {
        name: value
        for name in Track.__struct_fields__
        if (value := getattr(other, name)) and not getattr(found, name)
    }
    missing.pop("date", None)
    if "year" in missing or not found.date:  # a date without a year gives way to one with it
        missing["date"] = other.date
    if missing.keys().isdisjoint((*columns.WORDS, *columns.LISTS.values())):
        missing.pop("suspect_encoding", None)
    return replace(found, **missing)


def values_of(tag: Tag) -> columns.Values:
    """The tag's texts by column."""
    values: columns.Values = {}
    comments: Texts = {}
    dates: Texts = {}
    gains: columns.Values = {}
    named: list[str] = []
    for key, texts in tag.texts().items():
        if key in id3_dates.KEYS:
            dates[key] = texts
            continue
        if key.startswith("COMM:"):
            comments[key] = texts
            continue
        if key.startswith("RVA2:"):
            names = GAINS.get(key[5:].lower(), ())
            gains |= {name: [text] for name, text in zip(names, texts, strict=False)}
            continue
        if (other := column_in(key)) is not None:
            values[other] = [*values.get(other, ()), *texts]
            continue
        column = column_of(key)
        if column == "grouping" and key not in FRAMES:
            named = texts
        if column is not None and texts and (key in FRAMES or column not in values):
            values[column] = texts
    if comments:
        values["comment"] = _comment(comments, values.get("comment", []))
    if dates:
        values |= _dates(dates)
    _add_groups(values, tag.texts(), named)
    return columns.filled(values, gains) if gains else values


def _dates(texts: Texts) -> columns.Values:
    """The date, and that of the first release if there is one."""
    dates = {"date": id3_dates.date_of(texts)}
    original = id3_dates.original_of(texts)
    return {**dates, "originaldate": original} if columns.texts(original) else dates


def _add_groups(values: columns.Values, texts: Texts, named: list[str]) -> None:
    """The work and the grouping as iTunes writes them, or TagLib, if both are there.

    `named` is the grouping in a TXXX frame of this name.
    """
    first, other = map(texts.get, GROUPS)
    first = first or (named if named != other else None)
    if first and other:
        values["grouping"] = first
        values.setdefault("work", other)


def _comment(comments: Texts, other: list[str]) -> list[str]:
    """The user's comment: preferably one without a description; the one of ID3v1 comes last.

    `other` is that of a TXXX frame.
    """
    found = {2: other} if columns.texts(other) else {}
    for key, values in comments.items():
        if columns.texts(values) and not is_by_program(description_of(key)):
            rank = 3 if key == id3v1.COMMENT else int(bool(description_of(key)))
            found.setdefault(rank, values)
    return found[min(found)] if found else []
