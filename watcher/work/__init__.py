"""What the daemon does with hints, and with time in which there are none."""
