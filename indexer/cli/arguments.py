"""Words of a command line -> paths, texts and choices, the same in every locale."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from indexer.errors import UsageError

if TYPE_CHECKING:
    Completed = CompletionItem[str]


def path_argument(word: str) -> bytes:
    """The bytes as typed, UTF-8 or not."""
    if not word:
        raise click.BadParameter("the path is empty")
    return os.fsencode(word)


def file_argument(word: str) -> Path:
    """A file of this program, not of the music."""
    return Path(os.fsdecode(path_argument(word)))


def files(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Completed]:
    """Let the shell complete the word to a file."""
    return [CompletionItem(word, type="file")]


def folders(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Completed]:
    """Let the shell complete the word to a folder."""
    return [CompletionItem(word, type="dir")]


def text_argument(word: str) -> str:
    """UTF-8 in any locale: under LC_ALL=C Python passes its bytes as surrogates."""
    return os.fsencode(word).decode("utf-8", "replace")


def examples(*lines: str) -> str:
    """The epilog of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


class InOrder(click.Group):
    """A group whose help lists commands in source order: the most used first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in order of definition, not alphabetically."""
        del ctx
        return list(self.commands)


class Asking(click.Command):
    """A search command, whose words may begin with a `-` to exclude them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept `-word` as a word, but still refuse an unknown `--option`."""
        known = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        for word in takewhile(lambda word: word != "--", args):
            name = word.partition("=")[0]
            if name.startswith("--") and name not in known:
                near = get_close_matches(name, known)
                raise click.NoSuchOption(name, possibilities=near, ctx=ctx)
        ctx.ignore_unknown_options = True
        return super().parse_args(ctx, args)


def _set_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    context.obj.as_json |= value


def _print_versions(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from indexer.version import versions

        context.obj.output.lines(f"{name} {version}" for name, version in versions().items())
        context.exit()


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_set_json, help="Answer in JSON."
)
"""`--json` after any command sets it for the session, so commands need not handle it."""

database_option = click.option(
    "--db",
    type=file_argument,
    shell_complete=files,
    metavar="FILE",
    help="The database, instead of the usual one.",
)

config_option = click.option(
    "--config",
    type=file_argument,
    shell_complete=files,
    metavar="FILE",
    help="The settings, a TOML file.",
)

version_option = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show the versions of this program and its libraries.",
)

queue_option = click.option(
    "--queue",
    is_flag=True,
    help="Let workers do it, through the queues in Redis (indexer worker).",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that read files.  [default: all cores]",
)


def sort_option(default: str) -> Callable[[Any], Any]:
    """`--sort KEY`; the library checks the key."""
    return click.option(
        "--sort",
        type=text_argument,
        default=default,
        show_default=True,
        metavar="KEY",
        help="relevance, artist, album, year, title, added, path or duration; -KEY: reversed.",
    )


def invoke(group: click.Group, program: str, words: Sequence[str], session: object) -> int:
    """Run one command line, and return its exit code.

    Not click's own `main`, which has other exit codes and messages for most errors.
    """
    try:
        with group.make_context(program, list(words), obj=session) as context:
            code: int = group.invoke(context)
            return code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else program
        message = f"{error.format_message()} (see: {command} --help)"
        raise UsageError(message) from error
