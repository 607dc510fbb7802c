"""What is raised where the sound of a file is not found."""

from __future__ import annotations


class UnknownSound(Exception):
    """The file has no essence: its sound is not where its format has it, or is empty."""
