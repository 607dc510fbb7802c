"""An address in the settings -> a Redis that answers, or what is wrong with it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.retry import Retry

from indexer import errors
from indexer.settings import Settings

_CONNECT_S: Final = 5.0
"""A guess: a server on the same network that takes longer is as good as down."""
_PORT: Final = 6379
"""Where the address names none."""
_PROBE_S: Final = 1.0
_OF_REDIS: Final = (b"+PONG", b"-NOAUTH", b"-NOPERM", b"-DENIED", b"-LOADING", b"-MASTERDOWN")
"""What a Redis may answer to a PING before it knows us."""
_SUSPENDED: Final = "rq:suspended"
"""RQ's name for it, which takes all of RQ to import."""
_SECRETS: Final = frozenset(["password", "username", "ssl_password"])
"""Options of an address that are credentials, not shown."""
_OPTIONS: Final = frozenset(
    [
        "client_name",
        "db",
        "health_check_interval",
        "max_connections",
        "password",
        "protocol",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "socket_timeout",
        "username",
    ]
)
"""Options of an address beside those for TLS. redis takes others from it that would break us: what
answers are (`decode_responses`), or how commands are packed."""
_TLS_OPTIONS: Final = frozenset(
    [
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
    ]
)
_CODED: Final = "in a password, write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25"
_TLS_ADVICE: Final = (
    ("mismatch", "set `redis` to a name of the server that is in its certificate"),
    ("has expired", "renew it, or see to the clocks of both machines"),
    ("not yet valid", "see to the clocks of both machines"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "add ?ssl_ca_certs=FILE to `redis`, with the file of the authority that signed it",
    ),
)
"""Parts of ssl's text, of which redis keeps no more -> what to do. The first one counts."""
_REFUSALS: Final = (
    ("WRONGPASS", "check the user and password in `redis`"),
    ("NOAUTH", "check the user and password in `redis`"),
    ("no permissions", "let the user in `redis` do that: `ACL SETUSER NAME ~* &* +@all`"),
    ("replica", "it is a replica: set `redis` to the address of its master"),
    ("maxmemory", "raise its `maxmemory`, and see to the memory and disk of the server"),
    ("WRONGTYPE", "give other programs a Redis, or a database number, of their own"),
    ("DB index", "name a database that it has"),
    ("BUSY", "a script of another program is running there: wait for it, or `SCRIPT KILL`"),
)
"""Parts of Redis' own text -> what to do."""


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
    is_suspended: bool = False
    """RQ's workers take no job from it."""

    @property
    def warned_as(self) -> str:
        """What is the matter in a few words, where there is a warning."""
        return "workers suspended" if self.is_suspended else "redis evicts"

    @property
    def warning(self) -> str | None:
        """What to change so that jobs are done and none is lost; None: nothing."""
        if self.is_suspended:
            return (
                "workers take no job, since `rq suspend` or another program has set rq:suspended:"
                " run `redis-cli del rq:suspended`"
            )
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
        _check_address(address)
        client = redis.Redis.from_url(
            address,
            socket_connect_timeout=_CONNECT_S,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            command_packer=_PACKER,
            redis_connect_func=_greet,
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # checks the values of all options
    except (ValueError, redis.RedisError) as error:
        raise errors.SettingsError(
            f"{settings.said('redis')}: {error}; such as redis://localhost:6379/0"
        ) from error
    return client


def _greet(connection: Any) -> None:  # noqa: ANN401 - one of redis' several classes
    """Begin as redis does. Raises InvalidResponse where what answers is no Redis.

    redis raises that for most of its answers only: IMAP begins as a list of Redis does, and POP3 as
    a text.
    """
    try:
        connection.on_connect()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise redis.InvalidResponse(
            "Protocol Error: its first answer is none of a Redis"
        ) from error


def _check_address(address: str) -> None:
    """Raise ValueError for what redis would overlook, or only meet when it connects.

    Its text shows nothing that may be a part of a password.
    """
    try:
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        _ = parts.port
        is_cut = "#" in address
    except ValueError:
        is_cut = True
    if is_cut:
        raise ValueError(f"this is no address of a Redis ({_CODED})")
    if parts.scheme == "unix" and parts.hostname:  # redis would leave out the first folder
        raise ValueError("the path of a socket follows three slashes: unix:///PATH")
    number = unquote(parts.path).strip("/")
    if parts.scheme != "unix" and number and not (number.isascii() and number.isdecimal()):
        raise ValueError(f"what follows the last / is no number of a database ({_CODED})")
    known = _OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _OPTIONS
    for name in options:
        if name not in known:
            if "@" in parts.query:  # what was taken for an option is a part of a password
                raise ValueError(f"this is no address of a Redis ({_CODED})")
            where = " but for rediss://" if name in _TLS_OPTIONS else ""
            raise ValueError(f"?{name}= is no option of an address{where}")
    _check_files(options)


def _check_files(options: Mapping[str, str]) -> None:
    """Raise ValueError where TLS has no use for a file. redis takes that for a server that is away.

    A key that needs a password is refused without it: OpenSSL would ask for it on the terminal.
    """
    trusted, own = options.get("ssl_ca_certs"), options.get("ssl_certfile")
    if not (trusted or own):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        what = f"ssl_ca_certs={trusted}"
        if trusted:
            context.load_verify_locations(cafile=trusted)
        what = f"ssl_certfile={own}, ssl_keyfile={options.get('ssl_keyfile')}"
        if own:
            password = options.get("ssl_password", "")
            context.load_cert_chain(own, options.get("ssl_keyfile"), password)
    except OSError as error:  # SSLError is one
        raise ValueError(f"{what}: {error.strerror or error}; it has to be in PEM") from error


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn errors of redis into RedisAway, or into QueueError where it refuses us."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse, OSError) as error:
        text = str(error)
        if isinstance(error, redis.AuthenticationError):
            raise _refused(settings, error) from error
        for part, advice in _TLS_ADVICE:
            if "CERTIFICATE_VERIFY_FAILED" in text and part in text:
                raise errors.QueueError(
                    f"{shown(settings)}: its certificate is not trusted ({text}); {advice}"
                ) from error
        if not (isinstance(error, redis.BusyLoadingError) or _is_unreached(error)):
            _check_protocol(settings)
        raise errors.RedisAway(
            f"{shown(settings)}: no Redis answers ({text}); start it, or set `redis` to its"
            f" address{_further_advice(settings, text)}. Nothing is lost: pending work is stored"
            " in the index"
        ) from error
    except redis.ResponseError as error:
        raise _refused(settings, error) from error


def _is_unreached(error: Exception) -> bool:
    """Whether no server was reached; redis keeps the error of the system beside its own."""
    return isinstance(
        error.__cause__ or error.__context__ or error, ConnectionRefusedError | socket.gaierror
    )


def _check_protocol(settings: Settings) -> None:
    """Raise QueueError where a Redis is there that speaks TLS and we do not, or the other way.

    Neither side tells: a Redis without TLS waits for the end of the line, one with it hangs up.
    """
    parts = urlsplit(settings.redis or "")
    if parts.scheme == "unix":
        return
    place = parts.hostname or "localhost", parts.port or _PORT
    told = None
    with suppress(OSError), socket.create_connection(place, _PROBE_S) as connection:
        if parts.scheme == "rediss":
            connection.sendall(b"PING\r\n")
            if connection.recv(64).startswith(_OF_REDIS):
                told = "without TLS: write redis:// in place of rediss://, or name its tls-port"
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
            with context.wrap_socket(connection, server_hostname=place[0]):
                told = "by TLS alone: write rediss:// in place of redis://, or name another port"
    if told is not None:
        raise errors.QueueError(f"{shown(settings)}: the server answers there {told}")


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
        pipeline.exists(_SUSPENDED)
        server, memory, is_suspended = pipeline.execute()
    info = {**server, **memory}
    return RedisState(
        str(info["run_id"]),
        str(info["redis_version"]),
        int(info["used_memory"]),
        int(info["used_memory_peak"]),
        str(info.get("maxmemory_policy", "noeviction")),
        bool(is_suspended),
    )


def shown(settings: Settings) -> str:
    """An address that `connect` takes, without the password, for users."""
    address = settings.redis or ""
    scheme, separator, rest = address.partition("://")
    place, question, options = rest.partition("?")
    place = place.rpartition("@")[2]
    kept = [one for one in options.split("&") if unquote(one.partition("=")[0]) not in _SECRETS]
    return scheme + separator + place + (question + "&".join(kept) if any(kept) else "")


def _further_advice(settings: Settings, text: str) -> str:
    """What may be wrong where a server is there, and ends the connection or lets none in."""
    address = settings.redis or ""
    if "Permission denied" in text:
        return ", or let this user in: with `unixsocketperm 770`, its group (`usermod -aG`)"
    if not address.startswith("rediss:") or "ssl_certfile=" in address or "_ssl.c" not in text:
        return ""
    return ", with ?ssl_certfile=FILE&ssl_keyfile=FILE where its tls-auth-clients asks for them"


def _refused(settings: Settings, error: Exception) -> errors.QueueError:
    return errors.QueueError(f"{shown(settings)}: Redis refuses {refusal(error)}")


def refusal(error: Exception) -> str:
    """What a Redis that refuses a command says, and what to do about it."""
    text = str(error)
    found = (advice for part, advice in _REFUSALS if part in text)
    general = "check the user and password in `redis`, and the memory and disk of the server"
    return f"({text}); {next(found, general)}"
