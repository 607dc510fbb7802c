"""The index on disk: SQLite through apsw; one module for each concern."""
