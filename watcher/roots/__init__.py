"""Roots as the daemon knows them: states, access, and when each is looked at again."""
