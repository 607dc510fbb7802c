"""A folder of music -> a searchable SQLite index that stays equal to the disk."""
