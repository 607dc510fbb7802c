"""The installation -> the versions that a bug report needs."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """The versions of the program, its platform, its libraries and its schema, by name.

    Missing optional libraries are `not installed`. SQLite is the copy that opens the index, not
    the standard library's.
    """
    from indexer.store.connection import Connection
    from indexer.store.schema import SCHEMA_VERSION

    (sqlite,) = Connection(":memory:").execute("SELECT sqlite_version()").fetchall()[0]
    return {
        "music-indexer": _installed("music-indexer"),
        "Python": platform.python_version(),
        "SQLite": str(sqlite),
        "watchdog": _installed("watchdog"),
        "rq": _installed("rq"),
        "schema": str(SCHEMA_VERSION),
    }


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
