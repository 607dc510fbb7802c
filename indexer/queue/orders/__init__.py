"""Orders from stage to stage -> jobs in the queues of Redis, and back."""
