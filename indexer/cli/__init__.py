"""`indexer`: a command line -> a call of the library -> lines, JSON and an exit code. No rules."""

from indexer.cli.commands import main

__all__ = ["main"]
