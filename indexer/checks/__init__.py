"""Index and disk, or whole files -> what is not as it should be."""
