"""Runs the stages: in this process with a pool of readers, or by workers on RQ."""
