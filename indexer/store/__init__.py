"""The index on disk: SQLite through apsw, one file a concern."""
