"""The daemon: a change that the kernel reports -> a hint for the index."""
