"""The index -> answers about it: its state, its past, its numbers, what stands in it twice."""
