"""`indexer metrics`: what it prints, and that alerts and dashboard ask for nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.corpus import noise, plant, tagged
from tests.daemons import watching
from tests.programs import CHECKOUT, eventually, run
from tests.redis_servers import redis_server
from tests.rq_workers import crew, is_quiet, quick

DEPLOY = CHECKOUT / "deploy"
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
RULES: list[dict[str, Any]] = ALERTS["groups"][0]["rules"]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
OF_OTHERS = {"node_textfile_mtime_seconds"}
"""What the rules ask of node_exporter."""
NAMES = {
    "build_info": ["version", "python", "sqlite"], "up": [], "tracks": ["root"],
    "missing_tracks": ["root"], "problems": ["kind"], "root_state": ["root", "state"],
    "relay_up": ["root", "host"],
    "watched_folders": [], "unwatched_folders": [], "pending": [],
    "pending_oldest_age_seconds": [], "error_ratio": [], "files_total": ["stage"],
    "read_bytes_total": [], "written_bytes_total": [], "changes_total": ["kind"],
    "recoveries_total": ["reason"], "cache_hits_total": [], "last_scan_timestamp_seconds": [],
    "last_reconcile_timestamp_seconds": [], "last_verify_timestamp_seconds": [],
    "process_resident_memory_bytes": ["role", "host"],
    "process_cpu_seconds_total": ["role", "host"], "damage": [], "verify_differences": [],
}  # fmt: skip
OF_QUEUES = {
    "rq_jobs": ["queue", "status"], "rq_workers": ["name", "state", "queues"],
    "rq_workers_success_total": ["name", "queues"], "rq_workers_failed_total": ["name", "queues"],
    "rq_workers_working_time_total": ["name", "queues"],
}  # fmt: skip
"""As rq-exporter 3 has them."""
FAMILIES = {**{f"music_indexer_{name}": labels for name, labels in NAMES.items()}, **OF_QUEUES}
_SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)

Samples = dict[str, float]
"""Name and labels, as they stand there -> number."""


def samples(text: str) -> Samples:
    return {
        name + (f"{{{labels}}}" if labels else ""): float(value)
        for name, labels, value in _SAMPLE.findall(text)
    }


def metrics(db: Path, **options: Any) -> Samples:
    return samples(run("metrics", db=db, **options).out)


@pytest.fixture
def promtool() -> str:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool (of prometheus) is not installed")
    return tool


def content(tool: str, *words: str | Path, text: str = "") -> str:
    """What promtool says, where it has nothing against something."""
    done = subprocess.run([tool, *words], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def indexed(db: Path, music: Path) -> Path:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B"), "bad.mp3": noise()})
    run("rebuild", music, db=db)
    return db


def test_every_family_is_there_with_its_labels(indexed: Path) -> None:
    text = run("metrics", db=indexed).out
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert list(types) == re.findall(r"^# HELP (\S+) .*\.$", text, re.MULTILINE)
    assert types.keys() == FAMILIES.keys()
    assert {name for name, kind in types.items() if kind == "counter"} == {
        name for name in FAMILIES if name.endswith("_total")
    }
    for name, labels, _ in _SAMPLE.findall(text):
        assert sorted(re.findall(r'(\w+)="', labels)) == sorted(FAMILIES[name])


def test_they_tell_what_the_index_holds(indexed: Path, music: Path) -> None:
    (music / "b.mp3").unlink()
    run("scan", db=indexed)
    run("verify", db=indexed)
    told = metrics(indexed)
    expected = {
        "up": 0, 'tracks{root="music"}': 1, 'missing_tracks{root="music"}': 1,
        'problems{kind="content"}': 1, 'problems{kind="fault"}': 0, "pending": 0,
        'root_state{root="music",state="idle"}': 1, 'root_state{root="music",state="offline"}': 0,
        "damage": 0, "verify_differences": 0, "last_reconcile_timestamp_seconds": 0,
        'files_total{stage="discovery"}': 0, 'recoveries_total{reason="overflow"}': 0,
    }  # fmt: skip
    assert {name: told[f"music_indexer_{name}"] for name in expected} == expected
    for what in ("scan", "verify"):
        at_s = told[f"music_indexer_last_{what}_timestamp_seconds"]
        assert abs(indexed.stat().st_mtime - at_s) < 600


def test_the_last_verify_is_told_with_what_it_found(indexed: Path, music: Path) -> None:
    assert metrics(indexed)["music_indexer_last_verify_timestamp_seconds"] == 0
    subprocess.run(
        ["sqlite3", indexed, "INSERT INTO genres (name) VALUES ('of no track')"], check=True
    )
    plant(music, {"new.mp3": tagged(title="New")})
    run("verify", db=indexed, check=1)
    told = metrics(indexed)
    assert told["music_indexer_damage"] >= 1
    assert told["music_indexer_verify_differences"] == 1
    mark = indexed.with_name(indexed.name + ".verified")
    assert mark.stat().st_mode & 0o777 == indexed.stat().st_mode & 0o660


def test_a_user_that_may_not_write_the_note_verifies_all_the_same(
    indexed: Path, powerless: list[str], nobody: tuple[int, int]
) -> None:
    mark = indexed.with_name(indexed.name + ".verified")
    mark.touch(0o600)
    os.chown(mark, *nobody)
    assert "index equals disk" in run("verify", db=indexed, prefix=powerless).out
    assert mark.read_bytes() == b""


def test_what_a_daemon_does_is_counted(db: Path, music: Path) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    with watching(music, db=db) as daemon:
        daemon.shows({"a.mp3": "A", "b.mp3": "B"})
        first = metrics(db)
        assert first["music_indexer_up"] == 1
        assert first["music_indexer_watched_folders"] == 1
        assert first['music_indexer_root_state{root="music",state="watching"}'] == 1
        assert first['music_indexer_files_total{stage="extraction"}'] == 2
        assert first['music_indexer_changes_total{kind="added"}'] == 2
        assert first["music_indexer_read_bytes_total"] > 0
        assert first["music_indexer_last_reconcile_timestamp_seconds"] > 1e9
        memory = [value for name, value in first.items() if 'role="daemon"' in name]
        assert len(memory) == 2
        (music / "a.mp3").rename(music / "c.mp3")
        daemon.shows({"c.mp3": "A", "b.mp3": "B"})
        eventually(lambda: metrics(db)['music_indexer_changes_total{kind="moved"}'] == 1)
        run("scan", db=db)
        eventually(lambda: metrics(db)["music_indexer_cache_hits_total"] >= 2)
        later = metrics(db)
    for name in first.keys() & later.keys():
        if "_total" in name:
            assert later[name] >= first[name], name


def test_what_workers_do_is_counted_and_the_queues_have_the_names_of_rq_exporter(
    db: Path, music: Path, tmp_path: Path
) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    with redis_server(tmp_path) as server:
        client = server.client()
        config = quick(server.address)
        with (
            crew(db=db, config=config, client=client),
            watching(music, db=db, config=config) as daemon,
        ):
            daemon.shows({"a.mp3": "A", "b.mp3": "B"})
            is_quiet(db)
            inserted = 'music_indexer_files_total{stage="insertion"}'
            eventually(lambda: metrics(db, config=config)[inserted] >= 2)
            told = metrics(db, config=config)
        assert told['music_indexer_files_total{stage="extraction"}'] == 2
        assert told["music_indexer_read_bytes_total"] > 0
        assert told['music_indexer_changes_total{kind="added"}'] == 2
        states = {"queued", "started", "failed", "finished", "deferred", "scheduled"}
        jobs = {name for name in told if name.startswith("rq_jobs{")}
        assert {f'rq_jobs{{queue="extract",status="{state}"}}' for state in states} <= jobs
        workers = [name for name in told if name.startswith("rq_workers{")]
        assert any('queues="extract"' in name for name in workers)
        done = sum(value for name, value in told.items() if "rq_workers_success" in name)
        assert done >= 3
        roles = {name for name in told if "process_resident_memory" in name}
        assert any('role="extract"' in name for name in roles)
        assert any('role="daemon"' in name for name in roles)
        later = metrics(db, config=config)
        assert later["music_indexer_read_bytes_total"] == told["music_indexer_read_bytes_total"]
        server.kill()
        away = metrics(db, config=config)
    assert "music_indexer_read_bytes_total" not in away, "0 would be an increase when it is back"
    assert away['music_indexer_tracks{root="music"}'] == 2


def test_a_textfile_is_whole_and_every_user_may_read_it(indexed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    file = folder / "music-indexer.prom"
    file.write_text("old")
    before = file.stat().st_ino
    assert run("metrics", "--textfile", file, db=indexed).out == ""
    assert samples(file.read_text()).keys() == metrics(indexed).keys()
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.stat().st_ino != before, "it was written anew, and renamed"
    assert [one.name for one in folder.iterdir()] == ["music-indexer.prom"]
    assert run("metrics", "--textfile", tmp_path / "none/x.prom", db=indexed, check=3).out == ""


def test_as_json_each_number_is_a_line(indexed: Path) -> None:
    told = run("metrics", "--json", db=indexed).objects
    assert all(isinstance(one["value"], float) for one in told)
    assert len(told) == len(metrics(indexed))
    build = next(one for one in told if one["name"] == "music_indexer_build_info")
    assert set(build) == {"name", "labels", "value"}
    assert set(build["labels"]) == {"version", "python", "sqlite"}
    assert run("metrics", "--json", "--textfile", "x.prom", db=indexed, check=2).out == ""


def test_without_the_library_it_says_what_to_install(indexed: Path) -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None;"
        "from indexer.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--db", indexed, "metrics"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    pip = f"{sys.executable} -m pip install 'music-indexer[metrics]'"
    assert done.stderr.endswith(f"(prometheus_client is missing): {pip}\n")


def expressions() -> list[str]:
    """All that the rules and the dashboard ask."""
    asked = [rule["expr"] for rule in RULES]
    asked += [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    query = BOARD["templating"]["list"][1]["query"]["query"]
    return [*asked, query]


def test_alerts_and_dashboard_ask_for_nothing_that_is_not_exported() -> None:
    asked = {
        name
        for expression in expressions()
        for name in re.findall(r"\b(?:music_indexer|rq|node)_\w+", expression)
    }
    assert asked - OF_OTHERS <= FAMILIES.keys()
    assert asked > OF_OTHERS
    for expression in expressions():
        for name, labels in re.findall(r"\b((?:music_indexer|rq)_\w+)\{([^}]*)\}", expression):
            asked_labels = set(re.findall(r"(\w+)=", labels)) - {"instance"}
            assert asked_labels <= set(FAMILIES[name]), expression


def test_the_dashboard_has_eight_panels_with_thresholds_side_by_side() -> None:
    panels = BOARD["panels"]
    assert len(panels) == len({panel["id"] for panel in panels}) == 8
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == 8
    for panel in panels:
        assert len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) >= 2, panel["title"]


def test_promtool_has_nothing_against_the_metrics(indexed: Path, promtool: str) -> None:
    assert content(promtool, "check", "metrics", text=run("metrics", db=indexed).out) == ""


def test_promtool_has_nothing_against_alerts_and_dashboard(promtool: str, tmp_path: Path) -> None:
    assert f"{len(RULES)} rules found" in content(
        promtool, "check", "rules", DEPLOY / "alerts.yaml"
    )
    asked = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(asked)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    content(promtool, "check", "rules", file)


FIRES = 'count(ALERTS{alertname="%s",alertstate="firing"}) or vector(0)'
FIRING = {
    "MusicIndexerDown": {"music_indexer_up": "0x2000"},
    "MusicIndexerRootOffline": {'music_indexer_root_state{root="usb",state="offline"}': "1x2000"},
    "MusicIndexerRelayLost": {'music_indexer_relay_up{root="nas",host="server"}': "0x2000"},
    "MusicIndexerPendingLong": {"music_indexer_pending_oldest_age_seconds": "901x2000"},
    "MusicIndexerFoldersUnwatched": {"music_indexer_unwatched_folders": "3x2000"},
    "MusicIndexerErrors": {"music_indexer_error_ratio": "0.02x2000"},
    "MusicIndexerJobsFailed": {'rq_jobs{queue="extract",status="failed"}': "1x2000"},
    "MusicIndexerJobsWithoutWorkers": {'rq_jobs{queue="extract",status="queued"}': "7x2000"},
    "MusicIndexerReconcileOld": {"music_indexer_last_reconcile_timestamp_seconds": "1x2000"},
    "MusicIndexerFilesDamaged": {'music_indexer_problems{kind="damage"}': "1x2000"},
    "MusicIndexerDamaged": {"music_indexer_damage": "1x2000"},
    "MusicIndexerMetricsOld": {
        'node_textfile_mtime_seconds{file="/x/music-indexer.prom"}': "1x2000"
    },
}
WELL = {
    "music_indexer_up": "1x2000",
    'music_indexer_root_state{root="usb",state="offline"}': "0x2000",
    'music_indexer_relay_up{root="nas",host="server"}': "1x2000",
    "music_indexer_pending_oldest_age_seconds": "0x2000",
    "music_indexer_unwatched_folders": "0x2000", "music_indexer_error_ratio": "0x2000",
    'rq_jobs{queue="extract",status="failed"}': "0x2000",
    'rq_jobs{queue="extract",status="queued"}': "9x2000",
    'rq_workers{name="a",state="busy",queues="extract"}': "1x2000",
    "music_indexer_last_reconcile_timestamp_seconds": "1+600x2000",
    'music_indexer_problems{kind="damage"}': "0x2000",
    'music_indexer_problems{kind="content"}': "1x2000",
    "music_indexer_damage": "0x2000",
    'node_textfile_mtime_seconds{file="/x/music-indexer.prom"}': "1+600x2000",
}  # fmt: skip


def test_each_alert_fires_when_it_must_and_none_when_all_is_well(
    promtool: str, tmp_path: Path
) -> None:
    assert FIRING.keys() == {rule["alert"] for rule in RULES}
    at = {"MusicIndexerReconcileOld": "8d"}

    def case(series: dict[str, str], when: str, fires: dict[str, bool]) -> dict[str, Any]:
        return {
            "interval": "10m",
            "input_series": [{"series": name, "values": value} for name, value in series.items()],
            "promql_expr_test": [
                {
                    "expr": FIRES % alert,
                    "eval_time": when,
                    "exp_samples": [{"labels": "{}", "value": int(does)}],
                }
                for alert, does in fires.items()
            ],
        }

    cases = [case(series, at.get(name, "2h"), {name: True}) for name, series in FIRING.items()]
    cases += [case(WELL, when, dict.fromkeys(FIRING, False)) for when in ("2h", "8d")]
    file = tmp_path / "tests.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(DEPLOY / "alerts.yaml")],
                "tests": cases,
                "evaluation_interval": "10m",
            }
        )
    )
    assert "SUCCESS" in content(promtool, "test", "rules", file)
