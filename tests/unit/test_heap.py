"""What a process keeps of the memory that it has freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from indexer import process

CHUNKS = """
import resource
from indexer import process
process.{tunes}()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def chunk():
    held = [bytes(700_000) for _ in range(3)]
chunk()
before = faults()
for _ in range(50):
    chunk()
print(faults() - before)
"""
"""Large blocks, again and again, as each chunk of files needs them on its way through Redis."""


def faults(tunes: str) -> int:
    """How many pages the kernel has to clear for 50 chunks."""
    command = [sys.executable, "-c", CHUNKS.format(tunes=tunes)]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_a_worker_uses_the_large_blocks_of_one_chunk_again_for_the_next() -> None:
    assert faults("keep_freed") < 1000 < faults("share_heap")


def test_where_the_size_of_blocks_is_refused_nothing_is_kept_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    class Library:
        def __init__(self, _name: None) -> None:
            pass

        def mallopt(self, parameter: int, _value: int) -> int:
            asked.append(parameter)
            return 0

    monkeypatch.setattr(ctypes, "CDLL", Library)
    process.keep_freed()
    assert asked == [process._M_MMAP_THRESHOLD]
