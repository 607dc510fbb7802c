"""Seeds through the real programs: whatever was done and went wrong, index equals disk at rest."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from indexer.store.connection import open_index
from tests.corpus import plant, tagged
from tests.daemons import QUICK, watching
from tests.faults.__main__ import base_seed, played, told, told_failure
from tests.faults.deployment import Deployment, Layout, Skipped
from tests.faults.faults import FAULTS
from tests.faults.invariants import judge
from tests.faults.io_faults import Trouble
from tests.faults.machine import ENGINES, Plan, Step, draw, dumped, empty_index, loaded, play
from tests.faults.past import Past
from tests.faults.plans import FOUND, plan_of
from tests.faults.shrink import shrunk
from tests.faults.world import World
from tests.programs import can_be_root, eventually, rows, run
from tests.trees import put_in_place_of

FEW = 12
"""Operations of a seed in the suite; those in the long run have up to 60."""
SEEDS = [("local", 1), ("local", 4), ("rq", 5), ("rq", 7)]
"""Those that do not wait for a file that looks cut short: 20 s together."""


LONG = pytest.mark.skipif("FAULTS_MINUTES" not in os.environ, reason="FAULTS_MINUTES is not set")


def is_right(plan: Plan) -> None:
    outcome = play(plan)
    assert not outcome.complaints, told(outcome) + "\n" + told_failure(outcome)


@pytest.mark.parametrize(("engine", "seed"), SEEDS)
def test_a_fixed_seed_ends_with_an_index_that_equals_the_disk(engine: str, seed: int) -> None:
    is_right(draw(seed, engine, FEW))


@LONG
@pytest.mark.parametrize("name", FOUND)
def test_a_plan_that_once_failed_does_so_no_more(name: str) -> None:
    is_right(plan_of(name))


@LONG
@pytest.mark.timeout(0)
@pytest.mark.parametrize("engine", ENGINES)
def test_seeds_drawn_from_the_commit_end_with_an_index_that_equals_the_disk(engine: str) -> None:
    """`FAULTS_MINUTES` are for both engines together."""
    until = time.monotonic() + 60 * float(os.environ["FAULTS_MINUTES"]) / len(ENGINES)
    seed = base_seed()
    while time.monotonic() < until:
        is_right(draw(seed, engine))
        seed += 1


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_seeds_draw_equal_plans_and_a_plan_survives_being_written(engine: str) -> None:
    plans = [draw(seed, engine) for seed in range(40)]
    assert plans == [draw(seed, engine) for seed in range(40)]
    assert [loaded(dumped(plan)) for plan in plans] == plans
    drawn = {step.name for plan in plans for step in plan.steps} & FAULTS.keys()
    assert drawn <= {name for name, fault in FAULTS.items() if engine in fault.engines}


@pytest.mark.parametrize("engine", ENGINES)
def test_faults_that_are_asked_for_are_the_only_ones_and_more_of_them(engine: str) -> None:
    asked = {"raising_stage", "failing_reads"}
    plans = [draw(seed, engine, only=asked) for seed in range(20)]
    drawn = [step.name for plan in plans for step in plan.steps if step.name in FAULTS]
    usual = [step for seed in range(20) for step in draw(seed, engine).steps if step.name in FAULTS]
    assert set(drawn) == asked
    assert len(drawn) > len(usual)


@pytest.mark.parametrize("at_once", [1, 3])
def test_as_many_seeds_are_played_at_once_as_asked_for_and_each_of_them_is_told(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    together = threading.Barrier(at_once)
    ended: list[int] = []

    def play(plan: Plan, *, tell: bool) -> int:
        assert not tell
        together.wait(60)
        ended.append(plan.seed)
        return plan.seed

    monkeypatch.setattr("tests.faults.__main__.play", play)
    plans = (draw(seed, "local", 1) for seed in range(1, 13))
    told: list[Any] = list(played(plans, lambda: True, at_once=at_once, tell=False))
    assert sorted(told) == sorted(ended) == list(range(1, 13))
    plans = (draw(seed, "local", 1) for seed in range(1, 13))
    told = list(played(plans, lambda: False, at_once=at_once, tell=False))
    assert sorted(told) == list(range(1, at_once + 1))


def test_a_plan_that_fails_is_cut_down_to_the_steps_that_it_takes() -> None:
    plan = draw(1, "local", 40)._replace(steps=tuple(Step("retag", n, 0) for n in range(40)))

    def fails(less: Plan) -> bool:
        return {7, 31} <= {step.seed for step in less.steps}

    least, tried = shrunk(plan, minutes=1, fails=fails)
    assert [step.seed for step in least.steps] == [7, 31]
    assert tried < 100


def test_a_file_that_its_disk_did_not_give_is_read_as_soon_as_it_does(
    music: Path, tmp_path: Path, empty_index: Path
) -> None:
    """Nothing tells that reads work again (rule R9)."""
    db = tmp_path / "index" / "library.db"
    db.parent.mkdir()
    shutil.copyfile(empty_index, db)
    trouble = Trouble.make(tmp_path, music)
    if not trouble.environment:
        pytest.skip("there is no compiler to make the shim")
    plant(music, {"a.mp3": tagged(title="A")})
    with watching(music, db=db, config=QUICK, env=trouble.environment) as daemon:
        trouble.begin("eio")
        plant(music, {"a.mp3": tagged(title="A again"), "b/b.mp3": tagged(title="B")})
        refused = "SELECT kind, count(*) FROM problems GROUP BY kind"
        eventually(lambda: rows(db, refused) == [("environment", 2)])
        daemon.shows({"a.mp3": "A"})
        assert trouble.end() >= 2
        daemon.shows({"a.mp3": "A again", "b/b.mp3": "B"}, within_s=10)
        assert rows(db, refused) == []
        daemon.is_right()


@pytest.mark.parametrize("how", ["written anew", "another one moved there"])
def test_a_file_that_lost_one_of_two_names_to_another_file_is_looked_at_under_the_other(
    music: Path, tmp_path: Path, empty_index: Path, how: str
) -> None:
    """It has a new ctime, and no event tells of it where its other name lies."""
    db = tmp_path / "index" / "library.db"
    db.parent.mkdir()
    shutil.copyfile(empty_index, db)
    plant(music, {"a/a.mp3": tagged(title="A"), "b/": None, "c.mp3": tagged(title="C")})
    os.link(music / "a/a.mp3", music / "b/b.mp3")
    with watching(music, db=db) as daemon:
        if how == "written anew":
            put_in_place_of(music, "c.mp3", tagged(title="D"))
        os.rename(music / "c.mp3", music / "a/a.mp3")
        stamp = "SELECT ctime_ns FROM tracks WHERE path = CAST('b/b.mp3' AS BLOB) AND place = 0"
        now = os.stat(music / "b/b.mp3").st_ctime_ns
        eventually(lambda: rows(db, stamp) == [(now,)], within_s=10)
        daemon.is_right()


@pytest.mark.skipif(not can_be_root(), reason="rights are taken from root")
def test_files_of_which_not_even_a_stamp_was_to_be_had_are_looked_at_when_their_folder_opens(
    music: Path, tmp_path: Path, empty_index: Path
) -> None:
    """They stand in `problems` as a folder does, without a stamp."""
    db = tmp_path / "index" / "library.db"
    db.parent.mkdir()
    shutil.copyfile(empty_index, db)
    plant(music, {"a/a.mp3": tagged(title="A"), "a/b.mp3": tagged(title="B")})
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--ambient-caps=-all"]
    with watching(music, db=db, config=QUICK, prefix=powerless) as daemon:
        (music / "a").chmod(0)
        (music / "a/a.mp3").write_bytes(tagged(title="A again"))
        put_in_place_of(music, "a/b.mp3", tagged(title="B again"))
        refused = "SELECT count(*) FROM problems WHERE kind = 'environment'"
        eventually(lambda: rows(db, refused) > [(0,)])
        (music / "a").chmod(0o755)
        daemon.shows({"a/a.mp3": "A again", "a/b.mp3": "B again"}, within_s=20)
        eventually(lambda: rows(db, refused) == [(0,)], within_s=20)
        daemon.is_right()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_went_before_its_folder_opened_is_no_problem_any_more(
    tmp_path: Path, engine: str
) -> None:
    """Its name stands there without a stamp, as a folder's does, and no event tells of it."""
    deployment = Deployment(tmp_path, Layout(engine), empty_index())
    try:
        plant(deployment.root, {"a/a.mp3": tagged(title="A")})
        deployment.start()
        with closing(sqlite3.connect(deployment.db, timeout=10)) as connection, connection:
            connection.execute(
                "INSERT INTO problems (root_id, path, kind, reason, since)"
                " SELECT id, CAST('a/gone.mp3' AS BLOB), 'environment', 'EACCES', 0 FROM roots"
            )
        deployment.rest(calm=True, within_s=15)
    finally:
        deployment.close()


@pytest.mark.skipif(not can_be_root(), reason="rights are taken from root")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_cannot_be_read_is_not_looked_at_without_end(
    tmp_path: Path, engine: str
) -> None:
    """Its row stays behind, which made it another name of itself."""
    deployment = Deployment(tmp_path, Layout(engine, powerless=True), empty_index())
    try:
        plant(deployment.root, {"a.mp3": tagged(title="A")})
        deployment.start()
        (deployment.root / "a.mp3").chmod(0)
        refused = "SELECT count(*) FROM problems WHERE kind = 'environment'"
        eventually(lambda: rows(deployment.db, refused) == [(1,)])
        newest = "SELECT seq FROM sqlite_sequence WHERE name = 'pending'"
        ((before,),) = rows(deployment.db, newest)
        time.sleep(1)
        ((after,),) = rows(deployment.db, newest)
        assert after - before < 12, "it is tried again after 0.2 s, 0.4 s and so on"
    finally:
        deployment.close()


@pytest.mark.skipif(not can_be_root(), reason="who looks into a shut folder must be root")
@pytest.mark.parametrize(
    ("old", "new", "is_promised"),
    [
        ("open/a.mp3", "open/c.mp3", True),
        ("open/a.mp3", "shut/c.mp3", True),
        ("shut/b.mp3", "shut/c.mp3", True),
        ("shut/b.mp3", "open/c.mp3", False),
    ],
)
def test_an_id_is_promised_to_a_moved_file_only_if_its_old_place_can_be_looked_at(
    tmp_path: Path, old: str, new: str, *, is_promised: bool
) -> None:
    music = tmp_path / "music"
    plant(music, {"open/a.mp3": b"a", "shut/b.mp3": b"b"})
    world = World(music, tmp_path, None)
    world.obeys_rights = True
    world.rests(world.files())
    (music / "shut").chmod(0)
    before = world.look()
    os.rename(music / old, music / new)
    world.took_place(before, certain=True)
    assert (world.kept.get(new.encode()) == old.encode()) == is_promised
    (music / "shut").chmod(0o755)
    world.rests(world.files())
    before = world.look()
    os.rename(music / new, music / "again.mp3")
    world.took_place(before, certain=True)
    assert (b"again.mp3" in world.kept) == is_promised, "its old row may stand there still"


@pytest.mark.parametrize("is_changed", [False, True])
def test_two_files_that_swap_names_are_promised_their_ids_only_if_both_are_known_as_they_are(
    tmp_path: Path, *, is_changed: bool
) -> None:
    music = tmp_path / "music"
    plant(music, {"a.mp3": b"a", "b.mp3": b"b"})
    world = World(music, tmp_path, None)
    world.rests(world.files())
    before = world.look()
    if is_changed:
        (music / "b.mp3").write_bytes(b"b again")
    world.took_place(before, certain=True)
    before = world.look()
    for old, new in (("a.mp3", "between"), ("b.mp3", "a.mp3"), ("between", "b.mp3")):
        os.rename(music / old, music / new)
    world.took_place(before, certain=True)
    assert world.kept == ({} if is_changed else {b"a.mp3": b"b.mp3", b"b.mp3": b"a.mp3"})


@pytest.mark.parametrize(
    ("steps", "is_unheard"),
    [
        (["link a/a.mp3 b/b.mp3", "write b/b.mp3"], False),
        (["link a/a.mp3 ignored/b.mp3"], True),
        (["link a/a.mp3 b/b.mp3", "unlink b/b.mp3"], True),
        (["link a/a.mp3 b/b.mp3", "rest", "unlink b/b.mp3"], False),
        (["link a/a.mp3 b/b.mp3", "rest", "rename b/b.mp3 ignored/b.mp3"], True),
        (["link a/a.mp3 b/b.mp3", "rest", "rename b/b.mp3 b/c.mp3", "unlink b/c.mp3"], True),
    ],
)
def test_a_file_that_is_changed_through_a_name_that_no_index_looks_at_is_unheard(
    tmp_path: Path, steps: list[str], *, is_unheard: bool
) -> None:
    music = tmp_path / "music"
    plant(music, {"a/a.mp3": b"a", "b/c.mp3": b"c", "ignored/.nomedia": b""})
    world = World(music, tmp_path, None)
    for step in steps:
        what, *words = step.split()
        places = [music / word for word in words]
        before = world.look()
        match what:
            case "rest":
                world.rests(world.files())
            case "write":
                places[0].write_bytes(b"again")
            case _:
                getattr(os, what)(*places)
        world.took_place(before, certain=False)
    assert (os.stat(music / "a/a.mp3").st_ino in world.unheard) == is_unheard


@pytest.mark.skipif(not can_be_root(), reason="rights are taken from root")
@pytest.mark.parametrize("engine", ENGINES)
def test_what_left_a_folder_while_nobody_could_look_into_it_is_no_problem_any_more(
    tmp_path: Path, engine: str
) -> None:
    """A look at the folder knew nothing of it: it lists no folders, and has no stamp of either."""
    deployment = Deployment(tmp_path, Layout(engine, powerless=True), empty_index())
    try:
        plant(
            deployment.root,
            {"a/a.mp3": tagged(title="A"), "a/b/b.mp3": tagged(title="B"), "c/": None},
        )
        deployment.start()
        (deployment.root / "a").chmod(0)
        troubled = "SELECT path FROM problems WHERE kind = 'environment'"
        eventually(lambda: rows(deployment.db, troubled) != [], within_s=10)
        (deployment.root / "a/new").mkdir()
        (deployment.root / "a/a.mp3").write_bytes(tagged(title="A again"))
        shut = {(b"a/new",), (b"a/a.mp3",)}
        eventually(lambda: shut <= set(rows(deployment.db, troubled)), within_s=10)
        os.rename(deployment.root / "a/new", deployment.root / "c/new")
        os.rename(deployment.root / "a/a.mp3", deployment.root / "c/a.mp3")
        (deployment.root / "a").chmod(0o755)
        deployment.rest(calm=True, within_s=20)
        assert judge(deployment, tmp_path / "fresh.db") == []
    finally:
        deployment.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_track_that_lost_its_place_to_one_that_came_back_is_told_of(
    tmp_path: Path, engine: str
) -> None:
    deployment = Deployment(tmp_path, Layout(engine), empty_index())
    try:
        plant(deployment.root, {"a/a.mp3": tagged(title="A"), "b/b.mp3": tagged(title="B")})
        deployment.start()
        os.rename(deployment.root / "b/b.mp3", deployment.root.parent / "aside/b.mp3")
        deployment.rest()
        os.rename(deployment.root.parent / "aside/b.mp3", deployment.root / "a/a.mp3")
        deployment.rest()
        assert judge(deployment, tmp_path / "fresh.db") == []
    finally:
        deployment.close()


def test_a_machine_without_automounts_skips_the_fault_that_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.second_root.sys.executable", "/bin/echo")
    deployment = Deployment.__new__(Deployment)
    deployment.base = tmp_path
    with pytest.raises(Skipped, match="no automounts"):
        next(FAULTS["automount_expires"].course(deployment, Random(1)))


def test_what_an_index_tells_otherwise_of_its_past_is_found(tmp_path: Path) -> None:
    db, music = tmp_path / "library.db", tmp_path / "music"
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    past = Past(db, partial(run, db=db))
    past.note()  # there is no index yet
    run("rebuild", music, db=db)
    past.note()
    plant(music, {"a.mp3": tagged(title="New"), "c.mp3": tagged(title="C")})
    (music / "b.mp3").unlink()
    run("scan", db=db)
    assert (list(past.wrong()), past.compared) == ([], 1)
    with closing(open_index(db, write=True)) as connection:
        connection.execute("UPDATE changes SET before = replace(before, '\"A\"', '\"Z\"')")
    (wrong,) = past.wrong()
    assert "'title': ('A', 'Z')" in wrong
