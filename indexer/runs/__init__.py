"""What all ways of running a scan share: its counts, its end, the dispatch lock, the wake-up."""
