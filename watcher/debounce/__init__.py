"""Events -> hints, each held until its files are complete."""
