from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import pytest

from tests.corpus import DAMAGED, mp4_without_moov, noise, tagged, template
from tests.raw_matroska import UNKNOWN, info, segment, tracks
from watcher.debounce.observation import MOST_HEADERS, OGG_PAGE, is_complete

SUFFIXES = (".m4a", ".m4b", ".mp4", ".alac.m4a", ".flac", ".ogg", ".oga", ".opus", ".mka", ".webm")


class CountingFile(io.BytesIO):
    """A file that counts the bytes read."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def whole(suffix: str, picture: int | None = 50_000) -> bytes:
    if suffix == ".wav":
        return wave()
    return tagged(suffix, picture=picture, title="Human Behaviour", album="Debut")


def wave(sound: bytes = bytes(1000), *, claimed: int | None = None) -> bytes:
    form = b"WAVEfmt \x10\0\0\0" + bytes(16) + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(form) if claimed is None else claimed) + form


def rf64(claimed: int, root: bytes = b"RF64") -> bytes:
    sizes = struct.pack("<QQQI", claimed, 0, 0, 0)
    return root + b"\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes + bytes(100)


def atom(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def page(payload: int, *, flags: int = 0) -> bytes:
    """An Ogg page with `payload` bytes of a packet without meaning."""
    lacing = bytes([255] * (payload // 255) + [payload % 255])
    return b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(lacing)]) + lacing + bytes(payload)


def check(content: bytes, suffix: str) -> bool:
    return is_complete(io.BytesIO(content), b"." + suffix.rpartition(".")[2].encode(), len(content))


def cuts(content: bytes, start: int = 1) -> Iterator[int]:
    """Many offsets to truncate at: the first and last 300, and some between."""
    size = len(content)
    yield from range(start, min(size, start + 300))
    yield from range(start + 300, size - 300, 97)
    yield from range(max(start, size - 300), size)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".mp3", ".wav"])
@pytest.mark.parametrize("picture", [None, 2000, 300_000])
def test_a_finished_file_is_complete(suffix: str, picture: int | None) -> None:
    assert check(whole(suffix, picture), suffix)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".wav"])
def test_an_untagged_file_is_complete(suffix: str) -> None:
    assert check(wave() if suffix == ".wav" else template(suffix), suffix)


@pytest.mark.parametrize("suffix", [".m4a", ".alac.m4a", ".wav"])
def test_a_file_that_tells_its_length_is_incomplete_wherever_it_was_cut(suffix: str) -> None:
    content = whole(suffix)
    assert [cut for cut in cuts(content) if check(content[:cut], suffix)] == []


@pytest.mark.parametrize("suffix", [".ogg", ".oga", ".opus"])
def test_an_ogg_file_that_was_cut_is_complete_only_between_two_pages(suffix: str) -> None:
    content = whole(suffix, picture=5000)
    ends = {at for at in range(1, len(content)) if content.startswith(b"OggS\0", at)}
    assert {cut for cut in range(1, len(content)) if check(content[:cut], suffix)} <= ends


def test_a_flac_file_that_was_cut_is_complete_from_its_first_frame_on() -> None:
    content = whole(".flac")
    sound = content.index(b"\xff\xf8", len(content) - len(template(".flac")))
    assert [cut for cut in cuts(content[: sound + 2]) if check(content[:cut], ".flac")] == []
    assert check(content[: sound + 2], ".flac")


def test_a_flac_file_may_begin_with_an_id3_tag() -> None:
    tag = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)
    assert check(tag + whole(".flac"), ".flac")
    with_footer = b"ID3\x04\0\x10\0\0\x02\x01" + bytes(257 + 10)
    assert check(with_footer + whole(".flac"), ".flac")


def test_a_flac_file_whose_sound_is_still_a_hole_is_incomplete() -> None:
    content = whole(".flac")
    sound = content.index(b"\xff\xf8", len(content) - len(template(".flac")))
    assert not check(content[:sound] + bytes(len(content) - sound), ".flac")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".wav"])
def test_a_file_of_zeros_is_incomplete(suffix: str) -> None:
    """As allocated by a downloader before it writes."""
    assert not check(bytes(100_000), suffix)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".wav", ".mp3", ".xyz"])
def test_an_empty_file_is_incomplete(suffix: str) -> None:
    assert not check(b"", suffix)


def test_an_mp3_file_may_end_anywhere() -> None:
    content = whole(".mp3")
    assert all(check(content[:cut], ".mp3") for cut in cuts(content))


def test_a_suffix_without_a_known_container_is_complete() -> None:
    assert check(noise(), ".aac")


def test_mp4_without_its_index_is_incomplete() -> None:
    assert not check(mp4_without_moov(), ".m4a")


def test_an_mp4_atom_may_have_a_long_length_or_go_on_to_the_end() -> None:
    moov = atom(b"moov", bytes(50))
    long_atom = struct.pack(">I4sQ", 1, b"mdat", 16 + 30) + bytes(30)
    assert check(moov + long_atom, ".m4a")
    assert not check(moov + long_atom[:-1], ".m4a")
    assert check(moov + struct.pack(">I4s", 0, b"mdat") + bytes(30), ".m4a")
    assert not check(struct.pack(">I4s", 0, b"mdat") + bytes(30), ".m4a")


def test_an_mp4_file_that_goes_on_with_zeros_is_incomplete() -> None:
    assert not check(atom(b"ftyp") + atom(b"moov", bytes(50)) + bytes(5000), ".m4a")


@pytest.mark.parametrize("length", [2, 7])
def test_an_mp4_atom_shorter_than_its_own_header_is_damage(length: int) -> None:
    assert not check(atom(b"moov") + struct.pack(">I4s", length, b"free") + bytes(8), ".m4a")


def test_a_fragmented_mp4_file_needs_no_more_than_its_index() -> None:
    fragments = atom(b"moof", bytes(20)) + atom(b"mdat", bytes(99))
    assert check(atom(b"moov") + fragments * MOST_HEADERS, ".mp4")
    assert not check(fragments * MOST_HEADERS + atom(b"moov"), ".mp4")


@pytest.mark.parametrize("claimed", [0, 2**32 - 1])
def test_a_wave_file_whose_size_is_not_yet_filled_in_is_incomplete(claimed: int) -> None:
    assert not check(wave(claimed=claimed), ".wav")


def test_a_large_wave_file_tells_its_size_in_another_chunk() -> None:
    size = len(rf64(0)) - 8
    for root in (b"RF64", b"BW64"):
        assert check(rf64(size, root), ".wav")
        assert not check(rf64(size + 1, root), ".wav")
        assert not check(rf64(0, root), ".wav")


def test_a_wave_file_may_tell_its_size_with_the_most_significant_byte_first() -> None:
    content = b"RIFX" + struct.pack(">I", 300) + bytes(300)
    assert check(content, ".wav")
    assert not check(content[:-1], ".wav")


def test_bytes_after_an_ogg_stream_that_ended_do_no_harm() -> None:
    content = whole(".ogg")
    assert check(content + b"TAG" + bytes(125), ".ogg")
    assert check(page(100) + page(200, flags=4) + bytes(128), ".ogg")
    assert not check(page(100) + page(200) + bytes(128), ".ogg")


def test_the_longest_ogg_page_is_found() -> None:
    last = b"OggS\0" + bytes(21) + b"\xff" + b"\xff" * 255 + bytes(255 * 255)
    assert len(last) == OGG_PAGE
    assert check(page(100) + last, ".ogg")
    assert not check(page(100) + last[:-1], ".ogg")


def test_what_only_looks_like_an_ogg_page_does_not_hide_the_real_one() -> None:
    last = page(600)
    decoy = b"OggS\0" + bytes(21) + b"\xff" * 100
    content = page(100) + last[: -len(decoy)] + decoy
    assert check(content, ".ogg")
    assert not check(content[:-1], ".ogg")


@pytest.mark.parametrize("cut", range(-6, 7))
def test_an_ogg_page_is_found_across_the_steps_of_the_search(cut: int) -> None:
    last = page(4096 - 27 - 17 + cut)
    assert check(page(5000) + last, ".ogg")
    assert not check(page(5000) + last[:-1], ".ogg")


def test_a_recording_that_tells_no_size_is_complete_whenever_its_segment_has_begun() -> None:
    content = segment(info(None), tracks(), size=UNKNOWN)
    assert check(content, ".webm")
    assert check(content[:30], ".webm")
    assert not check(content[:20], ".webm")


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_an_answer(name: str) -> None:
    suffix = name[name.rindex(".") :]
    content = DAMAGED[name]()
    inside_its_frame = name == "picture claims 4 GB.flac" or (suffix == ".mp3" and len(content) > 0)
    assert check(content, suffix) is inside_its_frame


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".wav"])
def test_noise_is_incomplete_whatever_it_begins_with(suffix: str) -> None:
    start = (whole(suffix) if suffix == ".wav" else template(suffix))[:4]
    for seed in range(50):
        assert not check(noise(seed=seed), suffix)
        assert not check(start + noise(seed=seed), suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_shrinks_under_the_check_is_incomplete(suffix: str) -> None:
    content = whole(suffix)
    key = b"." + suffix.rpartition(".")[2].encode()
    assert not is_complete(io.BytesIO(content[:20]), key, len(content))
    assert not is_complete(io.BytesIO(b""), key, len(content))


@pytest.mark.parametrize(
    ("suffix", "most"),
    [
        (".m4a", 120),
        (".flac", 60),
        (".wav", 28),
        (".mka", 32),
        (".mp3", 0),
        (".opus", 12_292),
    ],
)
def test_little_is_read(suffix: str, most: int) -> None:
    content = whole(suffix, 300_000) if suffix != ".wav" else wave(bytes(1_000_000))
    file = CountingFile(content)
    assert is_complete(file, suffix.encode(), len(content))
    assert file.bytes_read <= most


@pytest.mark.parametrize(
    "content",
    [page(100) + bytes(300_000), page(100) + (b"OggS\0" + bytes(21) + b"\xff" * 256) * 999],
)
def test_no_more_than_one_page_of_a_broken_ogg_file_is_read(content: bytes) -> None:
    file = CountingFile(content)
    assert not is_complete(file, b".ogg", len(content))
    assert file.bytes_read <= OGG_PAGE + 4096 + 4
