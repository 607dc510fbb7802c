"""Pages about the index for a browser, on a port of this machine: a process that only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from indexer.errors import ExtraMissing

if TYPE_CHECKING:
    from indexer.serving.guards import Login
    from indexer.serving.server import Served
    from indexer.settings import Settings


@contextmanager
def opened(settings: Settings, host: str, port: int, login: Login | None) -> Iterator[Served]:
    """The pages of the index in the settings, with the port opened; 0: any that is free.

    SIGINT and SIGTERM wait until `serve` sees them. Raises UsageError where it would be open to
    others, CannotDo without the extra `web` (ExtraMissing) or where the port fails.
    """
    from indexer.process import share_heap  # late, all: a page's module needs none of it
    from indexer.serving.guards import Guard, check_host
    from indexer.serving.server import serving

    check_host(host, login, "read the index", "INDEXER_WEB_USER and INDEXER_WEB_PASSWORD")
    try:
        from indexer.web.app import app_of
    except ImportError as error:
        if error.name is None or error.name.startswith("indexer"):
            raise
        raise ExtraMissing("the page", error.name, "web") from error
    from indexer.web.site import Site

    share_heap()
    site = Site(settings)
    try:
        with serving(app_of(site, Guard(login, settings.web_hosts)), host, port) as served:
            yield served
    finally:
        site.close()
