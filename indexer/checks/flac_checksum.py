"""The bytes of a FLAC file -> whether its sound has the checksum that the file itself has.

By the program `flac`, where it is installed: it decodes the whole file and compares checksums of
frames and an MD5. That it loses the frames is no proof: other formats' tags may stand behind them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Final, Self

from indexer.paths import name_of, suffix_of

_FAILED: Final = re.compile(rb"CRC_MISMATCH|MD5 signature mismatch")
"""What `flac` 1.3 to 1.5 says of a checksum that does not fit."""


_MOST: Final = 2**16


@cache
def _program() -> str | None:
    return shutil.which("flac")


def is_flac(path: bytes) -> bool:
    """Whether a file is named so."""
    return suffix_of(name_of(path)) == b".flac"


class FlacTest:
    """One file that is tested while it is read. `feed` it, then ask for its `flaw`."""

    def __init__(self, *, wanted: bool) -> None:
        """Nothing is tested where it is not `wanted`, or the program is not installed."""
        program = _program() if wanted else None
        self._child: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        if program is not None:
            self._said = TemporaryFile()  # noqa: SIM115 - a pipe might fill meanwhile
            self._child = subprocess.Popen(  # noqa: S603 - no shell
                [program, "--test", "--silent", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the program, if it was not asked for its verdict."""
        if self._child is not None:
            self._child.kill()
            with suppress(OSError):
                self._child.communicate()
        if self._said is not None:
            self._said.close()

    def feed(self, content: bytes) -> None:
        """The next bytes of the file."""
        if self._child is not None and self._child.stdin is not None:
            with suppress(BrokenPipeError):  # it has seen enough
                self._child.stdin.write(content)

    def flaw(self) -> str | None:
        """What is wrong with the file, all of which was fed; None: nothing, or not tested."""
        if self._child is None or self._said is None:
            return None
        with suppress(BrokenPipeError):
            self._child.communicate()
        self._said.seek(0)
        if self._child.returncode > 0 and _FAILED.search(self._said.read(_MOST)):
            return "decayed: its sound has not the checksum that is in the file (`flac -t`)"
        return None
