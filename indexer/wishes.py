"""Settings -> what they want of a root."""

from __future__ import annotations

from indexer.settings import Settings, check_suffixes
from indexer.tags import SUFFIXES
from indexer.wanted import Wanted


def wanted_by(settings: Settings) -> Wanted:
    """What these settings want of a root. Raises SettingsError for a suffix that nobody reads."""
    return Wanted(
        check_suffixes(settings, SUFFIXES),
        settings.ignored_names,
        hidden=settings.hidden,
        follow_links=settings.follow_links,
    )
