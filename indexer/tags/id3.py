"""A file with ID3 tags, at its ends or in a chunk -> its tags as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutagen.id3 import APIC, ID3, UFID, ID3NoHeaderError, TextFrame
from mutagen.id3._specs import EncodedTextSpec, MultiSpec, SpecError

from indexer.tags import columns, id3v1
from indexer.tags.frames import (
    FRAMES,
    TEXT_LIMIT,
    VALUES_LIMIT,
    Frame,
    Texts,
    column_of,
    description_of,
    genres,
    is_by_program,
    timestamps,
)
from indexer.tags.plain_id3 import Tag, plain_tag

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window


def _read_texts(spec: MultiSpec, header: object, frame: object, data: bytes) -> object:
    """A list of texts as mutagen reads it, unless that would take for ever.

    It copies the rest of the frame for each text. What is too much is dropped, as any other frame
    that mutagen cannot parse.
    """
    terminator = b"\0\0" if getattr(frame, "encoding", 0) in WIDE else b"\0"
    if len(data) > TEXT_LIMIT or data.count(terminator) > VALUES_LIMIT:
        raise SpecError("more text than any tag has")
    return _mutagens_texts(spec, header, frame, data)


def _read_text(spec: EncodedTextSpec, header: object, frame: object, data: bytes) -> object:
    """One text before others or a picture; the end of one in UTF-16 is looked for byte by byte."""
    if len(data) > TEXT_LIMIT and getattr(frame, "encoding", 0) in WIDE:
        head = data[:TEXT_LIMIT].decode("utf-16-le", "replace")
        if "\0" not in head:
            raise SpecError("more text than any tag has")
    return _mutagens_text(spec, header, frame, data)


WIDE = (1, 2)
"""Encodings of two bytes a letter (ID3v2.4.0-structure, 4)."""

_mutagens_texts, MultiSpec.read = MultiSpec.read, _read_texts
_mutagens_text, EncodedTextSpec.read = EncodedTextSpec.read, _read_text
"""Until mutagen (1.48) has limits of its own: see the test of text frames of megabytes."""


def read_tag(window: Window, *, with_v1: bool = True) -> Tag:
    """The file's ID3 tags, as one: ID3v2 first, ID3v1 for what it lacks, dates upgraded to TDRC."""
    tag = plain_tag(window)
    if tag is None:
        return _mutagen_tag(window, with_v1=with_v1)
    if with_v1 and (older := id3v1.texts_of(window, tag.version)):
        _add(tag, older)
    return tag


def _add(tag: Tag, older: Texts) -> None:
    """Let an ID3v1 tag say what the newer one is silent about."""
    keys = {key for key, _, _ in tag.found}
    for key, texts in older.items():
        if key not in keys:
            tag.found.append((key, genres(texts) if key == "TCON" else texts, {}))
            has_comment = tag.fields is not None and tag.fields.get("comment") is not None
            if key != id3v1.COMMENT or not has_comment:
                tag.fields = None


def tag_of(tags: ID3) -> Tag:
    """What mutagen parsed, in our words."""
    found: list[Frame] = []
    has_picture = False
    for key, frame in tags.items():
        if isinstance(frame, TextFrame):
            found.append((key, [str(text) for text in frame.text], {}))
        elif isinstance(frame, UFID):
            found.append((key, [frame.data.decode("utf-8", "replace")], {}))
        elif isinstance(frame, APIC):
            has_picture = has_picture or any(frame.data)
    return Tag(found, has_picture, getattr(tags, "size", 0))


def track(
    codec: str,
    info: object,
    tag: Tag,
    *others: columns.Values,
    lossless: bool = False,
    has_picture: bool = False,
) -> Track:
    """The track of any file with ID3 tags, and with `others` that fill in what those lack."""
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


def values_of(tag: Tag) -> columns.Values:
    """The tag's texts by column."""
    values: columns.Values = {}
    comments: Texts = {}
    for key, texts in _upgraded(tag.texts()).items():
        if key.startswith("COMM:"):
            comments[key] = texts
            continue
        column = column_of(key)
        if column is not None and (
            key in FRAMES or (column not in values and columns.texts(texts))
        ):
            values[column] = texts
    if comments:
        values["comment"] = _comment(comments)
    return values


def _upgraded(texts: Texts) -> Texts:
    """The same with a date of old put together, unless a newer one stands beside it."""
    if "TYER" in texts and "TDRC" not in texts:
        dates = timestamps(texts["TYER"], texts.get("TDAT", []), texts.get("TIME", []))
        if dates:
            texts["TDRC"] = dates
    return texts


def _mutagen_tag(window: Window, *, with_v1: bool) -> Tag:
    window.seek(0)
    try:
        return tag_of(ID3(window, load_v1=with_v1))
    except ID3NoHeaderError:
        return Tag([])


def _comment(comments: Texts) -> list[str]:
    """The comment a person wrote: best one without a description, at last the one of ID3v1."""
    found: dict[int, list[str]] = {}
    for key, values in comments.items():
        if columns.texts(values) and not is_by_program(description_of(key)):
            rank = 2 if key == id3v1.COMMENT else int(bool(description_of(key)))
            found.setdefault(rank, values)
    return found[min(found)] if found else []
