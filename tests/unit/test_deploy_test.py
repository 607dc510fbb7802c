"""What `deploy/test` installs and runs, in a checkout whose programs only print their arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
VENV = """
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$checkout/.venv
make_venv() { echo "venv $1"; }
debian_packages() { echo "debian $*"; }
"""
PYTHON = '#!/bin/sh\nshift\necho "$*"\n'
FAST = ["ruff check", "ruff format --check", "mypy"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("deploy", ".venv/bin", "tests/unit", "tests/integration"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(CHECKOUT / "deploy/test", tmp_path / "deploy/test")
    (tmp_path / "deploy/venv.sh").write_text(VENV)
    python = tmp_path / ".venv/bin/python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    for name in ("unit/test_scan.py", "integration/test_pool.py"):
        (tmp_path / "tests" / name).touch()
    return tmp_path


def ran(checkout: Path, *words: str) -> list[str]:
    """The programs that were set up and run, one per line; Debian's packages are not named."""
    command = [str(checkout / "deploy/test"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.sep)
    lines = done.stdout.splitlines()
    return ["debian" if line.startswith("debian ") else line for line in lines]


def test_the_fast_check_is_style_types_and_unit_tests_without_debian(checkout: Path) -> None:
    pytest_line = "pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder tests/unit"
    assert ran(checkout, "--fast") == ["venv test", *FAST, pytest_line]
    assert ran(checkout, "--fast", "-k", "album")[-1] == f"{pytest_line} -k album"


def test_a_fast_check_ends_at_the_first_part_that_fails(checkout: Path) -> None:
    (checkout / ".venv/bin/python").write_text('#!/bin/sh\nshift\necho "$*"\n[ "$1" != mypy ]\n')
    with pytest.raises(subprocess.CalledProcessError) as failed:
        ran(checkout, "--fast")
    assert failed.value.stdout.splitlines() == ["venv test", *FAST]


@pytest.mark.parametrize(
    "words",
    [
        ("tests/unit",),
        ("./tests/unit/stages/test_scan.py",),
        ("tests/unit/stages/test_scan.py::test_a_file", "-k", "album"),
        ("tests/unit/cli", "tests/unit/stages/test_scan.py"),
    ],
    ids=" ".join,
)
def test_unit_tests_ask_for_no_package_of_debian(checkout: Path, words: tuple[str, ...]) -> None:
    line = " ".join(("pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder", *words))
    assert ran(checkout, *words) == ["venv test", line]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-k", "album"),
        ("tests/integration",),
        ("tests/unit", "tests/integration/test_pool.py::test_a_pool"),
    ],
    ids=" ".join,
)
def test_all_others_get_what_they_need(checkout: Path, words: tuple[str, ...]) -> None:
    line = " ".join(("pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder", *words))
    assert ran(checkout, *words) == ["venv test", "debian", line]


def test_the_smoke_tests_run_in_one_process_without_debian(checkout: Path) -> None:
    assert ran(checkout, "--smoke") == ["venv test", "pytest -m smoke"]
