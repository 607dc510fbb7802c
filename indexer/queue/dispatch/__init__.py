"""Pending rows -> jobs in the queues, until they are complete."""
