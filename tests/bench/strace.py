"""A command -> how many system calls it makes, by name, as `strace -f -c` counts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.process import run


def installed() -> bool:
    """Whether there is a strace to count with."""
    return shutil.which("strace") is not None


def count_calls(
    command: Sequence[str], *, cores: int | None, environment: Mapping[str, str], folder: Path
) -> dict[str, int]:
    """Run the command once more, many times slower, and count."""
    with tempfile.NamedTemporaryFile() as table:
        traced = ["strace", "-f", "-c", "-o", table.name, "--", *command]
        run(traced, cores=cores, environment=environment, folder=folder)
        return parse(Path(table.name).read_text())


def parse(table: str) -> dict[str, int]:
    """The calls by name out of strace's table, whose column of errors may be empty."""
    calls = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdecimal() and words[-1] != "total":
            calls[words[-1]] = int(words[3])
    return calls
