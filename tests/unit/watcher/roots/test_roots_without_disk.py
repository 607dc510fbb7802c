"""A watched root without an accepted disk: removed a moment ago, or its row is lost (rule R8)."""

from __future__ import annotations

from contextlib import closing

import pytest

from indexer.library import Library
from indexer.reports import status
from indexer.roots import open_roots
from indexer.settings import Settings
from indexer.store.connection import open_index
from tests.corpus import tagged
from tests.trees import Plant, ask

FORGET = "DELETE FROM mounts WHERE folder = x''"


def forget_disk(settings: Settings) -> None:
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute(FORGET)


def test_a_root_whose_disk_is_not_known_is_offline_until_one_is_accepted(
    library: Library, settings: Settings, plant: Plant
) -> None:
    plant({"1.mp3": tagged(title="One")})
    library.scan()
    before = ask(library, "SELECT * FROM tracks")
    forget_disk(settings)
    (offline,) = library.scan().offline
    assert "indexer roots accept music" in offline
    (root,) = library.status().roots
    assert (root.state, root.reason, root.tracks) == ("offline", offline, 1)
    assert ask(library, "SELECT * FROM tracks") == before
    assert library.accept_root("music").state == "idle"
    assert library.scan().files_read == 0
    assert library.verify(deep=True).ok


@pytest.mark.parametrize("when", ["before", "after"])
def test_status_leaves_out_a_root_that_is_removed_while_it_looks(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A server that does not answer keeps it looking for a second."""
    whole = open_roots.open_roots

    def removing(*arguments: object, **named: object) -> open_roots.OpenRoots:
        with Library(settings) as other:
            if when == "before":
                other.remove_root("music")
            opened = whole(*arguments, **named)  # type: ignore[arg-type]
            if when == "after":
                other.remove_root("music")
            return opened

    monkeypatch.setattr(status, "open_roots", removing)
    assert list(library.status().roots) == []
