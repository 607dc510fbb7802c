"""Plans that failed once -> what they found, before it was mended. Each is a file beside this one.

A plan and not its seed: what a seed draws changes with the list of operations and faults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.faults.machine import Plan, loaded

FOUND: Final[dict[str, str]] = {
    "local-7": "what the machine could not read was not tried again before the next reconcile",
    "local-108": "a file that lost a name to another file kept its old ctime in the index",
    "local-1020": "trouble with a file that had gone was settled by nobody",
    "local-30005": "two unreadable files that swapped names took each other's rows",
    "local-31016": "an id was promised to a file whose place was taken by one that nobody knew",
    "local-60011": "the problem of a refused file was struck out while its folder was away",
    "local-905110": "a folder that came in a shut folder was neither watched nor polled after that"
    " was opened",
    "rq-1": "a late answer to a row that was answered in part was refused as an intruder",
    "rq-1004": "a second pass left a replaced file that could not be read before, and closed the"
    " older row that was about to read it",
    "rq-1004-later": "the problem of a refused file was struck out while its folder was away",
    "rq-1017": "a job whose record went with FLUSHALL was logged as a traceback",
    "rq-2000": "the daemon died when a folder took the name of a file that it waited for",
    "rq-2018": "a deployment was never at rest, since each poll stands in pending for a while",
    "rq-4012": "a folder that left a shut folder stayed a problem until the next reconcile",
    "rq-4020": "a file that left a shut folder stayed a problem until the next reconcile; then: a"
    " look at a folder's own files struck out its trouble, and nobody looked at what is below it",
    "rq-5005": "a job failed whose disk went while its reader looked what disk it was",
    "rq-905110": "a folder that came in a shut folder was neither watched nor polled after that"
    " was opened",
}


def plan_of(name: str) -> Plan:
    """The plan by its name: engine, seed, and more where that seed drew another one later."""
    return loaded(Path(__file__).with_name(f"{name}.json").read_text("utf-8"))
