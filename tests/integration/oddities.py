"""What thirty years of music hold, one kind a line: what is on the disk, and how it must end."""

from __future__ import annotations

import os
import socket
import stat
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from mutagen.apev2 import APEv2

from tests import corpus
from tests.corpus import noise, plant, tagged, template, truncated
from tests.integration.test_bad_files import DEEP, plant_deep


class Row(NamedTuple):
    """It is shown so; what the tags do not say is guessed from its place."""

    title: str
    artist: str
    album: str
    suspect: bool = False
    """Whether its text seems to be of another code page than it claims."""


class Problem(NamedTuple):
    """It stands in `problems`, with a reason that holds these words."""

    words: str


class Link(NamedTuple):
    """A symbolic link."""

    target: str


class HardLink(NamedTuple):
    """A second name of a file."""

    target: str


class Special(NamedTuple):
    """What is no file; `kind` is of the module `stat`."""

    kind: int


class Zeros(NamedTuple):
    """A file of nothing, which takes no place on the disk."""

    size: int


Made = bytes | Link | HardLink | Special | Zeros | None
"""None: an empty folder, whose name ends with a slash."""
Ends = Row | Problem | None
"""None: nobody looks at it."""

JOGA: Final = Row("Jóga", "Björk", "Homogenic")


def joga(suffix: str = ".mp3", **changed: Any) -> bytes:
    """A file with the tags of `JOGA`, but for those that are given."""
    texts: dict[str, Any] = {"title": "Jóga", "artist": "Björk", "album": "Homogenic"}
    return tagged(suffix, **{**texts, **changed})


def with_id3(*frames: tuple[bytes, bytes], version: int = 3, sound: str = ".mp3") -> bytes:
    """A file with an ID3v2.3 or 2.2 tag of these frames (id3v2.3.0, 3.3; id3v2-00, 3.2)."""
    tail = bytes(2) if version == 3 else b""
    width = 4 if version == 3 else 3
    body = b"".join(name + len(text).to_bytes(width) + tail + text for name, text in frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + size + body + template(sound)


def with_id3v1(title: bytes, artist: bytes, album: bytes) -> bytes:
    """An MP3 file with 128 bytes of ID3v1 at its end."""
    fields = (title.ljust(30, b"\0") + artist.ljust(30, b" ") + album.ljust(30, b"\0"), b"1997")
    return template(".mp3") + b"TAG" + b"".join(fields) + bytes(30) + b"\xff"


def with_apev2(suffix: str) -> bytes:
    """A file with an APEv2 tag, in a format that has another of its own."""
    tag = APEv2()
    tag.update({"Title": JOGA.title, "Artist": JOGA.artist, "Album": JOGA.album})
    file = BytesIO(template(suffix))
    tag.save(file)
    return file.getvalue()


def with_riff_info() -> bytes:
    """A WAVE file with the texts of RIFF INFO, as Windows wrote them."""
    items = b""
    for name, text in ((b"INAM", "Jóga"), (b"IART", "Björk"), (b"IPRD", "Homogenic")):
        content = text.encode("cp1252") + b"\0"
        items += name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
    whole = template(".wav") + b"LIST" + (len(items) + 4).to_bytes(4, "little") + b"INFO" + items
    return whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]


def latin_1(text: str, encoding: str) -> bytes:
    """A file whose tag claims Latin-1 and holds another code page."""
    return with_id3((b"TIT2", b"\0" + text.encode(encoding)), (b"TPE1", b"\0K"), (b"TALB", b"\0G"))


def read_as_latin_1(text: str, encoding: str) -> Row:
    """The text as it is, flagged."""
    return Row(text.encode(encoding).decode("latin-1"), "K", "G", suspect=True)


ODDITIES: Final[dict[str | bytes, tuple[Made, Ends]]] = {
    # formats
    "F/id3v2.4.mp3": (joga(), JOGA),
    "F/id3v2.3.mp3": (joga(id3_version=3), JOGA),
    "F/id3v2.2.mp3": (
        with_id3(
            (b"TT2", b"\0J\xf3ga"), (b"TP1", b"\0Bj\xf6rk"), (b"TAL", b"\0Homogenic"), version=2
        ),
        JOGA,
    ),
    "F/id3v1.mp3": (with_id3v1(b"J\xf3ga", b"Bj\xf6rk", b"Homogenic"), JOGA),
    "F/apev2.mp3": (with_apev2(".mp3"), JOGA),
    "F/layer 2.mp2": (joga(".mp2"), JOGA),
    "F/layer 1.mp1": (joga(".mp1"), JOGA),
    "F/adts.aac": (joga(".aac"), JOGA),
    "F/dolby.ac3": (joga(".ac3"), JOGA),
    "F/dolby plus.eac3": (joga(".eac3"), JOGA),
    "F/flac.flac": (joga(".flac"), JOGA),
    "F/id3 before.flac": (with_id3((b"TIT2", b"\0No"), sound=".flac"), Row("No", "", "F")),
    "F/vorbis.ogg": (joga(".ogg"), JOGA),
    "F/flac in ogg.oga": (joga(".oga"), JOGA),
    "F/opus.opus": (joga(".opus"), JOGA),
    "F/speex.spx": (joga(".spx"), JOGA),
    "F/aac.m4a": (joga(".m4a"), JOGA),
    "F/alac.m4a": (joga(".alac.m4a"), JOGA),
    "F/book.m4b": (joga(".m4b"), JOGA),
    "F/windows media.wma": (joga(".wma"), JOGA),
    "F/id3.wav": (joga(".wav"), JOGA),
    "F/info.wav": (with_riff_info(), JOGA),
    "F/id3.aiff": (joga(".aiff"), JOGA),
    "F/id3.AIF": (joga(".aif"), JOGA),
    "F/monkey.ape": (joga(".ape"), JOGA),
    "F/musepack 7.mpc": (joga(".mpc"), JOGA),
    "F/musepack 8.mpc": (joga(".sv8.mpc"), JOGA),
    "F/musepack.mp+": (joga(".mp+"), JOGA),
    "F/optimfrog.ofr": (joga(".ofr"), JOGA),
    "F/tak.tak": (joga(".tak"), JOGA),
    "F/true audio.tta": (joga(".tta"), JOGA),
    "F/wavpack.wv": (joga(".wv"), JOGA),
    "F/dsd.dsf": (joga(".dsf"), JOGA),
    "F/dsd.dff": (joga(".dff"), JOGA),
    "F/really flac.mp3": (joga(".flac"), JOGA),
    "F/really mp3.flac": (joga(), JOGA),
    "F/really wav.ogg": (joga(".wav"), JOGA),
    # tags
    "T/01 no tags.mp3": (template(".mp3"), Row("01 no tags", "", "T")),
    "T/blank.flac": (tagged(".flac", title=" ", artist="", album="\0"), Row("blank", "", "T")),
    "no folder.ogg": (template(".ogg"), Row("no folder", "", "R")),
    "T/several.flac": (joga(".flac", artist=["Björk", "a; b", "Björk"]),
                       Row("Jóga", "Björk; a; b; Björk", "Homogenic")),
    "T/two lines.m4a": (joga(".m4a", title="Jó\n\x1b[31mga"),
                        Row("Jó\n\x1b[31mga", "Björk", "Homogenic")),
    "T/emoji.opus": (joga(".opus", title="🎻\u202e日本 e\u0301"),
                     Row("🎻\u202e日本 e\u0301", "Björk", "Homogenic")),
    "T/comment of 1 MB.mp3": (joga(comment="ö" * (1 << 19)), JOGA),
    "T/cover of 3 MB.flac": (joga(".flac", picture=3_000_000), JOGA),
    "T/cp1251.mp3": (latin_1("Группа крови", "cp1251"), read_as_latin_1("Группа крови", "cp1251")),
    "T/sjis.mp3": (latin_1("東京の歌", "shift-jis"), read_as_latin_1("東京の歌", "shift-jis")),
    "T/broken utf-16.mp3": (with_id3((b"TIT2", b"\x01\xff\xfeJ\0\0\xd8"), (b"TPE1", b"\0B")),
                            Row("broken utf-16", "B", "T")),
    "T/half a character.mp3": (with_id3((b"TIT2", b"\x01\xff\xfeJ\0o"), (b"TPE1", b"\0B")),
                               Row("Jo", "B", "T")),
    "T/nuls at the end.mp3": (with_id3((b"TIT2", b"\0Joga\0\0\0"), (b"TPE1", b"\0B")),
                              Row("Joga", "B", "T")),
    "T/lone surrogate.mp3": (with_id3((b"TIT2", b"\x01\xff\xfe\0\xdc"), (b"TPE1", b"\0B")),
                             Row("lone surrogate", "B", "T")),
    "T/lone surrogate.ape": (joga(".ape").replace("Jóga".encode(), b"\xed\xa0\x80ga"),
                             Row("í\xa0€ga", "Björk", "Homogenic")),
    "T/frame too long.mp3": (with_id3((b"TPE1", b"\0B"), (b"TIT2", b"\0J")).replace(
                                 b"TIT2\0\0\0\x02", b"TIT2\x7f\xff\xff\xff"),
                             Row("J", "B", "T")),
    # names
    b"N/not utf-8 \xff.mp3": (joga(), JOGA),
    b"N/not utf-8 \xe9/\xe9.flac": (template(".flac"), Row("\ufffd", "N", "not utf-8 \ufffd")),
    "N/two\nlines\t\x1b[2J.mp3": (joga(), JOGA),
    "N/" + "x" * 251 + ".mp3": (joga(), JOGA),
    "N/ .mp3": (template(".mp3"), Row(" ", "", "N")),
    "N/-rf.mp3": (joga(), JOGA),
    "N/100% 'of' \"it\" $(x) \\.mp3": (joga(), JOGA),
    "N/é.mp3": (joga(), JOGA),
    "N/e\u0301.mp3": (tagged(title="NFD"), Row("NFD", "", "N")),
    "N/CASE.mp3": (joga(), JOGA),
    "N/case.MP3": (tagged(title="lower"), Row("lower", "", "N")),
    "N/a.b..mp3.mp3": (template(".mp3"), Row("a.b..mp3", "", "N")),
    "N/folder.mp3/inside.mp3": (joga(), JOGA),
    "N/Disc 2/01.mp3": (template(".mp3"), Row("01", "", "N")),
    DEEP + b"/deep.mp3": (joga(), JOGA),
    # links, and what is no file
    "L/hard.mp3": (HardLink("F/id3v2.4.mp3"), JOGA),
    "L/link.mp3": (Link("../F/id3v2.4.mp3"), None),
    "L/folder": (Link("../F"), None),
    "L/up": (Link(".."), None),
    "L/loop.mp3": (Link("loop.mp3"), None),
    "L/nowhere.mp3": (Link("nowhere"), None),
    "L/empty folder.mp3/": (None, None),
    "L/fifo.mp3": (Special(stat.S_IFIFO), Problem("this is a FIFO")),
    "L/socket.mp3": (Special(stat.S_IFSOCK), Problem("this is a socket")),
    "L/device.mp3": (Special(stat.S_IFCHR), Problem("this is a character device")),
    # damage
    "D/empty.mp3": (b"", Problem("the file is empty")),
    "D/noise.mp3": (noise(), Problem("MPEG")),
    "D/noise.flac": (noise(seed=2), Problem("FLAC")),
    "D/zeros.mp3": (Zeros(64 << 20), Problem("MPEG")),
    "D/zeros.m4a": (Zeros(64 << 20), Problem("MP4")),
    "D/a web page.mp3": (b"<html><body>404 Not Found</body></html>", Problem("MPEG")),
    "D/truncated.mp3": (truncated(), Problem("cut short: 1.7 of 2.1 KB are there")),
    "D/truncated.m4a": (truncated(".m4a", 0.2), Problem("cut short: 0.8 of 1.2 KB are there")),
    "D/truncated.ogg": (truncated(".ogg", 0.05), Problem("Ogg")),
    "D/bad crc.ogg": (corpus.ogg_with_broken_crc(), Row("Human Behaviour", "", "D")),
    "D/no moov.m4a": (corpus.mp4_without_moov(), Problem("no moov box")),
    "D/header only.flac": (corpus.flac_header_only(), Problem("flac")),
    "D/id3 claims 256 MB.mp3": (
        corpus.id3_claims_256_mb(), Problem("cut short: 0.0 of 268.4 MB are there"),
    ),
    "D/picture claims 4 GB.flac": (corpus.flac_picture_claims_4_gb(), Problem("flac")),
    # what nobody wants
    "W/.hidden.mp3": (joga(), None),
    "W/.hidden/1.mp3": (joga(), None),
    "W/._1.mp3": (noise(), None),
    "W/@eaDir/1.mp3": (noise(), None),
    "W/1.mp3.part": (noise(), None),
    "W/cover.jpg": (noise(), None),
    "W/mp3": (joga(), None),
    "W/1.mp3.": (joga(), None),
    "W/no media/.nomedia": (b"", None),
    "W/no media/b/1.mp3": (joga(), None),
    "W/media/.nomedia": (b"a text", None),
    "W/media/1.mp3": (joga(), JOGA),
    "W/ignored/.indexignore": (b"*.mp3\n!keep.mp3\nb/\n", None),
    "W/ignored/1.mp3": (noise(), None),
    "W/ignored/keep.mp3": (joga(), JOGA),
    "W/ignored/b/keep.mp3": (joga(), None),
    "W/bad line/.indexignore": (b"\\\n2.mp3\n", Problem("line 1")),
    "W/bad line/#1.mp3": (joga(), JOGA),
    "W/bad line/2.mp3": (joga(), None),
}  # fmt: skip
"""By path. `R` is the name of the root."""


def make(root: Path) -> dict[bytes, Ends]:
    """Make it all below `root`, but for what only root may; how each that was made must end."""
    ends: dict[bytes, Ends] = {}
    for name, (made, end) in ODDITIES.items():
        path = os.fsencode(name)
        if made == Special(stat.S_IFCHR) and os.geteuid() != 0:
            continue
        _make(root, path, made)
        ends[path.rstrip(b"/")] = end
    return ends


def _make(root: Path, path: bytes, made: Made) -> None:
    whole = os.path.join(os.fsencode(root), path)
    if isinstance(made, bytes) and path.startswith(DEEP):
        plant_deep(root, DEEP, path[len(DEEP) + 1 :], made)
        return
    if isinstance(made, bytes) or made is None:
        plant(root, {path: made})
        return
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    match made:
        case Link(target):
            os.symlink(target, whole)
        case HardLink(target):
            os.link(root / target, whole)
        case Zeros(size):
            with open(whole, "wb") as file:
                file.truncate(size)
        case Special(stat.S_IFIFO):
            os.mkfifo(whole)
        case Special(stat.S_IFSOCK):
            _bind(whole)
        case Special(kind):
            os.mknod(whole, 0o600 | kind, os.makedev(1, 3))


def _bind(path: bytes) -> None:
    """Make a socket; the path of one may be 107 bytes long."""
    folder = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(b"/proc/self/fd/%d/" % folder + os.path.basename(path))
    os.close(folder)
