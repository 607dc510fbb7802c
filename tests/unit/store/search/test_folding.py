# ruff: noqa: RUF001 - letters that look like others are what this is about
from __future__ import annotations

import hashlib
import unicodedata

import pytest

from indexer.store.search.folding import fold, of_symbols, stands_alone
from indexer.store.search.han import SIMPLIFIED, WRITTEN
from indexer.store.search.index_rows import RULES
from indexer.store.search.spellings import searchable


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Björk", "bjork"),
        ("Straße STRAẞE", "strasse strasse"),
        ("Mötley Crüe", "motley crue"),
        ("Røyksopp Ærø œuvre", "royksopp aero oeuvre"),
        ("Łódź Đorđe Þór Guðmundur", "lodz dorde thor gudmundur"),
        ("IŞIK ışık İstanbul", "isik isik istanbul"),
        ("ΟΔΟΣ οδός ὀδός", "οδοσ οδοσ οδοσ"),
        ("Ёлка Тихий", "елка тихии"),
        ("ＡＢＣ　１２３", "abc 123"),
        ("ﬁnal eﬀect Ⅳ", "final effect iv"),
        ("e\u0301 \u00e9", "e e"),
        ("so\u00adft", "soft"),
        ("Hawai\u02bbi", "hawaii"),
        ("don\u2019t don't don\u02bct", "don t don t don t"),
        ("AC/DC", "ac dc"),
        ("Sunn O)))", "sunn o"),
        ("R.E.M.", "r e m"),
        ("हिन्दी", "हिन्दी"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_what_is_written_is_found_by_what_people_type(written: str, typed: str) -> None:
    assert fold(written) == unicodedata.normalize("NFC", typed)


def test_half_width_kana_are_kana_and_keep_their_voice() -> None:
    assert fold("ｶﾞｷ") == fold("ガキ") == "が き"
    assert fold("カキ") != fold("ガキ")


@pytest.mark.parametrize(
    "spellings",
    [
        "ビートルズ びーとるず ﾋﾞｰﾄﾙｽﾞ",
        "宇多田ヒカル 宇多田ひかる",
        "鄧麗君 邓丽君",
        "張國榮 张国荣",
        "五月天倔強 五月天倔强",
        "渡邊 渡辺 渡边",
        "黑澤 黒沢 黑泽",
        "廣 広 广",
        "濱﨑 浜崎 滨崎",
        "إنتعمرى انتعمري",
        "ماجدة ماجده",
        "کویر كوير",
        "محمّـــد محمد",
        "١٩٩٠ ۱۹۹۰ १९९० １９９０ 1990",
    ],
)
def test_what_keyboards_write_otherwise_is_folded_to_one(spellings: str) -> None:
    assert len({fold(one) for one in spellings.split()}) == 1


def test_no_simplified_character_is_simplified_again() -> None:
    assert len(WRITTEN) == len(SIMPLIFIED)
    assert set(WRITTEN).isdisjoint(SIMPLIFIED)


@pytest.mark.parametrize("text", ["东京事", "ひらがな", "사랑해", "สวัสดี"])
def test_a_script_without_spaces_is_folded_to_single_characters(text: str) -> None:
    words = fold(text).split()
    assert words == list(text)
    assert all(map(stands_alone, words))


def test_other_words_between_them_stay_whole() -> None:
    assert fold("京都incidents") == "京 都 incidents"
    assert not stands_alone("s")


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("!!!", "！！！"),
        ("？？？", "？？？"),
        ("\u2764\ufe0f", "\u2764"),
        ("+/-", "＋／－"),
        ("÷", "÷"),
    ],
)
def test_a_text_of_symbols_only_keeps_them(written: str, folded: str) -> None:
    assert fold(written) == folded
    assert of_symbols(folded)


def test_symbols_beside_words_are_left_out_unless_three_stand_by_themselves() -> None:
    assert fold("Help! - (Wait...)") == "help wait"
    assert fold("A ... B --- C") == "a b c"
    assert fold("!!! (Chk Chk Chk)") == "！！！ chk chk chk"
    assert not of_symbols("chk chk chk")


@pytest.mark.parametrize("text", ["Simon & Garfunkel", "Simon + Garfunkel", "Simon ＆ Garfunkel"])
def test_a_sign_for_and_is_that_word(text: str) -> None:
    assert fold(text) == "simon and garfunkel"


@pytest.mark.parametrize("text", ["", " \t\n", "\x00\x1f\x85", "\u200b\u00ad", "\ud800"])
def test_invisible_characters_are_dropped(text: str) -> None:
    assert fold(text) == ""
    assert not of_symbols("")


def test_folding_stays_as_it_was() -> None:
    """The full-text index of every user contains texts folded by this version.

    If folding must change, `index_rows.RULES` is raised, and this hash changes. Only characters of
    Unicode 3.2 are tested: they are the same in every Python.
    """
    assert RULES == "6"
    assigned = (
        chr(code)
        for code in range(0x110000)
        if unicodedata.ucd_3_2_0.category(chr(code)) not in {"Cn", "Cs", "Co"}
    )
    folded = hashlib.sha256()
    for letter in assigned:
        folded.update(f"{fold(letter)}\n".encode())
        if letter < "\u0250":  # beyond, another library has a part in it
            folded.update(f"{searchable(f'ab{letter}cd {letter}')}\n".encode())
    assert folded.hexdigest() == "c66c8f424764c1875efdd82b8958eefd22d74a7030be888c73891ee3001726ed"
