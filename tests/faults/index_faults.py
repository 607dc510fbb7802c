"""An index whose file is replaced -> what stands in its log reaches no other file."""

from __future__ import annotations

import os
import shutil
import signal
from random import Random

from tests.faults.deployment import Deployment, Skipped
from tests.faults.faults import LOCAL, Course, fault


@fault(LOCAL)
def copy_in_place(deployment: Deployment, dice: Random) -> Course:
    """A daemon is killed, and a copy of its index is put in the place of the file.

    The copy has all that the index had, so ids and history go on; the log is of the other file.
    """
    db, daemon = deployment.db, deployment.daemon
    copy, log = db.with_name("copy.db"), db.with_name(db.name + "-wal")
    if not daemon.lines("watching root="):
        raise Skipped("it has not told of its database yet")
    deployment.stop(daemon.pid)
    copy.unlink(missing_ok=True)
    deployment.run("backup", copy)
    left = log.stat().st_size
    daemon.process.kill()
    assert daemon.process.wait(10) == -signal.SIGKILL
    os.rename(copy, db) if dice.random() < 0.5 else _copied(copy, db)
    yield
    daemon = deployment.watch()
    daemon.watches()
    aside = [one.stat().st_size for one in db.parent.glob(f"{db.name}-wal.left-*")]
    assert not left or left in aside, f"log of {left} bytes, set aside: {aside}"
    return f"log of {left} bytes"


def _copied(copy: os.PathLike[str], db: os.PathLike[str]) -> None:
    """As `rm` and `cp` do it: perhaps with the inode of the file that was removed."""
    os.unlink(db)
    shutil.copyfile(copy, db)
