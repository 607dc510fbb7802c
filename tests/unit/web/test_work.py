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
from indexer.web.work import _amount_text
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


def test_what_a_young_process_wrote_is_not_called_that_of_a_day() -> None:
    thin = "\N{NARROW NO-BREAK SPACE}"
    assert _amount_text(5_000_000, 480) == f"5.0{thin}MB in 8{thin}min"
    assert _amount_text(5_000_000, 2 * 86_400) == f"2.5{thin}MB a day"
    assert _amount_text(0, 30) == f"0{thin}B in 30{thin}s"
    assert _amount_text(None, 480) == ""


def test_an_album_that_moved_has_one_line_for_all_of_its_tracks(site: Site, tmp_path: Path) -> None:
    music = tmp_path / "Music"
    plant(music, {f"Old/{n}.mp3": tagged(".mp3", title=str(n), album="Post") for n in range(5)})
    with Library(site.settings) as library:
        library.scan()
        (music / "Old").rename(music / "New")
        library.scan()
        (album,) = (row["album_id"] for row in library.search(["title:4"]))
    page = app_of(site, Guard(None)).test_client().get(f"/albums/{album}").get_data(as_text=True)
    assert page.count('<li class="change">') == 2
    assert 'moved<span class="many"> 5 tracks</span>' in page
    assert "Music/Old → Music/New" in page
