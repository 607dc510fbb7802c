"""Every Python process with this folder in PYTHONPATH: one stage raises on files of a chosen name.

RAISE_IN names the stage, RAISE_CLASS the exception; a file whose path holds `raise` meets it. For a
file there to be read, extract knows it by the link of its descriptor.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable
from typing import Any


def _raise_on(path: bytes) -> None:
    if b"raise" in path:
        raise getattr(builtins, os.environ["RAISE_CLASS"])("injected")


def _before(call: Callable[..., Any], path_of: Callable[..., bytes]) -> Callable[..., Any]:
    def raising(*args: Any, **more: Any) -> Any:
        _raise_on(path_of(*args))
        return call(*args, **more)

    return raising


def _name_of(file: Any) -> bytes:
    return os.readlink(f"/proc/self/fd/{file.fileno()}").encode(errors="surrogateescape")


def install(stage: str) -> None:
    """Have a stage raise."""
    if stage == "walk":
        from indexer.ignore.path_filter import PathFilter

        plain = PathFilter.file

        def path_filter(self: PathFilter, name: bytes) -> bool:
            if sys._getframe(1).f_globals["__name__"] in {"indexer.walk", "indexer.look"}:
                _raise_on(name)
            return plain(self, name)

        PathFilter.file = path_filter  # type: ignore[method-assign]
    elif stage == "scan":
        from indexer.stages import moves

        moves.find = _before(moves.find, lambda _connection, _trees, entry, *_: entry.path)
    elif stage == "extract":
        from indexer import tags  # the stage takes its reader from there when it is imported

        assert "indexer.stages.extract" not in sys.modules
        tags.read_track = _before(tags.read_track, lambda file, *_: _name_of(file))
    elif stage == "batch":
        from indexer.stages import batch

        plain_order = batch._album_order

        def order(finding: batch.Finding) -> tuple[str, str, bytes]:
            if finding.track is not None:
                _raise_on(finding.entry.path)
            return plain_order(finding)

        batch._album_order = order
    else:
        from indexer.stages import batch

        batch.shape = _before(batch.shape, lambda _track, path, _root: path)


if "RAISE_IN" in os.environ:
    install(os.environ["RAISE_IN"])
