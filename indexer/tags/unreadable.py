"""The exceptions that mutagen is known to raise for bad bytes."""

from __future__ import annotations

import struct

from mutagen import MutagenError

UNREADABLE = (
    MutagenError,
    OSError,  # mutagen's own, without an errno: a tag that is longer than the file
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,  # RecursionError and NotImplementedError too
    TypeError,
    ValueError,  # UnicodeError too
)
