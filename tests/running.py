"""A program that runs and writes a log -> what it says there, and how it ends."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.programs import AT_MOST_S, eventually


class RunningProgram:
    """One run of a program."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """Its log so far."""
        return self._log.read_text("utf-8") if self._log.exists() else ""

    def lines(self, *words: str) -> list[str]:
        """The lines of its log with all of these words."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def await_line(self, *words: str, times: int = 1, within_s: float = AT_MOST_S) -> str:
        """Wait until its log has `times` lines with these words; the last of them."""

        def said() -> list[str]:
            lines = self.lines(*words)
            assert self.process.poll() is None or len(lines) >= times, self.log
            return lines if len(lines) >= times else []

        return eventually(said, within_s=within_s)[-1]

    def end(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = AT_MOST_S) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within_s)
