"""`indexer roots ...`: list and change the folders that are indexed."""

from __future__ import annotations

import click

from indexer.cli import answers
from indexer.cli.arguments import (
    InOrder,
    examples,
    folders,
    json_option,
    path_argument,
    text_argument,
)
from indexer.cli.session import Session
from indexer.cli.terminal import escaped


@click.group(
    cls=InOrder,
    invoke_without_command=True,
    epilog=examples("indexer roots", "indexer roots add /mnt/usb/music --name usb"),
)
@json_option
@click.pass_context
def roots(context: click.Context) -> int:
    """List, add, remove or accept the folders that are indexed."""
    return _list_roots(context.obj) if context.invoked_subcommand is None else 0


@roots.command("list", epilog=examples("indexer roots list", "indexer roots list --json"))
@json_option
@click.pass_obj
def roots_list(session: Session) -> int:
    """List the roots, their state, and how their files are compared."""
    return _list_roots(session)


def _list_roots(session: Session) -> int:
    with session.library() as library:
        if session.as_json:
            session.output.rows(library.roots(), None)
        else:
            session.output.lines(answers.roots_lines(list(library.roots())))
    return 0


@roots.command(
    "add",
    epilog=examples("indexer roots add ~/Music", "indexer roots add /mnt/usb/music --name usb"),
)
@click.argument("path", type=path_argument, shell_complete=folders, metavar="PATH")
@click.option("--name", type=text_argument, help="Its name. [default: the folder's]")
@json_option
@click.pass_obj
def roots_add(session: Session, path: bytes, name: str | None) -> int:
    """Add a folder; the next scan indexes it."""
    with session.library(create=True) as library:
        root = library.add_root(path, name)
    session.answer(root, answers.roots_lines([root]))
    return 0


@roots.command("remove", epilog=examples("indexer roots remove usb", "indexer roots remove -- -x"))
@click.argument("name", type=text_argument, metavar="NAME")
@json_option
@click.pass_obj
def roots_remove(session: Session, name: str) -> int:
    """Forget a root; its files are not touched."""
    with session.library() as library:
        library.remove_root(name)
    session.answer({"removed": name}, [f"removed {escaped(name)}"])
    return 0


@roots.command(
    "accept", epilog=examples("indexer roots accept usb", "indexer roots accept usb --json")
)
@click.argument("name", type=text_argument, metavar="NAME")
@json_option
@click.pass_obj
def roots_accept(session: Session, name: str) -> int:
    """Accept the disk that is mounted there now as the right one."""
    with session.library() as library:
        root = library.accept_root(name)
    session.answer(root, answers.roots_lines([root]))
    return 0
