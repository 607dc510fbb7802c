"""Text -> the same text in bold, dim or in colour, where a terminal shows that.

A style helps the eye and says nothing that the words do not. It is written as the sequences of
ECMA-48 (8.3.117, SGR), which no escaped text has; only `Output` knows whether they are shown.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
_SEQUENCE: Final = r"\x1b\[[0-9]*m"


def styled(text: str, style: str) -> str:
    """The text in a style; it must not have one already."""
    return f"\x1b[{style}m{text}\x1b[0m" if text else text


def unstyled(text: str) -> str:
    """The text as it is without styles."""
    return re.sub(_SEQUENCE, "", text) if "\x1b" in text else text


def shows_styles(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows styles, and its user wants them (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()
