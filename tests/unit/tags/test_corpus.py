from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import corpus


@pytest.mark.parametrize("suffix", corpus.STREAMS)
def test_equal_tags_make_equal_bytes(suffix: str) -> None:
    one, other = (corpus.tagged(suffix, title="Debut", picture=99) for _ in range(2))
    assert one == other
    assert one != corpus.tagged(suffix, title="Post", picture=99)


def test_a_tag_that_is_no_column_is_refused() -> None:
    with pytest.raises(KeyError):
        corpus.tagged(".mp3", titel="Debut")


def test_a_tree_is_planted_as_it_is_written(tmp_path: Path) -> None:
    corpus.plant(
        tmp_path,
        {"Björk/Debut/01.mp3": b"one", b"no \xff UTF-8/\n.mp3": b"", "empty/folder/": None},
    )
    found = {
        os.path.relpath(os.path.join(folder, name), os.fsencode(tmp_path))
        for folder, folders, files in os.walk(os.fsencode(tmp_path))
        for name in folders + files
    }
    assert found == {
        "Björk".encode(),
        "Björk/Debut".encode(),
        "Björk/Debut/01.mp3".encode(),
        b"no \xff UTF-8",
        b"no \xff UTF-8/\n.mp3",
        b"empty",
        b"empty/folder",
    }
    assert (tmp_path / "Björk" / "Debut" / "01.mp3").read_bytes() == b"one"
