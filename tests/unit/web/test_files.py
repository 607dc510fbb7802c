"""The files that pages send."""

from __future__ import annotations

import pytest

from indexer.tags import SUFFIXES
from indexer.web.files import media_type


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_audio_file_of_each_suffix_has_a_media_type(suffix: bytes) -> None:
    assert media_type(b"Bj\xf6rk/a" + suffix.upper()).startswith("audio/")
