"""The stages on RQ queues: a module for the jobs of each stage, and what dispatches them."""
