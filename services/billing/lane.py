"""A lane: one dedicated connection that moves money in batches, as fast as PostgreSQL answers and without a timer.

While one batch runs, the next one queues up; when the answer is there it is sent, however small. So an idle system has the
latency of one call, and a busy one shares each commit among many. An answer is given after the commit, never before.

What goes wrong, and what follows:

    an account is locked elsewhere      its commands come back `busy`, go into a later batch, and after BUSY_TRIES to the
                                        patient connection, which waits for the lock; the others are not delayed
    one command poisons the batch       the batch is undone by PostgreSQL; the commands are sent again one by one
    a deadlock or serialization error   the batch was undone; it is sent again, RETRIES_MAX times
    the connection breaks               the outcome is unknown: the batch is sent again by id, which is safe (invariant I7)
    PostgreSQL is away                  the commands are refused as unavailable; their callers repeat or give up

There is no client-side time limit around a commit: a cancelled commit has no known outcome. A connection that has been
silent for SILENCE_SECONDS is abandoned whole, and what it carried is sent again by id.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from services.billing.commands import Answer, Command
from shared.db import Connection, away
from shared.errors import Internal, RelayError

BATCH_MAX = 256
QUEUE_MAX = 8192
BUSY_TRIES = 3
RETRIES_MAX = 3
SILENCE_SECONDS = 10.0
RECONNECT_SECONDS = 0.25

_EXECUTE = """SELECT ord, result, state, amount_nano_usd, input_tokens_bound, output_tokens_bound, price_id, attempt,
    deadline_seconds, charged_nano_usd, needed_nano_usd, affordable_output_tokens, posted_nano_usd, held_nano_usd, version
    FROM billing.execute($1::jsonb, $2)"""
_UNDONE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_BROKEN = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class _Item:
    """A command with its future and how often its account was busy; void when nobody waits any more."""

    __slots__ = ("busy", "command", "drop_at", "future")

    def __init__(self, command: Command, drop_at: float, future: asyncio.Future[Answer]) -> None:
        self.command = command
        self.drop_at = drop_at
        self.future = future
        self.busy = 0


class Wire:
    """One connection and its prepared statement, opened again when it broke."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._statement: asyncpg.prepared_stmt.PreparedStatement | None = None

    async def execute(self, commands: Sequence[Command], *, is_blocking: bool) -> list[Answer]:
        """Return the committed answers, in any order. Raises: the driver's errors; the outcome may then be unknown."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            self._statement = await self._connection.prepare(_EXECUTE)
        assert self._statement is not None
        for place, command in enumerate(commands):
            command.ord = place
        running = asyncio.ensure_future(
            self._statement.fetch(_encoder.encode(commands).decode(), is_blocking)
        )
        done, _ = await asyncio.wait({running}, timeout=SILENCE_SECONDS)
        if not done:
            log.error("PostgreSQL has been silent for %s s: abandoning the connection", SILENCE_SECONDS)
            self.abandon()
        return [Answer(*record) for record in await running]

    def abandon(self) -> None:
        """Drop the connection without a word; what runs on it ends with an error."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=2)


class Lane:
    """Takes commands from any task; entered, it runs until it is left with an empty queue."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._wire = Wire(connect)
        self._patient = Wire(connect)
        self._queue: deque[_Item] = deque()
        self._waiting: deque[_Item] = deque()
        self._work = asyncio.Event()
        self._patience = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.is_away = False
        self.batches_total = 0
        self.commands_total = 0

    async def __aenter__(self) -> "Lane":
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._run_patiently())]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for item in (*self._queue, *self._waiting):
            _refuse(item, away())
        await self._wire.close()
        await self._patient.close()

    async def submit(self, command: Command, *, within_seconds: float) -> Answer:
        """Return the committed answer. A command that could not be sent `within_seconds` is never sent.

        Raises: Unavailable when PostgreSQL or the account's row does not answer, Internal for a command that breaks the batch.
        """
        if len(self._queue) >= QUEUE_MAX:
            raise away()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append(_Item(command, loop.time() + within_seconds, future))
        self._work.set()
        return await future

    async def _run(self) -> None:
        while True:
            if not self._queue:
                self._work.clear()
                await self._work.wait()
            batch = self._take(self._queue)
            if batch:
                await self._send(batch)

    async def _send(self, batch: list[_Item]) -> None:
        answers = await self._answers(self._wire, batch, is_blocking=False)
        if answers is None:
            return
        for answer in answers:
            item = batch[answer.ord]
            if answer.result != "busy":
                _resolve(item, answer)
                continue
            item.busy += 1
            (self._queue if item.busy < BUSY_TRIES else self._waiting).append(item)
        if self._waiting:
            self._patience.set()

    async def _run_patiently(self) -> None:
        while True:
            if not self._waiting:
                self._patience.clear()
                await self._patience.wait()
            item = self._waiting.popleft()
            try:
                answers = await self._answers(self._patient, [item], is_blocking=True)
            except asyncpg.LockNotAvailableError:
                _refuse(item, away())
                continue
            if answers:
                _resolve(item, answers[0])

    def _take(self, queue: deque[_Item]) -> list[_Item]:
        now = asyncio.get_running_loop().time()
        batch: list[_Item] = []
        while queue and len(batch) < BATCH_MAX:
            item = queue.popleft()
            if item.future.done():
                continue
            if item.drop_at < now:
                _refuse(item, away())
                continue
            batch.append(item)
        return batch

    async def _answers(self, wire: Wire, batch: list[_Item], *, is_blocking: bool) -> list[Answer] | None:
        """Return the answers to `batch`; None when every command of it has been answered or refused already."""
        self.batches_total += 1
        self.commands_total += len(batch)
        for _ in range(RETRIES_MAX):
            try:
                answers = await wire.execute([item.command for item in batch], is_blocking=is_blocking)
            except _UNDONE:
                continue
            except asyncpg.LockNotAvailableError:
                raise
            except (RelayError, *_BROKEN) as error:
                log.warning("the money lane lost PostgreSQL: %s", type(error).__name__)
                wire.abandon()
                self.is_away = True
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            except asyncpg.PostgresError as error:
                log.exception("a batch of %s was refused: %s", len(batch), type(error).__name__)
                await self._one_by_one(wire, batch, is_blocking=is_blocking)
                return None
            self.is_away = False
            return answers
        for item in batch:
            _refuse(item, away())
        return None

    async def _one_by_one(self, wire: Wire, batch: list[_Item], *, is_blocking: bool) -> None:
        if len(batch) == 1:
            _refuse(batch[0], Internal("internal_error"))
            return
        for item in batch:
            answers = await self._answers(wire, [item], is_blocking=is_blocking)
            if answers:
                _resolve(item, answers[0])


def _resolve(item: _Item, answer: Answer) -> None:
    if not item.future.done():
        item.future.set_result(answer)


def _refuse(item: _Item, error: RelayError) -> None:
    if not item.future.done():
        item.future.set_exception(error)
