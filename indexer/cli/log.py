"""Records of the log -> lines on stderr, for the commands that do work."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from indexer.cli.terminal import escaped


class _LogLine(logging.Formatter):
    """One line per record, except for tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging names it so
        return f"indexer: {escaped(super().formatMessage(record))}"


class _LogHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which a progress line replaces while it is shown.

    What it cannot take (its disk is full, nothing reads it) ends no work.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            sys.stderr.write(self.format(record) + "\n")


def log_to_stderr() -> None:
    """Write what this program logs to stderr, from now on."""
    logger = logging.getLogger("indexer")
    if not logger.handlers:
        handler = _LogHandler()
        handler.setFormatter(_LogLine())
        logger.addHandler(handler)
