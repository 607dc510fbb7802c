"""A process of `indexer.shares.helper_process`: started, asked, and left behind when silent."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from indexer.disk.filesystem import Disk
from indexer.process import Standstill, end_process
from indexer.shares.messages import FRAME, PATIENCE_S, Done, Failed, Ready, Request, WhichNumber

_START_S: Final = 60.0
"""How long a helper may take to start; a small machine loads Python from a slow card."""
_LOOK_S: Final = 0.25
"""Maximum pause between two checks of a helper's progress."""
_BYTES: Final = 1 << 18
HELPER: Final = (sys.executable, "-P", "-m", "indexer.shares.helper_process")
"""`-P`: never import from the current folder."""


class Silent(Exception):
    """A helper has not answered, and is not asked again; the message completes `it ...`."""


class Ended(Silent):
    """A helper was killed, or has failed; `signal` is the number of the signal, or 0."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


def _no_number(_disk: Disk) -> int:
    return 0


class Helper:
    """One helper process. Its answers come in the order of the requests.

    `is_busy` while an answer is outstanding: an exception in the middle of one leaves it set, and
    then nothing more can be asked. `is_born` once it has sent anything.
    """

    def __init__(self) -> None:
        """Raises Silent where no process can be started."""
        self.is_busy = True
        self.is_born = False
        self._inbox = bytearray()
        self._outbox = bytearray()
        self.is_ended = False
        environment = dict(os.environ)
        beside = [str(Path(__file__).parents[2]), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(beside)
        own_end, helper_end = socket.socketpair()
        # Ctrl-C in the first moments must not hit a helper that does not ignore it yet.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*HELPER, str(os.getpid()), str(helper_end.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",  # a working folder keeps a disk from being unmounted
                env=environment,
                pass_fds=(helper_end.fileno(),),
            )
        except OSError as error:
            own_end.close()
            what = f"cannot be accessed, since no process can be started ({error})"
            raise Silent(what) from None
        finally:
            helper_end.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        own_end.settimeout(0)
        self._socket = own_end
        self._standstill = Standstill(self.process.pid)

    def ask(
        self,
        request: Request,
        number_of: Callable[[Disk], int] = _no_number,
        patience_s: float = PATIENCE_S,
        stop: Callable[[], bool] | None = None,
    ) -> Done:
        """Send a request and wait. Raises its error, or Silent if nothing came for `patience_s`.

        While the helper makes progress it is waited for, however long it takes; in any case only
        until `stop` is true, and then a little, for one that answers.
        """
        if self.is_ended or (self.is_busy and self.is_born):
            raise Silent("does not answer")
        if not self.is_born:
            self._await(_START_S, stop)
        self.post(request)
        while True:
            answer = self._await(patience_s, stop)
            if isinstance(answer, WhichNumber):
                self.post(Done(number_of(answer.disk)))
                continue
            if isinstance(answer, Failed):
                raise answer.error
            return cast("Done", answer)

    def post(self, request: Request | Done) -> None:
        """Send a request and do not wait: see `has_answered`."""
        block = pickle.dumps(request)
        self._outbox += FRAME.pack(len(block)) + block
        self.is_busy = True
        self._write()

    def has_answered(self) -> bool:
        """Whether all requests have been answered, as far as is known without waiting.

        Raises Silent where the helper has ended.
        """
        self._write()
        while (answer := self._frame(0.0)) is not None:
            if isinstance(answer, Ready):
                self.is_born = True
            else:
                self.is_busy = False
        return not self.is_busy

    def end(self) -> bool:
        """Kill it; False: it waits in the kernel, and is left behind."""
        if not self.is_ended:
            self.is_ended = True
            self._socket.close()
            end_process(self.process)
        return self.process.poll() is not None

    def _await(self, patience_s: float, stop: Callable[[], bool] | None) -> object:
        """The next reply. Raises Silent."""
        self._standstill.end()
        while True:
            self._write()
            began = time.monotonic()
            reply = self._frame(min(_LOOK_S, patience_s / 4))
            if reply is not None:
                self.is_born = True
                self.is_busy = isinstance(reply, WhichNumber)
                return reply
            # time in which this process was stopped (Ctrl-Z) does not count
            waited_s = min(time.monotonic() - began, 2 * _LOOK_S)
            if self._standstill.lasts(waited_s, patience_s):
                raise Silent("does not answer")
            if stop is not None and stop():
                raise Silent("has not answered before this program was to end")

    def _frame(self, wait_s: float) -> object | None:
        """The next reply, if it comes within `wait_s`."""
        while (length := self._whole()) is None:
            with selectors.PollSelector() as selector:
                writes = selectors.EVENT_WRITE if self._outbox else 0
                selector.register(self._socket, selectors.EVENT_READ | writes)
                events = selector.select(wait_s)
            if not events:
                return None
            if any(event & selectors.EVENT_WRITE for _, event in events):
                self._write()
            if any(event & selectors.EVENT_READ for _, event in events):
                self._read()
        frame = bytes(self._inbox[FRAME.size : length])
        del self._inbox[:length]
        return pickle.loads(frame)  # type: ignore[no-any-return]  # noqa: S301 - of our own child

    def _whole(self) -> int | None:
        """The end of the first whole frame in the inbox; None if it is not there yet."""
        if len(self._inbox) < FRAME.size:
            return None
        end = FRAME.size + int(FRAME.unpack_from(self._inbox)[0])
        return end if end <= len(self._inbox) else None

    def _read(self) -> None:
        try:
            came = self._socket.recv(_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            came = b""
        if not came:
            status = end_process(self.process) or 0
            what = f"cannot be accessed, since the process that did it has ended ({status})"
            raise Ended(what, max(0, -status))
        self._inbox += came

    def _write(self) -> None:
        while self._outbox:
            try:
                del self._outbox[: self._socket.send(self._outbox)]
            except BlockingIOError:
                return
            except ConnectionError:  # it has ended: the other direction says so
                self._outbox.clear()
