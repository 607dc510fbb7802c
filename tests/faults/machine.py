"""A seed -> a library, what is done to it and goes wrong meanwhile, and whether the index is right.

All is drawn beforehand, as a list of plain values: it can be printed, replayed, and halved.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from indexer.store.connection import open_index
from tests.corpus import plant
from tests.faults import cuts as _cuts  # noqa: F401 - its operations
from tests.faults import disk_faults as _disk_faults  # noqa: F401 - its faults
from tests.faults import index_faults as _index_faults  # noqa: F401 - its faults
from tests.faults import moves as _moves  # noqa: F401 - its operations
from tests.faults import pictures as _pictures  # noqa: F401 - its operations
from tests.faults import sidecars as _sidecars  # noqa: F401 - its operations
from tests.faults.deployment import Deployment, Layout, Skipped
from tests.faults.faults import FAULTS, Course
from tests.faults.invariants import ids_kept, judge, too_many_opened
from tests.faults.operations import OPERATIONS, give_all_rights_back, perform
from tests.faults.past import Past
from tests.faults.world import FOLDERS
from tests.programs import can_be_root

REST: Final = "rest"
ENGINES: Final = ("local", "rq")
NOTED: Final = 7
"""Steps between two moments of which the index has to say later what was so then. A guess."""
LATE_S: Final = 5.0
"""What is wrong at rest is looked at once more after so long; then it is wrong."""


class Step(NamedTuple):
    """A change, a fault, or a rest in between."""

    name: str
    seed: int
    number: int
    """Of a change: the milliseconds after it. Of a fault: the steps that it lasts."""


class Plan(NamedTuple):
    """Everything about one run."""

    seed: int
    layout: Layout
    files: int
    steps: tuple[Step, ...]

    @property
    def has_faults(self) -> bool:
        """Whether anything goes wrong in it."""
        return any(step.name in FAULTS for step in self.steps)


class Outcome(NamedTuple):
    """How one run went."""

    plan: Plan
    complaints: list[str]
    folder: Path | None
    """What is left of a run that failed."""
    operations: Counter[str]
    faults: Counter[str]
    skipped: Counter[str]
    rest_s: float
    seconds: float
    notes: list[str]


def draw(seed: int, engine: str, operations: int | None = None, only: Collection[str] = ()) -> Plan:
    """What is to happen. Equal arguments give equal plans.

    `only` names the faults that may happen, and then they happen twice as often.
    """
    dice = Random(f"{engine} {seed}")
    root = can_be_root()
    layout = Layout(
        engine=engine,
        own_disk=root and dice.random() < 0.5,
        small_disk=root and dice.random() < 0.35,
        powerless=root and shutil.which("setpriv") is not None and dice.random() < 0.4,
        odd_inodes=shutil.which("cc") is not None and dice.random() < 0.3,
    )
    calm = dice.random() < 0.2 and not only
    share = 0.32 if only else 0.16
    number = dice.randint(25, 60) if operations is None else operations
    possible = [
        name
        for name, one in FAULTS.items()
        if engine in one.engines
        and layout.own_disk >= one.own_disk
        and layout.small_disk >= one.small_disk
        and root >= one.root
        and (not only or name in only)
    ]
    # fewer deployments can have these, and fewest a small disk
    possible += [name for name in possible if FAULTS[name].own_disk or FAULTS[name].small_disk]
    possible += [name for name in FAULTS if name in possible and FAULTS[name].small_disk]
    names, weights = list(OPERATIONS), [one.weight for one in OPERATIONS.values()]
    steps: list[Step] = []
    quiet = 0
    for _ in range(number):
        if quiet <= 0 and possible and not calm and dice.random() < share:
            lasts = dice.choice([0, 1, 2, 3, 5])
            steps.append(Step(dice.choice(possible), dice.randrange(2**32), lasts))
            quiet = lasts + 1
        elif quiet <= 0 and dice.random() < 0.08:
            steps.append(Step(REST, 0, 0))
        quiet -= 1
        pause_ms = dice.choice([0, 0, 0, 1, 5, 20, 60, 200])
        steps.append(Step(dice.choices(names, weights)[0], dice.randrange(2**32), pause_ms))
    return Plan(seed, layout, dice.randint(20, 80), tuple(steps))


def dumped(plan: Plan) -> str:
    """A plan as text, a step a line."""
    head = {"seed": plan.seed, "layout": list(plan.layout), "files": plan.files}
    lines = ",\n".join("  " + json.dumps(list(step)) for step in plan.steps)
    return json.dumps(head)[:-1] + ', "steps": [\n' + lines + "\n]}\n"


def loaded(text: str) -> Plan:
    """The plan that was `dumped`."""
    found = json.loads(text)
    steps = tuple(Step(*step) for step in found["steps"])
    return Plan(found["seed"], Layout(*found["layout"]), found["files"], steps)


def play(plan: Plan, *, keep: bool = False, tell: bool = False) -> Outcome:
    """Do it all, and judge. The folder is kept when it failed, or when asked to."""
    base = Path(tempfile.mkdtemp(prefix=f"faults-{plan.layout.engine}-{plan.seed}-"))
    begun = time.monotonic()
    run = Run(base, plan, tell=tell)
    complaints: list[str] = []
    try:
        run.through()
        complaints = run.complaints
    except Exception:  # noqa: BLE001 - whatever it is, this seed failed
        complaints = [*run.complaints, traceback.format_exc()]
    finally:
        try:
            if run.complaints or complaints:
                run.keep_index()
        finally:
            run.close()
    failed = bool(complaints)
    if failed:
        (base / "plan.json").write_text(dumped(plan))
        (base / "told.txt").write_text("\n".join([*run.told, "", *complaints]))
    elif not keep:
        shutil.rmtree(base, ignore_errors=True)
    return Outcome(
        plan, complaints, base if failed or keep else None, run.counts, run.faults, run.skipped,
        run.rest_s, time.monotonic() - begun, run.notes,
    )  # fmt: skip


class Run:
    """One plan while it is played."""

    def __init__(self, base: Path, plan: Plan, *, tell: bool) -> None:
        self.plan = plan
        self.complaints: list[str] = []
        self.told: list[str] = []
        self.notes: list[str] = []
        self.faults, self.skipped = Counter[str](), Counter[str]()
        self.rest_s = 0.0
        self._tell = tell
        self._base = base
        self._deployment: Deployment | None = None
        self._ids: dict[bytes, int] = {}
        self._past: Past | None = None
        self._open: tuple[str, Course, int] | None = None
        """The fault that is under way, and the step before which it ends."""

    @property
    def counts(self) -> Counter[str]:
        """Operations that were done, by name."""
        return Counter() if self._deployment is None else self._deployment.world.counts

    def through(self) -> None:
        """From the empty folder to the verdict."""
        deployment = self._deployment = Deployment(self._base, self.plan.layout, empty_index())
        self._past = Past(deployment.db, deployment.run)
        first = self._plant(deployment)
        deployment.start()
        self._note_ids(deployment)
        for number, step in enumerate(self.plan.steps):
            deployment.world.step = number
            self._end_fault(before=number)
            deployment.world.end_writing()
            if number % NOTED == 0:
                self._past.note()
            if step.name == REST:
                self._end_fault()
                self._rest(deployment)
            elif step.name in FAULTS:
                self._end_fault()
                self._begin_fault(deployment, step, number)
            else:
                done = perform(deployment.world, step.name, step.seed)
                self._say(f"{number:3} {step.name}: {done}")
                time.sleep(step.number / 1000)
        self._end_fault()
        deployment.world.end_writing(all_of_it=True)
        self._say(f"rights given back to {give_all_rights_back(deployment.world)} names")
        self._rest(deployment, calm=True)
        complaints = self._judge(deployment, deployment.world.unheard)
        if complaints:
            time.sleep(LATE_S)
            self._rest(deployment, calm=True)
            late, complaints = complaints, self._judge(deployment, deployment.world.unheard)
            if not complaints:
                self.notes.append(f"late: {late}")
        self.complaints += complaints
        self.complaints += self._past.wrong()
        self._say(f"    the library as it was at {self._past.compared} moments is told so")
        if not self.plan.has_faults and self.plan.layout.engine == "local":
            self.complaints += too_many_opened(deployment, first)
            self.notes.append(
                f"opened {deployment.daemon.files_read} of {first + deployment.world.stamps} stamps"
            )
        if deployment.world.unheard and not self.complaints:
            deployment.run("scan")
            self._rest(deployment, calm=True)
            self.complaints += self._judge(deployment)
            self._say(f"    all was looked at for {len(deployment.world.unheard)} unheard inodes")

    def keep_index(self) -> None:
        """Copy it to where it stays: its own disk may be about to go."""
        if self._deployment is not None and hasattr(self._deployment, "db"):
            left = self._base / "left"
            left.mkdir()
            for file in self._deployment.db.parent.glob(f"{self._deployment.db.name}*"):
                if file.is_file():
                    shutil.copyfile(file, left / file.name)

    def close(self) -> None:
        """Take down what stands."""
        if self._open is not None:
            with suppress(Exception):
                self._open[1].close()
        if self._deployment is not None:
            self._deployment.close()

    def _plant(self, deployment: Deployment) -> int:
        dice = Random(self.plan.seed)
        folders = dice.sample(FOLDERS, dice.randint(5, len(FOLDERS)))
        tree: dict[str | bytes, bytes | None] = {}
        for _ in range(self.plan.files):
            path = os.path.join(dice.choice(folders).encode(), deployment.world.a_name(dice))
            tree[path] = deployment.world.a_song(dice, path)
        plant(deployment.root, tree)
        return len(tree)

    def _begin_fault(self, deployment: Deployment, step: Step, number: int) -> None:
        course = FAULTS[step.name].course(deployment, Random(step.seed))
        before = deployment.world.look()
        try:
            next(course)
        except Skipped as skipped:
            self._skip(step.name, skipped)
            return
        finally:
            deployment.world.took_place(before, certain=False)
        self._open = (step.name, course, number + step.number + 1)
        self._say(f"{number:3} FAULT {step.name} begins, for {step.number} steps")

    def _end_fault(self, before: int | None = None) -> None:
        if self._open is None or (before is not None and before < self._open[2]):
            return
        (name, course, _), self._open = self._open, None
        try:
            next(course)
        except StopIteration as ended:
            self.faults[name] += 1
            self._say(f"    FAULT {name} ends: {ended.value}")
        except Skipped as skipped:
            self._skip(name, skipped)

    def _skip(self, name: str, skipped: Skipped) -> None:
        self.skipped[name] += 1
        self._say(f"    FAULT {name} skipped: {skipped}")

    def _rest(self, deployment: Deployment, *, calm: bool = False) -> None:
        seconds = deployment.rest(calm=calm)
        self.rest_s = max(self.rest_s, seconds)
        self._say(f"    at rest after {seconds:.2f} s")
        self.complaints += ids_kept(self._ids, deployment.ids(), deployment.world.kept_in_sight())
        self._note_ids(deployment)

    def _note_ids(self, deployment: Deployment) -> None:
        self._ids = deployment.ids()
        deployment.world.rests(self._ids, deployment.unread())

    def _judge(self, deployment: Deployment, unheard: Collection[int] = ()) -> list[str]:
        fresh = self._base / "fresh" / "library.db"
        fresh.parent.mkdir(exist_ok=True)
        return judge(deployment, fresh, unheard)

    def _say(self, line: str) -> None:
        self.told.append(line)
        if self._tell:
            sys.stdout.write(line + "\n")


@cache
def empty_index() -> Path:
    """An index in which nothing stands: made once, since making one starts a process."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="faults-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "library.db"
    open_index(path, write=True).close()
    return path


def table(title: str, counts: Counter[str], known: Sequence[str]) -> str:
    """Names and numbers in lines, those that never happened too."""
    names = sorted({*known, *counts}, key=lambda name: (-counts[name], name))
    return "\n".join([title, *(f"  {counts[name]:7}  {name}" for name in names)])
