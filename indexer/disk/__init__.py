"""What the kernel reports of disks, folders and files, each opened by name in an open folder."""
