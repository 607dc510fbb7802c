"""Requests on a socket -> answers of the disks of one root: the program of a helper process.

It may wait in the kernel for ever, and then nothing ends it. So it has nothing open but its socket
and what it was asked to open, and holds no lock.
"""

from __future__ import annotations

import pickle
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, cast

from indexer.disk.filesystem import Disk
from indexer.disk.tree import Tree
from indexer.evidence import ignore_lease_signal
from indexer.process import die_with_parent, let_go_of_output
from indexer.shares.messages import (
    FRAME,
    Begin,
    Call,
    Close,
    Done,
    End,
    Failed,
    More,
    Open,
    Ready,
    Reply,
    Request,
    WhichNumber,
)

_TOGETHER_S: Final = 0.05
_MOST_TOGETHER: Final = 64
"""Items of a stream in one answer, and how long they are collected: a folder is one. A guess."""


def main() -> None:
    """Answer requests, in order, until the socket ends.

    Arguments on the command line: the id of the parent, to die with; the descriptor of the socket.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked while we started
    ignore_lease_signal()
    if die_with_parent(int(sys.argv[1])):
        let_go_of_output()
        parent = socket.socket(fileno=int(sys.argv[2]))
        with parent, suppress(BrokenPipeError, ConnectionResetError):  # it was killed
            _Helper(parent).serve()


class _Helper:
    """The trees that are open, and the streams that go on, by their numbers."""

    def __init__(self, parent: socket.socket) -> None:
        self._parent = parent
        self._trees: dict[int, Tree] = {}
        self._streams: dict[int, Iterator[Any]] = {}

    def serve(self) -> None:
        """Answer until the parent has closed the socket."""
        self._send(Ready())
        while (request := self._receive()) is not None:
            try:
                answer: Reply = self._answer(cast("Request", request))
            except Exception as error:  # noqa: BLE001 - any exception of a function is its answer
                answer = Failed(error)
            self._send(answer)

    def _answer(self, request: Request) -> Done:
        match request:
            case Call(function, arguments, 0):
                return Done(function(*arguments))
            case Call(function, arguments, tree):
                return Done(function(self._trees[tree], *arguments))
            case Open(number, function, arguments, named):
                tree = function(*arguments, **named, number_of=self._number_of)
                self._trees[number] = tree
                return Done((tree.mount_points, tree.offline))
            case Close(number):
                closed = self._trees.pop(number, None)
                if closed is not None:
                    closed.close()
            case Begin(stream, function, arguments, tree):
                self._streams[stream] = function(self._trees[tree], *arguments)
                return self._more(stream)
            case More(stream):
                return self._more(stream)
            case End(stream):
                self._streams.pop(stream, None)
        return Done(None)

    def _more(self, stream: int) -> Done:
        """Some items: as many as come soon, so that the parent can work on them meanwhile."""
        until = time.monotonic() + _TOGETHER_S
        items = []
        for item in self._streams[stream]:
            items.append(item)
            if len(items) >= _MOST_TOGETHER or time.monotonic() > until:
                return Done(items, goes_on=True)
        del self._streams[stream]
        return Done(items)

    def _number_of(self, disk: Disk) -> int:
        self._send(WhichNumber(disk))
        answer = self._receive()
        if not isinstance(answer, Done):
            raise BrokenPipeError
        return int(answer.value)

    def _send(self, reply: Reply) -> None:
        try:
            block = pickle.dumps(reply)
        except Exception as error:  # noqa: BLE001 - of what a function made
            block = pickle.dumps(Failed(TypeError(f"cannot be sent: {error!r}")))
        self._parent.sendall(FRAME.pack(len(block)) + block)

    def _receive(self) -> object | None:
        """The next request; None when the parent has closed the socket."""
        header = self._read(FRAME.size)
        block = None if header is None else self._read(FRAME.unpack(header)[0])
        return None if block is None else pickle.loads(block)  # noqa: S301 - of our own parent

    def _read(self, length: int) -> bytes | None:
        block = bytearray()
        while len(block) < length:
            came = self._parent.recv(length - len(block))
            if not came:
                return None
            block += came
        return bytes(block)


if __name__ == "__main__":
    main()
