"""Shell completion: the possible next words of a command line, and the script for the shell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import click

from indexer.cli.arguments import examples, invoke, json_option
from indexer.cli.session import Session

SHELLS: Final = ("bash", "zsh", "fish")


def run(group: click.Group, program: str, words: Sequence[str], session: Session) -> int:
    """Run one command line, or print its completions if the shell asks for them.

    The script asks by an environment variable; click's own `main` would handle it, but is not used.
    """
    question = os.environ.get(_variable(program))
    if question is None:
        return invoke(group, program, words, session)
    from click.shell_completion import shell_complete  # late: only for a shell's question

    from indexer.cli import shells

    shells.register()
    try:
        return shell_complete(group, {"obj": session}, program, _variable(program), question)
    except click.UsageError:  # the words so far are wrong: no completions
        return 1


def completion_of(program: str) -> click.Command:
    """The command that prints a program's completion script."""

    @click.command(
        "completion",
        epilog=examples(
            f"{program} completion bash > ~/.local/share/bash-completion/completions/{program}",
            f"{program} completion fish > ~/.config/fish/completions/{program}.fish",
        ),
    )
    @click.argument("shell", type=click.Choice(SHELLS), required=False, metavar="[bash|zsh|fish]")
    @json_option
    @click.pass_context
    def completion(context: click.Context, shell: str | None) -> int:
        from click.shell_completion import get_completion_class  # late: only for this command

        from indexer.cli import shells

        shells.register()
        name = shell or os.path.basename(os.environ.get("SHELL", ""))
        kind = get_completion_class(name) if name in SHELLS else None
        if kind is None:
            raise click.UsageError("name the shell: bash, zsh or fish", context)
        group = context.find_root().command
        script = kind(group, {}, program, _variable(program)).source()
        session: Session = context.obj
        session.answer({"shell": name, "script": script}, script.splitlines())
        return 0

    completion.help = (
        f"Print the script for shell completion of {program}.\n\n"
        f"Without a name, that of your shell ($SHELL). For zsh: save it as _{program} in a folder "
        "of $fpath."
    )
    return completion


def _variable(program: str) -> str:
    return f"_{program.upper()}_COMPLETE"


completion = completion_of("indexer")
