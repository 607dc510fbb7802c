"""Minutes -> seed after seed through the convergence machine: `python -m tests.faults`."""

from __future__ import annotations

import argparse
import itertools
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from random import Random

from tests.faults.faults import FAULTS
from tests.faults.machine import (
    ENGINES,
    Outcome,
    Plan,
    draw,
    dumped,
    empty_index,
    loaded,
    play,
    table,
)
from tests.faults.operations import OPERATIONS
from tests.faults.shrink import shrunk
from tests.programs import CHECKOUT


def base_seed() -> int:
    """Drawn from the commit, so that every commit is tried with seeds of its own."""
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, check=False
    )
    return Random(asked.stdout).randrange(10**6) * 1000


def told(outcome: Outcome) -> str:
    """A run in one line."""
    plan = outcome.plan
    traits = [name for name in plan.layout._fields[1:] if getattr(plan.layout, name)]
    faults = ", ".join(f"{name} {n}" for name, n in sorted(outcome.faults.items())) or "none"
    skipped = ", ".join(f"{name} {n}" for name, n in sorted(outcome.skipped.items()))
    return (
        f"seed {plan.seed} {plan.layout.engine} [{' '.join(traits)}]:"
        f" {sum(outcome.operations[name] for name in OPERATIONS)} operations; faults: {faults}"
        + (f"; skipped: {skipped}" if skipped else "")
        + f"; at rest within {outcome.rest_s:.1f} s; {outcome.seconds:.0f} s"
        + "".join(f"; {note}" for note in outcome.notes)
        + (" - FAILED" if outcome.complaints else "")
    )


def told_failure(outcome: Outcome) -> str:
    """What went wrong, and how to see it again."""
    plan = outcome.plan
    words = "\n".join(f"  {one}" for one in outcome.complaints[:12])
    return (
        f"{words}\n  replay: python -m tests.faults --seed {plan.seed} --engine"
        f" {plan.layout.engine}\n  or: python -m tests.faults --plan {outcome.folder}/plan.json\n"
        f"  kept: {outcome.folder}"
    )


def main() -> int:
    """Run seeds until the time is over; 1 when any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, help="run seed after seed for so long")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--seed", type=int, help="the first one; alone: the only one")
    parser.add_argument("--at-once", type=int, default=1, help="so many seeds at a time")
    parser.add_argument("--operations", type=int, help="so many in each run")
    parser.add_argument("--faults", default="", metavar="A,B", help="only these, twice as often")
    parser.add_argument("--plan", type=Path, help="play a plan that was kept")
    parser.add_argument("--shrink", action="store_true", help="find the shortest list that fails")
    parser.add_argument("--shrink-minutes", type=float, default=10.0)
    parser.add_argument("--tell", action="store_true", help="print each step")
    parser.add_argument("--stop", action="store_true", help="end at the first failure")
    asked = parser.parse_args()
    only = frozenset(filter(None, asked.faults.split(",")))
    if unknown := only - FAULTS.keys():
        parser.error(
            f"no fault is named {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays mounted
    if asked.plan is not None:
        plan = loaded(asked.plan.read_text("utf-8"))
    else:
        first = base_seed() if asked.seed is None else asked.seed
        plan = draw(first, asked.engine, asked.operations, only)
    more = (
        draw(seed, asked.engine, asked.operations, only) for seed in itertools.count(plan.seed + 1)
    )
    plans = itertools.chain([plan], more)
    until = time.monotonic() + 60 * (asked.minutes or 0)
    outcomes: list[Outcome] = []
    for outcome in played(
        plans, lambda: time.monotonic() < until, at_once=asked.at_once, tell=asked.tell
    ):
        outcomes.append(outcome)
        print(told(outcome), flush=True)
        if outcome.complaints:
            print(told_failure(outcome), flush=True)
            if asked.shrink:
                print(_shrunk(outcome.plan, asked.shrink_minutes), flush=True)
            if asked.stop:
                break
    return _summary(outcomes, asked.engine)


def played(
    plans: Iterator[Plan], goes_on: Callable[[], bool], *, at_once: int, tell: bool
) -> Iterator[Outcome]:
    """How each plan went; the first are played in any case, and the next only if it `goes_on`.

    Several `at_once` are played in threads: a seed mostly waits for its programs. Whoever ends
    early waits for those that are under way, so that nothing stays mounted.
    """
    if at_once == 1:
        for plan in plans:
            yield play(plan, tell=tell)
            if not goes_on():
                return
    empty_index()  # made before anybody asks for it
    with ThreadPoolExecutor(at_once) as pool:
        playing = {pool.submit(play, plan, tell=tell) for plan in itertools.islice(plans, at_once)}
        while playing:
            ended, playing = wait(playing, return_when=FIRST_COMPLETED)
            if goes_on():
                more = itertools.islice(plans, len(ended))
                playing |= {pool.submit(play, plan, tell=tell) for plan in more}
            for one in ended:
                yield one.result()


def _shrunk(plan: Plan, minutes: float) -> str:
    least, tries = shrunk(plan, minutes=minutes)
    return f"  the shortest that failed in {tries} tries:\n{dumped(least)}"


def _summary(outcomes: list[Outcome], engine: str) -> int:
    total = Counter[str]()
    faults, skipped = Counter[str](), Counter[str]()
    for one in outcomes:
        total += one.operations
        faults += one.faults
        skipped += one.skipped
    failed = [str(one.plan.seed) for one in outcomes if one.complaints]
    known = [name for name, one in FAULTS.items() if engine in one.engines]
    print(table("operations", total, list(OPERATIONS)))
    print(table("faults", faults, known))
    if skipped:
        print(table("faults that could not be made", skipped, []))
    print(
        f"{len(outcomes)} seeds, {sum(one.seconds for one in outcomes) / 60:.1f} minutes,"
        f" at rest within {max(one.rest_s for one in outcomes):.1f} s;"
        f" failed: {', '.join(failed) or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
