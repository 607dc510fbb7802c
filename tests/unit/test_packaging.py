"""What the wheel holds, and whether the lock files say what pyproject.toml says."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from indexer.version import versions

CHECKOUT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LOCK = CHECKOUT / "deploy" / "requirements.lock"
DASHBOARD_LOCK = CHECKOUT / "deploy" / "requirements-dashboard.lock"
DEV_LOCK = CHECKOUT / "deploy" / "requirements-dev.lock"
LOCKS = [LOCK, DASHBOARD_LOCK, DEV_LOCK]
RUN = PROJECT["project"]["dependencies"]
BUILD = PROJECT["build-system"]["requires"]
DASHBOARD = PROJECT["project"]["optional-dependencies"]["dashboard"]
DEV = PROJECT["dependency-groups"]["dev"]


def locked(lock: Path) -> dict[str, tuple[str, int]]:
    """What a lock file names: (version, how many hashes it has for it), by name."""
    found = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        if match := re.match(r"([a-z0-9-]+)==(\S+)", line):
            hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)
            found[match[1]] = (match[2], len(hashes))
    return found


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
        "watcher": "watcher.cli:main",
        "music-watcher": "watcher.cli:main",
    }
    for target in set(scripts.values()):
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    ("lock", "requirement"),
    [(LOCK, text) for text in [*RUN, *BUILD]]
    + [(DASHBOARD_LOCK, text) for text in [*RUN, *BUILD, *DASHBOARD]]
    + [(DEV_LOCK, text) for text in DEV],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_lock_holds_what_is_required_in_a_version_that_satisfies_it(
    lock: Path, requirement: str
) -> None:
    wanted = Requirement(requirement)
    version, _ = locked(lock)[canonicalize_name(wanted.name)]
    assert Version(version) in wanted.specifier, f"renew it: deploy/lock (locked: {version})"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_version_has_hashes(lock: Path) -> None:
    assert locked(lock)
    assert [name for name, (_, hashes) in locked(lock).items() if hashes == 0] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_the_lock_names_no_index_and_no_folder(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in lines if re.search(r"://|^-|@|\s/", line)] == []


@pytest.mark.parametrize(("one", "other"), list(combinations(LOCKS, 2)), ids=lambda lock: lock.name)
def test_two_locks_agree(one: Path, other: Path) -> None:
    some, others = locked(one), locked(other)
    both = some.keys() & others.keys()
    assert both
    assert {name: some[name] for name in both} == {name: others[name] for name in both}


def test_the_lock_of_the_image_holds_all_that_the_program_needs() -> None:
    assert locked(LOCK).keys() < locked(DASHBOARD_LOCK).keys()


def test_the_lock_has_what_the_build_group_of_the_project_names() -> None:
    assert PROJECT["dependency-groups"]["build"] == BUILD


@pytest.mark.smoke
def test_versions_name_all_that_a_bug_report_needs() -> None:
    assert list(versions()) == ["music-indexer", "Python", "SQLite", "watchdog", "rq", "schema"]
    assert versions()["music-indexer"] == PROJECT["project"]["version"]
    assert versions()["Python"] == "{}.{}.{}".format(*sys.version_info)
    assert Version(versions()["SQLite"]) >= Version("3.51.3"), "the first without the WAL-reset bug"
    assert int(versions()["schema"]) >= 1


def test_what_is_not_installed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", nothing)
    assert versions()["rq"] == "not installed"
