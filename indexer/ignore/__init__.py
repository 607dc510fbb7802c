"""Which files of a root are wanted: names, settings, and ignore files in the syntax of git."""
