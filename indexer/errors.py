"""The one tree of errors. The class says what to do, the message says which file and what next.

IndexerError                  an error that is shown to the user in one line
├── UsageError                wrong use: exit 2
│   └── SettingsError         a setting is wrong: names key, file, line and what would be right
├── CannotDo                  it could not be done now: exit 3
│   ├── DatabaseError         the database is missing or cannot be used
│   │   ├── DatabaseMissing   nothing was indexed yet
│   │   ├── DatabaseBusy      another program holds the write lock
│   │   ├── DatabaseDamaged   not a database, or a broken one
│   │   ├── DatabaseNewer     written by a newer version of this program
│   │   ├── LogLost           its files -wal and -shm were deleted under a program that uses it
│   │   └── DatabaseFull      its disk is full
│   ├── RootOffline           the disk is not present
│   │   ├── OtherDisk         another disk is in its place
│   │   └── RootSilent        its server does not answer
│   ├── HistoryPruned         the changes asked for are no longer kept
│   ├── ExtraMissing          a command needs an optional library that is not installed
│   ├── ProgramFault          this program fails on one file after another
│   └── QueueError            the queues cannot be used
│       └── RedisAway         no Redis answers at the address
└── Interrupted               Ctrl-C or SIGTERM: what was committed stays, exit 130

A file that cannot be read is not an error: it is a value, `model.Problem`.
"""

from __future__ import annotations

import os
import sys
from typing import Self


class IndexerError(Exception):
    """An error that is shown to the user in one line. The message ends with what to do next."""

    exit_code = 3


class UsageError(IndexerError):
    """Wrong use of a command or of the library."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is wrong. The message names key, file and line, and what would be right."""


class CannotDo(IndexerError):
    """It could not be done now; the message says what has to change first."""


class DatabaseError(CannotDo):
    """The database cannot be used."""


class DatabaseMissing(DatabaseError):
    """Nothing was indexed yet, or `--db` names the wrong file."""


class DatabaseBusy(DatabaseError):
    """Another program holds the write lock for longer than `busy_timeout`."""


class DatabaseDamaged(DatabaseError):
    """The file is not a database, or SQLite found it broken."""


class DatabaseNewer(DatabaseError):
    """The database was written by a newer version of this program."""


class LogLost(DatabaseError):
    """SQLite's files beside the database were deleted while it was open: open it again.

    Until then two programs would not see what the other one writes, or locks.
    """


class DatabaseFull(DatabaseError):
    """The database's disk is full, or cannot be written."""


class RootOffline(CannotDo):
    """A root's disk is not present, or another one is in its place. No row was changed."""


class OtherDisk(RootOffline):
    """A root has another disk or another folder than the accepted one.

    `may_adopt`: it may be accepted if no file of the root was ever indexed.
    """

    def __init__(self, message: str, *, may_adopt: bool = False) -> None:
        super().__init__(message)
        self.may_adopt = may_adopt


class RootSilent(RootOffline):
    """The server of a root's file system does not answer: nothing can be said of any file there.

    `root_id` is the root's, where one is looked at that the index knows.
    """

    def __init__(self, message: str, root_id: int = 0) -> None:
        super().__init__(message)
        self.root_id = root_id

    @classmethod
    def at(cls, path: bytes, what: str, root_id: int = 0) -> Self:
        """The error for the root at a path; `what` completes `it ...`."""
        return cls(
            f"{os.fsdecode(path)} {what}; see whether its server runs and can be reached. Not one"
            " row was changed, other roots go on, and it comes back by itself",
            root_id,
        )


class ExtraMissing(CannotDo):
    """An extra of this program is not installed, or not all of it.

    The message ends with the command that installs it into the environment which asked for it.
    """

    def __init__(self, what: str, missing: str | None, extra: str) -> None:
        import shlex  # late: seldom needed

        super().__init__(
            f"{what} is an extra, and not all of it is installed ({missing} is missing):"
            f" {shlex.quote(sys.executable)} -m pip install 'music-indexer[{extra}]'"
        )


class HistoryPruned(CannotDo):
    """The changes asked for are older than the history that is kept."""


class ProgramFault(CannotDo):
    """This program failed on many files in a row: it is at fault, and the run must stop."""


class QueueError(CannotDo):
    """The queues in Redis cannot be used in their present state."""


class RedisAway(QueueError):
    """No Redis answers at the address. Nothing is lost: pending work is in the index."""


class Interrupted(IndexerError):
    """The user stopped the program. Committed work is kept."""

    exit_code = 130


_NEVER_ONE_FILES: list[type[Exception]] = [IndexerError]


def never_one_files(kind: type[Exception]) -> None:
    """Register a class of exceptions never caused by one file: SQLite's, a job's timeout.

    Called by the module that uses the library which raises them, when it is imported.
    """
    _NEVER_ONE_FILES.append(kind)


def is_never_one_files(error: Exception) -> bool:
    """Whether an exception is of a class that is never caused by one file (rule R9)."""
    return isinstance(error, tuple(_NEVER_ONE_FILES))
