"""Lists as JSON and CSV: whole, in the order of the rows, whatever their number."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from werkzeug.exceptions import NotFound

from indexer.web.answers import listed, single


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 1000])
def test_a_list_is_whole_in_both_forms(count: int) -> None:
    rows = [{"id": number, "name": f"n{number}"} for number in range(count)]
    told = json.loads(listed("json", "things", rows, ("id", "name"), total=count).get_data())
    assert told == {"total": count, "things": rows}
    table = listed("csv", "things", rows, ("id", "name")).get_data(as_text=True)
    assert list(csv.reader(io.StringIO(table))) == [
        ["id", "name"], *([str(row["id"]), row["name"]] for row in rows)
    ]  # fmt: skip


def test_a_list_without_more_is_json_too() -> None:
    assert json.loads(listed("json", "things", [], ()).get_data()) == {"things": []}


def test_odd_cells_stay_cells() -> None:
    rows: list[dict[str, Any]] = [{"a": 'x,"y"\r\nz', "b": None}, {"b": 2}]
    table = listed("csv", "things", rows, ("a", "b")).get_data(as_text=True)
    assert list(csv.reader(io.StringIO(table)))[1:] == [['x,"y"\u240d\nz', ""], ["", "2"]]


def test_there_is_no_third_form() -> None:
    with pytest.raises(NotFound):
        listed("xml", "things", [], ())
    with pytest.raises(NotFound):
        single("txt", {}, [], ())
