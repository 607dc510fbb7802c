"""The papers name only what exists; ARCHITECTURE.md holds just the rules that code cites."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from indexer.cli.commands import cli as indexer_cli
from indexer.model import ChangeKind, ProblemKind
from indexer.settings import KEYS
from indexer.store import schema
from indexer.store.recovery.health import objects_made
from tests.faults import disk_faults as _disk_faults  # noqa: F401 - its faults
from tests.faults import index_faults as _index_faults  # noqa: F401 - its faults
from tests.faults.faults import FAULTS
from tests.unit.test_architecture import FILES, FLOORS, HERE
from watcher.cli import cli as watcher_cli
from watcher.roots.root import RootState

PAPER = (HERE / "ARCHITECTURE.md").read_text(encoding="utf-8")
OWN_FILE = Path(__file__)
TESTS = [file for file in sorted((HERE / "tests").rglob("*.py")) if file != OWN_FILE]
PROGRAMS: dict[str, click.Group] = {"indexer": indexer_cli, "watcher": watcher_cli}
OTHERS = {
    "!=", ">", "synchronous=NORMAL", "fs.inotify.max_user_watches", ".indexignore", ".nomedia",
}  # fmt: skip
"""Words in code type that are not names of this project."""

CITE = re.compile(r"(?<![$\w])R(\d{1,2})\b")


def in_code_type(text: str) -> list[str]:
    """All texts between single backticks, outside of fenced blocks."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`]+)`", prose)


def defined_in(body: list[ast.stmt], above: str = "") -> Iterator[str]:
    """The names that a module or class defines: `f`, `Class`, `Class.method`, `CONSTANT`."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield above + node.name
            if isinstance(node, ast.ClassDef):
                yield from defined_in(node.body, f"{above}{node.name}.")
        elif isinstance(node, ast.AnnAssign):
            yield above + ast.unparse(node.target)
        elif isinstance(node, ast.Assign):
            yield from (above + ast.unparse(target) for target in node.targets)


def names_in(file: Path) -> set[str]:
    return set(defined_in(ast.parse(file.read_text(encoding="utf-8")).body))


def names_of_sql() -> set[str]:
    """Tables, views and their columns, with and without the table's name."""
    found = {name for name, made in objects_made().items() if made.kind in {"table", "view"}}
    for script in (script for _, script in schema.MIGRATIONS):
        for kind, name, columns in re.findall(
            r"CREATE (TABLE|VIRTUAL TABLE) (\w+)[^(]*\((.*?)^\)", script, re.DOTALL | re.MULTILINE
        ):
            found.add(name)
            if kind == "TABLE":
                words = re.findall(r"^    (\w+) (?!KEY)", columns, re.MULTILINE)
                found.update(words, (f"{name}.{word}" for word in words))
    return found


KNOWN = (
    set().union(*map(names_in, FILES))
    | names_of_sql()
    | set(KEYS)
    | {str(one) for kind in (ChangeKind, ProblemKind, RootState) for one in kind}
    | OTHERS
)


def exists(told: str) -> bool:
    """Whether a word in code type is a file, a name, a setting, or a command of this project."""
    first, _, rest = told.partition(" ")
    if "/" in first or first.endswith(".md"):
        return (HERE / first).exists() and (not first.endswith("/") or (HERE / first).is_dir())
    if first in PROGRAMS and rest:
        return rest.split()[0] in PROGRAMS[first].commands
    if rest.startswith("-"):  # a command without its program: `verify --deep`
        return first in indexer_cli.commands
    return told in KNOWN or told in indexer_cli.commands


def test_all_that_it_names_exists() -> None:
    assert [told for told in in_code_type(PAPER) if not exists(told)] == []


@pytest.mark.parametrize(
    "told",
    ["indexer/stages/gone.py", "Scan.gone", "gone_function", "indexer gone", "gone.md", "scan/"],
)
def test_what_does_not_exist_would_be_found(told: str) -> None:
    assert not exists(told)


def test_a_name_beside_a_file_is_defined_in_that_file() -> None:
    """`name` in `file.py`, `name` (`file.py`): the form of such references."""
    form = re.compile(r"`([A-Za-z_][\w.]*)`\s+(?:\(|in\s+)`([\w/]+\.py)`")
    found = form.findall(PAPER)
    assert len(found) > 30
    assert [pair for pair in found if pair[0] not in names_in(HERE / pair[1])] == []


def test_the_list_of_imports_is_the_one_that_is_checked() -> None:
    listed = re.findall(r"^\d+\. (`(?:watcher|indexer)/.*`)$", PAPER, re.MULTILINE)
    told = tuple(
        tuple(
            one.removesuffix(".py").rstrip("/").replace("/", ".")
            for one in re.findall(r"`(.*?)`", line)
        )
        for line in listed
    )
    assert told == FLOORS


def rules() -> list[int]:
    return [int(number) for number in re.findall(r"^\*\*R(\d+)\. ", PAPER, re.MULTILINE)]


def cited_in(files: list[Path]) -> set[int]:
    return {int(number) for file in files for number in CITE.findall(file.read_text("utf-8"))}


def test_each_rule_stands_in_it_once_and_in_order() -> None:
    assert rules() == list(range(1, max(rules()) + 1))


def test_the_program_cites_each_rule_and_no_other() -> None:
    assert cited_in(FILES) == set(rules())


def test_the_tests_cite_no_rule_that_is_not_there() -> None:
    assert cited_in(TESTS) <= set(rules())


def test_each_table_of_the_index_is_explained_once() -> None:
    section = PAPER.partition("\n## The schema in short\n")[2].partition("\n## ")[0]
    told = in_code_type("\n".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE)))
    tables = {
        name
        for name, made in objects_made().items()
        if made.kind == "table" and not made.is_shadow and not name.startswith("sqlite_")
    }
    assert sorted(told) == sorted(tables)


def test_the_list_of_faults_has_each_one_and_the_engines_that_it_is_tried_on() -> None:
    text = (HERE / "tests/faults/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `(\w+)` \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    told = {name: {"local": bool(local), "rq": bool(rq)} for name, local, rq in rows}
    assert told == {
        name: {engine: engine in fault.engines for engine in ("local", "rq")}
        for name, fault in FAULTS.items()
    }


PAPERS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
OF_TESTS = ("tests/faults/README.md", "tests/bench/README.md")


@pytest.mark.parametrize("name", [*PAPERS, *OF_TESTS])
def test_every_link_to_a_file_of_the_project_leads_somewhere(name: str) -> None:
    text = (HERE / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (HERE / name).parent.joinpath(link).exists()] == []


def test_the_readme_is_read_in_one_go() -> None:
    assert len((HERE / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_steps_for_contributors_name_what_exists() -> None:
    text = (HERE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = [
        one
        for one in in_code_type(text)
        if re.fullmatch(r"[\w./]*/[\w./-]*|[A-Za-z_]\w*", one)
        and not re.search("NAME|SUFFIX$", one)
    ]
    assert len(told) > 25
    of_corpus = names_in(HERE / "tests/corpus.py")
    assert [one for one in told if not exists(one) and one not in of_corpus] == []


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    text = (HERE / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
