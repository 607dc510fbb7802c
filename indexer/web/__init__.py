"""Pages about the index for a browser: a process of its own that only reads."""
