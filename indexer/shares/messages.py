"""Requests of a process to its helper, and the answers: pickled, each in a frame of its own.

A frame is four bytes, the length of what follows (big-endian), and then that many bytes. Functions
are pickled by their names, so a helper imports what it is asked to run, and no more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from indexer.disk.filesystem import Disk

FRAME: Final = struct.Struct(">I")
PATIENCE_S: Final = 5.0
"""A share that sent nothing for so long does not answer. A guess."""


class Call(Struct, frozen=True):
    """Run a function; with a `tree`, that is its first argument. Answered by `Done` or `Failed`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    tree: int = 0


class Open(Struct, frozen=True):
    """Run a function that opens a tree, and keep that as `tree`.

    Answered by its mount points, and by which of those below it are offline.
    """

    tree: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]


class Close(Struct, frozen=True):
    """Close a tree."""

    tree: int


class Begin(Struct, frozen=True):
    """Run a function of a tree that yields, as `stream`. Answered by its first items."""

    stream: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    tree: int


class More(Struct, frozen=True):
    """The next items of a stream."""

    stream: int


class End(Struct, frozen=True):
    """No more items of a stream are wanted."""

    stream: int


class Ready(Struct, frozen=True):
    """The helper works."""


class Done(Struct, frozen=True):
    """What a function returned; the items of a stream, and whether there are more."""

    value: Any
    goes_on: bool = False


class Failed(Struct, frozen=True):
    """What a function raised."""

    error: Exception


class WhichNumber(Struct, frozen=True):
    """The helper asks in the middle of its work: which id has this disk? Answered by `Done`."""

    disk: Disk


Request = Call | Open | Close | Begin | More | End
Reply = Ready | Done | Failed | WhichNumber
