"""Watch descriptors <-> the folders they stand for, as a tree, so that a move costs its own size.

With flat tables a renamed album would cost a pass over every folder of the library.
"""

from __future__ import annotations

from collections.abc import Iterator

from indexer import paths


class _Node:
    """One folder, or a step on the way to one (then without a descriptor)."""

    __slots__ = ("children", "name", "parent", "watch")

    def __init__(self, parent: _Node | None, name: bytes) -> None:
        self.parent = parent
        self.name = name
        self.watch: int | None = None
        self.children: dict[bytes, _Node] | None = None  # most folders have none below them


class Folders:
    """Which folder each descriptor watches; folders are relative to one root, `b""` is the root.

    A folder has one descriptor at the most, and a descriptor one folder. Not safe for threads.
    """

    def __init__(self) -> None:
        self._root = _Node(None, b"")
        self._by_watch: dict[int, _Node] = {}

    def __len__(self) -> int:
        return len(self._by_watch)

    def __iter__(self) -> Iterator[bytes]:
        return map(_path_of, self._by_watch.values())

    def folder_of(self, watch: int) -> bytes | None:
        """The folder of a descriptor; None for one that is not (or no longer) here."""
        node = self._by_watch.get(watch)
        return None if node is None else _path_of(node)

    def put(self, folder: bytes, watch: int) -> None:
        """Add a folder. Neither it nor the descriptor may be here already: `cut` it first."""
        node = self._root
        for name in folder.split(b"/") if folder else ():
            if node.children is None:
                node.children = {}
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = _Node(node, name)
            node = child
        if node.watch is not None or watch in self._by_watch:
            raise ValueError(f"{folder!r} or descriptor {watch} is here already")
        node.watch = watch
        self._by_watch[watch] = node

    def forget(self, watch: int) -> None:
        """Take one descriptor out, if it is here, and leave what lies below its folder."""
        node = self._by_watch.pop(watch, None)
        if node is not None:
            node.watch = None
            self._prune(node)

    def cut(self, folder: bytes) -> list[int]:
        """Remove a folder with all below it; returns their descriptors, if any."""
        node: _Node | None = self._root
        for name in folder.split(b"/") if folder else ():
            node = node.children.get(name) if node is not None and node.children else None
        if node is None:
            return []
        watches = []
        unlinked = [node]
        while unlinked:
            one = unlinked.pop()
            if one.watch is not None:
                watches.append(one.watch)
                del self._by_watch[one.watch]
                one.watch = None
            if one.children is not None:
                unlinked.extend(one.children.values())
                one.children = None
        self._prune(node)
        return watches

    @staticmethod
    def _prune(node: _Node) -> None:
        """Remove a node that stands for nothing any more, and the steps that led to it."""
        while node.watch is None and not node.children:
            parent, node.parent = node.parent, None
            if parent is None or parent.children is None:
                return
            del parent.children[node.name]
            node = parent


def _path_of(node: _Node) -> bytes:
    path = node.name
    above = node.parent
    while above is not None:
        path = paths.join(above.name, path)
        above = above.parent
    return path
