"""`datasette library.db -m deploy/datasette.yaml` shows an index as that file says."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from indexer.store.connection import open_index
from indexer.store.recovery import health
from tests.corpus import plant, tagged
from tests.pictures import picture
from tests.programs import AT_MOST_S, CHECKOUT, ENVIRONMENT, run

METADATA = CHECKOUT / "deploy" / "datasette.yaml"
SHOWN = {
    "library", "recent", "albums", "artists", "artwork", "missing", "duplicates", "track_tags",
    "changes", "playlists", "playlist_items", "track_artists",
}  # fmt: skip
TOLD = yaml.safe_load(METADATA.read_text())["databases"]["library"]


def got(db: Path, page: str) -> str:
    """The page that a datasette answers; it starts, answers and ends."""
    command = [
        sys.executable, "-m", "datasette", "serve", str(db), "-m", str(METADATA), "--get", page,
    ]  # fmt: skip
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=AT_MOST_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answer(db: Path, page: str) -> Any:
    return json.loads(got(db, page))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("datasette")
    music = place / "music"
    music.mkdir()
    plant(music, {
        "Björk/Post/02.mp3": tagged(title="Hyperballad", artist="Björk", album="Post"),
        "Björk/Post/cover.png": picture("PNG"),
        "Múm/01.mp3": tagged(title="Weeping Rock", artist="Múm", album="Summer"),
        "best.m3u": "Björk/Post/02.mp3\ngone.mp3\n".encode(),
        b"bad \xff.mp3": b"no audio " * 100,
    })  # fmt: skip
    db = place / "library.db"
    run("rebuild", music, db=db)
    return db


def test_every_table_is_shown_or_hidden_on_purpose(tmp_path: Path) -> None:
    told = TOLD["tables"]
    with closing(open_index(tmp_path / "library.db", write=True)) as connection:
        objects = health.objects_of(connection)
    named = {
        name
        for name, made in objects.items()
        if made.kind in {"table", "view"} and not made.is_shadow
    }
    assert set(told) == named
    assert {name for name, facts in told.items() if not facts.get("hidden")} == SHOWN


def test_the_first_page_shows_the_views_and_not_the_machinery(index: Path) -> None:
    (database,) = [one for one in answer(index, "/.json").values() if one["name"] == "library"]
    told = answer(index, "/library.json")
    shown = {one["name"] for one in told["tables"] if not one["hidden"]}
    assert shown == SHOWN & {"changes"}
    assert {one["name"] for one in told["views"]} == SHOWN - {"changes"}
    assert {one["name"] for one in told["queries"]} == set(TOLD["queries"])
    assert database["hidden_tables_count"] == len(told["tables"]) - 1


@pytest.mark.parametrize("view", ["library", "recent"])
def test_tracks_are_searched_by_words(index: Path, view: str) -> None:
    found = answer(
        index, f"/library/{view}.json?_search=bjork+hyper*&_searchmode=raw&_shape=objects"
    )
    assert [row["title"] for row in found["rows"]] == ["Hyperballad"]


def test_tracks_have_their_facets(index: Path) -> None:
    found = answer(index, "/library/library.json")
    assert set(found["facet_results"]) == {"codec", "genre", "year"}
    (codec,) = found["facet_results"]["codec"]["results"]
    assert (codec["value"], codec["count"]) == ("mp3", 2)


@pytest.mark.parametrize(
    ("query", "column", "values"),
    [("recent_tracks", "title", {"Hyperballad", "Weeping Rock"}),
     ("recent_albums", "title", {"Post", "Summer"}),
     ("albums_without_cover", "title", {"Summer"}),
     ("small_covers", "title", {"Post"}),
     ("problems", "root", {"music"}),
     ("broken_items", "path", {"gone.mp3"}),
     ("by_bit_rate", "codec", {"mp3"})],
)  # fmt: skip
def test_a_canned_query_answers(index: Path, query: str, column: str, values: set[str]) -> None:
    found = answer(index, f"/library/{query}.json?_shape=objects&below=100000")
    assert {row[column] for row in found["rows"]} == values


def test_every_canned_query_is_tried() -> None:
    assert set(TOLD["queries"]) == {
        "recent_tracks", "recent_albums", "albums_without_cover", "small_covers", "problems",
        "by_bit_rate", "broken_items",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("page", "shown"),
    [("/", "Music"), ("/library", "Albums by the time of their newest track"),
     ("/library/library", "Hyperballad"), ("/library/albums", "Summer")],
)  # fmt: skip
def test_a_page_is_shown(index: Path, page: str, shown: str) -> None:
    assert shown in got(index, page)
