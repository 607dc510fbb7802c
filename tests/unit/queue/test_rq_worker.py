"""Messages of RQ's workers, in our own form."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution

from indexer.queue.workers.rq_overrides import quiet_logs

QUIETED = ("worker", "job", "registry", "queue", "scheduler")


class Empty:
    """A Redis without data."""

    def hgetall(self, _key: str) -> dict[bytes, bytes]:
        return {}


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Log RQ's messages as in a worker."""
    loggers = [logging.getLogger(f"rq.{name}") for name in QUIETED]
    quiet_logs()
    for logger in loggers:
        logger.addHandler(caplog.handler)
    yield
    for logger in loggers:
        logger.handlers.clear()
        logger.filters.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def no_job() -> None:
    raise NoSuchJobError("No such job")


def no_status() -> None:
    raise InvalidJobOperation("Failed to retrieve status for job")


def no_execution() -> None:
    Execution.fetch("297bb0bf", "scan-32-0-1-0", Empty())  # type: ignore[arg-type]


def told(fails: Callable[[], None], caplog: pytest.LogCaptureFixture) -> str:
    """The log of an exception in RQ, which RQ logs with its traceback."""
    try:
        fails()
    except Exception:
        logging.getLogger("rq.worker").error("job failed", exc_info=True)  # noqa: G201 - RQ does so
    return caplog.text


@pytest.mark.parametrize("fails", [no_job, no_status, no_execution])
def test_a_job_that_was_forgotten_while_it_was_done_is_told_in_a_line(
    fails: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    line = told(fails, caplog)
    assert "job gone detail=" in line
    assert "Traceback" not in line


def test_another_error_of_the_same_type_is_told_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails() -> None:
        raise ValueError("Execution of a wrong thing")

    assert "Traceback" in told(fails, caplog)
