"""Which index each hook was told of, in the lock file of `indexer hooks`.

An index does not know that it has taken the place of another one, and a hook that its table lacks
would count as new: its receiver would miss all that the other index had told it of.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock
from typing import Final

import msgspec

_MOST_BYTES: Final = 1 << 20


class Served:
    """The token of the index that each hook was served from, by its name; kept in an open file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = Lock()
        """Guards the file and `_tokens`: each hook has a thread."""
        self._tokens: dict[str, str] = {}
        with suppress(
            msgspec.DecodeError, msgspec.ValidationError
        ):  # empty, or cut short by a kill
            self._tokens = msgspec.json.decode(os.pread(fd, _MOST_BYTES, 0), type=dict[str, str])

    def token_of(self, name: str) -> str | None:
        """The index that a hook was last served from; None: it never was, as far as is known."""
        with self._lock:
            return self._tokens.get(name)

    def note(self, name: str, token: str) -> None:
        """A hook is served from the index with this token now."""
        with self._lock:
            if self._tokens.get(name) != token:
                self._tokens[name] = token
                content = msgspec.json.encode(self._tokens)
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, content, 0)
