from __future__ import annotations

import os
from pathlib import Path

import apsw
import msgspec
import pytest

from indexer import errors
from indexer.settings import Settings
from indexer.store.connection import Connection, select
from indexer.store.recovery import health
from indexer.store.sqlite_errors import explained


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (apsw.BusyError, errors.DatabaseBusy),
        (apsw.LockedError, errors.DatabaseBusy),
        (apsw.ProtocolError, errors.DatabaseBusy),
        (apsw.FullError, errors.DatabaseFull),
        (apsw.CorruptError, errors.DatabaseDamaged),
        (apsw.NotADBError, errors.DatabaseDamaged),
        (apsw.FormatError, errors.DatabaseDamaged),
        (apsw.ReadOnlyError, errors.DatabaseError),
        (apsw.CantOpenError, errors.DatabaseError),
        (apsw.PermissionsError, errors.DatabaseError),
        (apsw.AuthError, errors.DatabaseError),
        (apsw.IOError, errors.DatabaseError),
        (apsw.NoLFSError, errors.DatabaseError),
        (apsw.NoMemError, errors.DatabaseError),
    ],
)
def test_what_sqlite_says_of_the_file_is_told_with_what_to_do(
    tmp_path: Path, raised: type[Exception], told: type[errors.DatabaseError]
) -> None:
    path = tmp_path / "library.db"
    with pytest.raises(told, match=f"{path}: .*(;|\\) )") as caught, explained(path):
        raise raised("why")
    assert type(caught.value) is told
    if told is errors.DatabaseDamaged:
        assert "`indexer repair`" in str(caught.value)


def test_a_disk_without_room_for_what_readers_need_is_told_as_full(tmp_path: Path) -> None:
    error = apsw.exception_for(apsw.SQLITE_IOERR_SHMSIZE)
    with pytest.raises(errors.DatabaseFull), explained(tmp_path / "library.db"):
        raise error


@pytest.mark.parametrize("raised", [apsw.CantOpenError, apsw.ReadOnlyError])
def test_an_index_in_a_folder_that_cannot_be_written_is_told_how_to_be_read(
    settings: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    raised: type[Exception],
) -> None:
    del connection
    monkeypatch.setattr(os, "access", lambda path, _mode: path != settings.db.parent)
    with pytest.raises(errors.DatabaseError, match="`indexer backup FILE`"), explained(settings.db):
        raise raised("unable to open database file")


@pytest.mark.parametrize(
    "raised",
    [apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, UnicodeError,
     TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError, OverflowError,
     msgspec.ValidationError],
)  # fmt: skip
def test_what_a_wrong_value_raises_is_told_as_damage_only_where_the_index_is_damaged(
    settings: Settings, connection: Connection, raised: type[Exception]
) -> None:
    with pytest.raises(raised), explained(settings.db):
        raise raised("a fault of ours keeps its traceback")
    connection.execute("DROP VIEW library")
    with pytest.raises(errors.DatabaseDamaged, match="indexer repair"), explained(settings.db):
        raise raised("why")


@pytest.mark.parametrize("raised", [RecursionError, AssertionError, RuntimeError])
def test_what_no_value_raises_is_a_fault_of_ours_on_a_damaged_index_too(
    settings: Settings, connection: Connection, raised: type[Exception]
) -> None:
    connection.execute("DROP VIEW library")
    with pytest.raises(raised), explained(settings.db):
        raise raised("keeps its traceback")


def test_our_own_errors_and_the_systems_are_left_as_they_are(settings: Settings) -> None:
    for ours in (errors.RootOffline("x"), errors.Interrupted("x"), BrokenPipeError()):
        with pytest.raises(type(ours)) as caught, explained(settings.db):
            raise ours
        assert caught.value is ours


def test_a_new_index_is_sound_and_looking_writes_nothing(connection: Connection) -> None:
    before = connection.total_changes()
    assert health.check(connection, deep=True) == []
    assert connection.total_changes() == before
    assert not connection.in_transaction


def test_a_check_inside_a_transaction_sees_it_and_leaves_it_open(connection: Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO catalog_artists (name) VALUES ('none of a track')")
    (damage,) = health.check(connection, deep=False)
    assert str(damage.part) == "catalog"
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert list(select(connection, "SELECT * FROM catalog_artists")) == []
