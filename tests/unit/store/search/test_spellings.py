"""Words in Latin letters by which names in kana are looked for."""

from __future__ import annotations

import pytest

from indexer.store.search.spellings import other_spellings


@pytest.mark.parametrize(
    ("written", "latin"),
    [
        ("きゃりーぱみゅぱみゅ", "kyaripamyupamyu"),
        ("ビートルズ", "bitoruzu"),
        ("しゃちょう", "shachou"),
        ("ジョン", "jon"),
        ("サッカー", "sakka"),
        ("パフィー", "pafi"),
        ("ヴァイオリン", "vaiorin"),
        ("ゃ", "ya"),
        ("あっ", "a"),
    ],
)
def test_kana_are_written_as_hepburn_does(written: str, latin: str) -> None:
    assert other_spellings(written) == (latin,)
