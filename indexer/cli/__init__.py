"""`indexer`: a command line -> a call of the library -> lines, JSON and an exit code. No rules."""

from indexer.starting import Starting

TYPE_CHECKING = False
"""True for a type checker; see the package `indexer`."""
if TYPE_CHECKING:
    from indexer.cli.commands import main

__all__ = ["main"]


if not TYPE_CHECKING:  # a type checker would take any name for one of the package

    def __getattr__(name: str) -> object:
        """`main`, when it is asked for: `watcher` has commands of its own."""
        if name != "main":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with Starting():
            from indexer.cli.commands import main
        globals()[name] = main
        return main
