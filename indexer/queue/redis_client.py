"""An address in the settings -> a Redis that answers, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.retry import Retry

from indexer import errors
from indexer.settings import Settings

_CONNECT_S: Final = 5.0
"""A guess: a server on the same network that takes longer is as good as down."""


_SECRETS: Final = ("password=", "username=")
"""Options of an address that are credentials, not shown."""


class RedisState(Struct, frozen=True):
    """The state that a Redis reports."""

    run_id: str
    """Its run id: another one after each start."""
    version: str
    memory: int
    """Memory in use, in bytes."""
    peak: int
    eviction: str
    """Its `maxmemory-policy`."""

    @property
    def warning(self) -> str | None:
        """What to change so that no job is lost, with the line to write; None: nothing."""
        if not self.eviction.startswith("allkeys"):
            return None
        return (
            f"this Redis deletes queues when its memory is full (maxmemory-policy"
            f" {self.eviction}): write `maxmemory-policy noeviction` in its redis.conf, or run"
            " `redis-cli config set maxmemory-policy noeviction`"
        )


class WholePacker:
    """Packs each command into one piece, and so into one call of `send`.

    redis cuts a command into pieces of 6 kB, each of which is sent and received by a call of its
    own: 60 for the readings of one chunk. Its own way of joining takes quadratic time in them.
    """

    def pack(self, *args: bytes | str | float) -> list[bytes]:
        """A command, of one word or several, and its arguments in RESP (Redis' protocol)."""
        words = [*_encoded(args[0]).split(), *map(_encoded, args[1:])]
        pieces = [b"*%d\r\n" % len(words)]
        for word in words:
            pieces += (b"$%d\r\n" % len(word), word, b"\r\n")
        return [b"".join(pieces)]


def _encoded(value: bytes | bytearray | memoryview | str | float) -> bytes:
    """As redis itself does it. Raises DataError for other types, of which `bool` is one."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise redis.DataError(f"no argument of a command: {value!r}")
    return repr(value).encode()


_PACKER: Final = WholePacker()


def connect(settings: Settings, *, timeout_s: float | None = None) -> redis.Redis:
    """A client of the Redis in the settings; nothing is sent yet, so nothing can fail here.

    `timeout_s` is the time limit of one command; None: no limit, as a blocking read needs.
    Raises UsageError where the settings name none.
    """
    address = settings.redis
    if address is None:
        raise errors.UsageError(
            'no Redis is named: set `redis = "unix:///run/music-indexer/redis.sock"` in the'
            " config, or the environment variable INDEXER_REDIS"
        )
    try:
        return redis.Redis.from_url(
            address,
            socket_connect_timeout=_CONNECT_S,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            command_packer=_PACKER,
        )
    except ValueError as error:
        raise errors.SettingsError(
            f"{settings.said('redis')}: {error}; such as redis://localhost:6379/0"
        ) from error


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn errors of redis into RedisAway, or into QueueError where it refuses us."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        if isinstance(error, redis.AuthenticationError):
            raise _refused(settings, error) from error
        if "CERTIFICATE_VERIFY_FAILED" in str(error):  # redis keeps no more of ssl's error
            raise errors.QueueError(
                f"{shown(settings)}: its certificate is not trusted ({error}); add"
                " ?ssl_ca_certs=FILE to `redis`, with the file of the authority that signed it"
            ) from error
        raise errors.RedisAway(
            f"{shown(settings)}: no Redis answers ({error}); start it, or set `redis` to its"
            " address. Nothing is lost: pending work is stored in the index"
        ) from error
    except redis.ResponseError as error:
        raise _refused(settings, error) from error


def check_answers(settings: Settings) -> None:
    """Raise QueueError where the Redis of the settings cannot be used, UsageError without one."""
    client = connect(settings, timeout_s=_CONNECT_S)
    try:
        with answering(settings):
            client.ping()
    finally:
        client.close()


def state_of(client: redis.Redis) -> RedisState:
    """Ask a Redis for its state. Raises redis errors.

    Only for the two sections of its answer that are needed: a change may wait for this.
    """
    with client.pipeline(transaction=False) as pipeline:
        pipeline.info("server")
        pipeline.info("memory")
        server, memory = pipeline.execute()
    info = {**server, **memory}
    return RedisState(
        str(info["run_id"]),
        str(info["redis_version"]),
        int(info["used_memory"]),
        int(info["used_memory_peak"]),
        str(info.get("maxmemory_policy", "noeviction")),
    )


def shown(settings: Settings) -> str:
    """The address without the password, for users."""
    address = settings.redis or ""
    scheme, separator, rest = address.partition("://")
    if "@" in rest:
        rest = rest.rpartition("@")[2]
    rest, question, options = rest.partition("?")
    kept = [one for one in options.split("&") if not one.startswith(_SECRETS)]
    return scheme + separator + rest + (question + "&".join(kept) if any(kept) else "")


def _refused(settings: Settings, error: Exception) -> errors.QueueError:
    return errors.QueueError(
        f"{shown(settings)}: Redis refuses ({error}); check the user and password in `redis`, and"
        " the memory and disk of the server"
    )
