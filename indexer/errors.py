"""The one tree of errors. The class says what to do, the message says which file and what next.

IndexerError                  anything this program tells a person in one line
├── UsageError                wrong use: exit 2
│   └── SettingsError         a setting is wrong: names key, file, line and what would be right
├── CannotDo                  it could not be done now: exit 3
│   ├── DatabaseError         no database, or it cannot be written
│   │   ├── DatabaseMissing   nothing was indexed yet
│   │   ├── DatabaseBusy      another program holds the write lock
│   │   ├── DatabaseDamaged   not a database, or a broken one
│   │   ├── DatabaseNewer     written by a newer version of this program
│   │   └── DatabaseFull      its disk is full
│   ├── RootOffline           the disk is not there
│   │   ├── OtherDisk         another one stands there
│   │   └── RootSilent        its server does not answer
│   ├── HistoryPruned         the changes asked for are no longer kept
│   ├── ProgramFault          file after file makes this program itself fail
│   └── QueueError            the queues cannot be used
│       └── RedisAway         no Redis answers there now
└── Interrupted               Ctrl-C or SIGTERM: what was committed stays, exit 130

A file that cannot be read is not an error: it is a value, `model.Problem`.
"""

from __future__ import annotations


class IndexerError(Exception):
    """Anything this program tells a person in one line. The message ends with what to do next."""

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
    """Nothing was indexed yet, or `--db` names another place."""


class DatabaseBusy(DatabaseError):
    """Another program holds the write lock for longer than `busy_timeout`."""


class DatabaseDamaged(DatabaseError):
    """The file is not a database, or SQLite found it broken."""


class DatabaseNewer(DatabaseError):
    """The database was written by a newer version of this program."""


class DatabaseFull(DatabaseError):
    """The database's disk is full, or cannot be written."""


class RootOffline(CannotDo):
    """A root's disk is not there, or another one stands in its place. No row was changed."""


class OtherDisk(RootOffline):
    """Another disk, or another folder, stands at a root than the accepted one.

    `may_adopt`: it may be taken for it, if no file of the root was ever indexed.
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


class HistoryPruned(CannotDo):
    """The changes asked for are older than the history that is kept."""


class ProgramFault(CannotDo):
    """File after file made this program fail: it is at fault, and a run must not go on."""


class QueueError(CannotDo):
    """The queues in Redis cannot be used as they are."""


class RedisAway(QueueError):
    """No Redis answers at the address now. Nothing is lost: what is pending stands in the index."""


class Interrupted(IndexerError):
    """The user said stop. What was committed stays."""

    exit_code = 130
