"""Matroska and WebM: elements of EBML -> a track."""
