from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indexer.tags.vorbis import comments
from tests.property.effort import tries
from tests.property.test_fast_readers import assert_same

KEYS = [key.decode() for key in comments.KEYS]
KEYS += [key.upper() for key in KEYS] + ["x", "", "TIT\u212a", "gen\xa0re", "a~", "tit\x01le"]
item = st.one_of(
    st.tuples(
        st.sampled_from(KEYS), st.one_of(st.text(max_size=12), st.sampled_from(["", " ", "3/12"]))
    ).map(lambda pair: f"{pair[0]}={pair[1]}".encode(errors="surrogatepass")),
    st.binary(max_size=12),
    st.binary(max_size=12).map(lambda value: b"TITLE=" + value),
)


def little(number: int) -> bytes:
    return number.to_bytes(4, "little")


@st.composite
def comment_blocks(draw: st.DrawFn) -> bytes:
    items = draw(st.lists(item, max_size=8))
    count = len(items) + draw(st.sampled_from([0] * 12 + [1, -1, 2**31]))
    body = little(4) + b"made" + little(max(count, 0))
    for one in items:
        body += little(len(one) + draw(st.sampled_from([0] * 40 + [1, 2**30]))) + one
    return body + bytes(draw(st.sampled_from([0] * 9 + [1, 5])))


@st.composite
def picture_blocks(draw: st.DrawFn) -> bytes:
    lie = st.sampled_from([0] * 20 + [1, 2**31])
    mime, description = b"image/png", b"d" * draw(st.sampled_from([0, 3, 700]))
    data = b"p" * draw(st.sampled_from([0, 1, 90, 20_000]))
    body = bytes(4) + (len(mime) + draw(lie)).to_bytes(4) + mime
    body += (len(description) + draw(lie)).to_bytes(4) + description + bytes(16)
    return body + (len(data) + draw(lie)).to_bytes(4) + data


@st.composite
def flac_files(draw: st.DrawFn) -> bytes:
    """Blocks in any order, mostly with stream info first; sizes, flags and the end may be wrong."""
    rate = draw(st.sampled_from([44100, 44100, 48000, 0, 1]))
    samples = draw(st.sampled_from([0, 44100, 2**36 - 1]))
    bits = rate << 44 | draw(st.integers(0, 7)) << 41 | draw(st.integers(0, 31)) << 36 | samples
    info = bytes(10) + bits.to_bytes(8) + bytes(16)
    blocks = [(0, info)] if draw(st.integers(0, 20)) else []
    for _ in range(draw(st.integers(0, 5))):
        code = draw(st.sampled_from([1, 2, 3, 4, 4, 4, 5, 6, 6, 0, 9, 127]))
        if code == 4:
            body = draw(comment_blocks())
        elif code == 6:
            body = draw(picture_blocks())
        else:
            body = info if code == 0 else bytes(draw(st.sampled_from([0, 4, 34, 17_000])))
        blocks.append((code, body))
    content = draw(st.sampled_from([b"fLaC"] * 9 + [b"fLaX"]))
    for number, (code, body) in enumerate(blocks):
        last = (number == len(blocks) - 1 and draw(st.integers(0, 15))) or not draw(
            st.integers(0, 30)
        )
        size = max(0, len(body) + draw(st.sampled_from([0] * 20 + [1, -1, 2**22])))
        content += bytes([code | (0x80 if last else 0)]) + size.to_bytes(3) + body
    content += b"\xff\xf8" + bytes(draw(st.integers(0, 300)))
    if not draw(st.integers(0, 4)):
        content = content[: draw(st.integers(0, len(content)))]
    return content


@tries(500)
@given(flac_files())
def test_flac_is_read_as_mutagen_reads_it(content: bytes) -> None:
    assert_same(content, ".flac")
