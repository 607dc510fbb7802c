"""Names in any bytes, in every locale, through pipes and on terminals."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.integration.odd_names import LATIN_1, TRACKS, TWO_LINES, Place
from tests.programs import (
    ENVIRONMENT,
    PROGRAM,
    Word,
    eventually,
    run,
    started,
)

OLD_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

COMMANDS: list[tuple[Word, ...]] = [
    ("scan",),
    ("rebuild",),
    ("status",),
    ("verify",),
    ("verify", "--deep"),
    ("search", "J\u00f3ga"),
    ("show", b"{music}/" + LATIN_1),
    ("show", b"{music}/broken \xff\n.mp3"),
    ("show", b"{music}/" + TWO_LINES.encode()),
    ("problems",),
    ("changes",),
    ("roots",),
    ("roots", "list"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: b" ".join(map(os.fsencode, words)))
def test_every_command_works_where_the_locale_knows_only_ascii(
    place: Place, command: tuple[Word, ...]
) -> None:
    music = os.fsencode(place.music)
    words = [os.fsencode(word).replace(b"{music}", music) for word in command]
    lines = run(*words, db=place.db, env=OLD_LOCALE)
    assert lines.out.isascii()
    assert lines.err == ""
    assert run(*words, "--json", db=place.db, env=OLD_LOCALE).objects
    assert [letter for letter in lines.out if not letter.isprintable() and letter != "\n"] == []
    assert "\\ufffd" not in lines.out


def test_every_path_that_is_not_utf_8_has_its_bytes_beside_it(place: Place) -> None:
    broken = {b"broken \xff\n.mp3"}
    show = run("show", place.file(LATIN_1), "--json", db=place.db)
    for ran, paths in (
        (run("problems", "--json", db=place.db), broken),
        (run("changes", "--json", db=place.db), {LATIN_1}),
        (run("search", "joga", "--json", db=place.db), {LATIN_1}),
        (show, {LATIN_1}),
    ):
        told = [one for one in ran.objects if "path_b64" in one]
        assert {base64.b64decode(one["path_b64"]) for one in told} == paths
        assert {one["path"] for one in told} == {path.decode("utf-8", "replace") for path in paths}


def test_a_root_may_have_a_name_in_any_bytes(tmp_path: Path, db: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"M\xfcsik\n")
    os.mkdir(folder)
    plant(Path(os.fsdecode(folder)), {"a.mp3": tagged()})
    assert run("rebuild", folder, "--json", db=db, env=OLD_LOCALE).object["added"] == 1
    (root,) = run("roots", "--json", db=db).objects
    assert base64.b64decode(root["path_b64"]) == folder
    assert root["name"] == "M\ufffdsik\n"
    assert "M\\xfcsik\\n" in run("status", db=db, env=OLD_LOCALE).out
    assert run("scan", folder, "--json", db=db, env=OLD_LOCALE).object["unchanged"] == 1
    removed = run("roots", "remove", "M\ufffdsik\n", "--json", db=db, env=OLD_LOCALE)
    assert removed.object["removed"] == "M\ufffdsik\n"


def test_what_would_move_the_cursor_is_written_out(place: Place) -> None:
    line = run("search", "esc", db=place.db).out
    assert line == (
        "Control – Esc\\x1b[31m\\nape  (Two\\nlines)  music/Two\\nlines/\\x1b[2Jred.flac\n"
    )


def test_json_keeps_every_character_of_a_tag(place: Place) -> None:
    (track,) = run("search", "esc", "--json", db=place.db).objects
    assert (track["title"], track["path"]) == ("Esc\x1b[31m\nape", TWO_LINES)


def test_a_reader_that_has_seen_enough_ends_it_quietly(place: Place) -> None:
    program = shlex.join([*PROGRAM, "--db", str(place.db)])
    for words in ("changes --json", "changes", "status", "search song", "problems --json"):
        script = f"set -o pipefail; {program} {words} | head -n 1"
        done = subprocess.run(
            ["bash", "-c", script], env=ENVIRONMENT, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b"\n") == 1


def test_a_full_disk_behind_stdout_is_told(place: Place) -> None:
    script = f"{shlex.join([*PROGRAM, '--db', str(place.db)])} status > /dev/full"
    done = subprocess.run(["bash", "-c", script], env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 3
    assert b"No space left on device" in done.stderr


def test_following_ends_with_ctrl_c_and_with_its_reader(place: Place) -> None:
    with started("changes", "--follow", "--json", db=place.db) as running:
        lines = [running.line() for _ in range(TRACKS)]
        assert [json.loads(line)["seq"] for line in lines] == list(range(1, TRACKS + 1))
        running.interrupt()
        ran = running.end()
        assert (ran.code, ran.out) == (130, "")
        assert "Traceback" not in ran.err
    with started("changes", "--follow", db=place.db) as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        eventually(lambda: running.ended)
        assert running.process.returncode == 0


def test_following_tells_each_change_as_it_is_committed(db: Path, music: Path) -> None:
    plant(music, {"a.mp3": tagged()})
    run("rebuild", music, db=db)
    with started("changes", "--follow", "--json", db=db) as running:
        assert json.loads(running.line())["seq"] == 1
        plant(music, {"b.mp3": tagged()})
        run("scan", db=db)
        told = json.loads(running.line())
        assert (told["seq"], told["kind"], told["path"]) == (2, "added", "b.mp3")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_there_is_no_colour_where_nobody_looks(place: Place, env: dict[str, str]) -> None:
    for words in (("status",), ("scan", "/usr")):
        ran = run(*words, db=place.db, check=None, env=env)
        assert "\x1b" not in ran.out + ran.err


def test_no_colour_is_obeyed_on_a_terminal(db: Path, music: Path) -> None:
    """A terminal gets a line that is redrawn, but no colour in it."""
    plant(music, {f"{n}.mp3": tagged(title=str(n)) for n in range(200)})
    command = shlex.join([*PROGRAM, "--db", str(db), "rebuild", str(music), "--workers", "1"])
    env = {**ENVIRONMENT, "NO_COLOR": "1"}
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", command, "/dev/null"],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    assert b"200 added" in done.stdout
    assert b"\x1b[3" not in done.stdout
