"""The essence of a file is that of its sound: tags leave it as it is, other sound has another."""

from __future__ import annotations

import io
import random
import struct

import pytest
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TIT2

from indexer import tags
from indexer.tags import essence, window
from indexer.tags.window import Window, end_of_sound
from tests import corpus, mp4_files, raw_matroska

STREAMS = [*corpus.STREAMS, *corpus.WITHOUT_PICTURES]
SOUNDLESS = {".dsf"}
"""Templates that hold headers only."""
FRAME = b"\xff\xfb\x90\x00" + b"\x55" * 413
"""A frame of MPEG audio, layer III: 128 kbit/s, 44 100 Hz."""


SOUND = FRAME * 40
TAGS_OF_MATROSKA = raw_matroska.tags([(50, "TITLE", "Debut" * 1000)])


def suffix_of(template: str) -> bytes:
    return template[template.rindex(".") :].encode()


def told(content: bytes, suffix: bytes) -> bytes:
    found = tags.read_track(io.BytesIO(content), suffix).essence
    assert found is not None
    return found


def mpeg(*marks: int) -> bytes:
    """Frames of equal length, of which each holds its mark."""
    return b"".join(FRAME[:40] + struct.pack(">I", mark) + FRAME[44:] for mark in marks)


def wave(sound: bytes, *before: bytes) -> bytes:
    """A WAV file with one channel of 8 bits at 8000 Hz, and other chunks before its sound."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    chunks = b"".join((b"fmt " + struct.pack("<I", 16) + form, *before))
    chunks += b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


@pytest.mark.parametrize("template", STREAMS)
def test_tags_and_pictures_leave_the_essence_as_it_is(template: str) -> None:
    suffix = suffix_of(template)
    plain = told(corpus.template(template), suffix)
    assert len(plain) == (0 if template in SOUNDLESS else essence.SIZE)
    picture = None if template in corpus.WITHOUT_PICTURES else 300_000
    album = "Long " * 300
    assert told(corpus.tagged(template, title="One", album=album), suffix) == plain
    assert told(corpus.tagged(template, picture=picture, title="Two"), suffix) == plain


@pytest.mark.parametrize("template", STREAMS)
def test_our_readers_and_mutagen_tell_the_same_essence(template: str) -> None:
    suffix = suffix_of(template)
    for content in (corpus.template(template), corpus.tagged(template, title="One")):
        try:
            plain = tags.read_plain(io.BytesIO(content), suffix).essence
        except tags.Declined:
            continue
        assert plain == told(content, suffix)


def test_every_format_has_an_essence_of_its_own() -> None:
    found = [told(corpus.template(one), suffix_of(one)) for one in STREAMS if one not in SOUNDLESS]
    # Wave64 holds the very sound of WAV; those templates are one sound.
    assert len(set(found)) >= len(found) - 1


@pytest.mark.parametrize("wrong", [b".mp3", b".flac", b".ogg", b".m4a", b".wav"])
@pytest.mark.parametrize("template", [".flac", ".ogg", ".wav", ".mka", ".wv", ".ape"])
def test_a_wrong_suffix_leaves_the_essence_as_it_is(template: str, wrong: bytes) -> None:
    content = corpus.tagged(template, title="One")
    assert told(content, wrong) == told(content, suffix_of(template))


def test_two_recordings_with_a_silent_beginning_and_one_length_differ() -> None:
    silence = [0] * 200
    one = mpeg(*silence, *range(1, 401))
    other = mpeg(*silence, *range(501, 901))
    assert len(one) == len(other)
    assert told(one, b".mp3") != told(other, b".mp3")
    noise = random.Random(1)
    quiet = b"\x80" * 40_000
    sounds = [quiet + noise.randbytes(60_000) for _ in range(50)]
    assert len({told(wave(sound), b".wav") for sound in sounds}) == 50


@pytest.mark.parametrize("silent", [0.55, 0.7, 0.9])
@pytest.mark.parametrize("at_end", [False, True])
def test_two_recordings_that_are_silent_for_the_most_part_differ(
    silent: float, at_end: bool
) -> None:
    frames = 2000
    quiet = int(frames * silent)

    def parts(rest: range) -> list[int]:
        return [*rest, *[0] * quiet] if at_end else [*[0] * quiet, *rest]

    loud = frames - quiet
    one, other = (mpeg(*parts(range(first, first + loud))) for first in (1, 3001))
    assert len(one) == len(other)
    assert told(one, b".mp3") != told(other, b".mp3")
    noise = random.Random(1)
    still = bytes(int(1_000_000 * silent))
    sounds = [noise.randbytes(1_000_000 - len(still)) for _ in range(5)]
    waves = [wave(sound + still if at_end else still + sound) for sound in sounds]
    assert len({told(content, b".wav") for content in waves}) == 5


def test_two_recordings_in_matroska_that_begin_with_much_silence_differ() -> None:
    parts = raw_matroska.info(), raw_matroska.tracks(raw_matroska.entry("A_MPEG/L3"))
    silence = [raw_matroska.block(0, mpeg(0)) for _ in range(200)]
    one, other = (
        raw_matroska.segment(
            *parts,
            raw_matroska.cluster(0, *silence, *(raw_matroska.block(0, mpeg(n)) for n in sound)),
        )
        for sound in (range(1, 100), range(101, 200))
    )
    assert told(one, b".mka") != told(other, b".mka")


def test_silence_itself_is_one_sound_whatever_its_tags_are() -> None:
    content = mpeg(*[0] * 2000)
    file = io.BytesIO(content)
    ape = APEv2()
    ape["Title"] = "One"
    ape.save(file)
    assert told(file.getvalue(), b".mp3") == told(content, b".mp3")


def test_a_recording_that_is_longer_by_a_frame_has_another_essence() -> None:
    assert told(mpeg(*range(500)), b".mp3") != told(mpeg(*range(501)), b".mp3")


def test_a_frame_of_counts_is_no_sound() -> None:
    sound = mpeg(*range(500))
    xing = FRAME[:36] + b"Xing" + struct.pack(">III", 3, 500, len(sound)) + bytes(365)
    vbri = FRAME[:36] + b"VBRI" + bytes(377)
    assert told(xing[:417] + sound, b".mp3") == told(sound, b".mp3")
    assert told(xing[:417].replace(b"Xing", b"Info") + sound, b".mp3") == told(sound, b".mp3")
    assert told(vbri[:417] + sound, b".mp3") == told(sound, b".mp3")


def test_tags_at_the_end_are_no_sound() -> None:
    sound = mpeg(*range(500))
    plain = told(sound, b".mp3")
    v1 = b"TAG" + b"x" * 125
    ape = APEv2()
    ape["Title"] = "One"
    file = io.BytesIO(sound)
    ape.save(file)
    with_ape = file.getvalue()
    lyrics = b"LYRICSBEGININD0000200"
    lyrics += b"%06dLYRICS200" % len(lyrics)
    old_lyrics = b"LYRICSBEGINla la laLYRICSEND"
    for content in (
        sound + v1, with_ape, with_ape + v1, sound + lyrics + v1, with_ape + lyrics + v1,
        sound + old_lyrics + v1,
    ):  # fmt: skip
        assert told(content, b".mp3") == plain
        assert end_of_sound(Window(io.BytesIO(content))) == len(sound)


def in_wave(sound: bytes, *behind: bytes) -> bytes:
    """MPEG audio in a WAV file (format 0x55), with other chunks behind it."""
    form = struct.pack("<HHIIHHH", 0x55, 1, 44_100, 16_000, 1, 0, 0)
    parts = [(b"fmt ", form), (b"data", sound), *((b"LIST", one) for one in behind)]
    chunks = b"".join(name + struct.pack("<I", len(one)) + one for name, one in parts)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def in_matroska(sound: bytes, *behind: bytes) -> bytes:
    parts = raw_matroska.info(), raw_matroska.tracks(raw_matroska.entry("A_MPEG/L3"))
    return raw_matroska.segment(
        *parts, raw_matroska.cluster(0, raw_matroska.block(0, sound)), *behind
    )


def in_mp4(sound: bytes, *behind: bytes) -> bytes:
    """Its index, in which a tagger writes, stands behind the sound."""
    index = mp4_files.mp4(mp4_files.track((10 * mp4_files.RATE).to_bytes(4)), *behind)
    index = index.replace(b"fLaC", b".mp3")
    return index[:16] + mp4_files.box(b"mdat", sound) + index[16:]


@pytest.mark.parametrize(
    ("content", "tagged", "suffix"),
    [
        (in_wave(SOUND), in_wave(SOUND, b"INFOINAM\6\0\0\0Debut\0"), b".wav"),
        (in_matroska(SOUND), in_matroska(SOUND, TAGS_OF_MATROSKA), b".mka"),
        (in_mp4(SOUND), in_mp4(SOUND, mp4_files.box(b"free", bytes(5000))), b".mp4"),
    ],
    ids=["wav", "mka", "mp4"],
)
def test_what_follows_mpeg_audio_in_a_container_is_no_sound(
    content: bytes, tagged: bytes, suffix: bytes
) -> None:
    track = tags.read_track(io.BytesIO(content), suffix)
    assert (track.codec, told(tagged, suffix)) == ("mp3", track.essence)
    assert len(track.essence or b"") == essence.SIZE


def test_several_tags_at_the_head_are_no_sound() -> None:
    tag = ID3()
    tag.add(TIT2(text="One"))
    head = io.BytesIO()
    tag.save(head)
    sound = mpeg(*range(500))
    assert told(head.getvalue() * 2 + sound, b".mp3") == told(sound, b".mp3")


def flac_of(frames: bytes, md5: bytes, *blocks: bytes) -> bytes:
    numbers = struct.pack(">HHIIQ", 4096, 4096, 0, 0, 44100 << 44 | 1 << 41 | 15 << 36 | 441000)
    info = b"\0\0\0\x22" + numbers[:4] + bytes(6) + numbers[12:] + md5
    heads = [info, *blocks]
    heads[-1] = bytes([heads[-1][0] | 0x80]) + heads[-1][1:]
    return b"fLaC" + b"".join(heads) + frames


def test_flac_is_known_by_its_checksum_and_without_one_by_its_frames() -> None:
    frames, other = (random.Random(seed).randbytes(50_000) for seed in (1, 2))
    padding = b"\x01\0\x10\0" + bytes(4096)
    md5 = bytes(range(16))
    one = told(flac_of(frames, md5), b".flac")
    assert told(flac_of(other, md5, padding), b".flac") == one  # another level of compression
    none = told(flac_of(frames, bytes(16)), b".flac")
    assert none not in {b"", one}
    assert told(flac_of(frames, bytes(16), padding), b".flac") == none
    assert told(flac_of(frames, bytes(16), padding) + b"TAG" + b"x" * 125, b".flac") == none
    assert told(flac_of(other, bytes(16)), b".flac") != none


def test_flac_retagged_by_mutagen_keeps_its_essence() -> None:
    file = io.BytesIO(flac_of(random.Random(1).randbytes(50_000), bytes(16)))
    before = told(file.getvalue(), b".flac")
    flac = FLAC(file)
    flac["title"] = ["One"]
    file.seek(0)
    flac.save(file, padding=lambda _: 100_000)
    assert told(file.getvalue(), b".flac") == before


class Counting(io.BytesIO):
    """Counts what is read at an offset."""

    reads = 0

    def read_at(self, at: int, size: int) -> bytes:
        self.reads += 1
        return self.getvalue()[at : at + size]


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".ogg", ".opus"])
def test_the_essence_takes_one_read_more_at_most(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = corpus.tagged(suffix, title="One", picture=100_000)
    with_it = Counting(content)
    tags.read_plain(with_it, suffix.encode())
    monkeypatch.setattr(tags, "_essence", lambda: lambda _window, _codec: b"")
    without = Counting(content)
    tags.read_plain(without, suffix.encode())
    assert with_it.reads <= without.reads + 1


def test_of_silence_in_matroska_little_is_read() -> None:
    parts = raw_matroska.info(), raw_matroska.tracks(raw_matroska.entry("A_PCM/INT/LIT"))
    silence = [raw_matroska.block(0, bytes(8192))] * 400
    file = Counting(raw_matroska.segment(*parts, raw_matroska.cluster(0, *silence)))
    assert len(tags.read_plain(file, b".mka").essence or b"") == essence.SIZE
    assert file.reads < 100


@pytest.mark.parametrize(("suffix", "most"), [(".aac", 5), (".ac3", 3)])
def test_sound_without_tags_behind_it_is_read_once(suffix: str, most: int) -> None:
    """The head, the tail, and the middle; of AAC, frames in two more places."""
    file = Counting(corpus.template(suffix) * 20)
    tags.read_track(file, suffix.encode())
    assert file.reads <= most


def test_tags_behind_the_sound_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO(mpeg(*range(500)))
    ape = APEv2()
    ape["Cover Art (Front)"] = b"c.jpg\0" + bytes(50_000)
    ape.save(file)
    looks: list[Window] = []
    look = window._tags_behind

    def counted(one: Window) -> list[tuple[int, bytes]]:
        looks.append(one)
        return look(one)

    monkeypatch.setattr(window, "_tags_behind", counted)
    tags.read_track(file, b".mp3")
    assert len(looks) == 1


@pytest.mark.parametrize("template", STREAMS)
def test_a_file_that_is_cut_anywhere_has_an_essence_or_none(template: str) -> None:
    content = corpus.tagged(template, title="One")
    for size in range(0, len(content), max(1, len(content) // 40)):
        try:
            track = tags.read_track(io.BytesIO(content[:size]), suffix_of(template))
        except tags.Refused:
            continue
        assert track.essence is not None
        assert len(track.essence) in {0, essence.SIZE}


class Failing(io.BytesIO):
    """Breaks off after a number of reads."""

    left = 0

    def read_at(self, at: int, size: int) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return self.getvalue()[at : at + size]


def test_an_error_of_the_disk_is_raised_and_no_missing_essence() -> None:
    file = Counting(sound := mpeg(*range(2000)))
    tags.read_track(file, b".mp3")
    failing = Failing(sound)
    failing.left = file.reads - 1  # the last is that of the essence
    with pytest.raises(OSError, match="Input/output"):
        tags.read_track(failing, b".mp3")
