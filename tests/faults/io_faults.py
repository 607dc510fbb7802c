"""A folder of music -> reads in it that fail or take long, by order of a file (LD_PRELOAD).

And inode numbers in it that fill 64 bits, as mergerfs, GlusterFS and cifs make them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Final

_SHIM: Final = dedent(r"""
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/sysmacros.h>
    #include <sys/uio.h>
    #include <unistd.h>

    static ssize_t (*next_read)(int, void *, size_t);

    static ssize_t real_read(int file, char *word) {
        if (next_read == NULL) next_read = dlsym(RTLD_NEXT, "read");
        return next_read(file, word, 1);
    }

    static int refuses(int fd) {
        const char *order = getenv("TROUBLE_ORDER"), *below = getenv("TROUBLE_BELOW");
        char link[64], path[4096];
        int kept = errno, file;
        char word = 0;
        if (order == NULL || below == NULL || access(order, F_OK) != 0) { errno = kept; return 0; }
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, sizeof path - 1);
        if (size <= 0) { errno = kept; return 0; }
        path[size] = 0;
        if (strncmp(path, below, strlen(below)) != 0) { errno = kept; return 0; }
        file = open(order, O_RDWR | O_APPEND | O_CLOEXEC);
        if (file < 0) { errno = kept; return 0; }
        if (lseek(file, 0, SEEK_SET) == 0 && real_read(file, &word) == 1
                && write(file, ".", 1) == 1 && word == 's')
            usleep(300000);
        close(file);
        errno = kept;
        return word == 'e';
    }

    ssize_t read(int fd, void *buffer, size_t size) {
        if (next_read == NULL) next_read = dlsym(RTLD_NEXT, "read");
        if (refuses(fd)) { errno = EIO; return -1; }
        return next_read(fd, buffer, size);
    }

    ssize_t pread64(int fd, void *buffer, size_t size, off64_t at) {
        static ssize_t (*real)(int, void *, size_t, off64_t);
        if (real == NULL) real = dlsym(RTLD_NEXT, "pread64");
        if (refuses(fd)) { errno = EIO; return -1; }
        return real(fd, buffer, size, at);
    }

    ssize_t pread(int fd, void *buffer, size_t size, off_t at) {
        return pread64(fd, buffer, size, at);
    }

    ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t at) {
        static ssize_t (*real)(int, const struct iovec *, int, off64_t);
        if (real == NULL) real = dlsym(RTLD_NEXT, "preadv64");
        if (refuses(fd)) { errno = EIO; return -1; }
        return real(fd, parts, count, at);
    }

    ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) {
        return preadv64(fd, parts, count, at);
    }

    static void raise_inode(struct stat64 *found) {
        const char *device = getenv("TROUBLE_INODES");
        if (device != NULL && S_ISREG(found->st_mode)
                && found->st_dev == strtoull(device, NULL, 10))
            found->st_ino |= 1ULL << 63;
    }

    int fstatat64(int fd, const char *path, struct stat64 *found, int flags) {
        static int (*real)(int, const char *, struct stat64 *, int);
        if (real == NULL) real = dlsym(RTLD_NEXT, "fstatat64");
        int result = real(fd, path, found, flags);
        if (result == 0) raise_inode(found);
        return result;
    }

    int fstat64(int fd, struct stat64 *found) {
        static int (*real)(int, struct stat64 *);
        if (real == NULL) real = dlsym(RTLD_NEXT, "fstat64");
        int result = real(fd, found);
        if (result == 0) raise_inode(found);
        return result;
    }

    int statx(int fd, const char *path, int flags, unsigned mask, struct statx *found) {
        static int (*real)(int, const char *, int, unsigned, struct statx *);
        const char *device = getenv("TROUBLE_INODES");
        if (real == NULL) real = dlsym(RTLD_NEXT, "statx");
        int result = real(fd, path, flags, mask, found);
        if (result == 0 && device != NULL && S_ISREG(found->stx_mode)
                && makedev(found->stx_dev_major, found->stx_dev_minor)
                    == strtoull(device, NULL, 10))
            found->stx_ino |= 1ULL << 63;
        return result;
    }

    int stat64(const char *path, struct stat64 *found) {
        return fstatat64(AT_FDCWD, path, found, 0);
    }

    int lstat64(const char *path, struct stat64 *found) {
        return fstatat64(AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW);
    }
""")


class Trouble:
    """The order that a shim in our programs obeys; without a compiler there is none."""

    def __init__(self, order: Path, environment: Mapping[str, str]) -> None:
        self._order = order
        self.environment = environment
        """To start our programs with."""

    @classmethod
    def make(cls, base: Path, below: Path, *, odd_inodes: bool = False) -> Trouble:
        """Build the shim, for reads of what lies below a folder.

        With `odd_inodes` all files of its disk have the highest bit set in their inode numbers.
        """
        order, library = base / "order", base / "trouble.so"
        compiler = shutil.which("cc")
        if compiler is None:
            return cls(order, {})
        source = base / "trouble.c"
        source.write_text(_SHIM)
        command: list[str | Path] = [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            library,
            source,
            "-ldl",
        ]
        subprocess.run(command, check=True, capture_output=True)
        return cls(
            order,
            {
                "LD_PRELOAD": os.fspath(library),
                "TROUBLE_ORDER": os.fspath(order),
                "TROUBLE_BELOW": os.fspath(below),
                **({"TROUBLE_INODES": str(below.stat().st_dev)} if odd_inodes else {}),
            },
        )

    def begin(self, kind: str) -> None:
        """`eio`: no read succeeds. `slow`: each takes 0.3 s."""
        aside = self._order.with_suffix(".new")
        aside.write_text(kind[0])
        aside.rename(self._order)

    def end(self) -> int:
        """Reads are as they were; how many were not."""
        met = self.met
        self._order.unlink()
        return met

    @property
    def met(self) -> int:
        """How many reads were in trouble."""
        return len(self._order.read_text()) - 1
