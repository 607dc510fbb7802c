"""What runs the stages: this process and its pool of readers."""
