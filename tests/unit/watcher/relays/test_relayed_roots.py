"""The folders of a relay, and the names that they have in the index."""

from __future__ import annotations

from pathlib import Path

from indexer.settings import Settings
from watcher.relays.relayed_roots import relayed_folders


def test_a_folder_with_an_equals_sign_is_named_by_its_path(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    settings = Settings(db=tmp_path / "x.db")
    assert relayed_folders([bytes(odd)], settings) == {"a=b": bytes(odd)}
    assert relayed_folders([b"c=" + bytes(odd)], settings) == {"c": bytes(odd)}


def test_a_folder_has_the_name_that_the_settings_give_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    settings = Settings(db=tmp_path / "x.db", roots={"Name": tmp_path / "folder"})
    assert relayed_folders([bytes(tmp_path / "folder")], settings) == {
        "Name": bytes(tmp_path / "folder")
    }
    assert relayed_folders([], settings) == {"Name": bytes(tmp_path / "folder")}
