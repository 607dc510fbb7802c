from __future__ import annotations

import base64
import io
from collections.abc import Callable

import pytest
from mutagen.flac import FLAC, Picture, SeekPoint, SeekTable
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from indexer import tags
from indexer.model import Track
from indexer.tags.vorbis import comments, mutagen_vorbis
from tests import corpus


def read(content: bytes, suffix: str) -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def ogg(*comments: tuple[str, str]) -> Track:
    file = io.BytesIO(corpus.template(".ogg"))
    tagged = OggVorbis(file)
    tagged.tags.extend(comments)
    file.seek(0)
    tagged.save(file)
    return read(file.getvalue(), ".ogg")


def flac(*comments: tuple[str, str]) -> Track:
    file = io.BytesIO(corpus.template(".flac"))
    tagged = FLAC(file)
    tagged.tags.extend(comments)
    file.seek(0)
    tagged.save(file)
    return read(file.getvalue(), ".flac")


@pytest.mark.parametrize("read_comments", [ogg, flac])
def test_the_case_of_a_key_does_not_matter(read_comments: Callable[..., Track]) -> None:
    track = read_comments(("Title", "Debut"), ("aRTIST", "a"), ("ARTIST", "b"))
    assert (track.title, track.artists) == ("Debut", ("a", "b"))


@pytest.mark.parametrize(
    ("column", "keys"),
    [
        ("albumartists", ["ALBUMARTIST", "ALBUM ARTIST", "ALBUM_ARTIST"]),
        ("date", ["DATE", "YEAR"]),
        ("comment", ["COMMENT", "DESCRIPTION"]),
        ("label", ["LABEL", "ORGANIZATION", "PUBLISHER"]),
        ("track_total", ["TRACKTOTAL", "TOTALTRACKS"]),
        ("disc_total", ["DISCTOTAL", "TOTALDISCS"]),
        ("track", ["TRACKNUMBER", "TRACK"]),
        ("disc", ["DISCNUMBER", "DISC"]),
        ("artists", ["ARTIST", "AUTHOR"]),
        ("isrc", ["ISRC", "TSRC"]),
        ("bpm", ["BPM", "TBPM", "tmpo"]),
        ("mb_albumid", ["MUSICBRAINZ_ALBUMID", "MusicBrainz Album Id"]),
        ("mb_artistid", ["MUSICBRAINZ_ARTISTID", "MUSICBRAINZ ARTIST ID"]),
    ],
)
def test_the_first_key_that_is_not_blank_speaks(column: str, keys: list[str]) -> None:
    for first, key in enumerate(keys):
        blank = [(other, " ") for other in keys[:first]]
        known = [(other, str(1990 + keys.index(other))) for other in reversed(keys[first:])]
        value = getattr(ogg(*known, *blank), column)
        assert value in {str(1990 + first), 1990 + first, (str(1990 + first),)}, key


def opus(*comments: tuple[str, str]) -> Track:
    file = io.BytesIO(corpus.template(".opus"))
    tagged = OggOpus(file)
    tagged.tags.clear()
    tagged.tags.extend(comments)
    file.seek(0)
    tagged.save(file)
    return read(file.getvalue(), ".opus")


ways = pytest.mark.parametrize("way", ["ours", "mutagen"])


@ways
@pytest.mark.parametrize(
    ("text", "gain"),
    [
        ("0", "5.00 dB"),
        ("-1280", "0.00 dB"),
        ("-2099", "-3.20 dB"),
        ("+256", "6.00 dB"),
        ("", None),
        ("-3.2 dB", None),
        ("9" * 5000, None),
    ],
)
def test_a_gain_of_opus_is_one_of_replaygain(
    text: str, gain: str | None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "mutagen":
        monkeypatch.setattr("indexer.tags.vorbis.vorbis_file.plain_ogg", lambda _: None)
    track = opus(("R128_TRACK_GAIN", text), ("R128_ALBUM_GAIN", "-256"))
    assert (track.replaygain_track_gain, track.replaygain_album_gain) == (gain, "4.00 dB")
    both = (("REPLAYGAIN_TRACK_GAIN", "-1.00 dB"), ("R128_TRACK_GAIN", text))
    assert opus(*both).replaygain_track_gain == "-1.00 dB"
    assert opus(*reversed(both)).replaygain_track_gain == "-1.00 dB"
    blank = opus(("REPLAYGAIN_TRACK_GAIN", " "), ("R128_TRACK_GAIN", text))
    assert blank.replaygain_track_gain == gain


@pytest.mark.parametrize("read_comments", [ogg, flac])
def test_a_date_without_a_year_gives_way_to_one_with_it(
    read_comments: Callable[..., Track],
) -> None:
    track = read_comments(("DATE", "soon"), ("YEAR", "c. 1993"))
    assert (track.date, track.year) == ("c. 1993", 1993)
    assert read_comments(("YEAR", "1994"), ("DATE", "June 1993")).date == "June 1993"
    assert read_comments(("YEAR", "later"), ("DATE", "soon")).date == "soon"


def test_the_number_holds_its_total() -> None:
    track = ogg(("TRACKNUMBER", "3/12"), ("DISCNUMBER", "1/2"), ("DISCTOTAL", "9"))
    assert (track.track, track.track_total, track.disc, track.disc_total) == (3, 12, 1, 2)


@pytest.mark.parametrize("size", [0, 5000])
def test_a_link_to_a_picture_among_the_comments_is_no_picture(size: int) -> None:
    address = b"https://bjork.com/1.jpg" + b"x" * size
    for media_type, seen in (("-->", False), ("--", True), ("image/png", True)):
        picture = Picture()
        picture.mime, picture.data = media_type, address
        comment = ("METADATA_BLOCK_PICTURE", base64.b64encode(picture.write()).decode())
        assert ogg(comment).has_picture is seen
        assert flac(comment).has_picture is seen
        assert ogg(comment, ("METADATA_BLOCK_PICTURE", "x")).has_picture


@pytest.mark.parametrize("key", ["METADATA_BLOCK_PICTURE", "COVERART", "coverart"])
def test_a_picture_among_the_comments_is_seen_without_a_look_at_it(key: str) -> None:
    assert ogg((key, "no base64 at all")).has_picture
    assert flac((key, "no base64 at all")).has_picture
    assert not ogg((key, "")).has_picture


def test_a_flac_file_behind_an_id3_tag_is_read() -> None:
    tag = corpus.tagged(title="of the ID3 tag")[: -len(corpus.template(".mp3"))]
    assert read(tag + corpus.tagged(".flac", title="its own"), ".flac").title == "its own"


def test_a_flac_file_without_comments_is_a_track() -> None:
    content = corpus.template(".flac")
    stream_info = content[: 4 + 4 + 34]
    only = stream_info[:4] + b"\x80" + stream_info[5:]
    assert read(only + bytes(500), ".flac").bit_depth == 16


def test_a_seek_table_is_passed_over() -> None:
    file = io.BytesIO(corpus.tagged(".flac", title="x", picture=10))
    tagged = FLAC(file)
    tagged.seektable = SeekTable(None)
    tagged.seektable.seekpoints = [SeekPoint(0, 0, 1)]
    file.seek(0)
    tagged.save(file)
    track = read(file.getvalue(), ".flac")
    assert (track.title, track.has_picture) == ("x", True)


def test_a_broken_checksum_does_not_refuse_a_file() -> None:
    assert read(corpus.ogg_with_broken_crc(), ".ogg").title == "Human Behaviour"


@pytest.mark.parametrize("reader", ["ours", "mutagen"])
@pytest.mark.parametrize(
    ("template", "rates"), [(".ogg", slice(44, 56)), (".spx", slice(80, 84)), (".oga", slice(0))]
)
def test_the_bit_rate_of_ogg_is_the_size_by_the_length_where_the_header_is_silent(
    template: str, rates: slice, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reader == "mutagen":
        monkeypatch.setattr("indexer.tags.vorbis.vorbis_file.plain_ogg", lambda *_: None)
    content = bytearray(corpus.template(template))
    content[rates] = bytes(len(content[rates]))
    track = read(bytes(content), template)
    assert track.duration
    assert track.bitrate == int(8 * len(content) / track.duration)


def test_a_class_is_not_asked_for_a_codec_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reads_the_whole_file(_window: object) -> None:
        pytest.fail("mutagen looks for the packet of its codec to the end of the file")

    monkeypatch.setitem(mutagen_vorbis.OGG, b"\x01vorbis", (reads_the_whole_file, "vorbis"))
    assert read(corpus.tagged(".opus", title="x"), ".ogg").codec == "opus"


def test_text_that_is_no_utf_8_is_read_with_replacements() -> None:
    content = corpus.tagged(".flac", title="Bjork")
    assert read(content.replace(b"Bjork", b"Bj\xf6rk"), ".flac").title == "Bj\ufffdrk"


def test_short_comments_are_kept_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "KEPT_LIMIT", 3)
    monkeypatch.setattr(comments, "KEPT", {})
    pairs = [("title", "Jóga"), ("artist", "Björk"), ("album", "x" * comments.SHORT), ("genre", "")]
    first, second = flac(*pairs), flac(*pairs)
    assert first == second
    assert first.album == "x" * comments.SHORT
    assert 0 < len(comments.KEPT) <= 3


def test_no_title_takes_the_place_of_a_text_that_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "KEPT", {})
    assert flac(("title", "Jóga"), ("artist", "Björk")).title == "Jóga"
    assert set(comments.KEPT) == {"artist=Björk".encode()}


@pytest.mark.parametrize("track", ["3", "3/9"])
def test_totals_under_two_keys_each_need_no_second_look(
    track: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picard writes them so."""
    pairs = [("TRACKNUMBER", track), ("TRACKTOTAL", "12"), ("TOTALTRACKS", "13")]
    expected = comments.values_of(comments.comments_of(pairs).texts())
    assert (expected["track"], expected["track_total"]) == ([track], ["12"])
    if track == "3":
        monkeypatch.setattr(comments, "values_of", lambda _texts: pytest.fail("a second look"))
    assert flac(*pairs).track_total == (12 if track == "3" else 9)


def test_a_second_date_is_taken_beside_one_without_a_year() -> None:
    assert flac(("DATE", "May"), ("YEAR", "1990")).year == 1990
    assert flac(("DATE", "1991"), ("YEAR", "1990")).year == 1991


def test_what_is_kept_of_one_file_is_not_changed_by_the_next() -> None:
    picture = ("METADATA_BLOCK_PICTURE", "x")
    assert ogg(("title", "Jóga"), picture).has_picture
    again = ogg(("title", "Jóga"))
    assert (again.title, again.has_picture) == ("Jóga", False)
    assert ogg(("title", "Jóga"), ("title", "Hunter")).title == "Jóga; Hunter"
    assert ogg(("title", "Jóga")).title == "Jóga"


@pytest.mark.parametrize("way", ["ours", "mutagen"])
def test_a_link_to_a_picture_in_flac_is_no_picture(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9639, 8.8; nothing could be shown of it."""
    if way == "mutagen":
        monkeypatch.setattr("indexer.tags.vorbis.vorbis_file.plain_flac", lambda _: None)
    for media_type, seen in (("-->", False), ("image/jpeg", True), ("-", True)):
        file = io.BytesIO(corpus.template(".flac"))
        tagged = FLAC(file)
        picture = Picture()
        picture.mime, picture.data = media_type, b"https://bjork.com/1.jpg"
        tagged.add_picture(picture)
        file.seek(0)
        tagged.save(file)
        assert read(file.getvalue(), ".flac").has_picture is seen
