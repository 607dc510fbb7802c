"""The units and container files of deploy/ say what they must, in words their programs know.

No systemd and no container engine run here: `systemd-analyze verify` reads the units, and the
Compose Specification's own schema (in the package check-jsonschema) holds compose.yaml.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from indexer.queue.workers.profiles import QUEUES, worker_roles
from indexer.runs.lock import DispatchLock
from indexer.settings import Settings
from watcher.work.local_work import BACKGROUND_READERS

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
INSTALLED = "/opt/music-indexer/"
UNITS = sorted(DEPLOY.glob("*.service"))
TIMERS = sorted(DEPLOY.glob("*.timer"))
RELAY = DEPLOY / "music-relay.service"
OF_MUSIC = [DEPLOY / "music-watcher.service", DEPLOY / "music-worker@.service"]
WRITES_NOTHING = {
    "rq-dashboard.service": 0, "music-indexer-failed@.service": 0, "music-relay.service": 0,
}  # fmt: skip
NOT_TOLD = {
    "music-indexer-failed@.service": "it is what tells",
    "music-metrics.service": "it would tell every two minutes, and an alert tells once",
}
COMPOSE = DEPLOY / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
OURS = ["watcher", "worker", "dashboard", "page"]
MB = 1024 * 1024
SIZES = {"M": MB, "G": 1024 * MB}

Unit = dict[str, list[str]]
"""Key -> its values, from top to bottom."""


def parsed(unit: Path) -> Unit:
    found = defaultdict(list)
    for line in unit.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, equals, value = line.partition("=")
            assert equals, f"{unit}: {line}"
            found[key].append(value)
    return found


def installed(unit: Path, folder: Path) -> Path:
    """A copy of a unit whose programs are there, as far as the unit's reader looks."""
    text = unit.read_text()
    home = folder / "opt"
    for program in re.findall(rf"^Exec[A-Za-z]+={INSTALLED}(\S+)", text, re.MULTILINE):
        file = home / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    copy = folder / unit.name
    copy.write_text(text.replace(INSTALLED, f"{home}/"))
    return copy


def complaints(unit: Path) -> str:
    """All that systemd would say of a unit; it calls an unknown word no failure."""
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is not installed: deploy/test does it"
    done = subprocess.run(
        [program, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    return said or ("" if done.returncode == 0 else f"exit code {done.returncode}")


def test_there_is_a_unit_for_each_service() -> None:
    assert [unit.name for unit in UNITS] == [
        "music-backup.service",
        "music-hooks.service",
        "music-indexer-failed@.service",
        "music-metrics.service",
        "music-page.service",
        "music-redis.service",
        "music-relay.service",
        "music-verify.service",
        "music-watcher.service",
        "music-worker@.service",
        "rq-dashboard.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_against_the_unit(unit: Path, tmp_path: Path) -> None:
    assert complaints(installed(unit, tmp_path)) == ""


@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.name)
def test_systemd_has_nothing_to_say_against_the_timer(timer: Path, tmp_path: Path) -> None:
    installed(timer.with_suffix(".service"), tmp_path)
    assert complaints(installed(timer, tmp_path)) == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_that_could_reach_a_network_is_exposed_little(unit: Path, tmp_path: Path) -> None:
    """0 is the least, 10 the most; a network costs 0.5 and more."""
    copy = installed(unit, tmp_path)
    has_network = "PrivateNetwork" not in parsed(unit)
    most = 17 if has_network else 10  # tenths
    done = subprocess.run(
        [shutil.which("systemd-analyze") or "", "security", "--offline=true", f"--threshold={most}",
         "--no-pager", copy],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("ProtectSystem=", "ProtectSytem=", "Unknown key"),
        ("MemoryMax=768M", "MemoryMax=768 apples", "Invalid memory limit"),
        ("/bin/watcher", "/bin/no-such-program", "not executable"),
    ],
)
def test_systemd_would_have_found_a_mistake(
    tmp_path: Path, right: str, wrong: str, expected: str
) -> None:
    unit = installed(DEPLOY / "music-watcher.service", tmp_path)
    assert right in unit.read_text()
    unit.write_text(unit.read_text().replace(right, wrong))
    assert expected in complaints(unit)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_may_write_next_to_nothing(unit: Path) -> None:
    settings = parsed(unit)
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["NoNewPrivileges"] == settings["PrivateTmp"] == ["true"]
    assert settings["UMask"] == ["0077"]
    assert settings["User"] == ["music-indexer"]
    assert "ReadWritePaths" not in settings
    folders = {"StateDirectory", "RuntimeDirectory", "CacheDirectory", "LogsDirectory"}
    written = {key: settings[key] for key in folders & settings.keys()}
    own = {"music-indexer", "music-indexer-metrics"}
    assert all(set(values) <= own for values in written.values())
    assert len(written) == {**WRITES_NOTHING, "music-metrics.service": 2}.get(unit.name, 1)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_memory_of_a_unit_has_a_limit(unit: Path) -> None:
    (limit,) = parsed(unit)["MemoryMax"]
    assert 64 * MB <= int(limit[:-1]) * SIZES[limit[-1]] <= 1024 * MB


@pytest.mark.parametrize("unit", OF_MUSIC, ids=lambda unit: unit.name)
def test_a_reader_that_takes_all_it_may_or_is_killed_ends_no_service(unit: Path) -> None:
    settings = parsed(unit)
    assert settings["OOMPolicy"] == ["continue"]
    (limit,) = settings["MemoryMax"]
    defaults = Settings(db=Path("/x.db"))
    readers = BACKGROUND_READERS
    if "worker" in unit.name:
        readers = sum(post.reads for post in worker_roles(defaults, QUEUES, None))
    taken = readers * defaults.worker_memory * MB
    assert 2 * defaults.worker_memory * MB <= int(limit[:-1]) * SIZES[limit[-1]]
    assert taken <= 0.8 * int(limit[:-1]) * SIZES[limit[-1]]


def test_the_example_the_units_and_the_program_tell_the_same_limit() -> None:
    told = Settings(db=Path("/x.db")).worker_memory
    assert f"#worker_memory = {told}\n" in (DEPLOY / "config.example.toml").read_text()
    for unit in OF_MUSIC:
        assert f"`worker_memory` ({told} MB)" in unit.read_text()


@pytest.mark.parametrize("unit", [*OF_MUSIC, RELAY], ids=lambda unit: unit.name)
def test_the_music_is_waited_for_and_cannot_be_written(unit: Path) -> None:
    settings = parsed(unit)
    assert settings["RequiresMountsFor"] == ["/srv/music"]
    assert settings["ReadOnlyPaths"] == ["-/srv/music"]


@pytest.mark.parametrize("unit", [*OF_MUSIC, RELAY], ids=lambda unit: unit.name)
def test_what_reads_music_may_take_leases_and_sees_the_names_of_disks(unit: Path) -> None:
    settings = parsed(unit)
    assert settings["AmbientCapabilities"] == settings["CapabilityBoundingSet"] == ["CAP_LEASE"]
    assert "PrivateDevices" not in settings, "it hides /dev/disk, and so the disks' UUIDs"


def test_the_page_is_for_the_network_and_has_its_password_from_a_file() -> None:
    settings = parsed(DEPLOY / "music-page.service")
    assert settings["ExecStart"][0].endswith("indexer web --host 0.0.0.0 --port 8787")
    assert "/etc/music-indexer/page" in settings["EnvironmentFile"], "without it, it does not start"
    assert "RequiresMountsFor" not in settings, "it tells when the disk is away"
    assert "PrivateDevices" not in settings, "it hides /dev/disk, and so the disks' UUIDs"


def test_only_what_reads_music_has_a_capability() -> None:
    for unit in set(UNITS) - {*OF_MUSIC, RELAY}:
        assert parsed(unit)["CapabilityBoundingSet"] == [""], unit
        assert "AmbientCapabilities" not in parsed(unit), unit


@pytest.mark.parametrize("unit", OF_MUSIC, ids=lambda unit: unit.name)
def test_the_database_lies_where_the_unit_may_write(unit: Path) -> None:
    settings = parsed(unit)
    assert "INDEXER_DB=/var/lib/music-indexer/library.db" in settings["Environment"]
    assert settings["StateDirectory"] == ["music-indexer"], "it is below /var/lib"


def test_a_relay_has_its_password_from_a_file_and_knows_no_database() -> None:
    settings = parsed(RELAY)
    assert settings["EnvironmentFile"] == ["-/etc/music-indexer/environment"]
    assert "Environment" not in settings
    assert not any("redis" in line for line in settings["ExecStart"])


def test_systemd_waits_until_the_daemon_is_ready() -> None:
    settings = parsed(DEPLOY / "music-watcher.service")
    assert settings["Type"] == ["notify"]
    assert "AF_UNIX" in settings["RestrictAddressFamilies"][0].split(), "it says so by a socket"


def test_systemd_kills_a_daemon_that_hangs_and_starts_it_again() -> None:
    settings = parsed(DEPLOY / "music-watcher.service")
    assert (settings["WatchdogSec"], settings["Restart"]) == (["10min"], ["on-failure"])


@pytest.mark.parametrize(
    "unit", [one for one in UNITS if one.name not in NOT_TOLD], ids=lambda unit: unit.name
)
def test_a_unit_that_has_failed_for_good_is_told_of(unit: Path) -> None:
    settings = parsed(unit)
    assert settings["OnFailure"] == ["music-indexer-failed@%n.service"]
    if "Restart" in settings:  # else it would be started again for ever, and never have failed
        (pause_s,) = settings["RestartSec"]
        assert settings["StartLimitIntervalSec"] == ["10min"]
        (times,) = settings["StartLimitBurst"]
        assert int(times) * int(pause_s) < 600


def failure(tmp_path: Path, **environment: str) -> tuple[str, str]:
    """What deploy/tell-failure prints, and what it shows on all terminals."""
    programs = tmp_path / "programs"
    programs.mkdir()
    wall = tmp_path / "wall"
    for name, does in {
        "systemctl": "echo 'music-watcher.service - a daemon'; echo 'Björk: the last line'",
        "wall": f"cat > {wall}",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n", "utf-8")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        [DEPLOY / "tell-failure", "music-watcher.service"],
        env={"PATH": f"{programs}:/usr/bin:/bin", **environment},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == ""
    return done.stdout, wall.read_text("utf-8") if wall.exists() else ""


def test_a_failure_is_one_line_in_the_journal_and_on_the_terminals(tmp_path: Path) -> None:
    told, shown = failure(tmp_path)
    line = (
        "music-watcher.service has failed: Björk: the last line. "
        "More: systemctl status music-watcher.service\n"
    )
    assert (told, shown) == (f"<3>{line}", line)


def test_a_command_of_the_settings_gets_the_status_instead(tmp_path: Path) -> None:
    told, shown = failure(tmp_path, FAILURE_COMMAND='echo "[$FAILED_UNIT]"; tail -n 1')
    assert (told, shown) == ("[music-watcher.service]\nBjörk: the last line\n", "")


def test_a_worker_reads_the_settings_that_its_instance_names() -> None:
    settings = parsed(DEPLOY / "music-worker@.service")
    assert "INDEXER_CONFIG=/etc/music-indexer/%i.toml" in settings["Environment"]
    assert settings["KillMode"] == ["mixed"], "its children would hear SIGTERM twice"


def command_lines() -> list[list[str]]:
    """Every call of our programs in units and containers: the program's name and its words."""
    of_units = [
        line.removeprefix(f"{INSTALLED}.venv/bin/").replace("$WORKER_OPTIONS", "--queues extract")
        for unit in UNITS
        for line in parsed(unit)["ExecStart"]
        if line.startswith(f"{INSTALLED}.venv")
    ]
    return [line.split() for line in of_units] + [SERVICES[name]["command"] for name in OURS]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_our_programs_know_the_command_line(words: list[str]) -> None:
    assert words[0] in {"indexer", "watcher"}
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_sysusers_makes_the_user_of_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-sysusers")
    assert program is not None, "systemd-sysusers is not installed: deploy/test does it"
    (tmp_path / "etc").mkdir()
    subprocess.run([program, f"--root={tmp_path}", DEPLOY / "music-indexer.conf"], check=True)
    (line,) = (tmp_path / "etc/passwd").read_text().splitlines()
    fields = line.split(":")
    assert (fields[0], fields[5]) == ("music-indexer", "/var/lib/music-indexer")


def refusal(compose: Path) -> str:
    """What the Compose Specification's schema has against a file; empty: nothing."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", compose),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode else ""


def test_the_compose_specification_allows_the_file() -> None:
    assert refusal(COMPOSE) == ""


def test_the_compose_specification_would_have_refused_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    assert "mem_limit:" in COMPOSE.read_text()
    wrong.write_text(COMPOSE.read_text().replace("mem_limit:", "memory_limit:"))
    assert "memory_limit" in refusal(wrong)


def test_one_image_is_built_once_and_shared() -> None:
    assert {SERVICES[name]["image"] for name in OURS} == {"music-indexer"}
    assert [name for name, service in SERVICES.items() if "build" in service] == ["watcher"]
    others = set(OURS) - {"watcher"}
    assert all(SERVICES[name]["pull_policy"] == "never" for name in others)
    assert all("watcher" in SERVICES[name]["depends_on"] for name in others)


def test_the_image_is_built_from_files_that_the_checkout_has_and_the_ignore_file_lets_through() -> (
    None
):
    build = SERVICES["watcher"]["build"]
    assert (DEPLOY / build["context"]).resolve() == CHECKOUT
    dockerfile = CHECKOUT / build["dockerfile"]
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE)
    sources = {source for words in copies for source in words.split()}
    assert sources
    assert all((CHECKOUT / source).exists() for source in sources)
    assert {line[1:] for line in ignored if line.startswith("!")} == sources
    arguments = re.findall(r"^ARG (\w+)", dockerfile.read_text(), re.MULTILINE)
    assert list(build["args"]) == arguments


def test_the_image_holds_what_the_lock_says_and_runs_as_no_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    (install, project) = [line for line in lines if " install --no-cache-dir" in line]
    assert "--require-hashes -r deploy/requirements-dashboard.lock" in re.sub(" +", " ", install)
    assert "--no-deps --no-build-isolation ." in re.sub(" +", " ", project)
    assert [line for line in lines if line.startswith("USER ")] == ["USER music-indexer"]


def test_the_stages_of_the_image_begin_with_the_same_layers() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    begun = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    assert begun == [("python:3.12-slim", "base"), ("base", "build"), ("base", "")]


def healthy(name: str, **paths: str) -> bool:
    """Whether the health check of a service is content, with other paths and ports."""
    kind, *words = SERVICES[name]["healthcheck"]["test"]
    if kind == "CMD-SHELL":
        words = ["sh", "-c", *words]
    for path, other in paths.items():
        assert any(path in word for word in words)
        words = [word.replace(path, other) for word in words]
    assert not any("python" in word or "indexer status" in word for word in words)
    return subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == 0


def test_the_health_check_of_the_watcher_asks_whether_its_lock_is_taken(tmp_path: Path) -> None:
    place = {"/var/lib/music-indexer": str(tmp_path)}
    assert not healthy("watcher", **place)
    lock = DispatchLock.acquire(tmp_path / "library.db", "daemon")
    assert lock is not None
    assert healthy("watcher", **place)
    lock.close()
    assert not healthy("watcher", **place)


@pytest.mark.parametrize(("name", "known"), [("dashboard", "/9181"), ("page", "/8787")])
def test_the_health_check_of_pages_asks_whether_their_port_answers(name: str, known: str) -> None:
    assert f"127.0.0.1:{known[1:]}:{known[1:]}" in SERVICES[name]["ports"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = {known: f"/{server.getsockname()[1]}"}
        assert healthy(name, **port)
    assert not healthy(name, **port)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_limits_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert (service["mem_limit"], service["cpus"]) == ("512m", 0.5)
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


def mounts(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["target"]: mount for mount in service.get("volumes", [])}


def test_the_music_is_mounted_read_only_wherever_it_is_mounted() -> None:
    with_music = {name for name, service in SERVICES.items() if "/srv/music" in mounts(service)}
    assert with_music == {"watcher", "worker", "page"}
    for name in with_music:
        music = mounts(SERVICES[name])["/srv/music"]
        assert music["read_only"] is True
        assert music["bind"]["create_host_path"] is False


def test_the_database_lies_in_a_named_volume_of_those_who_need_it() -> None:
    assert "index" in yaml.safe_load(COMPOSE.read_text())["volumes"]
    folder = "/var/lib/music-indexer"
    of = {name: mounts(service).get(folder) for name, service in SERVICES.items()}
    volume = {"type": "volume", "source": "index", "target": folder}
    users = {"watcher": volume, "worker": volume, "page": volume}
    assert of == {**users, "dashboard": None, "redis": None}
    assert f"INDEXER_DB={folder}/library.db" in (DEPLOY / "Dockerfile").read_text()


def test_nothing_is_published_but_two_pages_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"dashboard": ["127.0.0.1:9181:9181"], "page": ["127.0.0.1:8787:8787"]}


def test_only_the_page_has_to_be_asked_for() -> None:
    asked = {
        name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service
    }
    assert asked == {"page": ["page"]}


def test_redis_can_be_reached_by_the_other_services_alone() -> None:
    assert SERVICES["redis"]["networks"] == ["queues"]
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["queues"] == {"internal": True}
    for name in OURS:
        assert "queues" in SERVICES[name]["networks"]
        assert SERVICES[name]["environment"]["INDEXER_REDIS"] == "redis://redis:6379/0"


def test_redis_has_the_settings_of_the_checkout() -> None:
    (mount,) = mounts(SERVICES["redis"]).values()
    assert (DEPLOY / mount["source"]).resolve() == DEPLOY / "redis.conf"
    assert mount["target"] in SERVICES["redis"]["command"]


@pytest.mark.parametrize(("name", "prefix"), [("dashboard", "DASHBOARD"), ("page", "WEB")])
def test_the_pages_of_a_container_ask_for_a_name_and_a_password(name: str, prefix: str) -> None:
    environment = SERVICES[name]["environment"]
    assert {f"INDEXER_{prefix}_USER", f"INDEXER_{prefix}_PASSWORD"} <= environment.keys()
