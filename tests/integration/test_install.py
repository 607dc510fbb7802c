"""`deploy/install --dry-run`: what it would do, and what it says of what blocks.

The real run is tried in a chroot of Debian: `.ci/fresh-install`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.integration.test_deploy_files import complaints, parsed

INSTALL = Path(__file__).parents[2] / "deploy/install"


_FILE = re.compile(r"install -D -m \d+ /dev/stdin (\S+) <<'END'\n(.*?)END\n", re.DOTALL)


class Ran:
    """One dry run: exit code, commands, what blocks, and the files that it would write."""

    def __init__(self, *words: str | Path, env: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            [INSTALL, "--dry-run", *words], capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        found = re.findall(
            r"install -D -m \d+ /dev/stdin (\S+) <<'END'\n(.*?)END\n", self.out, re.DOTALL
        )
        self.files: dict[str, str] = dict(found)
        here = re.sub(r"<<'END'\n.*?END\n", "\n", self.out, flags=re.DOTALL)
        self.commands = [line for line in here.splitlines() if line and not line.startswith("#")]

    def unit(self, name: str, folder: Path) -> Path:
        copy = folder / name
        copy.write_text(self.files[f"/etc/systemd/system/{name}"])
        return copy


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that all users may enter, as they may not enter those of pytest."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def songs(music: Path) -> Path:
    (music / "a.mp3").write_bytes(b"x")
    return music


def test_nothing_blocks_a_folder_with_music(songs: Path) -> None:
    ran = Ran(songs)
    assert (ran.code, ran.err) == (0, "Nothing blocks.\n")
    assert (
        "systemctl enable --quiet music-watcher.service music-backup.timer music-verify.timer"
        in (ran.commands)
    )
    assert not Path("/opt/music-indexer").exists()


def test_a_dry_run_is_shell_that_can_be_read(songs: Path) -> None:
    odd = songs / "it's $HOME 100%"
    odd.mkdir()
    (odd / "a.mp3").touch()
    ran = Ran(odd)
    subprocess.run(["bash", "-n"], input=ran.out, text=True, check=True)
    words = subprocess.run(
        ["bash", "-c", next(one for one in ran.commands if " doctor " in one).replace(
            "/opt/music-indexer/.venv/bin/indexer", "printf '%s\\n'")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert words.stdout.splitlines()[-1] == str(odd)


def test_the_units_name_every_folder(songs: Path, tmp_path: Path) -> None:
    odd = tmp_path / 'more "music" 100% $x'
    odd.mkdir()
    (odd / "a.mp3").touch()
    ran = Ran(songs, odd)
    unit = ran.unit("music-watcher.service", tmp_path)
    quoted = f'"{tmp_path}/more \\"music\\" 100%% $x"'
    settings = parsed(unit)
    assert settings["RequiresMountsFor"] == [f'"{songs}" {quoted}']
    assert settings["ReadOnlyPaths"] == [f'"{songs}" {quoted}']
    assert settings["ExecStart"] == [
        f'/opt/music-indexer/.venv/bin/watcher run "{songs}" ' + quoted.replace("$", "$$")
    ]
    assert settings["StateDirectoryMode"] == ["3770"]


def test_metrics_bring_their_library_a_timer_and_a_link_for_node_exporter(songs: Path) -> None:
    ran = Ran("--with-metrics", songs)
    assert (ran.code, ran.err) == (0, "Nothing blocks.\n")
    (pip,) = [one for one in ran.commands if "requirements-metrics.lock" in one]
    assert "--require-hashes" in pip
    (link,) = [one for one in ran.commands if one.startswith("ln ")]
    _, _, file, place = link.split()
    unit = ran.files["/etc/systemd/system/music-metrics.service"]
    assert f"metrics --textfile {file}\n" in unit
    assert place == "/var/lib/prometheus/node-exporter/music-indexer.prom"
    assert any("enable" in one and "music-metrics.timer" in one for one in ran.commands)
    assert f"{place}\n" in Ran("--uninstall").out
    without = Ran(songs)
    assert not any("pip install" in one or "enable" in one for one in without.commands
                   if "metrics" in one)  # fmt: skip


def test_systemd_understands_the_units(songs: Path, tmp_path: Path) -> None:
    odd = tmp_path / 'more "music" 100% $x'
    odd.mkdir()
    (odd / "a.mp3").touch()
    ran = Ran("--with-queues", songs, odd)
    names = [Path(one).name for one in ran.files if one.startswith("/etc/systemd/system/")]
    assert len(names) == 11
    for name in names:
        ran.unit(name, tmp_path)
    for name in names:
        unit = tmp_path / name
        unit.write_text(re.sub(r"/opt/music-indexer/\S*", "/bin/true", unit.read_text()))
        assert complaints(unit) == ""


@pytest.mark.parametrize(
    ("folder", "protection"), [("/srv/music", "true"), ("/home/ann/Music", "read-only")]
)
def test_music_in_a_home_folder_can_be_seen(folder: str, protection: str, tmp_path: Path) -> None:
    ran = Ran(folder)
    assert parsed(ran.unit("music-watcher.service", tmp_path))["ProtectHome"] == [protection]
    assert f"There is no folder {folder}." in ran.err
    assert ran.code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/no/such/folder"], "There is no folder /no/such/folder."),
        (["/etc/passwd"], "/etc/passwd is not a folder."),
    ],
)
def test_what_blocks_is_said_and_the_rest_printed(words: list[str], told: str) -> None:
    ran = Ran(*words)
    assert ran.code == 0
    assert told in ran.err
    assert any(one.startswith("systemctl enable") for one in ran.commands)


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o710, 0o1770])
@pytest.mark.parametrize(("closed", "rights"), [(".", "o+rx"), ("..", "o+x")])
def test_a_folder_that_the_service_may_not_enter_blocks_and_is_named_with_its_remedy(
    mode: int, closed: str, rights: str, songs: Path
) -> None:
    folder = (songs / closed).resolve()
    folder.chmod(mode)
    ran = Ran(songs)
    remedy = f"Type this, then try again: chmod {rights} {folder}\n"
    assert ran.err == f"{songs}: {folder} may not be entered by music-indexer\n{remedy}"
    subprocess.run(["chmod", rights, folder], check=True)
    assert (ran.code, Ran(songs).err) == (0, "Nothing blocks.\n")


def test_an_empty_folder_blocks_unless_it_is_said_to_be_right(music: Path) -> None:
    assert f"{music} is empty: is its disk mounted?" in Ran(music).err
    assert Ran("--empty-is-right", music).err == "Nothing blocks.\n"


def test_queues_have_a_redis_of_their_own(songs: Path) -> None:
    ran = Ran("--with-queues", songs)
    assert "apt-get install --yes python3-venv redis-server" in ran.commands
    enabled = next(one for one in ran.commands if one.startswith("systemctl enable"))
    assert "music-redis.service music-worker@config.service" in enabled
    redis = 'redis = "unix:///run/music-indexer/redis.sock"'
    assert any("sed -i" in one and redis in one for one in ran.commands)


def test_a_page_has_a_password_that_root_alone_reads(songs: Path, tmp_path: Path) -> None:
    ran = Ran("--with-page", songs)
    assert (ran.code, ran.err) == (0, "Nothing blocks.\n")
    assert "install -D -m 0600 /dev/stdin /etc/music-indexer/page <<'END'" in ran.out
    assert ran.files["/etc/music-indexer/page"].startswith("INDEXER_WEB_USER=music\n")
    assert any("make_venv run && add_page" in one for one in ran.commands)
    enabled = next(one for one in ran.commands if one.startswith("systemctl enable"))
    assert enabled.endswith(" music-page.service")
    unit = ran.unit("music-page.service", tmp_path)
    unit.write_text(re.sub(r"/opt/music-indexer/\S*", "/bin/true", unit.read_text()))
    assert complaints(unit) == ""


def test_without_the_option_there_is_no_page(songs: Path) -> None:
    ran = Ran(songs)
    assert not any("page" in one for one in (*ran.commands, *ran.files))


ADDRESS = {"INDEXER_REDIS": "rediss://:sesame@index:6380/0"}


def test_a_relay_is_one_unit_that_names_the_roots_of_another_machine(
    songs: Path, tmp_path: Path
) -> None:
    odd = tmp_path / 'more "music" 100% $x'
    odd.mkdir()
    (odd / "a.mp3").touch()
    ran = Ran("--relay-only", f"Music={songs}", odd, env=ADDRESS)
    assert (ran.code, ran.err) == (0, "Nothing blocks.\n")
    units = [one for one in ran.files if one.startswith("/etc/systemd/system/")]
    assert [Path(one).name for one in units] == [
        "music-indexer-failed@.service",
        "music-relay.service",
    ]
    unit = ran.unit("music-relay.service", tmp_path)
    quoted = f'"{tmp_path}/more \\"music\\" 100%% $x"'
    settings = parsed(unit)
    assert settings["ReadOnlyPaths"] == [f'"{songs}" {quoted}']
    assert settings["ExecStart"] == [
        f'/opt/music-indexer/.venv/bin/watcher relay "Music={songs}" ' + quoted.replace("$", "$$")
    ]
    assert "systemctl enable --quiet music-relay.service" in ran.commands
    assert not any("config.toml" in one or "library.db" in one for one in ran.files)
    for name in map(Path, units):
        copy = ran.unit(name.name, tmp_path)
        copy.write_text(re.sub(r"/opt/music-indexer/\S*", "/bin/true", copy.read_text()))
        assert complaints(copy) == ""
    assert any("disable" in one and "music-relay" in one for one in Ran("--uninstall").commands)


def test_the_password_of_a_relay_is_in_a_file_of_root_and_not_shown(songs: Path) -> None:
    ran = Ran("--relay-only", f"Music={songs}", env=ADDRESS)
    assert "install -D -m 0600 /dev/stdin /etc/music-indexer/environment" in ran.out
    assert "sesame" not in ran.out
    blocked = Ran("--relay-only", f"Music={songs}")
    assert "INDEXER_REDIS=rediss://" in blocked.err
    assert "Nothing blocks" not in blocked.err


def test_without_the_option_there_is_no_relay(songs: Path) -> None:
    ran = Ran(songs)
    assert not any("music-relay" in one for one in (*ran.commands, *ran.files))


def test_removing_keeps_the_index_and_purging_does_not() -> None:
    kept = Ran("--uninstall")
    assert "rm -rf /opt/music-indexer" in kept.commands
    assert not any("/var/lib/music-indexer" in one for one in kept.commands)
    gone = Ran("--uninstall", "--purge")
    assert "rm -rf /var/lib/music-indexer /etc/music-indexer" in gone.commands


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--empty"], "--empty is not an option"),
        (["--relay-only"], "Usage: deploy/install"),
        (["--relay-only", "--with-page", "/srv"], "--relay-only stands without the other parts"),
        (["--purge", "/srv"], "--purge stands with --uninstall."),
        ([], "Usage: deploy/install"),
    ],
)
def test_wrong_use_is_exit_code_2(words: list[str], told: str) -> None:
    ran = Ran(*words)
    assert ran.code == 2
    assert told in ran.err


def test_a_script_that_was_cut_off_does_nothing(tmp_path: Path) -> None:
    text = INSTALL.read_text()
    cut = tmp_path / "install"
    cut.write_text(text[: text.rindex("main ")])
    done = subprocess.run(["bash", cut, "/srv"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_another_python_of_the_system_is_told_before_the_service_starts(tmp_path: Path) -> None:
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    check = deploy / "check-environment"
    check.write_bytes((INSTALL.parent / "check-environment").read_bytes())
    check.chmod(0o755)
    python = tmp_path / "python3.11"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    venv = tmp_path / ".venv"
    (venv / "lib/python3.11").mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(python)
    assert subprocess.run([check], check=False).returncode == 0
    newer = python.rename(tmp_path / "python3.13")
    for target in (newer, python):  # upgraded; removed
        (venv / "bin/python").unlink()
        (venv / "bin/python").symlink_to(target)
        done = subprocess.run([check], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Run deploy/install again." in done.stderr
