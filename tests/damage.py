"""Names -> listed, but `stat` fails for them, as for a damaged inode."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class _Entry:
    """An entry of a listing; `stat` raises for a damaged one."""

    def __init__(self, entry: os.DirEntry[str], number: int | None) -> None:
        self._entry = entry
        self._number = number
        self.name = entry.name

    def is_file(self, **how: Any) -> bool:
        return self._entry.is_file(**how)

    def is_dir(self, **how: Any) -> bool:
        return self._entry.is_dir(**how)

    def is_symlink(self) -> bool:
        return self._entry.is_symlink()

    def stat(self, **how: Any) -> os.stat_result:
        if self._number is not None:
            raise OSError(self._number, os.strerror(self._number), self.name)
        return self._entry.stat(**how)


def damage(patch: pytest.MonkeyPatch, *names: str, number: int = errno.EBADMSG) -> None:
    """Let every `stat` of these names fail, in any folder; they are still listed."""
    damaged = {os.fsencode(name) for name in names}
    scandir, stat = os.scandir, os.stat

    @contextmanager
    def listing(where: Any) -> Iterator[Iterator[_Entry]]:
        with scandir(where) as entries:
            yield (
                _Entry(one, number if os.fsencode(one.name) in damaged else None) for one in entries
            )

    def looked_at(path: Any, **how: Any) -> os.stat_result:
        if not isinstance(path, int) and os.path.basename(os.fsencode(path)) in damaged:
            raise OSError(number, os.strerror(number), path)
        return stat(path, **how)

    patch.setattr(os, "scandir", listing)
    patch.setattr(os, "stat", looked_at)
