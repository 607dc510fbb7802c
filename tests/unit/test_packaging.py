"""The content of the wheel, and consistency of the lock files with pyproject.toml."""

from __future__ import annotations

import re
import sys
import tomllib
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
WEB_LOCK = CHECKOUT / "deploy" / "requirements-web.lock"
DEV_LOCK = CHECKOUT / "deploy" / "requirements-dev.lock"
METRICS_LOCK = CHECKOUT / "deploy" / "requirements-metrics.lock"
LOCKS = [LOCK, DASHBOARD_LOCK, METRICS_LOCK, WEB_LOCK, DEV_LOCK]
RUN = PROJECT["project"]["dependencies"]
BUILD = PROJECT["build-system"]["requires"]
DASHBOARD = PROJECT["project"]["optional-dependencies"]["dashboard"]
METRICS = PROJECT["project"]["optional-dependencies"]["metrics"]
WEB = PROJECT["project"]["optional-dependencies"]["web"]
DEV = PROJECT["dependency-groups"]["dev"]


def locked(lock: Path) -> dict[str, tuple[str, int]]:
    """The packages in a lock file: name -> (version, number of hashes)."""
    found = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        if match := re.match(r"([a-z0-9-]+)==(\S+)", line):
            hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)
            found[match[1]] = (match[2], len(hashes))
    return found


@pytest.mark.parametrize(
    ("lock", "requirement"),
    [(LOCK, text) for text in [*RUN, *BUILD]]
    + [(DASHBOARD_LOCK, text) for text in [*RUN, *BUILD, *DASHBOARD, *WEB]]
    + [(METRICS_LOCK, text) for text in [*RUN, *BUILD, *METRICS]]
    + [(WEB_LOCK, text) for text in [*RUN, *BUILD, *WEB]]
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
    assert locked(METRICS_LOCK).keys() - locked(LOCK).keys() == {"prometheus-client"}


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


def test_extras_are_installed_by_one_wording_with_and_without_a_checkout() -> None:
    named: set[str] = set()
    for file in (*CHECKOUT.glob("*.md"), *CHECKOUT.glob("indexer/**/*.py")):
        for package, extra in re.findall(
            r"pip install '([^'\[]*)\[(\w+)\]'", file.read_text("utf-8")
        ):
            assert package == "music-indexer", f"{file.name}: {package}[{extra}]"
            named.add(extra)
    assert named == PROJECT["project"]["optional-dependencies"].keys()
