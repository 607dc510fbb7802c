"""What stands in the queues -> numbers, lists of failed jobs, and pages."""
