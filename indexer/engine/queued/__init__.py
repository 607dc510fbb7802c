"""What runs the stages on RQ queues: workers on any machine, and the owner of the index."""
