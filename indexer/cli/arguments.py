"""Turn the words of a command line into paths, texts and choices, the same in every locale."""

from __future__ import annotations

import os
from pathlib import Path

import click


def path_argument(word: str) -> bytes:
    """The bytes that were typed, whether they are UTF-8 or not."""
    if not word:
        raise click.BadParameter("an empty path names nothing")
    return os.fsencode(word)


def file_argument(word: str) -> Path:
    """A file of ours, rather than one of the music."""
    return Path(os.fsdecode(path_argument(word)))


def text_argument(word: str) -> str:
    """UTF-8 whatever the locale says: under LC_ALL=C Python hands its bytes on one by one."""
    return os.fsencode(word).decode("utf-8", "replace")


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


class InOrder(click.Group):
    """Its help lists the commands as the source does: those of every day first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of their definition, not of the alphabet."""
        del ctx
        return list(self.commands)


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
"""`--json` after any command sets it for the session, so that no command has to ask."""

version_option = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show the versions of all that takes part.",
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that read files.  [default: all cores]",
)
