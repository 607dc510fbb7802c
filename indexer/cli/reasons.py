"""The reason of a problem, as the index keeps it -> plain words, and problems in groups of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from indexer.cli.styles import BOLD, DIM, styled
from indexer.cli.terminal import escaped, number, path_text

if TYPE_CHECKING:
    from indexer.report import ProblemRow

_TECHNICAL: Final = r"(?s) \[.*\]$"
"""What a reader said, which `indexer.stages.extract` puts after the plain words."""
_CODE: Final = r"\((E[A-Z0-9]+)\)"
_OF_CODES: Final = {
    "EACCES": "you may not read it: chmod o+r (a folder: o+rx)",
    "EPERM": "you may not read it: chmod o+r (a folder: o+rx)",
    "EIO": "the disk could not be read: it or its cable may be failing, look at dmesg",
    "ESTALE": "its server replaced the share: mount it again",
    "ENODEV": "its disk was unplugged: plug it in, and mount it again",
    "ENXIO": "its disk was unplugged: plug it in, and mount it again",
    "ETIMEDOUT": "its file server does not answer: see whether it is up",
    "ENOMEM": "too little memory: give this machine more, or the indexer fewer workers",
    "EMFILE": "too many open files: raise the limit, ulimit -n",
    "ENFILE": "too many open files: raise the system's limit, sysctl fs.file-max",
    "ENAMETOOLONG": "its name is too long: give it or its folders shorter ones",
    "ELOOP": "its link leads round in circles",
}
_DIFFERS: Final = r"(?s)((?:damaged or )?cut short): (.*)"
"""Words of a group, and what differs from file to file."""


def plain(reason: str) -> str:
    """The reason without what only a programmer understands."""
    code = re.search(_CODE, reason)
    if code is not None and code[1] in _OF_CODES:
        return _OF_CODES[code[1]]
    return re.sub(_TECHNICAL, "", reason)


def technical_line(row: ProblemRow) -> str:
    """File or folder, kind of problem, and the whole reason."""
    return f"{_place(row)}  {row.kind}  {escaped(row.reason)}"


def grouped_lines(rows: Iterable[ProblemRow]) -> Iterator[str]:
    """The problems by their reason, the most frequent first, each below it."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        words = plain(row.reason)
        differs = re.fullmatch(_DIFFERS, words)
        heading, detail = (
            (differs[1], "  " + styled(escaped(differs[2]), DIM)) if differs else (words, "")
        )
        groups.setdefault(heading, []).append(f"  {_place(row)}{detail}")
    for heading, lines in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        yield f"{number(len(lines))}  {styled(escaped(heading), BOLD)}"
        yield from lines


def _place(row: ProblemRow) -> str:
    return f"{escaped(row.root)}/{path_text(row.path, row.path_b64)}"
