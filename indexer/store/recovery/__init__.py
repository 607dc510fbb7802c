"""A damaged index, or a copy -> what is wrong with it, and a sound one with the same ids."""
