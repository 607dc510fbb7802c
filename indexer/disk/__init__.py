"""What the kernel tells of disks, folders and files, each looked at by name in an open folder."""
