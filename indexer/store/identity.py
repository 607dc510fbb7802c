"""What tells one index from every other one."""

from __future__ import annotations

from typing import Final

from indexer.store.connection import Connection, select_value

_OWN: Final = "SELECT token FROM identity"


def token_of(connection: Connection) -> str:
    """The name that this index was given at random when it was made; a copy of it has the same."""
    return str(select_value(connection, _OWN))
