"""A unit of deploy/ -> its command under the restrictions that the unit asks systemd for.

systemd itself does not run here. What it would do before it starts the program is done by the same
means of the kernel: a mount namespace, capabilities and seccomp filters. Not done: limits of
control groups (`MemoryMax=`, `DevicePolicy=`, `IPAddressDeny=`) and `PrivateUsers=`.

`python -m tests.confined UNIT MUSIC STATE USER-ID WORD...` as root. MUSIC is seen as /srv/music,
and STATE as /var/lib/music-indexer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

Unit = dict[str, list[str]]

MUSIC: Final = "/srv/music"
STATE: Final = "/var/lib/music-indexer"
LIBSECCOMP: Final = "libseccomp.so.2"
_MODULE: Final = "tests.confined"
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_GREATER, _EQUAL, _MASKED_EQUAL = 6, 4, 7
"""Comparisons of seccomp_rule_add(3)."""
_WRITE, _EXEC = 2, 4
"""PROT_* of mmap(2)."""
_SHM_EXEC: Final = 0o100000
_NAMESPACES: Final = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEW* of clone(2)."""
_LAST_FAMILY: Final = 45
_SETS_ID: Final = (stat.S_ISUID, stat.S_ISGID)
_FREE_SCHEDULERS: Final = (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE)


def parsed(unit: Path) -> Unit:
    """Key -> its values, from top to bottom."""
    found: Unit = defaultdict(list)
    for line in unit.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


def command(unit: Path, music: Path, state: Path, user: int, *words: str) -> list[str]:
    """The command line that runs these words as the unit would run its program."""
    own = [sys.executable, "-P", "-m", _MODULE, str(unit), str(music), str(state), str(user)]
    namespaces = ["--mount", "--ipc"]
    if parsed(unit)["PrivateNetwork"] == ["true"]:
        namespaces.append("--net")
    return ["unshare", *namespaces, "--propagation", "private", *own, *words]


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def mount_all(settings: Unit, music: str, state: str) -> None:
    """Make everything read-only but STATE, as ProtectSystem=strict and its kin do."""
    assert settings["ProtectSystem"] == ["strict"]
    for outside, inside, option in ((music, MUSIC, "ro"), (state, STATE, "rw")):
        above = os.path.dirname(inside)
        keep = os.open(outside, os.O_PATH)
        mount("-t", "tmpfs", "tmpfs", above)
        os.mkdir(inside)
        mount("--bind", f"/proc/{os.getpid()}/fd/{keep}", inside)
        mount("-o", f"remount,bind,{option}", inside)
    for home in homes() if settings["ProtectHome"] == ["true"] else ():
        mount("-t", "tmpfs", "-o", "ro,mode=0", "tmpfs", home)
    if settings["ProtectProc"] == ["invisible"]:
        mount("-t", "proc", "-o", "hidepid=2", "proc", "/proc")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4].encode().decode("unicode_escape")
        if place != STATE and not place.startswith(("/dev", "/proc")) and os.access(place, os.F_OK):
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=False)
    for tunables in filter(os.path.exists, ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq")):
        mount("--bind", tunables, tunables)
        mount("-o", "remount,bind,ro", tunables)
    if settings["PrivateTmp"] == ["true"]:
        for place in ("/tmp", "/var/tmp"):
            mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", place)


def homes() -> list[str]:
    """What ProtectHome=true hides, unless this checkout or its environment is in it."""
    ours = (__file__, sys.prefix)
    all_homes = filter(os.path.isdir, ("/home", "/root", "/run/user"))
    return [home for home in all_homes if not any(one.startswith(home) for one in ours)]


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint), ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64), ("second", ctypes.c_uint64),
    )  # fmt: skip


class Filter:
    """One filter of system calls, by libseccomp."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL(LIBSECCOMP)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action: int, name: str, *compared: tuple[int, int, int, int]) -> None:
        """Take this action where all arguments compare so: (argument, operator, values)."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # of another machine
            return
        array = (_Comparison * len(compared))(*(_Comparison(*one) for one in compared))
        code = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(compared), array
        )
        assert code == 0, (name, compared, code)

    def load(self) -> None:
        code = self._library.seccomp_load(self._context)
        assert code == 0, code


def calls_of(group: str) -> Iterator[str]:
    """The system calls of a set, as systemd.exec(5) has them: the tool tells what is in each."""
    tool = shutil.which("systemd-analyze")
    assert tool is not None
    told = subprocess.run(
        [tool, "syscall-filter", "--no-pager", group], capture_output=True, text=True, check=True
    ).stdout
    for line in told.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            yield from calls_of(name)
        elif name and not name.startswith("#"):
            yield name


def restrict(settings: Unit) -> Filter:
    """What is refused by its arguments: each switch of the unit that asks for it must be on."""
    switches = (
        "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
        "LockPersonality", "NoNewPrivileges",
    )  # fmt: skip
    assert all(settings[switch] == ["true"] for switch in switches), settings
    refused = Filter(_ALLOW)
    denied = _ERRNO | errno.EPERM
    both = _WRITE | _EXEC
    refused.add(denied, "mmap", (2, _MASKED_EQUAL, both, both))
    for name in ("mprotect", "pkey_mprotect"):
        refused.add(denied, name, (2, _MASKED_EQUAL, _EXEC, _EXEC))
    refused.add(denied, "shmat", (2, _MASKED_EQUAL, _SHM_EXEC, _SHM_EXEC))
    for flag in _NAMESPACES:
        for name in ("unshare", "clone"):
            refused.add(denied, name, (0, _MASKED_EQUAL, flag, flag))
    refused.add(denied, "setns")
    refused.add(_ERRNO | errno.ENOSYS, "clone3")
    for policy in set(range(7)) - set(_FREE_SCHEDULERS):
        refused.add(denied, "sched_setscheduler", (1, _EQUAL, policy, 0))
    for bit in _SETS_ID:
        for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdirat", 2)):
            refused.add(denied, name, (argument, _MASKED_EQUAL, bit, bit))
        create = (2, _MASKED_EQUAL, os.O_CREAT, os.O_CREAT)
        refused.add(denied, "openat", create, (3, _MASKED_EQUAL, bit, bit))
    refused.add(denied, "personality", (0, _GREATER, 0, 0))
    families = {getattr(socket, one) for one in settings["RestrictAddressFamilies"][0].split()}
    unknown = _ERRNO | errno.EAFNOSUPPORT
    for family in set(range(_LAST_FAMILY + 1)) - families:
        refused.add(unknown, "socket", (0, _EQUAL, family, 0))
    refused.add(unknown, "socket", (0, _GREATER, _LAST_FAMILY, 0))
    return refused


def allow(settings: Unit) -> Filter:
    assert settings["SystemCallErrorNumber"] == ["EPERM"]
    allowed = Filter(_ERRNO | errno.EPERM)
    for group in settings["SystemCallFilter"]:
        for name in set(calls_of(group)):
            allowed.add(_ALLOW, name)
    return allowed


def main(words: Sequence[str]) -> None:
    unit, music, state, user, *rest = words
    settings = parsed(Path(unit))
    capabilities = " ".join(settings["AmbientCapabilities"]).lower().removeprefix("cap_")
    if music:
        mount_all(settings, music, state)
        held = f"-all,+{capabilities}" if capabilities else "-all"
        again = [sys.executable, "-P", "-m", _MODULE, unit, "", "", user, *rest]
        os.execvp("setpriv", [
            "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
            f"--inh-caps={held}", f"--ambient-caps={held}", f"--bounding-set={held}", *again,
        ])  # fmt: skip
    os.umask(int(settings["UMask"][0], 8))
    filters = restrict(settings), allow(settings)
    for one in filters:
        one.load()
    os.execvp(rest[0], rest)


if __name__ == "__main__":
    main(sys.argv[1:])
