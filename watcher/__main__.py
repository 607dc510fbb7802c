"""`watcher`, and `python -m watcher`."""

import sys

from indexer.starting import Starting

with Starting():
    from watcher.cli import main

if __name__ == "__main__":
    sys.exit(main())
