from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_fast_flac import KEYS, item, little
from tests.property.test_fast_readers import assert_same, fixed


def page(packet: bytes, flags: int, sequence: int, serial: int, position: int) -> bytes:
    """A page of whole lacing values; one of 65 025 bytes does not end its packet."""
    lacing = [255] * (len(packet) // 255)
    if len(lacing) < 255:
        lacing.append(len(packet) % 255)
    head = b"OggS\0" + bytes([flags]) + position.to_bytes(8, "little", signed=True)
    head += little(serial) + little(sequence) + bytes(4) + bytes([len(lacing), *lacing])
    return head + packet


@st.composite
def ogg_files(draw: st.DrawFn) -> bytes:
    """Vorbis or Opus, comments over several pages, flags and numbers that may be wrong."""
    wrong = st.sampled_from([0] * 60 + [1])
    is_opus = draw(st.booleans())
    if is_opus:
        identity = b"OpusHead" + bytes([draw(st.sampled_from([1] * 9 + [16])), 2]) + b"\x38\1"
        identity += little(44100) + bytes(3)
    else:
        rates = [draw(st.sampled_from([0, 128_000, 2**32 - 1, 96_000])) for _ in range(3)]
        rate = draw(st.sampled_from([44100] * 9 + [0]))
        identity = b"\x01vorbis" + bytes(4) + b"\2" + b"".join(map(little, [rate, *rates]))
        identity += b"\xb8\1"
    identity = identity[: draw(st.sampled_from([99] * 20 + [20, 10]))]
    long = st.sampled_from([1000, 1017, 1100, 40_000, 70_000, 131_000]).map(
        lambda size: b"A" * size
    )
    key = st.sampled_from([*KEYS, "METADATA_BLOCK_PICTURE", "k" * 40])
    longer = st.tuples(key, long).map(lambda pair: pair[0].encode() + b"=" + pair[1])
    entries = draw(st.lists(st.one_of(item, item, longer), max_size=6))
    tags = (b"OpusTags" if is_opus else b"\x03vorbis") + little(4) + b"made"
    tags += little(len(entries) + draw(wrong))
    for one in entries:
        tags += little(len(one) + draw(wrong)) + one
    tags += b"" if is_opus else draw(st.sampled_from([b"\1"] * 9 + [b"\0", b""]))
    tags += bytes(draw(st.sampled_from([0, 0, 0, 300, 60_000])))
    step = draw(st.sampled_from([255, 255 * 16, 255 * 255]))
    content = page(identity, 2 ^ draw(wrong), 0, 7, 0)
    cuts = range(0, len(tags), step)
    for number, cut in enumerate(cuts):
        piece = tags[cut : cut + step]
        whole = page(
            piece, (number > 0) ^ draw(wrong), number + 1 + draw(wrong), 7 + draw(wrong), 0
        )
        if len(piece) == step < 255 * 255 and cut + step < len(tags):  # drop the zero that ends it
            head = 27 + step // 255
            whole = whole[:26] + bytes([step // 255]) + whole[27:head] + whole[head + 1 :]
        content += whole
    sequence = len(cuts) + 1
    for number in range(draw(st.integers(0, 4))):
        sound = bytes(draw(st.sampled_from([0, 100, 20_000, 60_000])))
        if not draw(st.integers(0, 20)):
            sound += b"OggS"
        position = draw(st.sampled_from([44100, 99_999, 200, 0, -1]))
        flags = draw(st.sampled_from([0, 4, 4, 4]))
        content += page(sound, flags, sequence + number, 7 + draw(wrong), position)
    content += draw(st.sampled_from([b""] * 9 + [b"\0" * 40, b"x" * 70_000]))
    if not draw(st.integers(0, 9)):
        content = content[: draw(st.integers(0, len(content)))]
    return content


@settings(fixed, max_examples=1000)
@given(ogg_files(), st.sampled_from([".ogg", ".opus"]))
def test_ogg_is_read_as_mutagen_reads_it(content: bytes, suffix: str) -> None:
    assert_same(content, suffix)
