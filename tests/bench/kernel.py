"""A library -> commands for the lower bounds of a scanner: list it all, or open and read it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.bench.catalogue import SHARES

HEAD = 64 * 1024
"""Bytes of a file that other scanners read."""
SOURCE = Path(__file__).with_name("limit.c")
NO_COMPILER = "there is no C compiler (cc) that works"


def find(music: Path) -> list[str]:
    """List every name with its stamp, as an unchanged scan must."""
    return ["find", str(music), "-printf", "%p %s %T@ %C@ %i\n"]


def build(folder: Path) -> Path | None:
    """Compile `limit.c` into a folder; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "limit"
    command = [compiler, "-O2", "-pthread", "-o", str(program), str(SOURCE)]
    compiled = subprocess.run(command, capture_output=True, check=False)
    return program if compiled.returncode == 0 else None


def read_heads(program: Path, music: Path, threads: int) -> list[str]:
    """List every track, open it, read its head and close it; prints their number."""
    return [str(program), str(threads), str(HEAD), str(music), *SHARES]
