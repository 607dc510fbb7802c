"""A newer version of this program migrates an index under processes of this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from indexer.store.schema import SCHEMA_VERSION
from tests.corpus import plant, tagged
from tests.daemons import watching
from tests.integration.test_queued_commands import client, config, server
from tests.programs import AT_MOST_S, count, eventually, run, started
from tests.rq_workers import alive, crew

__all__ = ("client", "config", "server")  # fixtures

TOLD = "a newer version of this program has migrated it"
TRACKS = "SELECT count(*) FROM tracks"


def migrate(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def test_a_daemon_ends_before_it_writes_a_row(music: Path, db: Path) -> None:
    plant(music, {"1.mp3": tagged(title="One")})
    with watching(music, db=db) as daemon:
        migrate(db)
        plant(music, {"2.mp3": tagged(title="Two")})
        assert daemon.process.wait(AT_MOST_S) == 3
        assert TOLD in daemon.log
        assert "start this process again" in daemon.log
    assert count(db, TRACKS) == 1


def test_a_worker_ends_with_all_of_its_processes(music: Path, db: Path, config: str) -> None:
    plant(music, {"1.mp3": tagged(title="One")})
    with crew(db=db, config=config) as worker:
        worker.may_fail = True
        run("rebuild", music, "--queue", db=db, config=config)
        plant(music, {"2.mp3": tagged(title="Two")})
        children = worker.children
        for child in children:
            child.suspend()
        with started("scan", "--queue", db=db, config=config):
            eventually(lambda: count(db, "SELECT count(*) FROM pending"))
            migrate(db)
            for child in children:
                child.resume()
            assert worker.process.wait(AT_MOST_S) == 3
        assert alive(children) == []
    assert TOLD in worker.log
    assert count(db, TRACKS) == 1


def test_hooks_end(music: Path, db: Path, tmp_path: Path) -> None:
    run("rebuild", music, db=db)
    hook = (
        f'[[hooks]]\nname = "a"\ncommand = ["sh", "-c", "cat >> {tmp_path}/told"]\nquiet = 0.05\n'
    )
    with started("hooks", db=db, config=hook) as hooks:
        eventually(lambda: count(db, "SELECT count(*) FROM hooks"))
        plant(music, {"1.mp3": tagged(title="One")})
        run("scan", db=db)
        migrate(db)
        ended = hooks.end()
        assert (ended.code, TOLD in ended.err) == (3, True)
