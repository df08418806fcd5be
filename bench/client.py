"""The load generator: keep-alive HTTP/1.1 over raw asyncio protocols, in a process of its own.

`python -m bench.client` reads a `Task` as JSON from its standard input, runs it, and writes a `Result` as JSON. A request is
one string of bytes, sent again and again; an answer is parsed no further than its length, and must equal the expected body.
The first wrong answer ends the run with one sentence and status 1.
"""

import asyncio
import sys
import time
import zlib
from collections.abc import Sequence
from typing import cast

import msgspec
import uvloop

TASK_SECONDS_MAX = 60.0
HEAD_BYTES_MAX = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"


class ClientError(Exception):
    """An answer was wrong or missing; `str()` is one sentence."""


class Body(msgspec.Struct, frozen=True):
    """What a body must be: its length in bytes and its CRC-32."""

    length: int
    crc: int


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """`connections` clients, each of which sends `request` as soon as it has the answer to the one before.

    They stop after `repeats` answers each, or when `seconds` have passed: exactly one of the two is given.
    """

    port: int
    request: bytes
    expected: Body
    connections: int
    seconds: float | None = None
    repeats: int | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a task measured. `first_byte` is from the request to the first byte of its body, `total` to the last."""

    requests: int
    seconds: float
    cpu_seconds: float
    total: "Times"
    first_byte: "Times"


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of durations in seconds."""

    median_seconds: float
    p99_seconds: float


def render_request(port: int, api_key: str, body: bytes) -> bytes:
    """Return the bytes of a chat completion request to 127.0.0.1."""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def times(seconds: Sequence[float]) -> Times:
    """Return the distribution of at least one duration, by nearest rank."""
    ordered = sorted(seconds)
    return Times(
        median_seconds=ordered[(len(ordered) - 1) // 2],
        p99_seconds=ordered[-(-99 * len(ordered) // 100) - 1],
    )


class ResponseReader:
    """Reads one response from bytes as they arrive: a 200 whose body is framed by content-length or as chunks.

    With `is_kept` the body itself is kept in `body`, else only its length and CRC.
    """

    def __init__(self, *, is_kept: bool = False) -> None:
        self.body = bytearray()
        self.length = 0
        self.crc = 0
        self._is_kept = is_kept
        self._pending = b""
        self._is_in_body = False
        self._is_chunked = False
        self._wanted = 0  # bytes of the body, or of the chunk with its line end, that are still to come

    def feed(self, data: bytes) -> bool:
        """Take `data`; return True when the response is complete. Raises: ClientError when it is not what it should be."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        if not self._is_in_body:
            end = data.find(_END_OF_HEAD)
            if end < 0:
                if len(data) > HEAD_BYTES_MAX:
                    raise ClientError("the head of an answer never ended")
                self._pending = data
                return False
            self._read_head(data[:end], data)
            data = data[end + len(_END_OF_HEAD) :]
        return self._read_chunks(data) if self._is_chunked else self._read_plain(data)

    def _read_head(self, head: bytes, data: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200"):
            raise ClientError(f"an answer was not 200 but {data[:300].decode('latin-1')!r}")
        head = head.lower()
        self._is_in_body = True
        self._is_chunked = b"\r\ntransfer-encoding: chunked" in head
        if self._is_chunked:
            return
        _, name, rest = head.partition(b"\r\ncontent-length:")
        if not name:
            raise ClientError("an answer has neither a length nor chunks")
        self._wanted = int(rest.partition(b"\r\n")[0])

    def _read_plain(self, data: bytes) -> bool:
        self._take(data)
        self._wanted -= len(data)
        if self._wanted < 0:
            raise ClientError("an answer is longer than it says")
        return self._wanted == 0

    def _read_chunks(self, data: bytes) -> bool:
        position = 0
        while position < len(data):
            if self._wanted == 0:
                line_end = data.find(b"\r\n", position)
                if line_end < 0:
                    break
                size = int(data[position:line_end], 16)
                if size == 0:
                    return self._is_last(data, line_end)
                position = line_end + 2
                self._wanted = size + 2
            part = data[position : position + self._wanted]
            position += len(part)
            self._wanted -= len(part)
            # The last two bytes of a chunk are its line end.
            self._take(part[: len(part) - max(0, 2 - self._wanted)])
        self._pending = data[position:]
        return False

    def _is_last(self, data: bytes, line_end: int) -> bool:
        """Return True when the blank line after the last chunk is here; keep what there is until then."""
        rest = data[line_end:]
        if rest == _END_OF_HEAD:
            return True
        if not _END_OF_HEAD.startswith(rest):
            raise ClientError("something follows the last chunk of an answer")
        self._pending = data[line_end - 1 :]
        return False

    def _take(self, data: bytes) -> None:
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)
        if self._is_kept:
            self.body += data


class Load:
    """All connections of one task, and what they have seen."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.totals: list[float] = []
        self.first_bytes: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop_at = float("inf")
        self._running = task.connections

    async def run(self) -> Result:
        """Connect, load, and return what was measured. Raises: ClientError, OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TASK_SECONDS_MAX):
            connections = [
                (await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.task.port))[1]
                for _ in range(self.task.connections)
            ]
            cpu_at, started_at = time.process_time(), time.perf_counter()
            if self.task.seconds is not None:
                self._stop_at = started_at + self.task.seconds
            for connection in connections:
                connection.send()
            await self.ended
        return Result(
            requests=len(self.totals),
            seconds=time.perf_counter() - started_at,
            cpu_seconds=time.process_time() - cpu_at,
            total=times(self.totals),
            first_byte=times(self.first_bytes),
        )

    def is_over(self, answers: int, now: float) -> bool:
        """Return whether a connection with so many answers should stop."""
        return now >= self._stop_at or answers == self.task.repeats

    def finish(self) -> None:
        """Note that one connection has stopped."""
        self._running -= 1
        if self._running == 0 and not self.ended.done():
            self.ended.set_result(None)

    def fail(self, error: ClientError) -> None:
        """End the run."""
        if not self.ended.done():
            self.ended.set_exception(error)


class Connection(asyncio.Protocol):
    """One client: a request, its answer, the next request."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._reader = ResponseReader()
        self._sent_at = 0.0
        self._first_byte_at = 0.0
        self._answers = 0
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the request once more."""
        assert self._transport is not None
        self._reader = ResponseReader()
        self._first_byte_at = 0.0
        self._sent_at = time.perf_counter()
        self._transport.write(self._load.task.request)

    def data_received(self, data: bytes) -> None:
        """Read on; after the last byte of an answer check it and go on."""
        reader = self._reader
        try:
            is_complete = reader.feed(data)
            if not self._first_byte_at and reader.length:
                self._first_byte_at = time.perf_counter()
            if is_complete:
                self._complete(reader)
        except ClientError as error:
            self._load.fail(error)
        except ValueError:
            self._load.fail(ClientError(f"an answer is malformed: {data[:200].decode('latin-1')!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the run unless this connection had done its work."""
        if not self._is_over:
            self._load.fail(ClientError("a connection was closed in the middle"))

    def _complete(self, reader: ResponseReader) -> None:
        now = time.perf_counter()
        expected = self._load.task.expected
        if reader.length != expected.length or reader.crc != expected.crc:
            raise ClientError(
                f"an answer of {reader.length} bytes is not the expected {expected.length} bytes"
            )
        self._load.totals.append(now - self._sent_at)
        self._load.first_bytes.append(self._first_byte_at - self._sent_at)
        self._answers += 1
        if self._load.is_over(self._answers, now):
            self._is_over = True
            self._load.finish()
        else:
            self.send()


async def fetch(port: int, request: bytes) -> bytes:
    """Return the body of one answer. Raises: ClientError, OSError, TimeoutError."""
    response = ResponseReader(is_kept=True)
    async with asyncio.timeout(TASK_SECONDS_MAX):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            while True:
                data = await reader.read(65536)
                if not data:
                    raise ClientError("a connection was closed in the middle")
                if response.feed(data):
                    return bytes(response.body)
        finally:
            writer.close()


async def _run(task: Task) -> Result:
    return await Load(task).run()


def main() -> int:
    """Run the task of the standard input; return the exit status."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        result = uvloop.run(_run(task))
    except TimeoutError:
        print(f"there was no end after {TASK_SECONDS_MAX:g} s", file=sys.stderr)
    except (ClientError, OSError) as error:
        print(error, file=sys.stderr)
    else:
        sys.stdout.buffer.write(msgspec.json.encode(result))
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
