from __future__ import annotations

import io
import struct
import time

import pytest

from indexer import tags
from indexer.model import Track
from tests.raw_matroska import (
    ATTACHMENTS,
    CRC_32,
    CUES,
    INFO,
    SEEK_HEAD,
    TAGS,
    TRACKS,
    UNKNOWN,
    VOID,
    Text,
    attachment,
    attachments,
    audio,
    block,
    cluster,
    element,
    entry,
    float_,
    header,
    info,
    matroska,
    number_of,
    seek_head,
    segment,
    simple,
    tag,
    tracks,
    unsigned,
    with_parts,
)
from tests.raw_matroska import tags as tags_of

MB = 2**20
SOON_S = 2.0
"""Well above what a file takes here that was made to take long (0.1 s)."""


def read(content: bytes, suffix: str = ".mka") -> Track:
    return tags.read_plain(io.BytesIO(content), suffix.encode())


def tagged(*texts: Text) -> Track:
    return read(with_parts(matroska(), tags_of(texts)))


def sound(codec: str, *more: bytes) -> Track:
    """The track of a file with one track entry of this codec."""
    return read(segment(info(), tracks(entry(codec, *more)), cluster(0, block(0))))


class Counted(io.BytesIO):
    """A file that counts its reads and the bytes that they give."""

    reads = bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.reads += 1
        self.bytes_read += len(data)
        return data


# Tags


@pytest.mark.parametrize("filler", [b"", element(VOID, bytes(9)), element(CUES, bytes(9))])
def test_tags_behind_clusters_that_tell_no_size_are_found_at_the_end(filler: bytes) -> None:
    """A recorder that ends well writes them there, and does not go back to the clusters."""
    opened = [cluster(n, block(0), size=UNKNOWN) for n in range(0, 400, 40)]
    fake = cluster(400, block(0, number_of(TAGS) + b"\x81\0more"), size=UNKNOWN)
    parts = (info(None), tracks(), *opened, fake)
    behind = filler + tags_of([(None, "TITLE", "Hyperballad")]) + filler
    for content in (segment(*parts, behind), segment(*parts, behind, size=UNKNOWN)):
        assert read(content).title == "Hyperballad"
    assert read(segment(*parts, behind, b"more")).title is None
    assert read(segment(*parts, behind[:-1])).title is None
    assert read(segment(*parts)).title is None


def test_a_recording_full_of_marks_of_tags_is_read_in_bounded_time() -> None:
    marks = (number_of(TAGS) + b"\x80") * 50_000
    content = segment(info(None), tracks(), cluster(0, block(0, marks), size=UNKNOWN))
    begun = time.process_time()
    assert read(content).title is None
    assert time.process_time() - begun < SOON_S


def test_a_title_of_the_album_is_no_title_of_the_track() -> None:
    track = tagged((50, "TITLE", "Debut"), (30, "TITLE", "Venus as a Boy"))
    assert (track.title, track.album) == ("Venus as a Boy", "Debut")
    assert tagged((50, "TITLE", "Debut")).title is None


def test_the_artist_of_an_album_is_that_of_its_tracks_unless_they_have_one() -> None:
    track = tagged((50, "ARTIST", "Björk"))
    assert (track.artists, track.albumartists) == (("Björk",), ("Björk",))
    track = tagged((50, "ARTIST", "Various"), (30, "ARTIST", "Björk"))
    assert (track.artists, track.albumartists) == (("Björk",), ("Various",))


def test_parts_are_counted_a_level_above_them() -> None:
    """Matroska Tags, 3: the number of tracks is a property of the album."""
    track = tagged(
        (30, "PART_NUMBER", "3"),
        (50, "TOTAL_PARTS", "11"),
        (50, "PART_NUMBER", "1"),
        (60, "TOTAL_PARTS", "2"),
    )
    assert (track.track, track.track_total, track.disc, track.disc_total) == (3, 11, 1, 2)


@pytest.mark.parametrize(
    ("album_artist", "track_number"),
    [("ALBUM_ARTIST", "PART_NUMBER"), ("album artist", "track"), ("AlbumArtist", "TrackNumber")],
)
def test_tags_without_a_level_are_those_of_the_file_in_any_spelling(
    album_artist: str, track_number: str
) -> None:
    """Ffmpeg writes no level; the default of 50 would make an album of each title."""
    track = tagged(
        (None, "title", "Jóga"),
        (None, "Artist", "Björk"),
        (None, "ALBUM", "Homogenic"),
        (None, album_artist, "B"),
        (None, track_number, "2/10"),
        (None, "DISC", "1/1"),
        (None, "DATE", "1997-09-22"),
        (None, "MUSICBRAINZ_ALBUM_ID", "a1"),
    )
    assert (track.title, track.artists, track.album) == ("Jóga", ("Björk",), "Homogenic")
    assert (track.albumartists, track.track, track.track_total) == (("B",), 2, 10)
    assert (track.disc, track.date, track.year, track.mb_albumid) == (1, "1997-09-22", 1997, "a1")


@pytest.mark.parametrize(("album", "track"), [(b"ALBUM", b"TRACK"), (b"Concert", b"Song")])
def test_a_level_may_be_stated_by_its_name_alone(album: bytes, track: bytes) -> None:
    simples = [
        element(0x7373, [element(0x63C0, element(0x63CA, name)), simple("TITLE", text)])
        for name, text in ((album, "Debut"), (track, "Ride"))
    ]
    found = read(with_parts(matroska(), element(TAGS, simples)))
    assert (found.title, found.album) == ("Ride", "Debut")
    both = element(0x63C0, element(0x63CA, b"TRACK") + unsigned(0x68CA, 50))
    numbered = element(0x7373, [both, simple("TITLE", "Debut")])
    assert read(with_parts(matroska(), element(TAGS, numbered))).album == "Debut"


def test_one_tag_in_two_spellings_is_read_once() -> None:
    """As ffmpeg takes them over from FLAC, where ALBUM ARTIST and ALBUMARTIST are two."""
    track = tagged((None, "ALBUM_ARTIST", "B"), (None, "ALBUMARTIST", "B"), (None, "GENRE", "a"))
    assert (track.albumartists, track.genres) == (("B",), ("a",))


def test_of_several_names_of_a_column_one_is_read() -> None:
    track = tagged((30, "DATE", "1993"), (30, "DATE_RELEASED", "1993-06-07"), (30, "LABEL", "a"))
    assert (track.date, track.label) == ("1993-06-07", "a")
    track = tagged((30, "LABEL", " "), (30, "PUBLISHER", "b"), (50, "LABEL", "c"))
    assert track.label == "b"


def test_a_release_date_precedes_one_of_recording() -> None:
    track = tagged((30, "DATE_RECORDED", "1990"), (30, "DATE_RELEASED", "1993"))
    assert track.date == "1993"
    assert tagged((50, "DATE_RECORDED", "1990")).year == 1990


def test_gains_are_of_the_level_at_which_they_are_told() -> None:
    track = tagged((30, "REPLAYGAIN_GAIN", "-7 dB"), (50, "REPLAYGAIN_GAIN", "-6 dB"))
    assert (track.replaygain_track_gain, track.replaygain_album_gain) == ("-7 dB", "-6 dB")
    track = tagged((None, "REPLAYGAIN_ALBUM_PEAK", "1.0"))
    assert (track.replaygain_track_peak, track.replaygain_album_peak) == (None, "1.0")


def test_parts_of_a_track_and_of_an_album_are_not_the_track() -> None:
    track = tagged((20, "TITLE", "the bridge"), (40, "TITLE", "side A"), (10, "ARTIST", "x"))
    assert (track.title, track.album, track.artists) == (None, None, ())


def test_tags_of_a_chapter_or_of_another_track_are_not_those_of_the_file() -> None:
    for uid_id, uid in ((0x63C4, 7), (0x63C9, 7), (0x63C6, 7), (0x63C5, 999)):
        other = element(TAGS, tag(30, simple("TITLE", "other"), uid=uid, uid_id=uid_id))
        assert read(with_parts(matroska(), other)).title is None
    for uid in (0, 100):
        own = element(TAGS, tag(30, simple("TITLE", "own"), uid=uid))
        assert read(with_parts(matroska(), own)).title == "own"


def test_a_tag_within_a_tag_tells_of_its_text() -> None:
    inner = simple("ARTIST", "the first singer")
    nested = element(TAGS, tag(30, simple("ORIGINAL", "x", inner), simple("ARTIST", "y", inner)))
    assert read(with_parts(matroska(), nested)).artists == ("y",)


def test_a_translation_is_not_joined_to_the_text() -> None:
    other = simple("TITLE", "Venus comme un garçon", unsigned(0x4484, 0))
    two = element(TAGS, tag(30, other, simple("TITLE", "Venus as a Boy")))
    assert read(with_parts(matroska(), two)).title == "Venus as a Boy"
    assert read(with_parts(matroska(), element(TAGS, tag(30, other)))).title == (
        "Venus comme un garçon"
    )


def test_the_title_of_the_segment_is_that_of_the_track_if_no_tag_has_one() -> None:
    named = segment(info(200.0, element(0x7BA9, b"Segment")), tracks(), cluster())
    assert read(named).title == "Segment"
    assert read(with_parts(named, tags_of([(30, "TITLE", "Tag")]))).title == "Tag"


def test_the_name_of_a_track_is_a_title_only_beside_tags_of_that_track() -> None:
    """Ffmpeg 5.1 makes it from the title of an Ogg file; to mkvmerge it is `Stereo`."""
    name = entry("A_OPUS", audio(), element(0x536E, b"Jo"))
    named = segment(info(), tracks(name), cluster())
    assert read(named).title is None
    artist = tag(None, simple("ARTIST", "Björk"), uid=100)
    assert read(with_parts(named, element(TAGS, artist))).title == "Jo"


# Where they are


@pytest.mark.parametrize("size", [b"", UNKNOWN])
def test_what_is_behind_the_sound_is_found_by_the_seek_head_without_passing_the_clusters(
    size: bytes,
) -> None:
    clusters = b"".join(cluster(n, block(0, bytes(9000)), size=size) for n in range(300))
    front = len(seek_head((TAGS, 0), (ATTACHMENTS, 0)) + info() + tracks() + clusters)
    texts = tags_of([(30, "TITLE", "behind")])
    head = seek_head((TAGS, front), (ATTACHMENTS, front + len(texts)))
    pictures = attachments(attachment(b"x"))
    file = Counted(segment(head, info(), tracks(), clusters, texts, pictures))
    track = tags.read_plain(file, b".mka")
    assert (track.title, track.has_picture) == ("behind", True)
    assert file.reads < 10


@pytest.mark.parametrize("heads", [(), ((TAGS, 5),), ((TAGS, 2**62),)])
def test_without_a_right_seek_head_clusters_are_passed_over(
    heads: tuple[tuple[int, int], ...],
) -> None:
    clusters = [cluster(n, block(0, bytes(9000))) for n in range(300)]
    head = seek_head(*heads) if heads else b""
    end = tags_of([(30, "TITLE", "behind")])
    file = Counted(segment(head, info(), tracks(), *clusters, element(CUES, bytes(100)), end))
    assert tags.read_plain(file, b".mka").title == "behind"
    assert file.bytes_read < 50_000


def test_seek_heads_that_name_each_other_are_read_once() -> None:
    head = seek_head((SEEK_HEAD, 0))
    other = seek_head((SEEK_HEAD, 0), (SEEK_HEAD, len(head)))
    assert read(segment(head, other, info(), tracks(), cluster())).duration == 0.2


def test_void_and_checksums_are_stepped_over_on_every_level() -> None:
    filler = element(VOID, bytes(300)) + element(CRC_32, bytes(4))
    described = element(TRACKS, [filler, entry("A_FLAC", audio(44_100.0)), filler])
    content = segment(filler, info(200.0, filler), filler, described, filler, cluster())
    track = read(header() + element(VOID, bytes(9)) + content[len(header()) :])
    assert (track.codec, track.sample_rate, track.duration) == ("flac", 44_100, 0.2)


def test_elements_with_long_ids_are_stepped_over() -> None:
    """A header may announce IDs beyond the four bytes of Matroska (RFC 8794, 11.2.4)."""
    long_id = bytes.fromhex("0812345678") + b"\x83abc"
    content = segment(long_id, info(), long_id, tracks(), cluster())
    assert read(content).duration == 0.2


def test_a_picture_is_known_by_its_type_and_not_read() -> None:
    file = Counted(with_parts(matroska(), attachments(attachment(bytes(8 * MB), "image/png"))))
    assert tags.read_plain(file, b".mka").has_picture
    assert file.bytes_read < 40_000
    for data, kind in ((b"", "image/png"), (b"x", "font/ttf"), (b"x", "text/plain")):
        other = with_parts(matroska(), attachments(attachment(data, kind)))
        assert not read(other).has_picture


# The sound


@pytest.mark.parametrize(
    ("codec_id", "codec"),
    [
        ("A_OPUS", "opus"),
        ("A_VORBIS", "vorbis"),
        ("A_AAC", "aac"),
        ("A_AAC/MPEG4/LC/SBR", "aac"),
        ("A_FLAC", "flac"),
        ("A_ALAC", "alac"),
        ("A_MPEG/L3", "mp3"),
        ("A_MPEG/L2", "mp2"),
        ("A_AC3", "ac3"),
        ("A_AC3/BSID9", "ac3"),
        ("A_EAC3", "eac3"),
        ("A_DTS", "dts"),
        ("A_DTS/LOSSLESS", "dts"),
        ("A_PCM/INT/LIT", "pcm"),
        ("A_PCM/FLOAT/IEEE", "pcm"),
        ("A_WAVPACK4", "wavpack"),
        ("A_TTA1", "tta"),
        ("A_TRUEHD", "truehd"),
        ("A_\x1b[2J", "matroska"),
    ],
)
def test_codecs_have_the_names_that_they_have_in_other_files(codec_id: str, codec: str) -> None:
    assert sound(codec_id).codec == codec


@pytest.mark.parametrize(("code", "codec"), [(0x55, "mp3"), (1, "pcm"), (0x11, "adpcm")])
def test_a_codec_of_windows_is_known_by_its_number(code: int, codec: str) -> None:
    assert sound("A_MS/ACM", element(0x63A2, struct.pack("<H", code))).codec == codec


def test_the_rate_is_that_of_the_output_where_both_are_told() -> None:
    """A decoder of SBR doubles the rate of its core (RFC 9559, 5.1.4.1.29.2)."""
    track = sound("A_AAC", audio(22_050.0, 2, float_(0x78B5, 44_100.0)))
    assert (track.sample_rate, track.channels, track.bit_depth) == (44_100, 2, None)
    track = sound("A_VORBIS", element(0xE1))
    assert (track.sample_rate, track.channels) == (8000, 1)  # what is not told


def test_pcm_has_the_bit_rate_that_follows_from_its_depth() -> None:
    track = sound("A_PCM/INT/LIT", audio(44_100.0, 2, unsigned(0x6264, 24)))
    assert (track.bit_depth, track.bitrate) == (24, 2 * 24 * 44_100)


def test_flac_and_alac_tell_of_themselves() -> None:
    """RFC 9639, 8.2: 20 bits of rate, 3 of channels, 5 of depth, 36 of samples."""
    bits = 96_000 << 44 | 1 << 41 | 23 << 36
    stream_info = b"fLaC\x80\0\0\x22" + bytes(10) + bits.to_bytes(8) + bytes(16)
    track = sound("A_FLAC", audio(8000.0), element(0x63A2, stream_info))
    assert (track.sample_rate, track.channels, track.bit_depth) == (96_000, 2, 24)
    cookie = bytes([0, 0, 16, 0, 0, 20, 0, 0, 0, 2]) + bytes(10) + (48_000).to_bytes(4)
    track = sound("A_ALAC", audio(8000.0), element(0x63A2, cookie))
    assert (track.sample_rate, track.channels, track.bit_depth) == (48_000, 2, 20)


def test_of_several_tracks_the_first_default_one_with_sound_is_read() -> None:
    film = entry("V_VP9", kind=1)
    comment = entry("A_AAC", audio(), unsigned(0x88, 0), number=2)
    content = segment(info(), tracks(film, comment, entry("A_VORBIS", number=3)), cluster())
    track = read(content, ".webm")
    assert (track.codec, track.bitrate) == ("vorbis", None)


def test_a_film_without_sound_is_refused_as_such() -> None:
    silent = segment(info(), tracks(entry("V_VP9", kind=1)), cluster())
    for content in (silent, segment(info(), cluster())):
        with pytest.raises(tags.Refused, match="no audio track"):
            tags.read_track(io.BytesIO(content), b".webm")


# How long


def test_the_bit_rate_is_without_pictures() -> None:
    whole = matroska()
    pictured = with_parts(whole, attachments(attachment(bytes(10_000))))
    assert (read(pictured).bitrate or 0) == pytest.approx(read(whole).bitrate, rel=0.2)


@pytest.mark.parametrize("size", [UNKNOWN, b""])
def test_a_recording_without_a_duration_ends_behind_its_last_block(size: bytes) -> None:
    """MediaRecorder of browsers tells neither a duration nor the sizes of clusters."""
    blocks = [block(60 * n) for n in range(10)]
    clusters = [cluster(1000 + 600 * n, *blocks, size=size) for n in range(3)]
    content = segment(info(None), tracks(), *clusters, size=UNKNOWN)
    assert read(content, ".webm").duration == pytest.approx(1.8)
    assert read(content[:-30], ".webm").duration == pytest.approx(1.8)


def test_only_blocks_of_the_sound_count_and_groups_of_them_do() -> None:
    group = element(0xA0, block(100).replace(b"\xa3", b"\xa1", 1))
    content = segment(info(None), tracks(), cluster(0, block(0), group, block(900, track=2)))
    assert read(content).duration == pytest.approx(0.2)
    told = tracks(entry("A_OPUS", audio(), unsigned(0x23E383, 20_000_000)))
    assert read(segment(info(None), told, cluster(0, block(0)))).duration == pytest.approx(0.02)


def test_a_long_recording_is_measured_by_its_end_alone() -> None:
    clusters = [
        cluster(5000 * n, *(block(20 * k, bytes(400)) for k in range(250)), size=UNKNOWN)
        for n in range(100)
    ]
    file = Counted(segment(info(None), tracks(), *clusters, size=UNKNOWN))
    assert tags.read_plain(file, b".webm").duration == pytest.approx(500)
    assert file.bytes_read < MB // 2


def test_without_a_duration_and_without_a_block_the_length_is_not_known() -> None:
    for content in (
        segment(info(None), tracks()),
        segment(info(None), tracks(), cluster(7)),
        segment(info(None), tracks(), cluster(0, block(0)) + bytes(3 * MB)),
        segment(info(float("nan")), tracks()),
        segment(info(float("inf")), tracks()),
        segment(info(-1.0), tracks()),
    ):
        assert read(content).duration is None


# Damage


def test_clusters_within_clusters_take_bounded_time() -> None:
    """Each looks like the last one, and would be walked to the end for nothing."""
    nested = (number_of(0x1F43B675) + b"\xff" + b"\xec\x85") * 150_000
    content = segment(info(None), tracks(), cluster(0) + nested, size=UNKNOWN)
    began = time.process_time()
    assert read(content).duration is None
    assert time.process_time() - began < SOON_S


def test_a_file_of_empty_elements_only_is_refused_in_bounded_time() -> None:
    content = segment(info(), tracks(), b"\xec\x80" * MB)
    with pytest.raises(tags.Refused, match="more elements than any file has"):
        tags.read_track(io.BytesIO(content), b".mka")


@pytest.mark.parametrize("kind", [INFO, TRACKS, TAGS, ATTACHMENTS, SEEK_HEAD])
def test_an_element_that_is_longer_than_the_file_is_read_as_far_as_it_goes(kind: int) -> None:
    longer = element(kind, bytes(3), b"\x08\xff\xff\xff\xff")
    assert read(segment(info(), tracks(), cluster(), longer)).duration == 0.2


def test_a_file_that_is_cut_short_is_a_track_or_refused_wherever_it_is_cut() -> None:
    whole = with_parts(
        matroska(), tags_of([(30, "TITLE", "x")]), attachments(attachment(bytes(30)))
    )
    codecs = set()
    for size in range(1, len(whole)):
        try:
            codecs.add(tags.read_track(io.BytesIO(whole[:size]), b".mka").codec)
        except tags.Refused as refused:
            codecs.add(str(refused))
    assert codecs == {
        "opus",
        "ValueError: no EBML header",
        "ValueError: no segment",
        "ValueError: no audio track",
    }
