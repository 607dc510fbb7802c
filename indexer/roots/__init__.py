"""The roots of an index: found, added, and opened with the disks that were accepted."""
