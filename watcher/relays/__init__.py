"""The daemon beside a disk -> hints for an index on another machine."""
