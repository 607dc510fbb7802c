"""Processes that read files, and may die or hang without harm to the rest."""
