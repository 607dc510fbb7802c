"""The processes that serve the queues, and what each keeps open."""
