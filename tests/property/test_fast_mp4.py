from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.tags.fast.mp4 import DEEPEST, plain_mp4
from indexer.tags.mp4.item_columns import ATOMS, FREEFORM, PAIRS
from indexer.tags.window import BLOCK, Window
from tests import corpus
from tests.property.effort import tries
from tests.property.test_fast_readers import assert_same


def atom(name: bytes, body: bytes, lie: int = 0, *, wide: bool = False) -> bytes:
    if wide:
        return (1).to_bytes(4) + name + (16 + len(body) + lie).to_bytes(8) + body
    return max(0, 8 + len(body) + lie).to_bytes(4) + name + body


def data(body: bytes, kind: int, lie: int = 0, name: bytes = b"data") -> bytes:
    return atom(name, kind.to_bytes(4) + bytes(4) + body, lie)


ITEMS = [name.encode("latin-1") for name in (*ATOMS, *PAIRS)]
ITEMS += [
    b"cpil",
    b"gnre",
    b"covr",
    b"----",
    b"----",
    b"\xa9too",
    b"pgap",
    b"stik",
    b"free",
    b"udta",
]
ITEMS += [b"wxyz", b"name", b"soal"]
rarely = st.sampled_from([0] * 300 + [1, -1, -8, 9000])


USUAL = {
    b"tmpo": (b"\0\x80", 21),
    b"cpil": (b"\1", 21),
    b"trkn": (b"\0\0\0\3\0\x0c\0\0", 0),
    b"disk": (b"\0\0\0\1\0\0", 0),
    b"covr": (b"\x89PNG", 14),
}
"""Items that taggers write, with their type."""


@st.composite
def items(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(ITEMS))
    body = b""
    if name == b"----":
        mean = draw(st.sampled_from([b"com.apple.iTunes"] * 4 + [b"org.x", b"\xff"]))
        key = draw(st.sampled_from([key.rpartition(":")[2] for key in FREEFORM] + ["x"]))
        key = draw(st.sampled_from([key, key.upper()]))
        body = atom(b"mean", bytes(4) + mean, draw(rarely))
        body += atom(b"name", bytes(4) + key.encode(), draw(rarely))
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2]))):
        content = draw(
            st.sampled_from([b"", b"a", b"\1", b"\0", b"1993", b"\0\7", bytes(3), b"\xff\xfe"])
            | st.binary(min_size=6, max_size=8)
            | st.text(max_size=9).map(lambda text: text.encode(errors="surrogatepass"))
        )
        kind = draw(st.sampled_from([0, 1, 1, 1, 2, 21, 21, 13, 1 << 24]))
        if draw(st.integers(0, 9)):
            content, kind = USUAL.get(name, (content, 1))
        called = draw(st.sampled_from([b"data"] * 60 + [b"name", b"free"]))
        body += data(content, kind, draw(rarely), called)
    return atom(name, body, draw(rarely), wide=not draw(st.integers(0, 30)))


def full(name: bytes, numbers: bytes, version: int = 0) -> bytes:
    return atom(name, bytes([version, 0, 0, 0]) + numbers)


@st.composite
def tracks(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([b"soun"] * 5 + [b"vide"]))
    hdlr = full(b"hdlr", bytes(4) + kind + bytes(12))
    version = draw(st.sampled_from([0, 0, 0, 1, 2]))
    unit = draw(st.sampled_from([44100, 44100, 0]))
    times = unit.to_bytes(4) + (99_999).to_bytes(8 if version else 4)
    mdhd = full(b"mdhd", bytes(16 if version else 8) + times + bytes(4), version)
    sound = bytes(6) + b"\0\1" + bytes(8) + b"\0\2\0\x10" + bytes(4) + (44100 << 16).to_bytes(4)
    sound += draw(st.sampled_from([atom(b"esds", bytes(20)), atom(b"alac", bytes(28)), b""]))
    entry = atom(draw(st.sampled_from([b"mp4a", b"alac", b"fLaC", b"ac-3"])), sound, draw(rarely))
    stsd = full(b"stsd", draw(st.sampled_from([1, 1, 1, 0])).to_bytes(4) + entry)
    stbl = atom(b"stbl", stsd + atom(b"stsz", bytes(draw(st.sampled_from([12, 17_000])))))
    minf = atom(b"minf", atom(b"smhd", bytes(8)) + stbl, draw(rarely))
    parts = draw(st.permutations([hdlr, mdhd, minf]))
    if not draw(st.integers(0, 9)):
        parts = parts[:-1]
    return atom(b"trak", atom(b"tkhd", bytes(84)) + atom(b"mdia", b"".join(parts), draw(rarely)))


@st.composite
def mp4_files(draw: st.DrawFn) -> bytes:
    """`moov` before or after `mdat`, its atoms in any order, sizes that may be wrong."""
    ilst = atom(b"ilst", b"".join(draw(st.lists(items(), max_size=7))), draw(rarely))
    beside = [
        full(b"hdlr", bytes(21)),
        atom(b"free", bytes(draw(st.sampled_from([0, 20, 20_000])))),
    ]
    within = b"".join(draw(st.permutations([*beside, ilst])))
    udta = atom(b"udta", atom(b"meta", bytes(4) + within, draw(rarely)), draw(rarely))
    parts = [full(b"mvhd", bytes(96)), *draw(st.lists(tracks(), min_size=1, max_size=2)), udta]
    if not draw(st.integers(0, 15)):
        parts.append(draw(st.sampled_from([udta, atom(b"chpl", bytes(9)), parts[1]])))
    moov = atom(b"moov", b"".join(draw(st.permutations(parts))), draw(rarely))
    mdat = atom(b"mdat", bytes(draw(st.sampled_from([0, 9, 40_000]))), draw(rarely))
    if draw(st.booleans()):
        mdat = atom(b"mdat", bytes(30), wide=True)
    top = [moov, mdat]
    top += draw(st.sampled_from([[]] * 6 + [[moov], [atom(b"moof", b"")], [atom(b"free", b"")]]))
    content = atom(b"ftyp", b"M4A \0\0\0\0") + b"".join(draw(st.permutations(top)))
    if not draw(st.integers(0, 9)):
        content += bytes(4) + b"mdat" + bytes(20)  # to the end of the file
    if not draw(st.integers(0, 9)):
        content = content[: draw(st.integers(0, len(content)))]
    return content


@tries(400)
@given(mp4_files())
def test_mp4_is_read_in_one_walk_as_box_by_box(content: bytes) -> None:
    assert_same(content, ".m4a")


@pytest.mark.parametrize("levels", [1, DEEPEST, DEEPEST + 1, 60])
def test_atoms_that_lie_deep_in_one_another_are_read_in_both_ways(levels: int) -> None:
    content = corpus.tagged(".m4a", title="x")
    deep = b""
    for _ in range(levels):
        deep = atom(b"minf", deep)
    at = content.index(b"moov") - 4
    size = int.from_bytes(content[at : at + 4])
    moov = (size + len(deep)).to_bytes(4) + b"moov" + content[at + 8 : at + size] + deep
    content = content[:at] + moov + content[at + size :]
    assert (plain_mp4(Window(io.BytesIO(content))) is not None) == (levels <= DEEPEST)
    assert_same(content, ".m4a")


@pytest.mark.parametrize("before", range(BLOCK - 1400, BLOCK + 20, 9))
def test_the_end_of_a_block_may_lie_anywhere_in_the_atoms(before: int) -> None:
    content = corpus.tagged(".m4a", title="x", artist=["a", "b"], album="c", picture=300)
    content = content[:28] + atom(b"free", bytes(before)) + content[28:]
    assert content[4:8] == b"ftyp"
    assert plain_mp4(Window(io.BytesIO(content))) is not None
    assert_same(content, ".m4a")
