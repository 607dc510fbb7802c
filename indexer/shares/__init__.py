"""Folders for which a server has to answer: only a helper process looks at them, and may hang."""
