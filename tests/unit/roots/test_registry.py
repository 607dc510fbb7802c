"""A folder as the user names it is one root, under one name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer import errors
from indexer.roots.registry import contradictions, root_at
from indexer.settings import Settings
from indexer.settings.hooks import Hook
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


def test_names_of_roots_in_other_settings_that_no_root_has_are_told(
    connection: IndexConnection, settings: Settings, music: Path
) -> None:
    root = root_at(connection, settings, os.fsencode(music), "songs")
    hook = Hook(name="mpd", url="http://mpd/", roots=("songs", "sogns"), map={"musik": "/m"})
    fine = replace(settings, polled=("songs", "nas"), roots={"nas": music.with_name("nas")})
    assert contradictions([root], fine) == []
    wrong = replace(fine, polled=("songs", "nass"), hooks=(hook,))
    assert contradictions([root], wrong) == [
        "polled names nass, which no root is called: the roots are nas, songs",
        "hooks (mpd): roots names sogns, which no root is called: the roots are nas, songs",
        "hooks (mpd): map names musik, which no root is called: the roots are nas, songs",
    ]
