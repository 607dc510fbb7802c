"""`indexer completion`: print the script for shell completion."""

from __future__ import annotations

from indexer.cli.completion import completion_of

completion = completion_of("indexer")
