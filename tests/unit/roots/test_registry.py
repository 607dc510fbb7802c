"""A folder as the user names it is one root, under one name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer import errors
from indexer.roots.registry import root_at
from indexer.settings import Settings
from indexer.store import roots
from indexer.store.connection import IndexConnection


def test_a_root_is_added_again_under_its_own_name_only(
    connection: IndexConnection, settings: Settings, music: Path
) -> None:
    folder = os.fsencode(music)
    link = music.with_name("link")
    link.symlink_to(music)
    root = root_at(connection, settings, folder, "songs")
    for name in (None, "songs"):
        assert root_at(connection, settings, os.fsencode(link), name) == root
    for place in (folder, os.fsencode(link), b"songs"):
        with pytest.raises(errors.UsageError, match="`indexer roots rename songs 'my songs'`"):
            root_at(connection, settings, place, "my songs")
    assert roots.watched(connection) == [root]


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", ".", ".."])
def test_a_name_that_cannot_begin_a_path_is_refused(
    connection: IndexConnection, settings: Settings, music: Path, name: str
) -> None:
    with pytest.raises(errors.UsageError, match="name"):
        root_at(connection, settings, os.fsencode(music), name)
    assert roots.watched(connection) == []
