"""Watches on folders -> events, merged, in the terms of the daemon."""
