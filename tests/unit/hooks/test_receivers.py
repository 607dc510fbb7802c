"""What a receiver gets, and what is taken for an answer."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from indexer.hooks.events import Batch
from indexer.hooks.receivers import NotReceived, message_id, send, signature
from indexer.hooks.runner import pause_s
from indexer.settings.hooks import Hook
from indexer.store.hooks import Cursor

HOOK = Hook(name="x", url="http://localhost:1/")
CHANGE = {"seq": 7, "kind": "added"}


def command(script: str, *, timeout: float = 30) -> Hook:
    return Hook(name="x", command=(sys.executable, "-c", script), timeout=timeout)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification."""
    key = Hook(name="x", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").key
    told = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_has_the_same_id_in_each_attempt_and_another_one_for_other_events() -> None:
    assert message_id(HOOK, Batch((CHANGE,), Cursor(seq=7))) == "x-7"
    gone = Batch(({"kind": "root-offline", "root": "a"},), Cursor(seq=7))
    back = Batch(({"kind": "root-online", "root": "a"},), Cursor(seq=7))
    assert message_id(HOOK, gone) == message_id(HOOK, gone)
    assert len({message_id(HOOK, one) for one in (gone, back)} | {"x-7"}) == 3


def test_a_command_that_fails_has_not_received_anything() -> None:
    batch = Batch((CHANGE,), Cursor(seq=7))
    send(command('import sys; assert sys.stdin.read() == \'{"seq":7,"kind":"added"}\\n\''), batch)
    send(command("import os; assert os.environ['INDEXER_SEQ'] == '7'"), batch)
    with pytest.raises(NotReceived, match="exit code 3: no room"):
        send(command("import sys; print('a\\nno room', file=sys.stderr); sys.exit(3)"), batch)
    with pytest.raises(NotReceived, match="was killed"):
        send(command("import os; os.kill(os.getpid(), 9)"), batch)
    with pytest.raises(NotReceived, match="has not ended within"):
        send(command("import time; time.sleep(600)", timeout=0.2), batch)
    with pytest.raises(NotReceived, match="/no/such/program: No such file"):
        send(Hook(name="x", command=("/no/such/program",)), batch)


def test_what_a_command_leaves_running_holds_up_nobody(tmp_path: Path) -> None:
    """It has the standard error open, and a session of its own, so that it is not killed."""
    batch = Batch((CHANGE,), Cursor(seq=7))
    pid = tmp_path / "pid"
    leave = (
        "import subprocess, pathlib\n"
        "left = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(left.pid))\n"
    )
    try:
        send(command(leave), batch)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        with pytest.raises(NotReceived, match="has not ended within"):
            send(command(f"{leave}left.wait()", timeout=3), batch)
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_command_may_say_much_and_read_little() -> None:
    batch = Batch((CHANGE,) * 100_000, Cursor(seq=7))
    send(command("import sys; sys.stdin.close()"), batch)
    say = "import sys; sys.stderr.write('x' * 3_000_000 + '\\nno room'); sys.exit(3)"
    with pytest.raises(NotReceived, match="exit code 3: no room"):
        send(command(say), batch)


def test_a_receiver_that_is_down_is_named() -> None:
    with pytest.raises(NotReceived, match="refused"):
        send(HOOK, Batch((CHANGE,), Cursor(seq=7)))


@contextmanager
def answering(*parts: bytes, gap_s: float = 0) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends these to each client, and what it was sent."""
    asked: list[bytes] = []

    def serve() -> None:
        with suppress(OSError), listener.accept()[0] as client:
            asked.append(client.recv(1 << 16))
            for part in parts:
                client.sendall(part)
                time.sleep(gap_s)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
    thread.join(30)


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\n", *[b"X: a\r\n"] * 10_000),
        (b"HTTP/1.1 200 ", *[b"O"] * 10_000),
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000,
    ],
)
def test_an_answer_that_drips_has_not_received_anything(parts: Sequence[bytes]) -> None:
    with answering(*parts, gap_s=0.02) as (place, _):
        slow = Hook(name="x", url=f"http://{place}/", timeout=0.5)
        with pytest.raises(NotReceived, match="has not answered within"):
            send(slow, Batch((CHANGE,), Cursor(seq=7)))


def test_user_and_password_of_an_address_are_sent_and_never_told() -> None:
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (place, asked):
        hook = Hook(name="x", url=f"http://music:a%40b@{place}/x?y=1")
        send(hook, Batch((CHANGE,), Cursor(seq=7)))
    head = asked[0].lower()
    assert head.startswith(b"post /x?y=1 ")
    assert b"host: %s\r\n" % place.encode() in head
    assert b"authorization: basic " + b64encode(b"music:a@b").lower() in head
    assert hook.receiver == f"http://{place}/x"


def test_pauses_grow_from_a_second_to_ten_minutes() -> None:
    assert [pause_s(attempts) for attempts in (1, 2, 3, 10, 11, 5000)] == [1, 2, 4, 512, 600, 600]
