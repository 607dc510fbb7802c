"""The daemon: what the kernel tells of a change -> a hint for the index."""
