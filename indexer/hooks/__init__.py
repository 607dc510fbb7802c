"""Changes of the index -> other programs: commands and web hooks, at least once and in order."""
