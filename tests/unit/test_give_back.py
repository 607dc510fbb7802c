"""What a process gives back after much work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from indexer.process import give_back
from indexer.spelling import plain
from indexer.store.creation import open_in_memory
from indexer.store.search.folding import fold
from indexer.store.search.index_rows import row_of
from indexer.store.search.spellings import searchable
from indexer.tags.id3 import frames
from indexer.tags.id3.frames import V24, short_frame
from indexer.tags.vorbis import comments
from indexer.tags.vorbis.comments import comment_of

HERE = Path(__file__).parents[2]


def test_no_text_is_remembered_once_memory_was_given_back() -> None:
    texts = ("P!nk", "Ágætis", None, None, None, None, None, None, "Sigur Rós/Ágætis byrjun")
    row = row_of(1, texts)
    plain("P!nk")
    give_back(open_in_memory())
    assert [one.cache_info().currsize for one in (fold, searchable, plain)] == [0, 0, 0]
    assert row_of(1, texts) == row


def test_every_cache_of_many_texts_is_cleared_where_memory_is_given_back() -> None:
    """A cache that one process keeps for ever names why here."""
    kept = {"indexer/disk/mounts.py:_parsed_last", "indexer/disk/mounts.py:_waits"}
    found = set()
    for file in sorted(HERE.joinpath("indexer").rglob("*.py")):
        text = file.read_text()
        names = re.findall(r"^@lru_cache\(.*\n(?:@.*\n)*def (\w+)", text, re.MULTILINE)
        names += re.findall(r"^(\w+) = lru_cache\(", text, re.MULTILINE)
        name_of_file = file.relative_to(HERE)
        found |= {
            f"{name_of_file}:{name}"
            for name in names
            if f"\nforget_by({name}.cache_clear)\n" not in text
        }
    assert found == kept


def test_what_readers_remember_of_tags_is_forgotten() -> None:
    comment_of(b"ARTIST=Sigur Ros")
    short_frame(b"TPE1\0\0\0\5\0\0\3abcd", V24)
    assert comments.KEPT
    assert frames.KEPT[V24]
    give_back(open_in_memory())
    assert not comments.KEPT
    assert not frames.KEPT[V24]


ARENAS = """
import logging, threading, watcher.cli
with watcher.cli._decisions_logged(logging.INFO, as_json=True):
    logging.getLogger("watcher").info("begun")
    threads = [threading.Thread(target=list, args=(range(1000),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reserved = [line.split()[0] for line in open("/proc/self/maps") if " ---p " in line]
    print(sum(int(end, 16) - int(begin, 16) > 32 << 20 for begin, end in (
        one.split("-") for one in reserved)))
"""
"""How many heaps of single threads there are, of which glibc reserves 64 MB each."""


def test_the_threads_of_a_daemon_allocate_from_one_heap() -> None:
    environment = {**os.environ, "PYTHONMALLOC": "malloc"}
    done = subprocess.run(
        [sys.executable, "-c", ARENAS],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout == "0\n"
