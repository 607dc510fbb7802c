"""FLAC and Ogg: Vorbis comments and stream info -> tracks."""
