"""What runs the stages: this process and its pool of readers, or (`queued`) workers on RQ."""
