"""`indexer`: a command line -> a call of the library -> lines, JSON and an exit code. No rules."""

import atexit
import gc

from indexer.process import collector_relaxed

with collector_relaxed():  # what is imported stays: 4 ms of 140 that a command takes at least
    from indexer.cli.commands import main

atexit.register(gc.freeze)
"""Python's last search for garbage in cycles looks at all that was imported: 10 ms more."""

__all__ = ["main"]
