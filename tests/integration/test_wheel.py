"""What the wheel of this project holds."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel of this work tree, built with the installed hatchling and no network."""
    source = tmp_path_factory.mktemp("source") / "music-indexer"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copy(CHECKOUT / ".gitignore", source)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = (source / "dist").iterdir()
    with zipfile.ZipFile(built) as file:
        yield file


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    folder = f"music_indexer-{PROJECT['project']['version']}.dist-info"
    return wheel.read(f"{folder}/{name}").decode()


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"indexer", "watcher"}


def test_the_wheel_holds_every_module_of_the_checkout(wheel: zipfile.ZipFile) -> None:
    modules = {
        str(file.relative_to(CHECKOUT))
        for package in ("indexer", "watcher")
        for file in (CHECKOUT / package).rglob("*.py")
    }
    assert modules == {name for name in wheel.namelist() if name.endswith(".py")}


def test_the_wheel_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {"indexer/py.typed", "watcher/py.typed"} <= set(wheel.namelist())


def test_the_wheel_holds_the_licence_it_names(wheel: zipfile.ZipFile) -> None:
    assert "License-Expression: MIT\nLicense-File: LICENSE\n" in dist_info(wheel, "METADATA")
    assert dist_info(wheel, "licenses/LICENSE").startswith("MIT License")


def test_every_script_of_the_wheel_can_be_called(wheel: zipfile.ZipFile) -> None:
    scripts = dict(
        line.split(" = ")
        for line in dist_info(wheel, "entry_points.txt").splitlines()
        if " = " in line
    )
    assert scripts == {
        "indexer": "indexer.cli:main",
        "music-indexer": "indexer.cli:main",
        "watcher": "watcher.__main__:main",
        "music-watcher": "watcher.__main__:main",
    }
    for target in set(scripts.values()):
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))
