"""An index -> how its roots stand, and that nothing was changed by a disk that is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.corpus import Tree, tagged
from tests.programs import (
    rows,
    run,
)

SONGS: Tree = {
    "Björk/Debut/1.mp3": tagged(title="One"),
    "Björk/Debut/2.flac": tagged(".flac", title="Two"),
    "three.ogg": tagged(".ogg", title="Three"),
}


def everything(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows but those that tell of scans themselves."""
    tables = (
        "roots",
        "tracks",
        "catalog_albums",
        "catalog_artists",
        "mounts",
        "problems",
        "changes",
        "pending",
    )
    found = {table: rows(db, f"SELECT * FROM {table} ORDER BY 1") for table in tables}
    found["library"] = rows(db, "SELECT * FROM library ORDER BY 1")
    return found


def state(db: Path, name: str = "music") -> dict[str, Any]:
    """A root as `status` shows it."""
    roots: list[dict[str, Any]] = run("status", "--json", db=db).object["roots"]
    (root,) = [one for one in roots if one["name"] == name]
    return root


def assert_offline(db: Path, because: str, *commands: str) -> None:
    """Commands (`scan`, and more) say that, why and what to do, and not one row changes."""
    before = everything(db)
    for command in ("scan", *commands):
        ran = run(command, "--json", db=db, check=3)
        (told,) = ran.object["offline"]
        assert told.startswith("music: ")
        assert because in told
        mended = ("indexer roots accept music", "mount its disk", "indexer roots remove")
        assert any(words in told for words in mended)
        assert told in ran.err
    root = state(db)
    assert (root["state"], root["reason"]) == ("offline", told)
    assert everything(db) == before


def assert_untouched(db: Path) -> None:
    """The right disk is there again: nothing is opened, and nothing differs."""
    before = everything(db)
    report = run("scan", "--json", db=db).object
    assert (report["files_read"], report["unchanged"]) == (0, report["seen"])
    assert report["offline"] == []
    assert everything(db) == before
    assert state(db)["state"] == "idle"
    assert run("verify", "--json", db=db).object["ok"]
