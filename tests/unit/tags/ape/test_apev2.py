from __future__ import annotations

import io
import struct

import pytest
from mutagen.apev2 import BINARY, EXTERNAL, APEv2, APEValue

from indexer import tags
from indexer.model import Track
from tests import corpus

APE = (".ape", ".mpc", ".sv8.mpc", ".ofr", ".tak", ".wv")


def read(content: bytes, template: str = ".wv") -> Track:
    return tags.read_track(io.BytesIO(content), template[template.rindex(".") :].encode())


def tagged(template: str = ".wv", /, **items: object) -> bytes:
    file = io.BytesIO(corpus.template(template))
    tag = APEv2()
    for key, value in items.items():
        tag[key] = value
    tag.save(file)
    return file.getvalue()


@pytest.mark.parametrize("key", ["Title", "TITLE", "title"])
def test_the_case_of_a_key_does_not_matter(key: str) -> None:
    assert read(tagged(**{key: "Debut"})).title == "Debut"


@pytest.mark.parametrize(
    ("column", "keys"),
    [
        ("albumartists", ["Album Artist", "ALBUMARTIST"]),
        ("albumartists", ["Album Artist", "album_artist"]),
        ("date", ["Year", "Date"]),
        ("comment", ["Comment", "Description"]),
        ("label", ["Label", "Publisher"]),
        ("label", ["Label", "Organization"]),
        ("isrc", ["ISRC", "TSRC"]),
        ("mb_albumid", ["MUSICBRAINZ_ALBUMID", "MusicBrainz Album Id"]),
        ("track", ["Track", "TRACKNUMBER"]),
        ("disc", ["Disc", "DISCNUMBER"]),
    ],
)
def test_the_key_of_picard_speaks_before_those_of_others(column: str, keys: list[str]) -> None:
    first, other = keys
    texts = {"1993", 1993, ("1993",)}
    assert getattr(read(tagged(**{other: "1994", first: "1993"})), column) in texts
    assert getattr(read(tagged(**{other: "1993", first: " "})), column) in texts


def test_a_date_without_a_year_gives_way_to_one_with_it() -> None:
    track = read(tagged(Year="soon", Date="June 1993"))
    assert (track.date, track.year) == ("June 1993", 1993)
    assert read(tagged(Year="June 1993", Date="1994")).date == "June 1993"
    assert read(tagged(Year="soon", Date="later")).date == "soon"


def test_totals_may_have_keys_of_their_own() -> None:
    track = read(tagged(Track="3", TotalTracks="12", Disc="1", DiscTotal="2"))
    assert (track.track, track.track_total, track.disc, track.disc_total) == (3, 12, 1, 2)


def test_texts_separated_by_nul_stay_apart() -> None:
    assert read(tagged(Artist="AC/DC\0\0a; b")).artists == ("AC/DC", "a; b")


def test_what_is_no_text_is_no_title() -> None:
    assert read(tagged(Title=APEValue(b"Debut", BINARY))).title is None
    assert read(tagged(Title=APEValue("https://example.org", EXTERNAL))).title is None


@pytest.mark.parametrize(
    ("cover", "seen"), [(b"a.jpg\0x", True), (b"a.jpg\0", False), (b"a.jpg", False)]
)
def test_a_cover_is_what_stands_behind_its_name(cover: bytes, seen: bool) -> None:
    assert read(tagged(**{"Cover Art (Back)": cover})).has_picture is seen


def test_a_cover_that_is_a_text_is_no_picture() -> None:
    assert not read(tagged(**{"Cover Art (Front)": "cover.jpg"})).has_picture


@pytest.mark.parametrize("template", APE)
def test_an_item_that_is_no_item_costs_only_itself(template: str) -> None:
    """Refused by mutagen; ffmpeg and TagLib skip the item."""
    content = tagged(template, Title="Debut", Album="Post")
    track = read(content.replace(b"Title", b"\xff\xff\xff\xff\xff"), template)
    assert (track.title, track.album) == (None, "Post")
    assert track.duration == read(content, template).duration
    longer = content.replace(
        (5).to_bytes(4, "little") + bytes(4) + b"Title", b"\xff" * 8 + b"Title"
    )
    assert longer != content
    assert read(longer, template).codec == track.codec


def ape_tag(*items: tuple[bytes, bytes], version: int = 2000, count: int | None = None) -> bytes:
    """Items of a text each, and the footer."""
    body = b"".join(struct.pack("<II", len(text), 0) + key + b"\0" + text for key, text in items)
    count = len(items) if count is None else count
    return body + struct.pack("<8sIIII8x", b"APETAGEX", version, len(body) + 32, count, 0)


@pytest.mark.parametrize(
    ("code_page", "title", "artist"),
    [
        ("cp1251", "Группа крови", "КИНО"),
        ("cp1251", "Червона рута", "Софія Ротару"),
        ("cp1251", "«Звезда по имени Солнце» – live", "Цой"),
        ("gbk", "那么爱你为什么", "莫文蔚"),
        ("gbk", "东风破 (live)", "周杰伦"),
        ("cp932", "そばかす", "ジュディ"),
        ("cp1252", "Vögel", "Björk"),
        ("cp1252", "L\u2019été", "Noir Désir"),
    ],
)
@pytest.mark.parametrize("template", [".ape", ".mp3"])
def test_texts_that_are_not_utf_8_are_read_in_the_code_page_that_they_have_in_common(
    code_page: str, title: str, artist: str, template: str
) -> None:
    """Written by programs for Windows; the tag says UTF-8, and mutagen refuses the file."""
    texts = ((b"Title", title.encode(code_page)), (b"Artist", artist.encode(code_page)))
    track = read(corpus.template(template) + ape_tag(*texts, (b"Album", b"x")), template)
    assert (track.title, track.artists, track.album) == (title, (artist,), "x")


def test_a_code_page_that_is_not_clear_stays_latin_1_and_is_told() -> None:
    title, code_page = "사랑했지만", "euc-kr"  # also Chinese characters in GBK
    track = read(corpus.template(".ape") + ape_tag((b"Title", title.encode(code_page))), ".ape")
    assert track.title == title.encode(code_page).decode("latin-1")
    assert track.suspect_encoding


def test_the_first_version_of_the_tag_is_latin_1_padded_with_blanks() -> None:
    texts = ((b"Title", b"V\xf6gel".ljust(30)), (b"Genre", b"\xff\0"), (b"Year", b"2004 \0"))
    track = read(corpus.template(".ape") + ape_tag(*texts, version=1000), ".ape")
    assert (track.title, track.year, track.date) == ("Vögel", 2004, "2004")


def test_a_count_of_items_is_not_believed() -> None:
    for count in (0xFFFF_FFFF, 5):
        tag = ape_tag((b"Title", b"Debut"), count=count)
        assert read(corpus.template(".ape") + tag, ".ape").title == "Debut"


@pytest.mark.parametrize("template", APE)
def test_an_id3v1_tag_is_read_where_there_is_no_other(template: str) -> None:
    parts = (b"TAG", b"Debut", b"a", b"b", b"1993", b"old\0", 17)
    older = struct.pack("<3s30s30s30s4s30sB", *parts)
    track = read(corpus.template(template) + older, template)
    assert (track.title, track.artists, track.album) == ("Debut", ("a",), "b")
    assert (track.year, track.comment, track.genres) == (1993, "old", ("Rock",))
    assert track.bit_depth == read(corpus.template(template), template).bit_depth
    assert read(tagged(template, Title="Pluto") + older, template).title == "Pluto"


@pytest.mark.parametrize("template", APE)
def test_a_headless_file_is_refused(template: str) -> None:
    with pytest.raises(tags.Refused):
        read(b"\0" + tagged(template, Title="Debut")[1:], template)


@pytest.mark.parametrize("template", [".ape", ".ofr", ".tak", ".wv"])
def test_the_bit_rate_is_the_size_by_the_length_where_the_format_does_not_tell(
    template: str,
) -> None:
    content = corpus.template(template)
    track = read(content, template)
    assert track.duration
    assert track.bitrate == int(8 * len(content) / track.duration)
    assert read(tagged(template, Comment="x" * 9000), template).bitrate == track.bitrate


def wavpack(*sub_blocks: bytes, flags: int = 0x0800) -> bytes:
    """One block of 16 bits, stereo, 44 100 Hz, that begins what sounds at once."""
    body = b"".join(sub_blocks)
    sizes = struct.pack("<4sIHBBIII", b"wvpk", 24 + len(body), 0x407, 0, 0, 44100, 0, 44100)
    return sizes + struct.pack("<II", flags | 9 << 23 | 1, 0) + body


@pytest.mark.parametrize(
    ("info", "channels"),
    [
        (b"\x4d\x01\x06\0", 6),
        (b"\x0d\x01\x06\x3f", 6),
        (b"\x0d\x03\x07\x02\x10\0\0\0", 8),
        (b"\x0d\x03\xff\0\x01\0\0\0", 512),
        (b"\x0d\0", 2),
        (b"\x0d", 2),
        (b"", 2),
    ],
)
def test_wavpack_beyond_stereo(info: bytes, channels: int) -> None:
    riff = b"\xa1\x80\x01\0" + bytes(0x300)
    assert read(wavpack(riff, b"\x05\x01ab", info)).channels == channels
    assert read(wavpack(riff, info, flags=0x1800)).channels == 2


@pytest.mark.parametrize(
    ("block", "rate"),
    [
        (b"\x67\x02" + (176_400).to_bytes(3, "little") + b"\0", 176_400),
        (b"\x27\x02" + (2_822_400).to_bytes(4, "little"), 2_822_400),
        (b"\x67\x02" + (1000).to_bytes(3, "little") + b"\0", 1000),
        (b"\x67\x02" + bytes(4), None),
        (b"", None),
    ],
)
def test_a_rate_that_is_not_in_the_table_of_wavpack_is_in_a_sub_block(
    block: bytes, rate: int | None
) -> None:
    """WavPack 4 & 5 Block Format, ID_SAMPLE_RATE; mutagen refuses the file."""
    track = read(wavpack(b"\x05\x01ab", block, flags=0x1800 | 6 << 23))  # 9 | 6 is 15
    assert track.sample_rate == rate
    assert track.duration == (44_100 / rate if rate else None)
    assert (track.channels, track.bit_depth) == (2, 16)


def test_an_old_header_of_monkeys_audio_is_read() -> None:
    old = struct.pack("<4sHIHI8xII16x", b"MAC ", 3970, 0, 2, 44100, 1, 8820)
    track = read(old + b"WAVEfmt " + bytes(18) + b"\x10\0", ".ape")
    stream = (track.duration, track.channels, track.sample_rate, track.bit_depth)
    assert stream == (0.2, 2, 44100, 16)


def with_gains(template: str) -> bytes:
    """A Musepack file whose header has a track gain of 14.82 dB, and a peak of half the scale."""
    whole = corpus.template(template)
    if template == ".mpc":
        return whole[:12] + struct.pack("<HhHh", 16384, 1482, 0, 0) + whole[20:]
    at = whole.index(b"RG\x0c\x01") + 4
    return whole[:at] + struct.pack(">4H", 50 * 256, 21578, 0, 0) + whole[at + 8 :]


@pytest.mark.parametrize("template", [".mpc", ".sv8.mpc"])
def test_the_gains_in_the_header_of_musepack_are_read(template: str) -> None:
    """Where mpcgain writes them."""
    track = read(with_gains(template), ".mpc")
    assert (track.replaygain_track_gain, track.replaygain_album_gain) == ("14.82 dB", None)
    assert float(track.replaygain_track_peak or 0) == pytest.approx(0.5, abs=0.001)
    assert read(corpus.template(template), ".mpc").replaygain_track_gain is None
    file = io.BytesIO(with_gains(template))
    tag = APEv2()
    tag["Title"] = "Debut"
    tag["REPLAYGAIN_TRACK_GAIN"] = "-1 dB"
    tag.save(file)
    track = read(file.getvalue(), ".mpc")
    assert (track.title, track.replaygain_track_gain) == ("Debut", "-1 dB")
    older = b"TAG" + b"old".ljust(94, b"\0") + bytes(31)
    track = read(with_gains(template) + older, ".mpc")
    assert (track.title, track.replaygain_track_gain) == ("old", "14.82 dB")


def test_a_packet_of_musepack_that_leads_back_to_itself_does_not_hang() -> None:
    whole = corpus.template(".sv8.mpc")
    stuck = whole[:4] + b"XX\0" + whole[4:]  # hangs mutagen 1.48
    with pytest.raises(tags.Refused, match="round in circles"):
        read(stuck, ".mpc")
