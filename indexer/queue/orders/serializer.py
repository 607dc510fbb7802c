"""RQ's data of a job -> JSON and back, and nothing that is not JSON.

RQ takes a module with these two names as a serializer. Arguments stay raw: the job's own function
knows their type.
"""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_decode_call = msgspec.json.Decoder(
    tuple[str, None, tuple[msgspec.Raw, ...], dict[str, msgspec.Raw]]
).decode
_decode_any = msgspec.json.Decoder().decode


def dumps(value: object, /) -> bytes:
    """JSON of a call (name, None, arguments, keywords), of meta data or a result."""
    return _encode(value)


def loads(data: bytes, /) -> Any:  # noqa: ANN401 - RQ asks for whatever it stored
    """The call again. Raises ValueError for what is not JSON, such as a pickle."""
    if data.startswith(b"["):
        return _decode_call(data)
    return _decode_any(data)
