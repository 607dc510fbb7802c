"""Imports run one way, and each library is used in one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
FILES = sorted([*HERE.glob("indexer/**/*.py"), *HERE.glob("watcher/**/*.py")])

FLOORS = (
    ("watcher",),
    ("indexer.cli", "indexer.__main__"),
    ("indexer.api", "indexer.doctor", "indexer.hooks", "indexer.web"),
    ("indexer.library",),
    ("indexer.lookup",),
    (
        "indexer.checks",
        "indexer.reports",
        "indexer.covers",
        "indexer.places",
        "indexer.repair",
        "indexer.scrub_process",
        "indexer.version",
    ),
    ("indexer.engine",),
    ("indexer.queue",),
    ("indexer.roots",),
    ("indexer.readers",),
    ("indexer.shares",),
    ("indexer.process", "indexer.nonblocking_stream", "indexer.runs"),
    ("indexer.stages",),
    ("indexer.look",),
    ("indexer.walk",),
    ("indexer.ignore_files",),
    (
        "indexer.evidence",
        "indexer.tags",
        "indexer.store",
        "indexer.artwork",
        "indexer.sidecars",
    ),
    ("indexer.disk",),
    ("indexer.settings",),
    ("indexer.spelling",),
    ("indexer.ignore", "indexer.paths", "indexer.faults", "indexer.serving", "indexer.tag_names"),
    ("indexer.results",),
    ("indexer.model",),
    ("indexer.closable", "indexer.errors", "indexer.remembered", "indexer.starting"),
)
"""From the top down; a module imports only from its own layer and those below."""

EDGES = {
    "apsw": ("indexer.store",),
    "sqlite_utils": ("indexer.store.migrate",),
    "mutagen": ("indexer.tags",),
    "PIL": ("indexer.artwork.thumbnail",),
    "anyascii": ("indexer.store.search.spellings", "indexer.store.search.index_rows"),
    "rapidfuzz": ("indexer.store.search.vocabulary",),
    "click": ("indexer.cli", "watcher.cli"),
    "rich": ("indexer.cli.progress", "indexer.cli.watch"),
    "watchdog": ("watcher.events.observer", "indexer.hooks.wakeup"),
    "rq": ("indexer.queue",),
    "redis": ("indexer.queue",),
    "prometheus_client": ("indexer.reports.exposition",),
    "rq_dashboard": ("indexer.queue.monitoring.dashboard",),
    "flask": ("indexer.queue.monitoring.dashboard", "indexer.web"),
    "jinja2": ("indexer.queue.monitoring.dashboard", "indexer.web"),
    "markupsafe": ("indexer.web",),
    "werkzeug": ("indexer.queue.monitoring.dashboard", "indexer.serving", "indexer.web"),
}
"""The packages in which each library may be imported."""

EVERYWHERE = {"msgspec", "__future__", "_typeshed"}


def name_of(file: Path) -> str:
    parts = file.relative_to(HERE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file; parsed once, since each test asks for them."""
    return tuple(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


@cache
def imports_of(file: Path) -> tuple[str, ...]:
    return tuple(_imports_of(file))


def _imports_of(file: Path) -> Iterator[str]:
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it goes"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def stands_in(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def floor_of(module: str) -> int:
    floors = [number for number, places in enumerate(FLOORS) if stands_in(module, places)]
    assert floors or module in {"indexer", "watcher"}, f"{module} stands on no floor"
    return max(floors, default=len(FLOORS))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_run_one_way(file: Path) -> None:
    is_api = name_of(file) == "indexer"  # it names the public API, and imports it late
    own = 0 if is_api else floor_of(name_of(file))
    for imported in imports_of(file):
        if stands_in(imported, ("indexer", "watcher")):
            place = HERE / imported.replace(".", "/")
            if place.is_dir() or place.with_suffix(".py").exists():
                assert floor_of(imported) >= own, f"{name_of(file)} imports {imported} above it"


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of names that lead to each other, over any number of steps, by Tarjan."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_names: list[str] = []
    found: list[list[str]] = []

    def follow(name: str) -> None:
        order[name] = lowest[name] = len(order)
        open_names.append(name)
        for other in arrows.get(name, ()):
            if other not in order:
                follow(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in open_names:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            at = open_names.index(name)
            if len(open_names) - at > 1:
                found.append(sorted(open_names[at:]))
            del open_names[at:]

    for name in arrows:
        if name not in order:
            follow(name)
    return found


def arrows_between_modules() -> dict[str, set[str]]:
    """Module -> those it imports: at its top, in functions, and for annotations alone."""
    names = set(map(name_of, FILES))
    arrows: dict[str, set[str]] = {}
    for file in FILES:
        arrows[name_of(file)] = set()
        for node in nodes_of(file):
            if isinstance(node, ast.Import):
                arrows[name_of(file)].update(names & {alias.name for alias in node.names})
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    one = whole if whole in names else str(node.module)
                    arrows[name_of(file)].update(names & {one} - {"indexer"})
    return arrows


def test_no_modules_import_each_other_in_a_circle() -> None:
    """A late import or one for annotations counts, too: each needs the other to be understood."""
    assert circles(arrows_between_modules()) == []


@pytest.mark.parametrize(
    ("arrows", "found"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["c"], "c": ["d"], "d": []}, []),
        ({"a": ["b"], "b": ["a"], "c": ["a"]}, [["a", "b"]]),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}, [["b", "c", "d"]]),
    ],
)
def test_a_circle_would_be_found(arrows: dict[str, list[str]], found: list[list[str]]) -> None:
    assert circles(arrows) == found


def test_late_imports_and_those_for_annotations_are_among_the_arrows() -> None:
    arrows = arrows_between_modules()
    assert "indexer.store.recovery.health" in arrows["indexer.store.sqlite_errors"]  # late
    assert "indexer.model" in arrows["indexer.tags"]  # for annotations


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_each_library_has_one_edge(file: Path) -> None:
    for imported in imports_of(file):
        library = imported.partition(".")[0]
        if library in EDGES:
            assert stands_in(name_of(file), EDGES[library]), f"{name_of(file)} imports {imported}"


def test_every_library_that_is_imported_has_a_known_edge() -> None:
    ours = {"indexer", "watcher", *sys.stdlib_module_names, *EDGES, *EVERYWHERE}
    met = {imported.partition(".")[0] for file in FILES for imported in imports_of(file)}
    assert met <= ours


def test_the_stages_know_no_engine() -> None:
    for file in HERE.glob("indexer/stages/*.py"):
        assert not any(stands_in(one, ("indexer.engine",)) for one in imports_of(file)), file


BY_NAME = {
    "os.open", "os.stat", "os.lstat", "os.readlink", "os.listdir", "os.scandir", "os.access",
    "os.path.exists", "os.path.isdir", "os.path.isfile", "os.path.islink", "os.path.realpath",
    "os.path.getsize", "open",
}  # fmt: skip
IN_MUSIC = (
    "indexer.disk.descent", "indexer.disk.identity", "indexer.disk.tree", "indexer.ignore_files",
    "indexer.stages", "indexer.tags", "indexer.checks.verify", "indexer.look", "indexer.walk",
    "watcher.debounce.observation", "watcher.events.watches",
)  # fmt: skip
"""The modules that access files of a root."""
NAMED = {
    ("indexer.disk.descent", "os.open"): 1,  # the root
    ("indexer.disk.identity", "os.open"): 1,  # the root, and where disks begin
    ("indexer.disk.identity", "os.path.realpath"): 1,  # what to tell of a root that became a link
    ("indexer.disk.tree", "os.path.realpath"): 4,  # which way links lead; nothing is opened by it
    ("watcher.events.watches", "os.open"): 1,  # the root
}
"""(module, call) -> how often it uses a whole path."""
DESCRIPTORS = {"fd", "folder", "descriptor", "file_descriptor"}


def test_what_lies_in_a_root_is_asked_for_by_its_name_in_an_open_folder() -> None:
    """On a whole path, any folder may be replaced by a link that leads out of the root."""
    met: Counter[tuple[str, str]] = Counter()
    for file in FILES:
        if not stands_in(name_of(file), IN_MUSIC):
            continue
        for node in nodes_of(file):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in BY_NAME:
                continue
            in_folder = any(keyword.arg == "dir_fd" for keyword in node.keywords)
            of_descriptor = ast.unparse(node.args[0]) in DESCRIPTORS
            of_own_link = ast.unparse(node.args[0]).startswith("_own_link(")
            if not (in_folder or of_descriptor or of_own_link):
                met[name_of(file), ast.unparse(node.func)] += 1
    assert met == NAMED


HEAVY = (
    "PIL", "anyascii", "asyncio", "mutagen", "prometheus_client", "rapidfuzz", "redis", "rich",
    "rq", "sqlite_utils", "ssl",
)  # fmt: skip
"""Not needed by an idle daemon without queues: 12 MB for redis alone."""


@pytest.mark.parametrize("module", ["watcher.daemon", "watcher.cli", "indexer.library"])
def test_what_a_process_does_not_need_it_does_not_import(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY})))"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == []


SERVERS = (
    "tests.rq_workers",
    "tests.daemons",
    "tests.redis_servers",
    "tests.automount",
    "playwright",
)
"""Needed only by tests of real processes and disks."""
UNIT_TESTS = sorted((HERE / "tests/unit").rglob("*.py"))


@pytest.mark.parametrize("file", UNIT_TESTS, ids=name_of)
def test_a_unit_test_needs_no_server_disk_or_browser(file: Path) -> None:
    """So `deploy/test --fast` runs anywhere; others belong to tests/integration."""
    assert not [one for one in imports_of(file) if stands_in(one, SERVERS)]
