from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from indexer.cli.session import Interrupt


def test_the_first_signal_is_a_wish(capfd: pytest.CaptureFixture[str]) -> None:
    with Interrupt() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
    assert "once more to stop at once" in capfd.readouterr().err


def test_the_second_signal_ends_at_once() -> None:
    with Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert stop.exit_code == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_names_the_signal(number: signal.Signals, code: int) -> None:
    with Interrupt() as stop:
        os.kill(os.getpid(), number)
    assert stop.exit_code == code


def test_what_handled_the_signals_before_does_so_again() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)


def test_signals_that_come_together_are_taken_without_a_complaint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    both = {signal.SIGINT, signal.SIGTERM}
    with Interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        for number in both:  # of this thread: another one, of the test runner, blocks none
            signal.pthread_kill(threading.get_ident(), number)
        with pytest.raises(KeyboardInterrupt):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    assert complaints == []
