"""A Matroska or WebM file -> its track: stream info of its first sound, tags, and attachments.

Texts and the length of recordings are left to the modules beside this one.

Sources: RFC 9559 (Matroska), 5; the Matroska Codec Specifications (draft-ietf-cellar-codec);
RFC 9639, 8.2 (STREAMINFO); the ALAC magic cookie description of Apple's open source decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from indexer.tags import NoAudio, columns
from indexer.tags.chunked.wave_format import WAVE_CODECS, Stream
from indexer.tags.families import MAY_BE_SOUNDLESS
from indexer.tags.matroska import blocks, tag_texts
from indexer.tags.matroska.ebml import HEADER, Element, Elements
from indexer.tags.matroska.parts import ATTACHMENTS, INFO, TAGS, TRACKS, Parts, parts_of, segment_of
from indexer.tags.vorbis.comments import OPUS_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.model import Track
    from indexer.tags.further import Keep
    from indexer.tags.window import Window

VIDEO: Final = 1
AUDIO: Final = 2
"""The type of a track with sound (RFC 9559, 5.1.4.1.3)."""

NAME_LIMIT: Final = 64
"""Maximum bytes read of a codec's ID, a media type, or the name of a tag. A guess."""

TEXT_LIMIT: Final = 64 * 1024
"""Maximum bytes read of one text. A guess; fewer are kept of a comment."""

DEFAULT_SCALE: Final = 1_000_000
"""Nanoseconds of a tick (RFC 9559, 5.1.2.9)."""

NUMBERS_OF_SOUND: Final = {
    0xD7: "number",
    0x73C5: "uid",
    0x83: "type",
    0x88: "is_default",
    0x23E383: "frame_ns",
}
"""IDs of the integers of a track entry -> fields of `Sound`."""
CODECS: Final = {
    "A_MPEG/L1": "mp1",
    "A_MPEG/L2": "mp2",
    "A_MPEG/L3": "mp3",
    "A_TTA1": "tta",
    "A_WAVPACK4": "wavpack",
    "A_MPC": "musepack",
}
"""Codecs whose name is not the first word of their ID."""
LOSSLESS: Final = frozenset({"alac", "flac", "mlp", "pcm", "truehd", "tta", "wavpack"})
PRIVATE_LIMIT: Final = 64
"""Bytes read of a codec's private data."""


class Sound(Struct):
    """What a track entry tells (RFC 9559, 5.1.4.1)."""

    number: int = 0
    uid: int = 0
    type: int = 0
    is_default: int = 1
    """0 or 1."""
    codec_id: str = ""
    private: bytes = b""
    name: str = ""
    frame_ns: int = 0
    stream: Stream = field(default_factory=lambda: Stream(0.0, 0, 8000, 1, 0))


def read(window: Window, suffix: bytes) -> Track:
    """Raises ValueError for a file that is no Matroska, or that has no sound and should.

    Raises NoAudio for one that has no sound and need not.
    """
    window.hold(0, HEADER)  # a block, with all that precedes the sound
    elements = Elements(window)
    segment = segment_of(elements, window.size)
    parts = parts_of(elements, segment)
    if parts.cluster is not None:
        window.sound = [(parts.cluster.at, segment.end)]
    sounds = [
        sound
        for element in parts.of(TRACKS)
        for sound in _sounds(elements, element)
        if sound.codec_id
    ]
    heard = [sound for sound in sounds if sound.type == AUDIO]
    if not heard:
        if suffix in MAY_BE_SOUNDLESS and any(sound.type == VIDEO for sound in sounds):
            raise NoAudio("no audio track")
        raise ValueError("no audio track")
    sound = next((sound for sound in heard if sound.is_default), heard[0])
    title, length = _info(elements, parts, window, sound)
    codec = codec_of(sound.codec_id, sound.private)
    stream = sound.stream
    stream.length = length
    refine(stream, codec, sound.private)
    if codec == "pcm":
        stream.bitrate = stream.channels * stream.bits_per_sample * stream.sample_rate
    elif len(sounds) == 1:
        beside = sum(element.end - element.at for element in parts.found.values())
        stream.bitrate = columns.mean_bitrate(window.size - beside, length)
    return columns.track(
        codec,
        stream,
        _values(elements, parts, sound, title, window.keep),
        has_picture=any(_has_picture(elements, one) for one in parts.of(ATTACHMENTS)),
        lossless=codec in LOSSLESS,
    )


def _sounds(elements: Elements, tracks: Element) -> Iterator[Sound]:
    """All whole track entries, of any type."""
    for entry in elements.within(tracks):
        if entry.id == 0xAE and entry.is_whole:
            yield _sound(elements, entry)


def _sound(elements: Elements, entry: Element) -> Sound:
    sound = Sound()
    for one in elements.within(entry):
        if one.id in NUMBERS_OF_SOUND:
            setattr(sound, NUMBERS_OF_SOUND[one.id], elements.unsigned(one))
        match one.id:
            case 0x86:
                sound.codec_id = elements.text(one, NAME_LIMIT)
            case 0x63A2:
                sound.private = elements.content(one, PRIVATE_LIMIT)
            case 0x536E:
                sound.name = elements.text(one, TEXT_LIMIT)
            case 0xE1:
                _read_audio(elements, one, sound.stream)
    return sound


def _read_audio(elements: Elements, audio: Element, stream: Stream) -> None:
    """Rate, channels and depth (RFC 9559, 5.1.4.1.29); the rate is the output's, if stated."""
    rates = {}
    for one in elements.within(audio):
        match one.id:
            case 0xB5 | 0x78B5:
                rates[one.id] = elements.number(one)
            case 0x9F:
                stream.channels = elements.unsigned(one)
            case 0x6264:
                stream.bits_per_sample = elements.unsigned(one)
    rate = rates.get(0x78B5) or rates.get(0xB5, 8000.0)
    stream.sample_rate = int(rate) if 0 < rate < columns.LARGEST_NUMBER else 0


def _info(elements: Elements, parts: Parts, window: Window, sound: Sound) -> tuple[str, float]:
    """Title and seconds; where no duration is stated, as of a recording, by the last block."""
    title, ticks, scale = "", 0.0, DEFAULT_SCALE
    for info in parts.of(INFO):
        for one in elements.within(info):
            match one.id:
                case 0x2AD7B1:
                    scale = elements.unsigned(one) or DEFAULT_SCALE
                case 0x4489:
                    ticks = elements.number(one)
                case 0x7BA9:
                    title = elements.text(one, TEXT_LIMIT)
    is_possible = 0 < ticks * scale / 1e9 <= window.size  # a byte for each second
    if not is_possible and parts.cluster is not None:
        ticks = blocks.ticks(window, elements, parts.cluster, sound.number, sound.frame_ns / scale)
    return title, ticks * scale / 1e9


def _values(
    elements: Elements, parts: Parts, sound: Sound, title: str, keep: Keep
) -> columns.Values:
    entries = [
        entry
        for tags in parts.of(TAGS)
        for tag in elements.within(tags)
        if tag.id == 0x7373
        for entry in _entries(elements, tag, sound.uid)
    ]
    values = columns.filled(tag_texts.values_of(entries, keep), {"title": [title]})
    if any(entry.is_of_track and tag_texts.is_artist(entry) for entry in entries):
        # ffmpeg writes the tags of an Ogg stream as tags of the track, and its title as the name.
        values = columns.filled(values, {"title": [sound.name]})
    return values


def _entries(elements: Elements, tag: Element, uid: int) -> Iterator[tag_texts.Entry]:
    """The texts of a tag, if it is of the file or of the track with this UID."""
    target = Target()
    texts: list[tuple[str, str, bool]] = []
    for one in elements.within(tag):
        if one.id == 0x67C8:
            texts.append(_simple(elements, one))
        elif one.id == 0x63C0:
            target = _target(elements, one)
    if target.is_other or (target.uids and uid not in target.uids):
        return
    level = target.level or tag_texts.LEVELS.get(target.name.upper(), tag_texts.FLAT)
    for name, text, is_default in texts:
        yield tag_texts.Entry(name, text, level, is_default, bool(target.uids))


class Target(Struct):
    """What a tag is about (RFC 9559, 5.1.8.1.1)."""

    level: int = tag_texts.FLAT
    name: str = ""
    """Of the level."""
    uids: set[int] = field(default_factory=set)
    """Of tracks; none: all of them."""
    is_other: bool = False
    """Whether it is a chapter, an attachment or an edition."""


def _target(elements: Elements, targets: Element) -> Target:
    target = Target()
    for one in elements.within(targets):
        match one.id:
            case 0x68CA:
                target.level = elements.unsigned(one)
            case 0x63CA:
                target.name = elements.text(one, NAME_LIMIT)
            case 0x63C5:
                target.uids.add(elements.unsigned(one))
            case 0x63C4 | 0x63C6 | 0x63C9:
                target.is_other |= elements.unsigned(one) != 0
    target.uids.discard(0)  # 0 is all of them
    return target


def _simple(elements: Elements, simple: Element) -> tuple[str, str, bool]:
    """Name, text, and whether it is the default. Tags within it are of this text, not the file."""
    name = text = ""
    is_default = True
    for one in elements.within(simple):
        match one.id:
            case 0x45A3:
                name = elements.text(one, NAME_LIMIT)
            case 0x4487:
                text = elements.text(one, TEXT_LIMIT)
            case 0x4484:
                is_default = bool(elements.unsigned(one))
    return name, text, is_default


def _has_picture(elements: Elements, attachments: Element) -> bool:
    """Whether an attached file is an image of at least one byte (RFC 9559, 5.1.6)."""
    for attached in elements.within(attachments):
        kind, size = "", 0
        for one in elements.within(attached):
            if one.id == 0x4660:
                kind = elements.text(one, NAME_LIMIT)
            elif one.id == 0x465C:
                size = one.end - one.begin
        if kind.lower().startswith("image/") and size:
            return True
    return False


def codec_of(codec_id: str, private: bytes) -> str:
    """The name of a codec: `A_AAC/MPEG4/LC` is aac, `A_PCM/INT/LIT` is pcm."""
    codec_id = codec_id.upper()
    if codec_id == "A_MS/ACM":  # a WAVEFORMATEX
        return WAVE_CODECS.get(int.from_bytes(private[:2], "little"), "wav")
    if codec_id in CODECS:
        return CODECS[codec_id]
    name = codec_id.removeprefix("A_").partition("/")[0].lower()
    return name if name.isascii() and name.isidentifier() else "matroska"


def refine(stream: Stream, codec: str, private: bytes) -> None:
    """Correct the rate, channels and depth of a stream by what its codec tells."""
    match codec:
        case "opus":
            stream.sample_rate = OPUS_RATE
        case "flac" if private[:4] == b"fLaC" and len(private) >= 8 + 18:
            bits = int.from_bytes(private[8 + 10 : 8 + 18])
            stream.sample_rate = bits >> 44 or stream.sample_rate
            stream.channels = (bits >> 41 & 7) + 1
            stream.bits_per_sample = (bits >> 36 & 31) + 1
        case "alac" if len(private) >= 24:
            stream.bits_per_sample = private[5]
            stream.channels = private[9] or stream.channels
            stream.sample_rate = int.from_bytes(private[20:24]) or stream.sample_rate
