from __future__ import annotations

import io
from typing import Any

import pytest
from mutagen import id3

from indexer import tags
from indexer.tags import columns
from indexer.tags.code_pages import misread
from tests import corpus

REAL = [
    "Björk",
    "Café",
    "Sigur Rós",
    "Ágætis byrjun",
    "Þíðu",
    "ÞÝÐ",
    "Motörhead",
    "Mötley Crüe",
    "Queensrÿche",
    "São Paulo",
    "Æðelflæd",
    "Hääyö",
    "Jäääärne",
    "ÅÄÖ",
    "naïveté",
    "Où ça?",
    "¿Dónde está?",
    "«Élégie»",
    "½ \xd7 ¾ ± ¼",
    "¡¡¡¡",
    "°º¤ø,\xb8\xb8,ø¤º°",
    "a\xa0\xa0\xa0\xa0\xa0b",
    "Don\x92t Stop",
    "\x93Heroes\x94",
    "I\x92m I\x92m",
    "Wait\x85\x85\x85\x85",
    "Кино",
    "日本",
    "Âme \N{EM DASH} Rej",
    "",
]
MISREAD = [
    ("Кино", "cp1251"),
    ("Группа крови", "cp1251"),
    ("Kino - Группа", "cp1251"),
    ("Кино", "koi8-r"),
    ("Βασίλης", "cp1253"),
    ("שלום", "cp1255"),
    ("สวัสดี", "cp874"),
    ("さくら", "shift-jis"),
    ("ソニー", "shift-jis"),
    ("日本", "shift-jis"),
    ("東京", "shift-jis"),
    ("宇多田ヒカル", "shift-jis"),
    ("宇多田ヒカル", "euc-jp"),
    ("周杰伦", "gbk"),
    ("아이유", "cp949"),
    ("Björk", "utf-8"),
    ("Кино", "utf-8"),
]


@pytest.mark.parametrize("text", REAL)
def test_a_real_name_is_not_suspected(text: str) -> None:
    assert not misread(text)


@pytest.mark.parametrize(("text", "encoding"), MISREAD)
def test_another_code_page_read_as_latin_1_is_suspected(text: str, encoding: str) -> None:
    assert misread(text.encode(encoding).decode("latin-1"))


@pytest.mark.parametrize(("text", "encoding"), MISREAD)
@pytest.mark.parametrize("version", [2, 3, 4])
def test_text_of_a_wrong_code_page_is_kept_as_it_is_and_flagged(
    text: str, encoding: str, version: int
) -> None:
    kept = text.encode(encoding).decode("latin-1")
    name = b"TT2" if version == 2 else b"TIT2"
    payload = b"\0" + text.encode(encoding)
    size = len(payload).to_bytes(3 if version == 2 else 4)
    frame = name + size + (b"" if version == 2 else bytes(2)) + payload
    head = b"ID3" + bytes([version, 0, 0]) + id3.BitPaddedInt.to_str(len(frame), width=4)
    track = tags.read_track(io.BytesIO(head + frame + corpus.template(".mp3")), b".mp3")
    assert (track.title, track.suspect_encoding) == (kept, True)


@pytest.mark.parametrize("template", corpus.STREAMS)
def test_what_a_tagger_copied_from_such_a_tag_is_flagged_in_every_format(template: str) -> None:
    suffix = template[template.rindex(".") :].encode()
    copied = "Группа".encode("cp1251").decode("latin-1")
    words: dict[str, Any] = dict.fromkeys(columns.WORDS, copied)
    for column, value in words.items():
        content = corpus.tagged(template, **{column: value})
        assert tags.read_track(io.BytesIO(content), suffix).suspect_encoding, column
    real = corpus.tagged(template, title="Ágætis byrjun", artist="Sigur Rós", comment="Группа")
    assert not tags.read_track(io.BytesIO(real), suffix).suspect_encoding


def test_an_id3v1_tag_of_a_wrong_code_page_is_flagged() -> None:
    v1 = b"TAG" + "Группа крови".encode("cp1251").ljust(30, b"\0") + bytes(94) + b"\xff"
    sound = corpus.template(".mp3")
    assert tags.read_track(io.BytesIO(sound + v1), b".mp3").suspect_encoding
    whole = corpus.tagged(title="Группа крови", artist="Кино", album="6")
    assert not tags.read_track(io.BytesIO(whole + v1), b".mp3").suspect_encoding
