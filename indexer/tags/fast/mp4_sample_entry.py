"""The first sample entry of an MP4 file -> codec, rate, channels ..., if the entry is a common one.

mutagen's `AudioSampleEntry` reads it bit by bit. Here, for anything unusual (a truncated entry,
channels listed one by one, audio object types beyond common AAC) the result is None, and mutagen
reads the entry. A result equals mutagen's (1.48) as `refine` corrects it; a property test compares
both.

Sources: ISO 14496-12, 12.2.3 (sample entry); ISO 14496-1, 7.2.6 (descriptors); ISO 14496-3, 1.6.2
(AudioSpecificConfig) and 4.4.1 (GASpecificConfig); ALACMagicCookieDescription.txt; ETSI TS 102 366,
F.4 (`dac3`) and F.6 (`dec3`); Encapsulation of FLAC in ISO Base Media File Format, 3.3.2 (`dfLa`).
"""

from __future__ import annotations

from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mutagen.mp4 import MP4Info

HEADER_SIZE: Final = 8
ENTRY_SIZE: Final = 36
"""Bytes of an entry before the atom of the codec."""
CONTAINERS: Final = frozenset(
    (b"moov", b"udta", b"trak", b"mdia", b"meta", b"ilst", b"stbl", b"minf", b"moof", b"traf")
)
"""Atoms that mutagen parses; a common entry has none of them."""

ES, DECODER_CONFIG, DECODER_SPECIFIC = 3, 4, 5
"""Tags of descriptors."""
MPEG_4_AUDIO: Final = (0x40, 5)
"""Object type and stream type."""
FREQUENCIES: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
EXPLICIT_FREQUENCY: Final = 15
SBR, PS = 5, 29
"""Object types that precede the one they extend."""
EVERYDAY: Final = (1, 2, 3, 4)
"""Object types of AAC: main, LC, SSR, LTP."""
SBR_FOLLOWS, PS_FOLLOWS = 0x2B7, 0x548
SBR_BELOW_HZ: Final = 24_000
FLAC_SIZE: Final = 4 + 4 + 34
"""Bytes of a `dfLa` up to the end of STREAMINFO, which is its first block."""
EAC3_SIZE: Final = 5
"""Bytes of a `dec3` up to the end of the first independent stream."""
PCM_SIZE: Final = 6
"""Bytes of a `pcmC` (ISO 23003-5, 5.2): version and flags, byte order, bits of a sample."""
PCM_DEPTHS: Final = {b"in24": 24, b"in32": 32, b"fl32": 32, b"fl64": 64}
"""Bits of a sample by the name of QuickTime's entry."""
SECOND_VERSION_SIZE: Final = 60
"""Bytes of QuickTime's entry of version 2 up to the end of its bits per sample."""
RATES_SIZE: Final = 12
"""Bytes of a `btrt`: size of a buffer, highest and mean bits/s."""
AC3_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
AC3_KBPS: Final = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)  # fmt: skip

_atom = Struct(">I4s").unpack_from
_sound = Struct(">16x2H4xI").unpack_from
_sound_2 = Struct(">dI4xI").unpack_from
_decoder = Struct(">BB3xII").unpack_from
_alac = Struct(">4xBB3xB6xII").unpack_from


class NotPlain(Exception):
    """The data is unusual and must be read by mutagen."""


class Entry(msgspec.Struct, gc=False):
    """The contents of an audio sample entry."""

    bitrate: int
    sample_rate: int
    channels: int
    bits_per_sample: int
    codec: str
    """`mp4a` with the numbers of RFC 6381, or the entry's name."""


def read_entry(entries: bytes) -> Entry | None:
    """The first of these entries, which begin with their header; None if mutagen must read it."""
    if len(entries) < ENTRY_SIZE + HEADER_SIZE:
        return None
    size, name = _atom(entries)
    extra_size, extra = _atom(entries, ENTRY_SIZE)
    end = ENTRY_SIZE + extra_size
    if size > len(entries) or extra_size < HEADER_SIZE or end > size:
        return None
    if name in CONTAINERS or extra in CONTAINERS:
        return None
    channels, bits_per_sample, sample_rate = _sound(entries, HEADER_SIZE)
    entry = Entry(0, sample_rate >> 16, channels, bits_per_sample, name.decode("latin-1"))
    content = entries[ENTRY_SIZE + HEADER_SIZE : end]
    try:
        match name, extra:
            case b"mp4a", b"esds":
                _read_esds(entry, _of_version_0(content))
            case b"alac", b"alac":
                _read_alac(entry, _of_version_0(content))
            case b"ac-3", b"dac3":
                _read_dac3(entry, content)
    except NotPlain:
        return None
    _refine(entry, entries, name, _atoms_in(entries[ENTRY_SIZE:size]))
    return entry


def refine(entry: Entry | MP4Info, entries: bytes) -> None:
    """Correct what mutagen reads of the first of these entries.

    The header has 16 bits for the rate, a depth of 16 for most PCM, and often two channels for any
    number of them: the atom of the codec knows better. (Of mono AAC mutagen takes the header's two,
    since parametric stereo could follow, also where it cannot.) Never raises.
    """
    if len(entries) < ENTRY_SIZE:
        return
    size, name = _atom(entries)
    atoms = _atoms_in(entries[ENTRY_SIZE:size])
    _refine(entry, entries, name, atoms)
    if name == b"mp4a" and next(iter(atoms), b"") == b"esds":
        ours = Entry(0, 0, 0, 0, "")
        with suppress(NotPlain):
            _read_esds(ours, _of_version_0(atoms[b"esds"]))
        if ours.channels == 1:
            entry.channels = 1


def _refine(
    entry: Entry | MP4Info, entries: bytes, name: bytes, atoms: Mapping[bytes, bytes]
) -> None:
    match name:
        case b"fLaC" if len(atoms.get(b"dfLa", b"")) >= FLAC_SIZE:
            bits = int.from_bytes(atoms[b"dfLa"][18:22])
            entry.sample_rate = bits >> 12 or entry.sample_rate
            entry.channels = (bits >> 9 & 7) + 1
        case b"ec-3" if len(atoms.get(b"dec3", b"")) >= EAC3_SIZE:
            _refine_eac3(entry, int.from_bytes(atoms[b"dec3"][:EAC3_SIZE]))
        case b"lpcm" if entries[16:18] == b"\0\2" and len(entries) >= SECOND_VERSION_SIZE:
            rate, entry.channels, entry.bits_per_sample = _sound_2(entries, 40)
            entry.sample_rate = int(rate) if 0 < rate < 1 << 31 else 0
        case b"alac" if entry.bitrate >= (
            entry.sample_rate * entry.channels * entry.bits_per_sample
        ):
            entry.bitrate = 0  # ffmpeg states that of the decoded sound
        case b"ipcm" | b"fpcm" if len(atoms.get(b"pcmC", b"")) >= PCM_SIZE:
            entry.bits_per_sample = atoms[b"pcmC"][PCM_SIZE - 1]
        case _:
            entry.bits_per_sample = PCM_DEPTHS.get(name, entry.bits_per_sample)
    if not entry.bitrate and len(atoms.get(b"btrt", b"")) >= RATES_SIZE:
        entry.bitrate = int.from_bytes(atoms[b"btrt"][8:RATES_SIZE])


def _refine_eac3(entry: Entry | MP4Info, bits: int) -> None:
    """Bits: 13 kbit/s, 15 others, 3 channels, 1 LFE channel, 3 reserved, 4 dependent streams."""
    channels = AC3_CHANNELS[bits >> 9 & 7] + (bits >> 8 & 1)
    depend = bits >> 1 & 15
    entry.channels = max(channels, entry.channels) if depend else channels
    entry.bitrate = 1000 * (bits >> 27)


def _atoms_in(content: bytes) -> dict[bytes, bytes]:
    """Name -> content of the atoms, up to the first that is not regular."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at + HEADER_SIZE <= len(content):
        size, name = _atom(content, at)
        if size < HEADER_SIZE or at + size > len(content):
            break
        found.setdefault(name, content[at + HEADER_SIZE : at + size])
        at += size
    return found


def _of_version_0(content: bytes) -> bytes:
    if content[:1] != b"\0" or len(content) < 4:
        raise NotPlain
    return content[4:]


def _read_alac(entry: Entry, cookie: bytes) -> None:
    if len(cookie) < 24:
        raise NotPlain
    version, bits_per_sample, channels, bitrate, sample_rate = _alac(cookie)
    if version == 0:
        entry.bits_per_sample, entry.channels = bits_per_sample, channels
        entry.bitrate, entry.sample_rate = bitrate, sample_rate


def _read_dac3(entry: Entry, content: bytes) -> None:
    """Bits: 2 sample rate, 5 and 3 stream type, 3 channels, 1 LFE channel, 5 bit rate."""
    if len(content) < 3:
        raise NotPlain
    bits = int.from_bytes(content[:3])
    entry.channels = AC3_CHANNELS[bits >> 11 & 7] + (bits >> 10 & 1)
    rate_at = bits >> 5 & 31
    if rate_at < len(AC3_KBPS):
        entry.bitrate = 1000 * AC3_KBPS[rate_at]


def _read_esds(entry: Entry, content: bytes) -> None:
    at, _ = _descriptor(content, 0, ES)
    if len(content) < at + 3 or content[at + 2] & 0xE0:
        raise NotPlain  # it refers to other streams
    at, length = _descriptor(content, at + 3, DECODER_CONFIG)
    if len(content) < at + 13:
        raise NotPlain
    object_type, stream, _, entry.bitrate = _decoder(content, at)
    entry.codec += f".{object_type:X}"
    if (object_type, stream >> 2) != MPEG_4_AUDIO or length == 13:
        return
    if at + 13 >= len(content):
        raise NotPlain
    if content[at + 13] == DECODER_SPECIFIC:
        at, length = _descriptor(content, at + 13, DECODER_SPECIFIC)
        _read_config(entry, content[at : at + length], length)


def _descriptor(content: bytes, at: int, tag: int) -> tuple[int, int]:
    """Offset and length of the body of a descriptor, which must have this tag."""
    if content[at : at + 1] != bytes([tag]):
        raise NotPlain
    length = 0
    for place in range(at + 1, min(at + 5, len(content))):
        length = length << 7 | content[place] & 0x7F
        if content[place] < 0x80:
            return place + 1, length
    raise NotPlain


class _Bits:
    """A reader of bits, most significant first."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content)
        self.left = 8 * len(content)

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise NotPlain
        return self._value >> self.left & (1 << count) - 1


def _read_config(entry: Entry, content: bytes, length: int) -> None:  # noqa: C901 - one walk
    if len(content) < length:
        raise NotPlain
    bits = _Bits(content)
    has_sbr = has_ps = None
    kind = _object_type(bits)
    frequency = sbr_frequency = _frequency(bits)
    layout = bits.take(4)
    if kind in (SBR, PS):
        has_sbr = 1
        has_ps = 1 if kind == PS else None
        sbr_frequency = _frequency(bits)
        kind = _object_type(bits)
    if kind not in EVERYDAY or not layout:
        raise NotPlain
    bits.take(1)
    if bits.take(1):
        bits.take(14)
    if bits.take(1):
        raise NotPlain
    if has_sbr is None and bits.left >= 16 and bits.take(11) == SBR_FOLLOWS:
        if _object_type(bits) != SBR:
            raise NotPlain
        has_sbr = bits.take(1)
        if has_sbr:
            sbr_frequency = _frequency(bits)
            if bits.left >= 12 and bits.take(11) == PS_FOLLOWS:
                has_ps = bits.take(1)
    entry.codec += f".{kind}"
    if not has_sbr and (has_sbr == 0 or frequency > SBR_BELOW_HZ):
        has_ps = 0  # it is coded beside SBR only
    entry.channels = _channels(layout, has_ps) or entry.channels
    if has_sbr:
        frequency = sbr_frequency
    elif has_sbr is None and frequency <= SBR_BELOW_HZ:
        frequency = 0  # it may be this, or twice as much
    entry.sample_rate = frequency or entry.sample_rate


def _object_type(bits: _Bits) -> int:
    kind = bits.take(5)
    if kind == 31:
        raise NotPlain
    return kind


def _frequency(bits: _Bits) -> int:
    index = bits.take(4)
    if index == EXPLICIT_FREQUENCY:
        return bits.take(24)
    return FREQUENCIES[index] if index < len(FREQUENCIES) else 0


def _channels(layout: int, has_ps: int | None) -> int:
    """The number of channels; 0 if unknown."""
    if layout == 1:
        return 0 if has_ps is None else 1 + has_ps
    return {7: 8}.get(layout, layout if layout < 7 else 0)
