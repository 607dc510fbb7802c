"""Settings -> what they want of a root."""

from __future__ import annotations

from indexer.ignore.path_filter import PathFilter
from indexer.settings import Settings, check_suffixes
from indexer.tags import SUFFIXES


def path_filter_of(settings: Settings) -> PathFilter:
    """What these settings want of a root. Raises SettingsError for a suffix that nobody reads."""
    return PathFilter(
        check_suffixes(settings, SUFFIXES),
        settings.ignored_names,
        hidden=settings.hidden,
        follow_links=settings.follow_links,
    )
