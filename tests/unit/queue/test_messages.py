from __future__ import annotations

import base64
import json
from importlib import import_module
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import QueueError
from indexer.model import Entry, Reading, Stamp, Waiting
from indexer.queue.orders.jobs import FUNCTION_OF, JobsJson, read_order
from indexer.queue.orders.messages import (
    BatchOrder,
    ExtractOrder,
    FileText,
    Origin,
    PathText,
    ScanOrder,
    entries_of,
    files_of,
    nameless,
    paths_of,
)
from indexer.queue.workers.kept_batches import InsertOrder, plan_of, readings_of
from indexer.stages.scan import Plan
from indexer.tags import READER_VERSION

ORIGIN = Origin(index="abc", row=5, generation=4, root="music", root_id=1)

names = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.text(min_size=1, max_size=20).map(lambda text: text.encode("utf-8", "ignore")),
).filter(lambda name: name not in (b"", b".", b"..") and not {0, 0x2F} & set(name))
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
numbers = st.integers(-(2**63), 2**63 - 1)
entries = st.builds(
    Entry,
    paths,
    st.builds(Stamp, st.integers(0, 2**63 - 1), numbers, numbers, st.integers(0, 2**63 - 1)),
    st.integers(0, 99),
    st.none() | st.sampled_from(["a FIFO", "a socket"]),
)


def sent(order: Any) -> Any:
    """An order as its stage gets it: through the JSON of a job."""
    stored = JobsJson.dumps(("indexer.queue.extract.run", None, (order,), {}))
    _, _, (raw,), _ = JobsJson.loads(stored)
    return read_order(raw, type(order))


def file(path: str, **more: Any) -> FileText:
    return FileText(path, **more, size=1, mtime_ns=2, ctime_ns=3, inode=4)


# ---- paths


@given(paths)
def test_every_path_in_a_root_survives_json(path: bytes) -> None:
    told = msgspec.json.encode(PathText.of(path))
    assert msgspec.json.decode(told, type=PathText).raw == path
    assert json.loads(told).keys() <= {"path", "path_b64"}
    assert ("path_b64" in json.loads(told)) == (not _is_utf8(path))


@given(entries)
def test_every_file_survives_json(entry: Entry) -> None:
    told = msgspec.json.encode(FileText.of_entry(entry))
    assert entries_of([msgspec.json.decode(told, type=FileText)]) == (entry,)


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


CLIMBING = [
    b"", b".", b"..", b"/", b"/etc/passwd", b"../1.mp3", b"A/../1.mp3", b"A/..", b"A/./1.mp3",
    b"A//1.mp3", b"A/", b"./1.mp3", b"1.mp3\0", b"\0",
]  # fmt: skip


@pytest.mark.parametrize("path", CLIMBING)
@pytest.mark.parametrize("as_b64", [False, True])
def test_a_path_that_leads_out_of_its_root_is_refused(path: bytes, as_b64: bool) -> None:
    b64 = {"path_b64": base64.b64encode(path).decode()} if as_b64 else {}
    text = "A/1.mp3" if as_b64 else path.decode()
    with pytest.raises(QueueError, match=r"leads out of its root.*drop this job"):
        _ = PathText(text, **b64).raw
    with pytest.raises(QueueError, match="leads out of its root"):
        entries_of([file("1.mp3"), file(text, **b64), file("2.mp3")])
    with pytest.raises(QueueError, match="leads out of its root"):
        paths_of([PathText(text, **b64)])


@pytest.mark.parametrize("path", [b"..mp3", b"...", b"A/..b/1.mp3", b".hidden/1.mp3", b"\\..\\1"])
def test_a_name_with_dots_is_no_way_out(path: bytes) -> None:
    assert PathText.of(path).raw == path
    assert paths_of([PathText.of(b"1.mp3"), PathText.of(path)]) == (b"1.mp3", path)


@pytest.mark.parametrize("b64", ["a", "====", "ab c", "YQ=", "é", "YQ==\n", "!!!!"])
def test_what_is_not_base64_is_refused(b64: str) -> None:
    with pytest.raises(QueueError, match=r"'1\.mp3': path_b64 is not base64; drop this job"):
        _ = PathText("1.mp3", b64).raw


def test_the_bytes_win_over_the_text_beside_them() -> None:
    assert PathText.of(b"\xff.mp3") == PathText("\ufffd.mp3", "/y5tcDM=")
    assert PathText("other.mp3", "/y5tcDM=").raw == b"\xff.mp3"


# ---- JSON that a person can read


def test_an_order_reads_as_json_with_names_and_without_what_is_usual() -> None:
    order = ExtractOrder(
        origin=ORIGIN,
        root_path=PathText.of(b"/srv/music"),
        files=files_of([Entry(b"Bj\xc3\xb6rk/\xff.mp3", Stamp(1, 2, 3, 4), 1)]),
    )
    assert json.loads(msgspec.json.encode(order)) == {
        "origin": {"index": "abc", "row": 5, "generation": 4, "root": "music", "root_id": 1},
        "root_path": {"path": "/srv/music"},
        "files": [
            {
                "path": "Björk/\ufffd.mp3",
                "path_b64": "QmrDtnJrL/8ubXAz",
                "size": 1,
                "mtime_ns": 2,
                "ctime_ns": 3,
                "inode": 4,
                "disk": 1,
            }
        ],
    }


def test_a_job_with_two_hundred_files_of_a_long_name_is_far_below_its_limit() -> None:
    name = b"Some Artist of a usual name/An album (deluxe edition)/%03d A title.mp3"
    listed = [Entry(name % number, Stamp(2**40, *[2**62] * 3), 1) for number in range(200)]
    order = ExtractOrder(origin=ORIGIN, root_path=PathText("/m"), files=files_of(listed))
    assert len(msgspec.json.encode(order)) < 64 * 1024


@pytest.mark.parametrize(
    "order",
    [
        ScanOrder(index="abc", generation=4, row=3, turn=2, closed=((1, PathText.of(b"\xff")),)),
        ExtractOrder(origin=ORIGIN, root_path=PathText("/m"), files=(file("1.mp3"),)),
        BatchOrder(origin=ORIGIN, files=(file("1.mp3"),), readings=(Reading(path=b""),)),
        InsertOrder(index="abc", row=5, generation=4, batched="batch-5-1-0"),
    ],
)
def test_an_order_comes_back_as_it_was_sent(order: object) -> None:
    assert sent(order) == order


@pytest.mark.parametrize("text", ["{}", "[]", "5", '"text"', "null", '{"origin": 5}', "{"])
@pytest.mark.parametrize("kind", [ScanOrder, ExtractOrder, BatchOrder, InsertOrder])
def test_an_argument_of_another_type_is_refused(kind: type[object], text: str) -> None:
    with pytest.raises(QueueError, match=r"not the argument of this job.*drop this job"):
        read_order(msgspec.Raw(text.encode()), kind)


def test_what_rq_keeps_is_never_unpickled() -> None:
    with pytest.raises(msgspec.DecodeError):
        JobsJson.loads(b"\x80\x04\x95")


# ---- batches


@given(st.lists(entries, max_size=4), st.lists(entries, max_size=3), st.integers(0, 9))
def test_a_batch_has_the_plan_of_the_scan(
    read: list[Entry], unread: list[Entry], reread: int
) -> None:
    origin = Origin(index="a", row=1, generation=1, root="music", root_id=3, reread=reread)
    readings = [Reading(path=entry.path, stamp=entry.stamp) for entry in read]
    order = sent(
        BatchOrder(
            origin=origin,
            files=files_of(read),
            unread=files_of(unread),
            readings=nameless(readings),
            reader=READER_VERSION,
        )
    )
    plan = plan_of(order)
    assert plan == Plan(3, tuple(read), tuple(unread), reread)
    assert readings_of(order, plan) == readings


@given(st.lists(entries, min_size=1, max_size=4))
def test_what_an_older_version_has_read_is_read_again(read: list[Entry]) -> None:
    readings = tuple(Reading(path=b"", stamp=entry.stamp) for entry in read)
    order = sent(
        BatchOrder(
            origin=ORIGIN, files=files_of(read), readings=readings, reader=READER_VERSION - 1
        )
    )
    assert readings_of(order, plan_of(order)) == [
        Reading(path=entry.path, waiting=Waiting.CHANGING) for entry in read
    ]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_readings_that_are_not_one_a_file_are_refused(number: int) -> None:
    order = BatchOrder(
        origin=ORIGIN,
        files=(file("1.mp3"), file("2.mp3")),
        readings=(Reading(path=b""),) * number,
    )
    with pytest.raises(QueueError, match=f"{number} readings for 2 files.*drop it"):
        readings_of(order, plan_of(order))


def test_the_name_of_each_job_function_is_that_of_a_function() -> None:
    for name in FUNCTION_OF.values():
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(module), function))
