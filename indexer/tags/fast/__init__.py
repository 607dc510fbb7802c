"""Our own readers of regular files, without mutagen, in bounded time and memory."""
