"""A seed -> a sound index, damaged at one place of its file, and what every command says of it.

    python -m tests.faults.damage --places 1000

After each: no command raises or hangs; `verify --deep` tells the damage, or all that is made of the
tracks answers as before; after `repair` the index is sound; and after a scan it equals the disk.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import apsw

from indexer.cli.commands import main
from indexer.store.connection import open_index
from indexer.store.recovery import health
from tests.corpus import Tree, noise, plant
from tests.further_tags import with_tags
from tests.pictures import picture

PAGE = 4096
AT_MOST_S = 60
KINDS = ("flip", "flip", "flip", "flip", "flip", "flip", "zero", "swap", "noise", "cut")
"""Most places are one flipped byte."""
_ASKED = ("song", "artist 3", "album:record", "genre:noise", "-pop", "debut bjork")
_DERIVED = (
    "SELECT * FROM catalog_artists ORDER BY id",
    "SELECT * FROM genres ORDER BY id",
    "SELECT * FROM catalog_albums ORDER BY id",
    "SELECT * FROM track_artists ORDER BY track_id, role, position",
    "SELECT * FROM track_genres ORDER BY track_id, position",
    "SELECT id, album_id FROM tracks ORDER BY id",
    "SELECT id, root, path FROM library ORDER BY root, path",
    "SELECT * FROM track_tags ORDER BY track_id, name, position",
    "SELECT name, words, track_id FROM tag_words JOIN track_tags USING (name) ORDER BY 1, 2, 3",
    "SELECT id FROM tracks WHERE inode IN (SELECT inode FROM tracks) ORDER BY inode, id",
)


class Said(NamedTuple):
    """How one command ended."""

    code: int
    out: str
    err: str


class Hung(BaseException):
    """A command went on for longer than any may."""


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hung


@contextmanager
def _streams() -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    before = sys.stdout, sys.stderr
    sys.stdout = out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    sys.stderr = err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = before


def say(db: Path, *words: str) -> Said:
    """Run one command in this process: what it raises is raised here."""
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(AT_MOST_S)
    try:
        with _streams() as (out, err):
            code = main(["--db", os.fspath(db), *words])
            texts = [stream.detach().getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    finally:
        signal.alarm(0)
    return Said(code, *texts)


def songs(files: int) -> Tree:
    """Songs on some albums, with several artists and genres, and one file that no reader takes.

    Beside them pictures, one of them broken, a playlist and lyrics.
    """
    tree: dict[str | bytes, bytes | None] = {
        f"Artist {n % 7}/Record {n % 11}/{n:03}.mp3": with_tags(
            ".mp3",
            {"artistsort": [f"{n % 7}, Artist"], "mood": ["Dark", "Loud"] if n % 2 else ["Loud"]},
            title=f"Song {n} of many words",
            artist=[f"Artist {n % 7}", "Björk"] if n % 3 == 0 else f"Artist {n % 7}",
            albumartist=f"Artist {n % 7}",
            album=f"Record {n % 11}",
            genre=["Noise", "Pop"] if n % 2 else "Noise",
            comment="what is said of it " * 4,
        )
        for n in range(files)
    }
    return {
        **tree,
        "Artist 1/bad.mp3": noise(600),
        "Artist 1/Record 1/cover.jpg": picture("JPEG", 60, 60),
        "Artist 3/Record 3/folder.png": b"no picture",
        "Artist 3/Record 3/003.lrc": b"[00:01.00] la",
        "some.m3u": b"Artist 1/Record 1/001.mp3\nArtist 3/Record 3/003.mp3\nnowhere.mp3\n",
    }


class Bench:
    """One library with its sound index, of which copies are damaged."""

    def __init__(self, folder: Path, files: int = 120) -> None:
        self.db = folder / "index" / "library.db"
        self._sound = folder / "sound" / "library.db"
        self._music = folder / "music"
        plant(self._music, songs(files))
        said = say(self._sound, "rebuild", os.fspath(self._music))
        assert said.code == 0, said
        gone = self._music / "Artist 2" / "Record 2" / "002.mp3"
        gone.unlink()
        assert say(self._sound, "scan").code == 0
        with closing(apsw.Connection(os.fspath(self._sound))) as connection:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.size = self._sound.stat().st_size
        self._expected = derived(self._sound)
        self._one = os.fspath(next(self._music.rglob("003.mp3")))

    def renew(self) -> None:
        """Put a sound copy in place."""
        shutil.rmtree(self.db.parent, ignore_errors=True)
        self.db.parent.mkdir()
        shutil.copyfile(self._sound, self.db)

    def damage(self, chance: random.Random, kind: str) -> str:
        """Damage the copy at one place; what was done."""
        with self.db.open("r+b") as file:
            pages = self.size // PAGE
            page = chance.randrange(pages) * PAGE
            if kind == "flip":
                at = chance.randrange(self.size)
                file.seek(at)
                (byte,) = file.read(1)
                file.seek(at)
                file.write(bytes([byte ^ chance.randrange(1, 256)]))
                return f"flip {at}"
            if kind == "cut":
                size = chance.randrange(1, self.size)
                file.truncate(size)
                return f"cut {size}"
            file.seek(page)
            here = file.read(PAGE)
            if kind == "swap":
                other = chance.randrange(pages) * PAGE
                file.seek(other)
                there = file.read(PAGE)
                file.seek(other)
                file.write(here)
            else:
                there = bytes(PAGE) if kind == "zero" else chance.randbytes(PAGE)
            file.seek(page)
            file.write(there)
            return f"{kind} {page}"

    def judge(self) -> str:
        """Hold what every command says against the promise; a word for what came of it."""
        for words in (("status",), ("search", "song"), ("show", self._one), ("problems",)):
            said = say(self.db, *words)
            assert said.code in (0, 1, 2, 3), (words, said)  # 2: the root is lost
        told = say(self.db, "verify", "--deep", "--json")
        assert told.code in (0, 1, 3), told
        if told.code == 0:
            for now, before in zip(derived(self.db), self._expected, strict=True):
                assert now == before, "verify says ok, and answers differ"
        for more in (("changes",), ("search", "--artists", "song"), ("export",), ("roots",)):
            said = say(self.db, *more)
            assert said.code in (0, 1, 3), (words, said)
        if told.code != 1 or json.loads(told.out)["differences"]:
            scanned = say(self.db, "scan")
            assert scanned.code in (0, 3), scanned
            problems = say(self.db, "problems", "--json").out.splitlines()
            kinds = {json.loads(line)["kind"] for line in problems}
            assert told.code or "fault" not in kinds, "verify says ok, and this program fails"
        done = say(self.db, "repair", "--json")
        assert done.code in (0, 3), done
        if done.code == 3:
            return "lost"
        return self._after(json.loads(done.out))

    def _after(self, done: dict[str, Any]) -> str:
        with closing(open_index(self.db, write=False)) as connection:
            assert health.check(connection, deep=True) == [], done
        scanned = say(self.db, "scan")
        if scanned.code == 3 and any("roots accept" in line for line in done["lost"]):
            assert say(self.db, "roots", "accept", "music").code == 0
            scanned = say(self.db, "scan")
        if (
            any("roots, if" in line for line in done["lost"])
            and "music" not in say(self.db, "roots").out
        ):
            return "root lost"
        assert scanned.code == 0, (scanned, done)
        right = say(self.db, "verify", "--deep", "--json")
        if right.code == 1:  # a flipped letter of a tag is a difference that a rebuild mends
            kinds = {one["kind"] for one in json.loads(right.out)["differences"]}
            assert kinds == {"tags"}, (right, done)
            assert say(self.db, "rebuild").code == 0
            right = say(self.db, "verify", "--deep", "--json")
        assert right.code == 0, (right, done)
        if done["lost"]:
            return "saved in part"
        return "mended" if done["made_again"] else "sound"


def derived(db: Path) -> list[object]:
    """All that is made of the tracks, as this program and any other read it."""
    answers: list[object] = []
    with closing(apsw.Connection(os.fspath(db), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        answers.extend(connection.execute(question).fetchall() for question in _DERIVED)
    for words in _ASKED:
        answers.extend(
            say(db, "search", "--json", kind, "--", words).out for kind in ("--albums", "--artists")
        )
        tracks = say(db, "search", "--json", "--", words)
        answers.append((tracks.code, [json.loads(line)["id"] for line in tracks.out.splitlines()]))
    return answers


def run(places: int, seed: int, folder: Path, *, first: int = 0) -> Counter[str]:
    """Damage so many places; how often what came of it. Raises AssertionError with the place."""
    bench = Bench(folder)
    counted: Counter[str] = Counter()
    for number in range(first, places):
        chance = random.Random(f"{seed} {number}")
        bench.renew()
        what = bench.damage(chance, chance.choice(KINDS))
        try:
            came = bench.judge()
        except BaseException as error:
            error.add_note(f"seed {seed}, place {number}: {what}")
            raise
        counted[came] += 1
    return counted


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="go on from this one")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        counted = run(asked.places, asked.seed, Path(folder), first=asked.first)
    sys.stdout.write(f"{sum(counted.values())} places: {dict(counted)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
