"""The completion scripts of bash and fish, where click's lose a part of a value.

Click's for bash splits a value with spaces and lets the shell expand a `*` in it; its script for
fish cuts a value, or its description, at a comma. Names of roots hold all of these.
"""

from __future__ import annotations

import os
import re
from typing import ClassVar, Final

from click import shell_completion
from click.shell_completion import CompletionItem

_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local line type value

    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ $type == 'dir' ]]; then
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
        fi
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_FISH: Final = """\
function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) %(prog_name)s)

    for completion in $response
        set -l found (string split --max 1 "," -- $completion)

        if test $found[1] = "dir"
            __fish_complete_directories $found[2]
        else if test $found[1] = "file"
            __fish_complete_path $found[2]
        else if test $found[1] = "plain"
            echo $found[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

_SPECIAL: Final = re.compile(r"[^\w@%+=:,./-]")
_SPECIAL_IN_DOUBLE: Final = re.compile(r"[\\\"$`]")


class Bash(shell_completion.BashComplete):
    """Values are written as bash reads them: it inserts them as they are."""

    source_template: ClassVar[str] = _BASH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """`TYPE,VALUE`; what bash would split or expand in a word has a backslash."""
        if item.type == "plain":
            return "plain," + _quoted(item.value, _opening_quote())
        return f"{item.type},{item.value}"


def _opening_quote() -> str:
    """With which the word begins that is completed; empty if with none."""
    words = os.environ["COMP_WORDS"].split("\n")
    word = "".join(words[int(os.environ["COMP_CWORD"]) :][:1])
    return word[:1] if word[:1] in {"'", '"'} else ""


def _quoted(value: str, quote: str) -> str:
    """A value as it stands behind this quote, which bash closes."""
    if quote == "'":
        return value.replace("'", r"'\''")
    special = _SPECIAL_IN_DOUBLE if quote else _SPECIAL
    return special.sub(r"\\\g<0>", value)


class Fish(shell_completion.FishComplete):
    """All that follows the first comma is the value, and its description."""

    source_template: ClassVar[str] = _FISH


def register() -> None:
    """Put these scripts in place of click's."""
    shell_completion.add_completion_class(Bash)
    shell_completion.add_completion_class(Fish)
