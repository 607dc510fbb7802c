"""Whole screens, as a person sees them, on terminals of 60 and of 100 columns."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.corpus import plant, tagged, template, truncated
from tests.programs import CHECKOUT, ENVIRONMENT, run
from tests.screens import screen, screen_until


class Collection(NamedTuple):
    """An index of a root `Music`: one track moved, one gone, one that cannot be read."""

    db: Path
    music: Path


def song(title: str, number: int, album: str = "Post") -> bytes:
    return tagged(
        ".flac", title=title, artist="Björk", albumartist="Björk", album=album, date="1995",
        track=number,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Iterator[Collection]:
    """In a folder whose name has the same length everywhere, since lines break by it."""
    with TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        home = Path(folder)
        music = home / "Music"
        plant(
            music,
            {
                "Post/01 Army of Me.flac": song("Army of Me", 1),
                "Post/02 Hyperballad.flac": song("Hyperballad", 2),
                "Old/Isobel.flac": song("Isobel", 3),
            },
        )
        db = home / "library.db"
        run("rebuild", music, db=db)
        (music / "Post/01 Army of Me.flac").unlink()
        shutil.move(music / "Old/Isobel.flac", music / "Post/03 Isobel.flac")
        run("scan", db=db)
        yield Collection(db, music)


@pytest.fixture
def library(made: Collection) -> Iterator[Collection]:
    """A copy of the index, which a test may change."""
    with TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        db = Path(folder) / "library.db"
        run("backup", db, db=made.db)
        yield Collection(db, made.music)


def at(columns: int, library: Collection, *words: str) -> str:
    """The screen; HOME is where the music is."""
    shown = screen(*words, db=library.db, columns=columns, cwd=library.music.parent)
    return shown.replace(str(library.music.parent), "HOME")


def test_what_is_new_is_listed_newest_first(made: Collection) -> None:
    assert at(100, made, "new") == (
        "WHEN  Björk – Hyperballad  (Post, 1995)  Music/Post/02 Hyperballad.flac\n"
        "WHEN  Björk – Isobel  (Post, 1995)  Music/Post/03 Isobel.flac\n"
    )
    assert at(60, made, "new", "--limit", "1") == (
        "WHEN  Björk – Hyperballad  (Post, 1995)\n"
        "  Music/Post/02 Hyperballad.flac\n"
        "indexer: 1 of 2; --limit 0 shows all\n"
    )
    assert at(60, made, "new", "--albums") == "WHEN  Björk – Post  (1995)  2 tracks\n"


def test_nothing_new_says_when_the_last_track_came(made: Collection) -> None:
    assert at(100, made, "new", "--since", "0s") == (
        "indexer: nothing new since WHEN; the last track came WHEN\n"
    )
    assert at(60, made, "new", "--since", "0s") == (
        "indexer: nothing new since WHEN; the last track\n  came WHEN\n"
    )


def test_a_moment_is_not_guessed(made: Collection) -> None:
    assert at(100, made, "changes", "--since", "soon") == (
        "indexer: Invalid value for '--since': 'soon' is neither the number of a change nor a "
        "time; try 2h,\n"
        "  7d, 2w, today, yesterday, 2026-11-01 or 'WHEN' (see: indexer changes --help)\n"
    )


def test_changes_are_chosen_by_time_kind_place_and_number(made: Collection) -> None:
    moved = "4  WHEN  moved     Music/Old/Isobel.flac -> Music/Post/03 Isobel.flac\n"
    gone = "5  WHEN  missing   Music/Post/01 Army of Me.flac\n"
    assert at(100, made, "changes", "--since", "1h", "--kind", "moved,missing") == moved + gone
    assert at(100, made, "changes", "--limit", "1") == gone
    assert at(100, made, "changes", "--since", "3", "--limit", "1") == moved
    assert at(100, made, "changes", "--kind", "moved", "--under", "Music/Old") == moved
    assert at(60, made, "changes", "--kind", "moved") == (
        "4  WHEN  moved\n  Music/Old/Isobel.flac -> Music/Post/03 Isobel.flac\n"
    )
    assert at(100, made, "changes", "--kind", "moved", "--under", "Nas/Old") == (
        "indexer: Nas/Old: lies in no root (known: HOME/Music); add the folder with\n"
        "  `indexer rebuild FOLDER`\n"
    )


def test_changes_of_what_was_never_known_say_so(made: Collection) -> None:
    never = "not in the index; `indexer scan` with this path looks at it now\n"
    assert at(100, made, "changes", "--under", "Music/Never") == f"indexer: Music/Never: {never}"
    assert at(100, made, "changes", "--under", "77") == (
        "indexer: 77: no track has this id; for a file of this name: ./77\n"
    )
    assert at(100, made, "scrub", "Music/Never") == (
        "indexer: Music/Never: no such file or folder\n"
    )
    assert run("changes", "--under", "Music/Never", db=made.db, cwd=made.music.parent, check=1)
    for known in ("Music", "Music/Old", "Music/Post/01 Army of Me.flac", "2"):
        assert at(60, made, "changes", "--under", known, "--kind", "returned") == ""


def test_a_track_that_is_gone_says_when_it_went_and_what_it_was(library: Collection) -> None:
    gone = at(60, library, "show", "Music/Post/01 Army of Me.flac")
    assert gone == at(60, library, "show", "2")
    assert gone.splitlines()[:6] == [
        "path         Music/Post/01 Army of Me.flac",
        "gone         since WHEN; comes back with its",
        "             file",
        "id           2",
        "size         1.5 KB",
        "changed      WHEN",
    ]
    assert "title        Army of Me" in gone
    assert at(100, library, "show", "Music/Old/Isobel.flac") == (
        "path   Music/Old/Isobel.flac\nmoved  WHEN, to Music/Post/03 Isobel.flac\nid     1\n"
    )
    assert run("show", "2", "--json", db=library.db, check=1).object["missing_at"]
    assert run("show", "3", "--json", db=library.db).object["title"] == "Hyperballad"
    assert run("show", "99", "--json", db=library.db, check=1).out == ""


def test_a_removed_root_says_what_leaves_and_how_it_comes_back(library: Collection) -> None:
    assert at(60, library, "roots", "remove", "Music") == (
        "removed Music: 2 tracks leave the index; no file was touched\n"
        "their ids are remembered until the folder is added again:\n"
        "  indexer rebuild HOME/Music\n"
    )
    assert "2 returned" in at(100, library, "rebuild", str(library.music))


def test_a_renamed_root_is_told_track_by_track(library: Collection) -> None:
    assert at(60, library, "roots", "rename", "Music", "nas") == (
        "Music is now nas; 2 tracks told as moved\n"
    )
    last = run("changes", "--limit", "1", "--json", db=library.db).object
    assert (last["old_root"], last["root"], last["old_path"]) == ("Music", "nas", last["path"])
    assert run("verify", "--deep", db=library.db).out == "ok: 2 files checked, index equals disk\n"
    assert at(100, library, "roots", "rename", "nas", "a/b") == (
        "indexer: 'a/b': a name has no slash and no control character\n"
    )


def test_guesses_from_the_name_of_a_root_follow_its_new_name(tmp_path: Path) -> None:
    music, db = tmp_path / "Music", tmp_path / "library.db"
    plant(music, {"bare.flac": tagged(".flac"), "Album/bare.flac": tagged(".flac")})
    run("rebuild", music, db=db)
    run("roots", "rename", "Music", "nas", db=db)
    found = run("search", "nas", "--sort", "path", "--json", db=db).objects
    assert [(one["path"], one["album"], one["artist"]) for one in found] == [
        ("bare.flac", "nas", None),
    ]  # fmt: skip
    (inner,) = run("search", "path:album", "--json", db=db).objects
    assert (inner["album"], inner["artist"], inner["guessed"]) == ("Album", None, 1)
    assert run("search", "music", db=db, check=1).out == ""
    assert run("verify", "--deep", db=db).out == "ok: 2 files checked, index equals disk\n"


def test_a_setting_that_contradicts_a_known_root_is_said(library: Collection) -> None:
    config = '[roots.Music]\npath = "/mnt/other"\n'
    ran = run("roots", db=library.db, config=config)
    assert ran.err == (
        f"indexer: {library.db.parent}/config.toml:1: roots.Music is /mnt/other, but the index "
        f"knows Music as {library.music}: correct the line; or, to have it there, `indexer roots "
        "remove Music`, then `indexer rebuild /mnt/other`\n"
    )
    config = f'[roots.nas]\npath = "{library.music}"\n'
    assert "or `indexer roots rename Music nas`" in run("scan", db=library.db, config=config).err
    config = f'[roots.Music]\npath = "{library.music}"\n'
    assert run("scan", db=library.db, config=config).err == ""


def test_a_path_goes_in_as_it_came_out(library: Collection) -> None:
    listed = "Music/Post/02 Hyperballad.flac"
    asked = (listed, str(library.music.parent / listed), f"./{listed}", "Post/02 Hyperballad.flac")
    folders = (Path("/"), Path("/"), library.music.parent, library.music)
    for path, cwd in zip(asked, folders, strict=True):
        ran = run("show", path, "--json", db=library.db, cwd=cwd)
        assert ran.object["title"] == "Hyperballad"
    assert run("scan", listed, "--json", db=library.db).object["unchanged"] == 1
    assert run("scan", "Music", "--json", db=library.db).object["seen"] == 2
    assert run("rebuild", "Music", "--json", db=library.db).object["files_read"] == 2
    assert run("roots", "remove", library.music, "--json", db=library.db).object["tracks"] == 2


def test_a_name_with_odd_bytes_goes_in_as_the_lists_show_it(tmp_path: Path) -> None:
    music, db = tmp_path / "Music", tmp_path / "library.db"
    names = (b"one\xff.flac", b"two\n\x1b.flac", "three\u202e.flac".encode(), b"four\\n.flac")
    plant(music, {name: tagged(".flac", title="x") for name in names})
    run("rebuild", music, db=db)
    lines = run("search", "x", db=db).out.splitlines()
    assert len(lines) == len(names)
    for line in lines:
        path = line.partition("  (")[2].partition("  ")[2]
        assert run("show", path, "--json", db=db).object["title"] == "x", path


def test_a_mistyped_path_is_said(library: Collection) -> None:
    assert at(60, library, "scan", "Music/Pots") == (
        "indexer: Music/Pots: no such file or folder\n"
    )
    ran = run("scan", library.music / "Post/x.flac", db=library.db, check=2)
    assert ran.err == f"indexer: {library.music}/Post/x.flac: no such file or folder\n"


def test_a_scan_of_what_is_left_out_says_why(tmp_path: Path) -> None:
    music, db = tmp_path / "Music", tmp_path / "library.db"
    song = tagged(".flac")
    plant(music, {
        "a.flac": song, ".hidden.flac": song, "@eaDir/a.flac": song, "live/a.flac": song,
        "bare/.nomedia": b"", "bare/a.flac": song, ".indexignore": b"live/\n", "notes.txt": b"x",
    })  # fmt: skip
    (music / "link.flac").symlink_to("a.flac")
    run("rebuild", music, db=db)
    link = "a symbolic link, and none is followed (the setting follow_links)\n"
    named = "left out by its name or one above: hidden, or in the setting ignored_names\n"
    ruled = "left out by an .indexignore, or an empty .nomedia\n"
    for place, why in {
        "link.flac": link, ".hidden.flac": named, "@eaDir": named, "@eaDir/a.flac": named,
        "live": ruled, "live/a.flac": ruled, "bare": ruled, "bare/a.flac": ruled,
    }.items():  # fmt: skip
        assert run("scan", f"Music/{place}", db=db).out == f"Music/{place}: {why}"
        assert run("scan", f"Music/{place}", "--json", db=db).object["seen"] == 0
    assert run("scan", "Music/notes.txt", db=db).out.startswith("no audio file found; looked for")
    assert run("scan", "Music/a.flac", db=db).out.startswith("1 file: 1 unchanged")


def test_lists_print_absolute_paths_and_patterns(library: Collection) -> None:
    paths = [f"{library.music}/Post/{name}.flac" for name in ("02 Hyperballad", "03 Isobel")]
    for words in (("search", "björk", "--sort", "path"), ("export",), ("new", "--limit", "0")):
        ran = run(*words, "--paths", db=library.db)
        assert sorted(ran.out.splitlines()) == paths
        assert (ran.out, ran.err) == (run(*words, "-0", db=library.db).out.replace("\0", "\n"), "")
    text = run(
        "export", "--format", r"{track:02}\t{artist} - {title}{{{genre}}}", db=library.db
    ).out
    assert text == "02\tBjörk - Hyperballad{}\n03\tBjörk - Isobel{}\n"
    moved = run("changes", "--kind", "moved", "--format", "{old_path} > {path}", db=library.db)
    assert moved.out == "Old/Isobel.flac > Post/03 Isobel.flac\n"
    albums = run("search", "post", "--albums", "--format", "{album}", "-0", db=library.db)
    assert albums.out == "Post\0"
    assert run("problems", "--paths", db=library.db).out == ""


def test_patterns_name_what_the_view_has_of_a_change_a_problem_an_album_or_an_artist(
    tmp_path: Path,
) -> None:
    music, db = tmp_path / "Music", tmp_path / "library.db"
    sound = template(".flac")
    song = tagged(".flac", title="Isobel", artist="Björk", album="Post")
    cut = song[: len(song) - len(sound) // 2]
    plant(music, {b"one\xff.flac": song, "cut.flac": cut, "no.flac": b"no"})
    run("rebuild", music, db=db)
    (music / os.fsdecode(b"one\xff.flac")).unlink()
    run("scan", db=db)

    def printed(pattern: str, *words: str) -> str:
        return run(*words, "--format", pattern, db=db).out

    gone = printed("{kind} {artist} - {title}", "changes", "--kind", "missing")
    assert gone == "missing Björk - Isobel\n"
    assert printed("{file}", "changes", "--under", "Music/cut.flac") == f"{music}/cut.flac\n"
    bad = printed("{path}: {kind}, {artist} - {title}", "problems")
    assert bad == "cut.flac: damage, Björk - Isobel\nno.flac: content,  - \n"
    albums = printed("{title}|{discs}|{artwork_path}", "search", "post", "--albums")
    assert albums == "Post|1|\n"
    assert printed("{title} {tracks}", "new", "--albums") == "Post 1\n"
    assert printed("{name} {albums}", "search", "bjork", "--artists") == "Björk 1\n"
    assert printed("{seq}", "changes", "--limit", "0") == printed("{seq}", "changes") == "1\n2\n3\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "--format", "{nam}"), "no field 'nam'; choose from id, root, path, size"),
        (("export", "--format", "{title"), "expected '}' before end of string; try '{artist} - "),
        (("export", "--format", "{title.x}"), "no field 'title.x'"),
        (("changes", "--format", "{nam}"), "no field 'nam'; choose from seq, at, kind"),
        (("search", "x", "--albums", "--format", "{path}"), "no field 'path'; choose from album"),
        (("export", "--format", "{title!r}"), "--format: leave out !r; a field is {title}"),
        (("export", "--format", "{title:d}"), "{title:d}: Unknown format code 'd'"),
        (("export", "--paths", "--m3u"), "choose one of --csv, --m3u, --json, --paths"),
        (("search", "post", "--albums", "--paths"), "albums and artists have none"),
        (("new", "--paths", "--json"), "choose one of --json, --paths and --format"),
        (("new", "--paths", "--format", "x"), "choose one of --paths and --format"),
    ],
)
def test_a_list_that_cannot_be_is_refused(
    made: Collection, words: tuple[str, ...], said: str
) -> None:
    ran = run(*words, db=made.db, check=2)
    assert (ran.out, said in ran.err) == ("", True), ran.err


def test_paths_of_odd_bytes_reach_other_programs_as_they_are(tmp_path: Path) -> None:
    music, db = tmp_path / "Music", tmp_path / "library.db"
    plant(music, {b"one\xff.flac": tagged(".flac"), b"two\n.flac": tagged(".flac")})
    run("rebuild", music, db=db)
    command = f'"$0" -P -m indexer --db {db} export -0 | xargs -0 cat | wc -c'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], env=ENVIRONMENT, capture_output=True, check=True
    )
    assert int(done.stdout) == sum(file.stat().st_size for file in music.iterdir())


@pytest.mark.parametrize("word", ["-house", "-007", "-0day"])
def test_a_word_that_is_left_out_is_no_option(made: Collection, word: str) -> None:
    assert len(run("search", "björk", word, "--json", db=made.db).objects) == 2


def test_a_folder_in_place_of_the_index_is_said(made: Collection) -> None:
    folder = Collection(made.music, made.music)
    for words in (("status",), ("rebuild", str(made.music)), ("roots", "add", "/tmp")):
        assert at(100, folder, *words) == (
            "indexer: HOME/Music: is a folder; name the file of the index: --db\n"
            "  HOME/Music/library.db\n"
        )
    assert not made.music.with_name("Music.lock").exists()


def test_queues_without_redis_are_said_before_a_scan_begins(library: Collection) -> None:
    before = run("status", "--json", db=library.db).object["scans"]
    assert at(60, library, "scan", "--queue") == (
        "indexer: no Redis is named: set\n"
        '  `redis = "unix:///run/music-indexer/redis.sock"` in the\n'
        "  config, or the environment variable INDEXER_REDIS\n"
    )
    env = {"INDEXER_REDIS": "redis://127.0.0.1:1/0"}
    ran = run("rebuild", "--queue", db=library.db, env=env, check=3)
    assert "redis://127.0.0.1:1/0: no Redis answers" in ran.err
    assert run("status", "--json", db=library.db).object["scans"] == before


def test_a_backup_into_the_music_is_refused(made: Collection) -> None:
    assert at(60, made, "backup", f"{made.music}/copy.db") == (
        "indexer: HOME/Music/copy.db: lies in the root\n"
        "  Music (HOME/Music), which is scanned; name a\n"
        "  place outside (a hidden folder inside would do)\n"
    )
    assert not (made.music / "copy.db").exists()


def test_a_folder_above_a_root_is_refused_with_commands_that_work(library: Collection) -> None:
    above = str(library.music.parent)
    assert at(100, library, "roots", "add", above) == (
        "indexer: HOME: holds the root Music, and a root may not hold another; to index all of\n"
        "  it, `indexer roots remove Music`, then `indexer rebuild HOME`\n"
    )
    run("roots", "remove", "Music", db=library.db)
    assert run("rebuild", above, "--json", db=library.db).object["seen"] == 2
    assert run("roots", "add", library.music, db=library.db, check=2).err == (
        f"indexer: {library.music}: lies in the root {library.music.parent.name}, which is indexed "
        f"with all that is in it; `indexer scan {library.music}` looks at just that folder\n"
    )


def test_h_is_help_everywhere(made: Collection) -> None:
    for words in ((), ("search",), ("roots", "add"), ("changes",)):
        assert run(*words, "-h", db=made.db).out == run(*words, "--help", db=made.db).out


def test_quickstart_names_an_unknown_option() -> None:
    def quickstart(*words: str) -> tuple[int, str]:
        command = [str(CHECKOUT / "deploy/quickstart"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert quickstart("--onec", "/tmp") == (
        2,
        "--onec is not an option; there are --once, --no-page and --help."  # noqa: ISC004 - one text
        " A folder of that name: ./--onec\n",
    )
    code, said = quickstart("/a", "b c")
    assert (code, said) == (
        2,
        "Name one folder, not 2; a name with blanks needs quotes.\n"  # noqa: ISC004 - one text
        "More of them: .venv/bin/indexer roots add FOLDER\n",
    )


def test_problems_are_told_in_plain_words_and_in_groups() -> None:
    with TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        music, db = Path(folder) / "Music", Path(folder) / "library.db"
        plant(
            music,
            {
                "notes.mp3": b"Dear all,\nplease find the songs attached.\n",
                "more/notes.mp3": b"There were more of them.\n",
                "half.m4a": truncated(".m4a", 0.2),
                "empty.flac": b"",
            },
        )
        run("rebuild", music, db=db)
        library = Collection(db, music)
        words = (
            "2  not an MP3: its content is text\n"
            "  Music/more/notes.mp3\n"
            "  Music/notes.mp3\n"
            "1  cut short\n"
            "  Music/half.m4a  0.8 of 1.2 KB are there\n"
            "1  the file is empty\n"
            "  Music/empty.flac\n"
        )
        assert at(60, library, "problems") == at(100, library, "problems") == words
        assert at(60, library, "problems", "-v").splitlines()[1:4] == [
            "Music/half.m4a  content",
            "  cut short: 0.8 of 1.2 KB are there [ValueError: no moov",
            "  box]",
        ]
        reasons = [one["reason"] for one in run("problems", "--json", db=db).objects]
        assert reasons[1] == "cut short: 0.8 of 1.2 KB are there [ValueError: no moov box]"
        assert at(60, library, "show", "Music/half.m4a") == (
            "path     Music/half.m4a\nproblem  cut short: 0.8 of 1.2 KB are there\n"
        )


def watched(columns: int, home: Path, *words: str) -> str:
    """What `watcher run` shows until Ctrl-C."""
    program = (sys.executable, "-P", "-m", "watcher", "--db", str(home / "library.db"))
    shown = screen_until(
        "lost.", *program, "run", str(home / "Music"), *words, columns=columns,
        env={"NO_COLOR": "1"},
    )  # fmt: skip
    return re.sub(r"seconds=\d\.\d+", "seconds=N", shown.replace(str(home), "HOME"))


@pytest.mark.parametrize("columns", [60, 100])
def test_the_first_run_says_what_it_found_and_how_it_ends(columns: int) -> None:
    with TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        home = Path(folder)
        plant(home / "Music", {"a.flac": song("Army of Me", 1), "b.mp3": b"text"})
        log = (
            "added path=Music/a.flac\n"
            "watching root=Music reason=start files=2 read=2 folders=1 seconds=N\n"
        )
        holdings = {
            60: "1 track, 1 album, 1 artist in N s; 1 file could not be\n"
            "  read (indexer problems). Watching. Ctrl-C stops; nothing\n"
            "  is lost.\n",
            100: "1 track, 1 album, 1 artist in N s; 1 file could not be read (indexer problems). "
            "Watching. Ctrl-C\n"
            "  stops; nothing is lost.\n",
        }
        end = {
            60: "Stopped; 1 track indexed. The next start finds what changes\n  meanwhile.\n",
            100: "Stopped; 1 track indexed. The next start finds what changes meanwhile.\n",
        }
        assert watched(columns, home) == log + holdings[columns] + end[columns]


def test_a_root_without_music_asks_for_its_disk_at_once() -> None:
    with TemporaryDirectory(prefix="home-", dir="/tmp") as folder:
        home = Path(folder)
        (home / "Music").mkdir()
        assert watched(100, home) == (
            "watching root=Music reason=start files=0 read=0 folders=1 seconds=N\n"
            'empty root=Music reason="no music in HOME/Music: is its disk mounted? The next '
            'disk that is mounted there is accepted as its disk"\n'
            "no audio file below Music: is its disk mounted? Watching. Ctrl-C stops; nothing is "
            "lost.\n"
            "Stopped; 0 tracks indexed. The next start finds what changes meanwhile.\n"
        )
