"""Reading a request's body from ASGI, within limits of size and time.

A body that is too large is refused by its announced length before a byte is read, and by its real length at the first byte beyond
the limit: memory stays below the limit, whatever the client says.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Receive

from shared.errors import InvalidRequest, TooLarge, UnsupportedMedia

GRACE_SECONDS = (
    5.0  # before the pace of a body is looked at: a connection may begin slowly, or rest for a moment
)
LONGEST_CONTENT_LENGTH = 18  # digits; more is beyond any limit, and `int()` itself refuses thousands of them


class ClientGone(Exception):
    """The client closed the connection before its request was complete; there is nobody to answer."""


async def read_body(
    receive: Receive,
    headers: list[tuple[bytes, bytes]],
    *,
    limit_bytes: int,
    total_seconds: float,
    bytes_per_second_min: float = 0.0,
) -> bytes:
    """Return the whole body of a JSON request. `headers` are those of the ASGI scope, with lower-case names.

    The content type must be stated and be `application/json`: parameters have no effect on JSON (RFC 8259 §11), and a missing type
    is refused, so that no web page can send the request without the browser asking us first.

    Raises: UnsupportedMedia for another type or any content encoding; TooLarge beyond `limit_bytes`; InvalidRequest
    (`request_timeout`) when the body is not complete after `total_seconds`, or when after GRACE_SECONDS it has come more slowly
    than `bytes_per_second_min`, as 400 and not 408, because SDKs repeat a 408; ClientGone when the client leaves first.
    """
    _check(headers, limit_bytes)
    began = asyncio.get_running_loop().time()

    def due(received_bytes: int) -> float:
        if not bytes_per_second_min:
            return began + total_seconds
        return began + min(total_seconds, GRACE_SECONDS + received_bytes / bytes_per_second_min)

    limit = asyncio.timeout_at(due(0))
    try:
        async with limit:
            return await _received(receive, limit_bytes, lambda size: limit.reschedule(due(size)))
    except TimeoutError as error:
        seconds = (limit.when() or began) - began
        raise InvalidRequest("request_timeout", limit_seconds=f"{seconds:.3g}") from error


async def discard_body(receive: Receive, *, limit_bytes: int, total_seconds: float) -> None:
    """Forget the rest of a body that was refused, until it ends or a bound is met.

    To be called between an answer's last byte and its end. A client that is still writing would otherwise meet a reset connection
    and never read why (RFC 9112 §9.6); the SDKs would then send it all again.
    """
    with suppress(TimeoutError):  # it had its chance
        async with asyncio.timeout(total_seconds):
            while limit_bytes > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                limit_bytes -= len(message.get("body", b""))


def _check(headers: list[tuple[bytes, bytes]], limit_bytes: int) -> None:
    types = [value for name, value in headers if name == b"content-type"]
    if len(types) != 1 or types[0].partition(b";")[0].strip().lower() != b"application/json":
        raise UnsupportedMedia("unsupported_media_type")
    for name, value in headers:
        if name == b"content-encoding":
            raise UnsupportedMedia("unsupported_media_type")
        if name == b"content-length" and _length(value) > limit_bytes:
            raise TooLarge("request_too_large", limit_bytes=limit_bytes)


def _length(value: bytes) -> int:
    value = value.strip()
    if not value.isdigit():
        raise InvalidRequest("invalid_http")
    return int(value) if len(value) <= LONGEST_CONTENT_LENGTH else 10**LONGEST_CONTENT_LENGTH


async def _received(receive: Receive, limit_bytes: int, on_progress: Callable[[int], None]) -> bytes:
    # One buffer, not a list of chunks: a body of one-byte chunks would cost thirty times its size.
    buffer = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        if len(buffer) + len(chunk) > limit_bytes:
            raise TooLarge("request_too_large", limit_bytes=limit_bytes)
        if not message.get("more_body", False):
            return bytes(buffer) + chunk if buffer else chunk
        buffer += chunk
        on_progress(len(buffer))
