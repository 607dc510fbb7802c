"""`--user`, `--password-file` and the environment -> the login of a web page, or none.

The command line has no password, since other users could read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.cli.arguments import file_argument, files, text_argument
from indexer.errors import UsageError

if TYPE_CHECKING:
    from indexer.serving.guards import Login


def host_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--host NAME`."""
    return click.option(
        "--host",
        type=text_argument,
        default="127.0.0.1",
        show_default=True,
        metavar="NAME",
        help="Any other needs a user and a password.",
    )(command)


def port_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--port NUMBER`."""
    return click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        metavar="NUMBER",
        help="0: any free port.",
    )


def login_options(variables: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--user` and `--password-file`, or `VARIABLES_USER` and `VARIABLES_PASSWORD`."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        password = click.option(
            "--password-file",
            type=file_argument,
            shell_complete=files,
            metavar="FILE",
            help=f"Its first line is used. Or ${variables}_PASSWORD.",
        )
        user = click.option(
            "--user",
            type=text_argument,
            envvar=f"{variables}_USER",
            metavar="NAME",
            help=f"Or ${variables}_USER.",
        )
        return user(password(command))

    return decorated


def login_of(user: str | None, password_file: Path | None, variables: str) -> Login | None:
    """Both or neither. Raises UsageError where one is missing."""
    password = os.environ.get(f"{variables}_PASSWORD")
    if password_file is not None:
        text = password_file.read_text("utf-8", "surrogateescape")
        password = text.partition("\n")[0].removesuffix("\r")
    if not user and not password:
        if password_file is None:
            return None
        raise UsageError(f"{password_file}: the first line is empty; write the password there")
    if not user:
        raise UsageError(f"a password, but no user: give --user or set {variables}_USER")
    if not password:
        raise UsageError(
            f"a user, but no password: give --password-file or set {variables}_PASSWORD"
        )
    from indexer.serving.guards import Login

    return Login(user, password)
