"""Words of a command line -> paths, texts and choices, the same in every locale."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from indexer.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Completed = CompletionItem[str]


_WHOLE: Final = {"-h": "--help", "-0": "--print0"}
_LETTER: Final = "-[A-Za-z]"
_SHORT_OF: Final = {whole: short for short, whole in _WHOLE.items()}
HELP: Final = {"help_option_names": ["-h", "--help"]}
"""Context settings of a whole program."""
queue_option = click.option(
    "--queue",
    is_flag=True,
    help="Let workers do it, through the queues in Redis (indexer worker).",
)
_SORT_KEYS: Final = (
    "relevance", "artist", "album", "year", "title", "added", "path", "duration"
)  # fmt: skip
_SPANS: Final = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_MOST: Final = 10**9
_AGO: Final = r"([0-9]{1,6}) ?(s|min|m|h|d|w)"
_MONTH: Final = r"[0-9]{4}-[0-9]{2}"
EXAMPLES: Final = "2h, 7d, 2w, today, yesterday, 2026-11-01 or '2026-11-01 18:30'"


def path_argument(word: str) -> bytes:
    """The bytes as typed, UTF-8 or not."""
    if not word:
        raise click.BadParameter("the path is empty")
    return os.fsencode(word)


def file_argument(word: str) -> Path:
    """A file of this program, not of the music."""
    file = Path(os.fsdecode(path_argument(word)))
    if not file.absolute().name:
        raise click.BadParameter(f"{word} names no file")
    return file


def files(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Completed]:
    """Let the shell complete the word to a file."""
    from click.shell_completion import CompletionItem  # late: only for a shell's question

    return [CompletionItem(word, type="file")]


def folders(_context: click.Context, _parameter: click.Parameter, word: str) -> list[Completed]:
    """Let the shell complete the word to a folder."""
    from click.shell_completion import CompletionItem  # late: only for a shell's question

    return [CompletionItem(word, type="dir")]


def one_of(
    *words: str,
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Let the shell complete the word to one of these."""

    def completed(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
        return [one for one in words if one.startswith(word)]

    return completed


def at_least(least: int) -> Callable[[str], int]:
    """A whole number. Unlike that of `click.IntRange`, its help needs no formula.

    One beyond all that is ever counted is the largest that is: SQLite and clocks have an end.
    """

    def number(word: str | int) -> int:
        try:
            value = int(word)
        except ValueError:
            value = least - 1
        if value < least:
            raise click.BadParameter(f"{word!r} is not a whole number of {least} or more")
        return min(value, _MOST)

    return number


def limit_option(default: int | None) -> Callable[[Any], Any]:
    """`--limit N`, with 0 for all; `default` None: all."""
    return click.option(
        "--limit",
        type=at_least(0),
        default=default or 0,
        show_default="all" if default is None else True,
        metavar="N",
        help="Maximum number of results; 0: all.",
    )


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


class LateCommands(MutableMapping[str, click.Command]):
    """The commands of a group by name, in order; a module is imported when its command is asked."""

    def __init__(self) -> None:
        self._found: dict[str, click.Command | str] = {}

    def add_late(self, name: str, module: str) -> None:
        """Add the command that the module has under this name."""
        self._found[name] = module

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if isinstance(found, str):
            found = self._found[name] = cast(
                "click.Command", getattr(import_module(found), name.replace("-", "_"))
            )
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class MostUsed(InOrder):
    """The group of a whole program: its help fits a screen of 24 lines and 80 columns.

    It describes the usual commands, and names the others and the options.
    """

    rare: Collection[str] = ()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for each usual command, one for the others, one for the options."""
        usual = [name for name in self.commands if name not in self.rare]  # loads no other
        lines = [(name, self.commands[name].get_short_help_str(limit=80)) for name in usual]
        with formatter.section("Commands"):
            formatter.write_dl(lines)
            if self.rare:
                others = " ".join(name for name in self.commands if name in self.rare)
                formatter.write_text(f"and: {others}")
        options = [
            f"{parameter.opts[-1]} {parameter.metavar or ''}".rstrip()
            for parameter in self.get_params(ctx)
        ]
        formatter.write_text(f"Before the command: {', '.join(options)}.")


class Asking(click.Command):
    """A search command, whose words may begin with a `-` to exclude them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept `-word` as a word, but still refuse an unknown `--option` or `-o`.

        Short options are whole words here: `-house` excludes a word, and is not `-h`. A single
        letter is excluded after `--` only: `export -o FILE` would find nothing, and not say why.
        """
        ctx.help_option_names = ["--help"]
        end = args.index("--") if "--" in args else len(args)
        args = [_WHOLE.get(word, word) for word in args[:end]] + args[end:]
        known = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        for word in takewhile(lambda word: word != "--", args):
            name = word.partition("=")[0]
            if (name.startswith("--") or re.fullmatch(_LETTER, name)) and name not in known:
                from difflib import get_close_matches  # late: only for errors

                near = get_close_matches(name, known)
                raise click.NoSuchOption(name, possibilities=near, ctx=ctx)
        ctx.ignore_unknown_options = True
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As other commands list them: also the short options that are whole words here."""
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        records = [option.get_help_record(ctx) for option in options]
        with formatter.section("Options"):
            formatter.write_dl(
                [
                    (f"{_SHORT_OF[names]}, {names}" if names in _SHORT_OF else names, text)
                    for names, text in filter(None, records)
                ]
            )


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

workers_option = click.option(
    "--workers",
    type=at_least(1),
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
        shell_complete=one_of(*_SORT_KEYS),
        metavar="KEY",
        help=f"{', '.join(_SORT_KEYS[:-1])} or {_SORT_KEYS[-1]}; -KEY: reversed.",
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
        command = error.ctx.command_path if error.ctx else _command_in(group, program, words)
        message = f"{error.format_message().removesuffix('.')} (see: {command} --help)"
        raise UsageError(message) from error


def _command_in(group: click.Group, program: str, words: Sequence[str]) -> str:
    """The command that these words name; click's parser does not tell which one it read."""
    command: click.Command = group
    for word in words:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
            program = f"{program} {word}"
    return program


def moment(text: str, now: datetime) -> datetime:
    """The time that a text means, as seen at `now` (a local time with its zone).

    A span is one before `now`, a day begins at midnight of the local time, and a time without a
    zone is local. Raises ValueError for anything else.
    """
    word = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("now", "today"):
        return now if word == "now" else midnight
    if word == "yesterday":
        return _in_local_time(midnight.replace(tzinfo=None) - timedelta(days=1))
    if ago := re.fullmatch(_AGO, word):
        return now - int(ago[1]) * _SPANS[ago[2]]
    if re.fullmatch(_MONTH, word):
        word += "-01"
    if word.isdigit():  # Python reads 20261101 as a date; here a number is none
        raise ValueError(text)
    return _in_local_time(datetime.fromisoformat(word.upper()))


def _in_local_time(time: datetime) -> datetime:
    """With the zone that this machine has at that time."""
    return time.astimezone()


def moment_argument(word: str) -> datetime:
    """A moment on the command line."""
    try:
        return moment(word, datetime.now().astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{word!r} is no time; try {EXAMPLES}") from None


def since_argument(word: str) -> int | datetime:
    """A moment, or the number of a change."""
    if word.isascii() and word.isdigit() and len(word) < 19:
        return int(word)
    try:
        return moment(word, datetime.now().astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{word!r} is neither the number of a change nor a time; try {EXAMPLES}"
        ) from None
