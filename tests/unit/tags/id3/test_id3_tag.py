from __future__ import annotations

import io
import struct

import pytest
from mutagen import id3
from mutagen.apev2 import APEv2

from indexer import tags
from indexer.model import Track
from indexer.tags import columns
from indexer.tags.fast.id3 import plain_tag
from indexer.tags.window import Window
from tests import corpus

SOUND = corpus.template(".mp3")


def read(content: bytes) -> Track:
    return tags.read_track(io.BytesIO(content), b".mp3")


def file(*frames: id3.Frame, version: int = 4, v1: int = 0) -> bytes:
    tag = id3.ID3()
    for frame in frames:
        tag.add(frame)
    content = io.BytesIO(SOUND)
    tag.save(content, v1=v1, v2_version=version, v23_sep=None)
    return content.getvalue()


def raw(*frames: tuple[bytes, bytes], version: int = 3, flags: int = 0) -> bytes:
    """A file with a tag of these names and payloads, below 128 bytes each."""
    body = b"".join(
        name + len(payload).to_bytes(4) + bytes(2) + payload for name, payload in frames
    )
    size: bytes = id3.BitPaddedInt.to_str(len(body), width=4)
    return b"ID3" + bytes([version, 0, flags]) + size + body + SOUND


def v1_tag(title: bytes = b"", year: bytes = b"", comment: bytes = b"", genre: int = 255) -> bytes:
    fields = ((title, 30), (b"", 30), (b"", 30), (year, 4), (comment, 28))
    text = b"".join(field.ljust(size, b"\0") for field, size in fields)
    return b"TAG" + text + b"\0\x07" + bytes([genre])


def behind(*frames: tuple[bytes, bytes]) -> bytes:
    """A tag with a footer, as it stands behind the sound (ID3v2.4.0-structure, 3.4)."""
    whole = raw(*frames, version=4, flags=0x10)[: -len(SOUND)]
    return whole + b"3DI" + whole[3:10]


def ape_tag(title: str) -> bytes:
    file = io.BytesIO()
    tag = APEv2()
    tag["Title"] = title
    tag.save(file)
    return file.getvalue()


TITLE, ALBUM = (b"TIT2", b"\3Hyperballad"), (b"TALB", b"\3Post")


@pytest.mark.parametrize("end", [b"", v1_tag(b"of v1"), ape_tag("of APE"), ape_tag("x") + v1_tag()])
def test_an_id3v2_tag_behind_the_sound_is_read(end: bytes) -> None:
    """ID3v2.4.0-structure, 5: it is found by its footer, before tags of other kinds."""
    track = read(SOUND + behind(TITLE, ALBUM, (b"TDRC", b"\x031995")) + end)
    assert (track.title, track.album, track.year) == ("Hyperballad", "Post", 1995)
    assert track.duration == read(SOUND).duration
    assert track.essence == read(SOUND).essence


def test_a_tag_at_the_head_comes_before_one_behind_the_sound() -> None:
    head = raw((b"TIT2", b"\0Jga"), (b"TYER", b"\x001997"))
    picture = (b"APIC", b"\0image/jpeg\0\3\0data")
    track = read(head + behind(TITLE, ALBUM, (b"TDRC", b"\x031995"), picture))
    assert (track.title, track.album, track.year) == ("Jga", "Post", 1997)
    assert track.has_picture


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_footer_without_its_tag_costs_nothing(cut: int) -> None:
    whole = behind(TITLE)
    assert read(SOUND + whole[:-cut]).title is None
    assert read(raw(ALBUM, version=4) + whole[cut:]).album == "Post"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-be", "utf-8"])
@pytest.mark.parametrize("reader", ["ours", "mutagen"])
def test_padding_of_a_text_is_no_part_of_it(
    encoding: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reader == "mutagen":
        monkeypatch.setattr("indexer.tags.id3.id3_tag.plain_tag", lambda *_: None)
    number = ["latin-1", "utf-16", "utf-16-be", "utf-8"].index(encoding)
    text = bytes([number]) + "title\u0100".encode(encoding, "replace") + bytes(4000)
    expected = "title?" if encoding == "latin-1" else "title\u0100"
    assert read(raw((b"TIT2", text))).title == expected


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("encoding", [0, 1, 2, 3])
def test_every_encoding_of_a_text_is_read(version: int, encoding: int) -> None:
    text = ["Björk", "ÿ"]
    track = read(file(id3.TPE1(encoding=encoding, text=text), version=version))
    assert track.artists == ("Björk", "ÿ")


def test_a_value_beyond_the_basic_plane_is_read() -> None:
    assert read(file(id3.TIT2(encoding=1, text="日本 😀"))).title == "日本 😀"


def test_utf_16_of_the_other_byte_order_is_read() -> None:
    payload = b"\x01" + "\ufeffDebut\0".encode("utf-16-be")
    assert read(raw((b"TALB", payload))).album == "Debut"


def test_a_genre_number_is_a_name() -> None:
    track = read(file(id3.TCON(encoding=3, text=["17", "(9)", "(4)Eurodisco", "Art Pop"])))
    assert track.genres == ("Rock", "Metal", "Disco", "Eurodisco", "Art Pop")


ways = pytest.mark.parametrize("way", ["ours", "mutagen"])


def read_by(way: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Track:
    """The track by our own reader of ID3 tags, which must not decline, or by mutagen's."""
    if way == "mutagen":
        monkeypatch.setattr("indexer.tags.id3.id3_tag.plain_tag", lambda _: None)
    else:
        assert plain_tag(Window(io.BytesIO(content))) is not None
    return read(content)


def test_a_tag_of_version_2_2_is_read() -> None:
    body = b"TT2\0\0\x06\0Debut" + b"TYE\0\0\x05\x001993" + b"TRK\0\0\x05\x003/12"
    content = b"ID3\x02\0\0" + id3.BitPaddedInt.to_str(len(body), width=4) + body + SOUND
    track = read(content)
    assert (track.title, track.date, track.track, track.track_total) == ("Debut", "1993", 3, 12)


@pytest.mark.parametrize("flags", [0, 0x80], ids=["ours", "mutagen"])
def test_a_link_to_a_picture_is_no_picture(flags: int) -> None:
    """ID3v2.4.0-frames, 4.14; nothing could be shown of it."""
    link = (b"APIC", b"\0-->\0\x03\0https://bjork.com/1.jpg")
    assert not read(raw(link, flags=flags)).has_picture
    assert read(raw(link, (b"APIC", b"\0image/png\0\x03d\0\x89PNG"), flags=flags)).has_picture


def test_the_comment_without_a_description_is_preferred() -> None:
    described = id3.COMM(encoding=3, lang="eng", desc="source", text="vinyl")
    plain = id3.COMM(encoding=3, lang="deu", desc="", text="gut")
    assert read(file(described, plain)).comment == "gut"
    assert read(file(described)).comment == "vinyl"


@pytest.mark.parametrize("description", ["iTunNORM", "iTunSMPB", "iTunPGAP", "iTunes_CDDB_1"])
def test_a_technical_comment_of_itunes_is_no_comment(description: str) -> None:
    technical = id3.COMM(encoding=0, lang="eng", desc=description, text="00000A2B")
    assert read(file(technical)).comment is None
    written = id3.COMM(encoding=0, lang="eng", desc="by me", text="mine")
    assert read(file(technical, written)).comment == "mine"


def test_what_ffmpeg_writes_as_txxx_fills_what_the_frames_lack() -> None:
    pairs = {"comment": "mine", "TCMP": "1", "USLT": "La la"}
    written = [id3.TXXX(encoding=3, desc=name, text=text) for name, text in pairs.items()]
    track = read(file(*written))
    assert (track.comment, track.compilation, track.has_lyrics) == ("mine", True, True)
    own = id3.COMM(encoding=3, lang="eng", desc="x", text="own"), id3.TCMP(encoding=3, text="0")
    track = read(file(*written, *own))
    assert (track.comment, track.compilation, track.has_lyrics) == ("own", False, True)
    itunes = id3.COMM(encoding=0, lang="eng", desc="iTunNORM", text="00000A2B")
    assert read(file(*written, itunes)).comment == "mine"
    older = b"TAG" + bytes(94) + b"cut".ljust(31, b"\0")
    assert read(file(*written) + older).comment == "mine"
    assert read(file(*written, itunes, own[1]) + older).comment == "mine"


@pytest.mark.parametrize("name", ["MUSICBRAINZ_ALBUMID", "LABEL", "BPM", "TITLE"])
def test_a_txxx_frame_with_the_name_of_a_vorbis_comment_fills_what_the_frames_lack(
    name: str,
) -> None:
    """As ffmpeg converts FLAC."""
    column = columns.BY_PICARDS_NAME[name.lower()]
    assert getattr(read(raw((b"TXXX", b"\0" + name.encode() + b"\0x"))), column) == "x"


def test_the_frame_of_a_title_comes_before_a_txxx_frame_of_its_name() -> None:
    other = (b"TXXX", b"\0TITLE\0other")
    assert read(raw(other, (b"TIT2", b"\0own"))).title == "own"
    assert read(raw((b"TIT2", b"\0own"), other)).title == "own"
    assert read(raw((b"TIT2", b"\0 "), other)).title == "other"


def test_a_compilation_is_told_as_ffmpeg_writes_it_into_id3v2_3() -> None:
    assert read(raw((b"TXXX", b"\0compilation\x001"))).compilation is True


def test_a_blank_comment_gives_way_to_another() -> None:
    blank = id3.COMM(encoding=3, lang="eng", desc="", text=" ")
    written = id3.COMM(encoding=3, lang="eng", desc="x", text="mine")
    assert read(file(blank, written)).comment == "mine"


@pytest.mark.parametrize("description", ["REPLAYGAIN_TRACK_GAIN", "replaygain_track_gain"])
def test_the_case_of_a_description_does_not_matter(description: str) -> None:
    frame = id3.TXXX(encoding=3, desc=description, text="-7 dB")
    assert read(file(frame)).replaygain_track_gain == "-7 dB"


def test_another_owners_identifier_is_no_musicbrainz_id() -> None:
    other = id3.UFID(owner="http://www.cddb.com", data=b"3CD3")
    assert read(file(other)).mb_trackid is None
    ours = id3.UFID(owner="http://musicbrainz.org", data=b"f3b1d3d3")
    assert read(file(other, ours)).mb_trackid == "f3b1d3d3"


def test_a_frame_that_comes_again_adds_its_new_values() -> None:
    content = raw((b"TPE1", b"\0Bj\xf6rk"), (b"TPE1", b"\0Guest"), (b"TPE1", b"\0Guest"))
    assert read(content).artists == ("Björk", "Guest")


def test_values_of_one_frame_may_be_equal() -> None:
    assert read(raw((b"TPE1", b"\0a\0a"))).artists == ("a", "a")


def test_a_slash_does_not_separate_artists() -> None:
    assert read(raw((b"TPE1", b"\0AC/DC"))).artists == ("AC/DC",)


def test_an_id3v1_tag_alone_is_read() -> None:
    track = read(SOUND + v1_tag(b"Debut", b"1993", b"old", 17))
    assert (track.title, track.date, track.comment) == ("Debut", "1993", "old")
    assert (track.track, track.genres) == (7, ("Rock",))


@pytest.mark.parametrize("version", [3, 4])
def test_an_id3v1_tag_fills_only_what_is_missing(version: int) -> None:
    whole = file(id3.TIT2(encoding=3, text="Human Behaviour"), version=version)
    track = read(whole + v1_tag(b"Human Behav", b"1993", b"old"))
    assert (track.title, track.date, track.comment) == ("Human Behaviour", "1993", "old")


BLANK = [b"\0", b"\0\0", b"\0 ", b"\x01\xff\xfe", b"\x01\xff\xfe\xff\xfe", b"\x03\xef\xbb\xbf\0"]
"""Payloads of text frames: nothing, NUL, blank, byte order marks alone."""


@ways
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("payload", BLANK)
def test_a_blank_frame_does_not_hide_the_older_tag(
    payload: bytes, version: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (b"TIT2", b"TRCK", b"TCON")
    content = raw(*((name, payload) for name in names), (b"TALB", b"\0b"), version=version)
    track = read_by(way, content, monkeypatch)
    assert (track.title, track.track, track.genres, track.album) == (None, None, (), "b")
    track = read(content + v1_tag(b"Debut", genre=17))
    assert (track.title, track.track, track.genres, track.album) == ("Debut", 7, ("Rock",), "b")


@ways
@pytest.mark.parametrize(
    ("description", "column", "usual"),
    [
        ("ALBUM ARTIST", "albumartists", b"TPE2"),
        ("AlbumArtist", "albumartists", b"TPE2"),
        ("ARTISTS", "artists", b"TPE1"),
        ("DISCNUMBER", "disc", b"TPOS"),
        ("ISRC", "isrc", b"TSRC"),
    ],
)
def test_the_description_of_others_speaks_where_the_usual_frame_is_silent(
    description: str, column: str, usual: bytes, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = (b"TXXX", b"\0" + description.encode() + b"\x002")
    two = {"2", 2, ("2",)}
    assert getattr(read_by(way, raw(other), monkeypatch), column) in two
    for frames in ([other, (usual, b"\x001")], [(usual, b"\x001"), other]):
        assert getattr(read(raw(*frames)), column) in {"1", 1, ("1",)}
    for frames in ([other, (usual, b"\0 ")], [(usual, b"\0 "), other]):
        assert getattr(read(raw(*frames)), column) in two
    blank = (b"TXXX", b"\0" + description.encode() + b"\0 ")
    assert getattr(read(raw(blank, (usual, b"\x001"))), column) in {"1", 1, ("1",)}


def volume(name: str, gain: int, peak: bytes = b"", channel: int = 1) -> tuple[bytes, bytes]:
    content = struct.pack(">BhB", channel, gain, 8 * len(peak)) + peak
    return b"RVA2", name.encode() + b"\0" + content


@ways
@pytest.mark.parametrize(
    ("peak", "text"),
    [
        (b"", None),
        (b"\0\0", None),
        (b"\x40", "0.500000"),
        (b"\x40\0", "0.500000"),
        (b"\x80\0\0", "1.000000"),
        (b"\x20\0\0\0", "0.250000"),
    ],
)
def test_an_adjustment_of_volume_is_a_gain_of_replaygain(
    peak: bytes, text: str | None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = (volume("track", -1639, peak), volume("Album", 512, peak))
    track = read_by(way, raw(*frames, volume("x", 1024), version=4), monkeypatch)
    assert (track.replaygain_track_gain, track.replaygain_track_peak) == ("-3.20 dB", text)
    assert (track.replaygain_album_gain, track.replaygain_album_peak) == ("1.00 dB", text)
    assert read(raw(volume("track", 512, peak, channel=2))).replaygain_track_gain is None


def test_replaygain_speaks_before_an_adjustment_of_volume() -> None:
    text = (b"TXXX", b"\0replaygain_track_gain\0-7.00 dB")
    for frames in ([text, volume("track", 512, b"\x40")], [volume("track", 512, b"\x40"), text]):
        track = read(raw(*frames))
        assert track.replaygain_track_gain == "-7.00 dB"
        assert track.replaygain_track_peak == "0.500000"


@ways
def test_artists_of_the_newer_tag_win_over_the_older_tags(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = b"TAG" + bytes(30) + b"cut".ljust(30, b"\0") + bytes(64) + b"\xff"
    assert read(SOUND + older).artists == ("cut",)
    content = raw((b"TXXX", b"\0ARTISTS\0whole")) + older
    assert read_by(way, content, monkeypatch).artists == ("whole",)
    assert read(raw((b"TXXX", b"\0ARTISTS\0 ")) + older).artists == ("cut",)


@ways
@pytest.mark.parametrize("names", [("TOTALTRACKS", "TOTALDISCS"), ("TRACKTOTAL", "DISCTOTAL")])
def test_totals_in_frames_of_their_own(
    names: tuple[str, str], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = [(b"TXXX", b"\0" + name.encode() + b"\x006") for name in names]
    track = read_by(way, raw(*totals, (b"TRCK", b"\x001")), monkeypatch)
    assert (track.track, track.track_total, track.disc, track.disc_total) == (1, 6, None, 6)
    assert read(raw(*totals, (b"TRCK", b"\x001/5"))).track_total == 5


def test_the_artists_beside_the_artist_keep_the_tag_plain() -> None:
    tag = plain_tag(Window(io.BytesIO(raw((b"TPE1", b"\0a & b"), (b"TXXX", b"\0ARTISTS\0a\0b")))))
    assert tag is not None
    assert tag.fields == {"artists": ("a & b",)}


def test_a_comment_of_the_newer_tag_wins_over_the_older_tags() -> None:
    described = id3.COMM(encoding=3, lang="eng", desc="x", text="new")
    assert read(file(described) + v1_tag(comment=b"old")).comment == "new"


def test_an_ape_tag_is_not_taken_for_an_id3v1_tag() -> None:
    whole = file(id3.TALB(encoding=3, text="Debut"))
    assert read(whole + b"APETAGEX" + bytes(123)).title is None


def test_a_picture_with_a_wide_description_is_seen() -> None:
    frame = id3.APIC(encoding=1, mime="image/png", type=3, desc="Vörne", data=b"x")
    content = file(frame)
    assert plain_tag(Window(io.BytesIO(content))) is not None
    assert read(content).has_picture


def test_the_layer_of_the_sound_is_its_codec() -> None:
    frame = b"\xff\xfd\x90\xc4"  # MPEG 1 layer 2, 160 kbit/s, 44100 Hz, mono: 522 bytes
    track = read((frame + bytes(518)) * 6)
    assert (track.codec, track.sample_rate, track.bitrate) == ("mp2", 44100, 160_000)


def test_nul_separates_values_and_none_are_lost() -> None:
    track = read(raw((b"TPE1", b"\0a\0\0b\0"), (b"TIT2", b"\0x\0y")))
    assert (track.artists, track.title) == (("a", "b"), "x; y")


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "frames",
    [
        [(b"TIT2", b"\0"), (b"TIT2", b"\0x")],
        [(b"TIT2", b"\0\0\0"), (b"TIT2", b"\0x\0x")],
        [(b"TXXX", b"\0MusicBrainz Album Id\0\0"), (b"TXXX", b"\0MusicBrainz Album Id\0x\0x")],
        [(b"COMM", b"\0eng\0\0"), (b"COMM", b"\0eng\0x\0x")],
        [(b"COMM", b"\0eng\0 ")],
        [(b"TDRC", b"\0 "), (b"TYER", b"\x001993")],
        [(b"TPE1", b"\0a\0b"), (b"TPE1", b"\0b\0c")],
        [(b"TCON", b"\x0017"), (b"TCON", b"\0(17)")],
        [(b"TCON", b"\0(4)Eurodisco\x0017")],
        [(b"TRCK", b"\0A1"), (b"TRCK", b"\x003")],
        [(b"TCMP", b"\x000"), (b"TCMP", b"\x001")],
        [(b"UFID", b"http://musicbrainz.org\0x"), (b"UFID", b"http://musicbrainz.org\0")],
        [(b"TXXX", b"\0MusicBrainz Album Id\0"), (b"TXXX", b"\0MUSICBRAINZ ALBUM ID\0x")],
        [(b"TXXX", b"\0ARTISTS\0a"), (b"TXXX", b"\0ARTISTS\0b")],
        [(b"TXXX", b"\0ARTISTS\0a"), (b"TXXX", b"\0ARTISTS\0 "), (b"TPE1", b"\0c")],
        [(b"TXXX", b"\0ARTISTS\0a"), (b"TXXX", b"\0Artists\0b")],
        [(b"TXXX", b"\0TOTALTRACKS\x006"), (b"TXXX", b"\0TRACKTOTAL\x007")],
        [(b"TXXX", b"\0ALBUM ARTIST\0a"), (b"TPE2", b"\0 ")],
        [(b"TPE1", b"\0 "), (b"TXXX", b"\0ARTISTS\0a")],
        [(b"TIT2", b"\0 "), (b"TPE1", b"\0\0")],
        [(b"RVA2", b"track\0\1\1\0\0"), (b"RVA2", b"track\0\2\1\0\0")],
        [(b"RVA2", b"track\0\1\1\0\0"), (b"RVA2", b"Track\0\1\2\0\0")],
        [(b"RVA2", b"track\0\1\1\0\0\2\2\0\0")],
        [(b"RVA2", b"track\0\1\1\0\x10\x40")],
        [(b"RVA2", b"track\0\1\1\0\x0c\x40\0")],
        [(b"RVA2", b"track\0\1\1"), (b"RVA2", b"album"), (b"RVA2", b"\0")],
        [(b"COMM", b"\0engx\0one"), (b"COMM", b"\0eng\0two")],
        [(b"TYER", b"\x001993"), (b"TDAT", b"\x000706"), (b"TIME", b"\x001020")],
        [(b"TYER", b"\x001993"), (b"TDRC", b"\x001994")],
        [(b"TDAT", b"\x000706"), (b"TDRC", b"\x001994")],
        [(b"TYER", b"\x0019xx"), (b"TYER", b"\x001993")],
    ],
)
@pytest.mark.parametrize("older", [b"", v1_tag(b"Human Behav", b"1990", b"old")])
def test_frames_that_speak_of_the_same_are_read_as_mutagen_reads_them(
    frames: list[tuple[bytes, bytes]], version: int, older: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = raw(*frames, version=version) + older
    ours = read(content)
    monkeypatch.setattr("indexer.tags.id3.id3_tag.plain_tag", lambda _: None)
    assert read(content) == ours


@pytest.mark.parametrize(("name", "at"), [("title", 3), ("artist", 33), ("album", 63)])
def test_what_id3v1_has_cut_gives_way_to_a_frame_of_any_kind(name: str, at: int) -> None:
    whole = "Human Behaviour " * 3
    older = bytearray(b"TAG" + bytes(125))
    older[at : at + 30] = whole[:30].encode()
    frame = id3.TXXX(encoding=3, desc="artists" if name == "artist" else name, text=[whole])
    track = read(file(frame) + older)
    assert (track.artists[0] if name == "artist" else getattr(track, name)) in {
        whole,
        whole.strip(),
    }


def synchsafe(size: int) -> bytes:
    encoded: bytes = id3.BitPaddedInt.to_str(size, width=4)
    return encoded


def tag(body: bytes, *, version: int, flags: int) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body


def frame(flags: int, content: bytes) -> bytes:
    return b"TIT2" + len(content).to_bytes(4) + flags.to_bytes(2) + content
