"""MP4: boxes -> a track."""
