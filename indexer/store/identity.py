"""The identity of an index."""

from __future__ import annotations

from typing import Final

from indexer.store.connection import Connection, select_value

_OWN: Final = "SELECT token FROM identity"


def token_of(connection: Connection) -> str:
    """The random name that this index got when it was created; a copy has the same."""
    return str(select_value(connection, _OWN))
