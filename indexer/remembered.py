"""What is remembered of texts and tags, for the next file -> nothing, when a process comes to rest.

All of it is bounded. But after much work it is thousands of small objects, most of them alone in a
page of memory, which the allocator cannot give back to the system for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_forgets: Final[list[Callable[[], object]]] = []


def forget_by(forget: Callable[[], object]) -> None:
    """Register what clears a cache of this process."""
    _forgets.append(forget)


def forget_all() -> None:
    """Clear all these caches: the next file fills them again."""
    for forget in _forgets:
        forget()
