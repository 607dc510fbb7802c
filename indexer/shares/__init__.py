"""Folders for which a server has to answer: only a helper process accesses them, and may hang."""
