"""`indexer roots ...`: list and change the folders that are indexed."""

from __future__ import annotations

import click

from indexer.cli import answers, status_lines
from indexer.cli.arguments import (
    InOrder,
    examples,
    folders,
    json_option,
    path_argument,
    text_argument,
)
from indexer.cli.output import say
from indexer.cli.session import Session
from indexer.errors import IndexerError


def _names(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """Let the shell complete the word to the name of a root; to none without an index."""
    session: Session = context.obj
    options = context.find_root().params
    session.db, session.config = options["db"], options["config"]
    try:
        with session.lookup() as library:
            return [name for name in library.root_paths() if name.startswith(word)]
    except IndexerError:  # a shell has no place for it; the command itself tells
        return []


@click.group(
    cls=InOrder,
    invoke_without_command=True,
    epilog=examples("indexer roots", "indexer roots add /mnt/usb/music --name usb"),
)
@json_option
@click.pass_context
def roots(context: click.Context) -> int:
    """List, add, remove, rename or accept the folders that are indexed."""
    return _list_roots(context.obj) if context.invoked_subcommand is None else 0


@roots.command("list", epilog=examples("indexer roots list", "indexer roots list --json"))
@json_option
@click.pass_obj
def roots_list(session: Session) -> int:
    """List the roots, their state, and how their files are compared."""
    return _list_roots(session)


def _list_roots(session: Session) -> int:
    with session.lookup() as library:
        if session.as_json:
            session.output.rows(library.roots(), None)
        else:
            session.output.lines(status_lines.roots_lines(list(library.roots())))
        for contradiction in library.contradictions():
            say(contradiction)
    return 0


@roots.command(
    "add",
    epilog=examples("indexer roots add ~/Music", "indexer roots add /mnt/usb/music --name usb"),
)
@click.argument("path", type=path_argument, shell_complete=folders, metavar="PATH")
@click.option(
    "--name", type=text_argument, metavar="NAME", help="Its name.  [default: the folder's]"
)
@json_option
@click.pass_obj
def roots_add(session: Session, path: bytes, name: str | None) -> int:
    """Add a folder; the next scan indexes it."""
    with session.library(create=True) as library:
        root = library.add_root(path, name)
    session.answer(root, status_lines.roots_lines([root]))
    return 0


@roots.command("remove", epilog=examples("indexer roots remove usb", "indexer roots remove -- -x"))
@click.argument("name", type=text_argument, shell_complete=_names, metavar="NAME")
@json_option
@click.pass_obj
def roots_remove(session: Session, name: str) -> int:
    """Forget a root; its files are not touched.

    Its tracks leave the index, but their ids are kept: the same folder, added again, brings them
    back.
    """
    with session.library() as library:
        removed = library.remove_root(name)
    session.answer(removed, answers.removed_lines(removed))
    return 0


@roots.command(
    "rename", epilog=examples("indexer roots rename Music nas", "indexer roots rename a b --json")
)
@click.argument("name", type=text_argument, shell_complete=_names, metavar="NAME")
@click.argument("new_name", type=text_argument, metavar="NEW_NAME")
@json_option
@click.pass_obj
def roots_rename(session: Session, name: str, new_name: str) -> int:
    """Give a root another name; no file is read or touched.

    The name begins each path in the lists, so indexer changes tells every track as moved. Workers
    on other machines need the new name in their config.
    """
    with session.library() as library:
        renamed = library.rename_root(name, new_name)
    session.answer(renamed, answers.renamed_lines(renamed))
    return 0


@roots.command(
    "accept", epilog=examples("indexer roots accept usb", "indexer roots accept usb --json")
)
@click.argument("name", type=text_argument, shell_complete=_names, metavar="NAME")
@json_option
@click.pass_obj
def roots_accept(session: Session, name: str) -> int:
    """Accept the disk that is mounted there now as the right one."""
    with session.library() as library:
        root = library.accept_root(name)
    session.answer(root, status_lines.roots_lines([root]))
    return 0
