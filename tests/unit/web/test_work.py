"""The page of the work: what takes long to count is not counted for each page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.library import Library
from indexer.serving.guards import Guard
from indexer.settings import Settings
from indexer.store import browse, tracks
from indexer.web.app import app_of
from indexer.web.site import Site
from tests.corpus import plant, tagged


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    plant(tmp_path / "Music", {"1.mp3": tagged(".mp3", title="One")})
    with Library(Settings(db=tmp_path / "library.db")) as library:
        library.rebuild([os.fsencode(tmp_path / "Music")])
    made = Site(Settings(db=tmp_path / "library.db"))
    yield made
    made.close()


def test_tracks_and_changes_are_counted_after_a_change_only(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for module, name in ((tracks, "count_by_root"), (browse, "changes_by_day")):
        whole = getattr(module, name)

        def noting(*arguments: Any, name: str = name, whole: Any = whole) -> Any:
            asked.append(name)
            return whole(*arguments)

        monkeypatch.setattr(module, name, noting)
    client = app_of(site, Guard(None)).test_client()

    def told() -> int:
        assert client.get("/work").status_code == 200
        answer = client.get("/work.json").json
        assert answer is not None
        return int(answer["tracks"])

    assert [told(), told()] == [1, 1]
    assert sorted(asked) == ["changes_by_day", "count_by_root"]
    plant(tmp_path / "Music", {"2.mp3": tagged(".mp3", title="Two")})
    with Library(site.settings) as library:
        library.scan()
    asked.clear()
    assert told() == 2
    assert sorted(asked) == ["changes_by_day", "count_by_root"]
