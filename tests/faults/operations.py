"""A drawn number -> one change of a library, as people and programs make it.

Each takes the world and dice of its own, so that a step does the same thing wherever the list of
steps is cut; None says that there was nothing to do it to.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import time
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from tests import corpus
from tests.faults.world import NUMBERS, World, Writing

Done = str | None
BURST: Final = 300
FAR_FUTURE_NS: Final = 4_000_000_000 * 10**9


class Operation(NamedTuple):
    """One kind of change."""

    change: Callable[[World, Random], Done]
    weight: int
    certain: bool
    """Whether each file that it touches can only be the same one afterwards (rule R7)."""
    extra: int
    """How many stamps it may show in between, beside those that are left."""
    retags: bool
    """Whether the files that it moves are written in place, too."""


OPERATIONS: dict[str, Operation] = {}

Change = Callable[[World, Random], Done]


def operation(
    weight: int = 3, *, certain: bool = False, extra: int = 0, retags: bool = False
) -> Callable[[Change], Change]:
    """Put a change on the list, under its name."""

    def put(change: Change) -> Change:
        OPERATIONS[change.__name__] = Operation(change, weight, certain, extra, retags)
        return change

    return put


def perform(world: World, name: str, seed: int) -> Done:
    """Make one change; a full disk or a name that is in the way are part of the game."""
    one = OPERATIONS[name]
    before = world.look()
    done: Done = None
    try:
        done = one.change(world, Random(seed))
    except OSError as error:
        if error.errno not in _EXPECTED:
            raise
        done = f"{errno.errorcode[error.errno or 0]}"
        world.counts[f"refused: {done}"] += 1
    extra = one.extra if done else 0
    world.took_place(before, certain=one.certain, extra=extra, retags=one.retags)
    if done is not None:
        world.counts[name] += 1
    return done


_EXPECTED: Final = (errno.ENOSPC, errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOTEMPTY)


def _write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def overwrite(path: bytes, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def _pieces(dice: Random, content: bytes) -> list[bytes]:
    cuts = sorted(dice.randrange(len(content) + 1) for _ in range(dice.randint(2, 4)))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def have_equals(world: World, path: bytes) -> None:
    """There are several files like this one, or may be: nothing tells copies of them apart."""
    world.equal_sizes.add(os.stat(world.path(path)).st_size)


def is_free(world: World, path: bytes) -> bool:
    return not os.path.lexists(world.path(path))


# ---- files that come


@operation(4, certain=True)
def create_at_once(world: World, dice: Random) -> Done:
    path = world.a_new_path(dice)
    _write(world.path(path), world.a_song(dice, path))
    return repr(path)


@operation(4, certain=True, extra=5)
def create_slowly(world: World, dice: Random) -> Done:
    path = world.a_new_path(dice)
    with open(world.path(path), "wb", buffering=0) as file:
        for piece in _pieces(dice, world.a_song(dice, path)):
            file.write(piece)
            time.sleep(dice.choice([0.001, 0.01, 0.08]))
    return repr(path)


@operation(3, certain=True, extra=1)
def create_in_many_turns(world: World, dice: Random) -> Done:
    """As over a slow network: closed after each piece."""
    path = world.a_new_path(dice)
    world.stamps += 5
    for piece in _pieces(dice, world.a_song(dice, path)):
        with open(world.path(path), "ab") as file:
            file.write(piece)
        time.sleep(dice.choice([0.0, 0.01, 0.1]))
    return repr(path)


@operation(3, certain=True)
def create_by_rename(world: World, dice: Random) -> Done:
    path = world.a_new_path(dice)
    hidden = world.path(os.path.join(os.path.dirname(path), b".part"))
    _write(hidden, world.a_song(dice, path))
    os.rename(hidden, world.path(path))
    return repr(path)


@operation(2)
def create_by_link(world: World, dice: Random) -> Done:
    """Published with link(2), as some mail and download programs do."""
    path = world.a_new_path(dice)
    hidden = world.path(os.path.join(os.path.dirname(path), b".part"))
    _write(hidden, world.a_song(dice, path))
    os.link(hidden, world.path(path))
    time.sleep(dice.choice([0.0, 0.05]))
    world.unheard.add(os.stat(hidden).st_ino)
    os.unlink(hidden)
    world.stamps += 1
    return repr(path)


@operation(3)
def copy_with_old_times(world: World, dice: Random) -> Done:
    source = world.a_file(dice)
    if source is None:
        return None
    path = world.a_new_path(dice, os.path.splitext(source)[1].decode())
    shutil.copyfile(world.path(source), world.path(path))
    shutil.copystat(world.path(source), world.path(path))
    have_equals(world, path)
    world.stamps += 2
    return f"{source!r} -> {path!r}"


@operation(1)
def create_sparse(world: World, dice: Random) -> Done:
    path = world.a_new_path(dice)
    song = world.a_song(dice, path)
    with open(world.path(path), "wb", buffering=0) as file:
        file.truncate(len(song) + dice.choice([0, 65536]))
        file.write(song)
    return repr(path)


@operation(1, certain=True)
def burst(world: World, dice: Random) -> Done:
    """As many files at once as a folder tree that is unpacked."""
    place = os.path.join(world.a_place(dice), f"burst {dice.randrange(NUMBERS)}".encode())
    song = corpus.tagged(title=f"Burst {dice.randrange(NUMBERS)}")
    world.equal_sizes.add(len(song))
    for number in range(dice.choice([60, BURST])):
        folder = world.path(os.path.join(place, b"%d" % (number // 40)))
        os.makedirs(folder, exist_ok=True)
        _write(os.path.join(folder, b"%03d.mp3" % number), song)
    return repr(place)


@operation(2)
def delete_burst(world: World, dice: Random) -> Done:
    found = [one for one in world.folders() if os.path.basename(one).startswith(b"burst")]
    if not found:
        return None
    place = dice.choice(found)
    shutil.rmtree(world.path(place), ignore_errors=True)
    return repr(place)


@operation(2, certain=True)
def create_with_odd_name(world: World, dice: Random) -> Done:
    """No UTF-8, line ends, quotes, what SQL and terminals obey."""
    odd = dice.choice(
        [b"\xff\xfe", b"a\nb", b"'; DROP TABLE x;--", b"\x1b[31m", b"%s%n", b" ", b"*"]
    )
    path = os.path.join(world.a_place(dice), odd + b" %d.mp3" % dice.randrange(NUMBERS))
    if dice.random() < 0.3:
        folder = os.path.join(world.a_place(dice), b"\xe9t\xe9 %d" % dice.randrange(99))
        if is_free(world, folder):
            os.mkdir(world.path(folder))
        path = os.path.join(folder, os.path.basename(path))
    _write(world.path(path), world.a_song(dice, path))
    return repr(path)


@operation(2, certain=True)
def begin_writing(world: World, dice: Random) -> Done:
    """Somebody holds the file open for a few steps."""
    path = world.a_new_path(dice)
    song = world.a_song(dice, path)
    half = len(song) // 2
    descriptor = os.open(world.path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, song[:half])
    world.writing.append(Writing(descriptor, song[half:], world.step + dice.randint(2, 8)))
    return repr(path)


# ---- files that are written


@operation(5, certain=True)
def retag(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    overwrite(world.path(path), world.a_song(dice, path))
    return repr(path)


def _as_large(world: World, dice: Random, path: bytes) -> bytes:
    size = os.stat(world.path(path)).st_size
    return world.a_song(dice, path)[:size].ljust(size, b"\0")


@operation(4, certain=True)
def retag_same_size(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    overwrite(world.path(path), _as_large(world, dice, path))
    return repr(path)


@operation(4, extra=1)
def retag_in_disguise(world: World, dice: Random) -> Done:
    """The same size, and the old mtime restored: only the ctime tells."""
    path = world.a_file(dice)
    if path is None:
        return None
    before = os.stat(world.path(path))
    overwrite(world.path(path), _as_large(world, dice, path))
    time.sleep(dice.choice([0.0, 0.0, 0.02]))
    os.utime(world.path(path), ns=(before.st_atime_ns, before.st_mtime_ns))
    return repr(path)


@operation(2, certain=True)
def retag_by_mapping(world: World, dice: Random) -> Done:
    """Through mmap(2), which shows only when it is unmapped."""
    path = world.a_file(dice)
    if path is None or os.stat(world.path(path)).st_size == 0:
        return None
    content = _as_large(world, dice, path)
    with open(world.path(path), "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[:] = content
    return repr(path)


@operation(4)
def replace_atomically(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    hidden = world.path(os.path.join(os.path.dirname(path), b".part"))
    _write(hidden, world.a_song(dice, path))
    os.rename(hidden, world.path(path))
    return repr(path)


@operation(2, certain=True)
def truncate(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    size = os.stat(world.path(path)).st_size
    os.truncate(world.path(path), dice.randrange(size + 1))
    return repr(path)


@operation(2, certain=True)
def append(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    with open(world.path(path), "ab") as file:
        file.write(b"TAG" + b"x" * dice.randrange(300))
    return repr(path)


@operation(2)
def touch(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    when = dice.choice([None, (0, 0), (FAR_FUTURE_NS, FAR_FUTURE_NS), (-(10**18), -(10**18))])
    have_equals(world, path)  # other files get this very mtime
    if when is None:
        os.utime(world.path(path))
    else:
        os.utime(world.path(path), ns=when)
    return f"{path!r} {when}"


# ---- files that go


@operation(4)
def delete(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None or len(world.files()) < 8:
        return None
    os.unlink(world.path(path))
    return repr(path)


@operation(1)
def delete_folder(world: World, dice: Random) -> Done:
    path = world.a_folder(dice)
    if path is None or len(world.files()) < 12:
        return None
    shutil.rmtree(world.path(path), ignore_errors=True)
    return repr(path)


def a_file_or_folder(world: World, dice: Random) -> bytes | None:
    return world.a_folder(dice) if dice.random() < 0.3 else world.a_file(dice)


# ---- links, rights, and what is no file


@operation(2)
def link(world: World, dice: Random) -> Done:
    """A second name of a file."""
    path = world.a_file(dice)
    if path is None:
        return None
    target = world.a_new_path(dice, os.path.splitext(path)[1].decode())
    os.link(world.path(path), world.path(target))
    have_equals(world, path)
    return f"{path!r} -> {target!r}"


@operation(2)
def break_link(world: World, dice: Random) -> Done:
    """One of two names gets a file of its own, or goes."""
    found = sorted(path for path, seen in world.look().items() if seen.links > 1)
    if not found:
        return None
    path = dice.choice(found)
    world.stamps += 2  # the other name's ctime changes twice
    if dice.random() < 0.5:
        os.unlink(world.path(path))
        return f"{path!r} gone"
    hidden = world.path(os.path.join(os.path.dirname(path), b".part"))
    shutil.copyfile(world.path(path), hidden)
    os.rename(hidden, world.path(path))
    return repr(path)


@operation(2)
def make_symlink(world: World, dice: Random) -> Done:
    """To a file, to a folder, to itself, to nothing."""
    place = world.a_place(dice)
    name = b"link %d.mp3" % dice.randrange(NUMBERS)
    file = world.a_file(dice)
    target = dice.choice([b".", b"..", name, b"/nowhere.mp3", world.path(file or b"")])
    os.symlink(target, world.path(os.path.join(place, name)))
    return f"{place + b'/' + name!r} -> {target!r}"


@operation(1)
def break_symlink(world: World, dice: Random) -> Done:
    found = sorted(
        os.path.join(folder, name)
        for folder in world.folders()
        for name in os.listdir(world.path(folder))
        if os.path.islink(world.path(os.path.join(folder, name)))
    )
    if not found:
        return None
    path = dice.choice(found)
    os.unlink(world.path(path))
    if dice.random() < 0.5:
        _write(world.path(path), world.a_song(dice, path))
    return repr(path)


@operation(2, certain=True)
def take_rights_away(world: World, dice: Random) -> Done:
    path = a_file_or_folder(world, dice)
    if path is None:
        return None
    os.chmod(world.path(path), 0)
    return repr(path)


@operation(2, certain=True)
def give_rights_back(world: World, dice: Random) -> Done:
    del dice
    return f"{give_all_rights_back(world)} names"


def give_all_rights_back(world: World) -> int:
    """Whatever bears no rights gets them again."""
    given = 0
    for path, rights in (
        *((path, 0o644) for path in world.files()),
        *((path, 0o755) for path in world.folders()),
    ):
        if os.stat(world.path(path)).st_mode & 0o777 == 0:
            os.chmod(world.path(path), rights)
            given += 1
    return given


@operation(2)
def change_ignore_file(world: World, dice: Random) -> Done:
    place = world.a_folder(dice, and_root=True)
    assert place is not None
    path = world.path(os.path.join(place, b".indexignore"))
    world.stamps += len(world.files())
    if dice.random() < 0.4 and os.path.lexists(path):
        os.unlink(path)
        return f"{place!r} gone"
    line = dice.choice(
        [b"*.flac", b"*.mp3", b"CD 1/", b"/Debut/", b"[0-4]*", b"*\n!*.mp3", b"", b"moved*"]
    )
    _write(path, line + b"\n")
    return f"{place!r} {line!r}"


_NONSENSE: Final = (
    b"*", b"**", b"?", b"/", b"[", b"]", b"[2019-10]", b"[!a]", b"[z-a", b"[[:alpha:]]",
    b"[[:no:]]", b"\\", b"!", b"#", b" ", b"\r", b"\0", b"\n", b"\n", b"\xff", b"a", b"mp3",
    b".flac", b"*a" * 10,
)  # fmt: skip


@operation(2)
def write_nonsense_into_ignore_file(world: World, dice: Random) -> Done:
    """Whatever it says: what is indexed is what a fresh index would have."""
    place = world.a_folder(dice, and_root=dice.random() < 0.2)
    if place is None:
        return None
    world.stamps += len(world.files())
    text = b"".join(dice.choices(_NONSENSE, k=dice.randrange(1, 30)))
    _write(world.path(os.path.join(place, b".indexignore")), text)
    return f"{place!r} {text!r}"


@operation(2)
def toggle_nomedia(world: World, dice: Random) -> Done:
    found = [one for one in world.folders() if not is_free(world, os.path.join(one, b".nomedia"))]
    world.stamps += len(world.files())
    if found and dice.random() < 0.8:
        os.unlink(world.path(os.path.join(found[0], b".nomedia")))
        return f"{found[0]!r} gone"
    place = world.a_folder(dice)
    if place is None:
        return None
    _write(world.path(os.path.join(place, b".nomedia")), b"")
    return repr(place)


@operation(2, certain=True, extra=1)
def folder_to_file_and_back(world: World, dice: Random) -> Done:
    """A file bears a folder's name for a while."""
    folder = world.a_folder(dice)
    if folder is None:
        return None
    away = os.path.join(world.aside, b"away %d" % dice.randrange(NUMBERS))
    os.rename(world.path(folder), away)
    _write(world.path(folder), b"no folder")
    time.sleep(dice.choice([0.0, 0.05, 0.4]))
    os.unlink(world.path(folder))
    os.rename(away, world.path(folder))
    return repr(folder)


@operation(2)
def file_to_folder(world: World, dice: Random) -> Done:
    """A folder takes a song's name, with or without a song in it."""
    path = world.a_file(dice)
    if path is None or len(path) > 150:
        return None
    os.unlink(world.path(path))
    os.mkdir(world.path(path))
    if dice.random() < 0.6:
        inner = os.path.join(path, world.a_name(dice))
        _write(world.path(inner), world.a_song(dice, inner))
    return repr(path)


@operation(2)
def folder_to_song(world: World, dice: Random) -> Done:
    """A song takes the name of a folder that was named like one."""
    found = [one for one in world.folders() if one.endswith(b".mp3")]
    if not found:
        return None
    path = dice.choice(found)
    shutil.rmtree(world.path(path))
    _write(world.path(path), world.a_song(dice, path))
    return repr(path)
