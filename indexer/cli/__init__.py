"""`indexer`: a command line -> a call of the library -> lines, JSON and an exit code. No rules."""

import atexit
import gc

from indexer.starting import Starting

gc.disable()  # what is imported stays in memory: collections would take 3 of 60 ms
try:
    with Starting():
        from indexer.cli.commands import main
finally:
    gc.enable()
gc.freeze()  # nor do later ones look through it
atexit.register(gc.freeze)
"""Skips Python's final garbage collection of all imported modules, which takes 10 ms."""

__all__ = ["main"]
