"""Search: text -> a question -> tracks, albums or artists, through a full-text index."""
