"""A lane: one dedicated connection that moves money in batches, as fast as PostgreSQL answers and without a timer.

While one batch runs, the next one queues up; when the answer is there it is sent, however small. So an idle system has the
latency of one call, and a busy one shares each commit among many. An answer is given after the commit, never before.

What goes wrong, and what follows:

    an account is locked elsewhere      its commands come back `busy`, go into a later batch, and after BUSY_TRIES to the
                                        patient connection, which waits for the lock, account by account and for TURN_SECONDS
                                        each; the others are not delayed. After PATIENCE_SECONDS they are refused as unavailable
    one command poisons the batch       the batch is undone by PostgreSQL; the commands are sent again one by one
    a deadlock or serialization error   the batch was undone; it is sent again, TRIES_MAX times in all
    the connection breaks               the outcome is unknown: the batch is sent again by id, which is safe (invariant I7)
    PostgreSQL is away                  the commands are refused as unavailable; their callers repeat or give up. The lane
                                        looks for it each PROBE_SECONDS, also when nothing is asked

There is no client-side time limit around a commit: a cancelled commit has no known outcome. A connection that has been
silent for too long is abandoned whole (`shared.db.watched`), and what it carried is sent again by id.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from services.billing.answers import Answer
from services.billing.commands import Command
from shared.db import AWAY, Connection, away, watched
from shared.errors import Internal, RelayError, Unavailable
from shared.failpoints import failpoint

BATCH_MAX = 256
QUEUE_MAX = 8192
BUSY_TRIES = 3
TURN_SECONDS = 0.2
PATIENCE_SECONDS = 2.0
TRIES_MAX = 3
RECONNECT_SECONDS = 0.25
PROBE_SECONDS = 1.0

_EXECUTE = """SELECT ord, result, state, amount_nano_usd, input_tokens_bound, output_tokens_bound, price_id, attempt,
    deadline_seconds, charged_nano_usd, needed_nano_usd, affordable_output_tokens, posted_nano_usd, held_nano_usd, version,
    former_id, output_tokens_granted, limits
    FROM billing.execute($1::jsonb, $2)"""

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class _Item:
    """A command with its future and how often its account was busy; void when nobody waits any more."""

    __slots__ = ("busy", "command", "drop_at", "future", "patient_until")

    def __init__(self, command: Command, drop_at: float, future: asyncio.Future[Answer]) -> None:
        self.command = command
        self.drop_at = drop_at
        self.future = future
        self.busy = 0
        self.patient_until = 0.0


class Wire:
    """One connection and its prepared statement, opened again when it broke; `lock_seconds` is how long it waits for a lock."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], *, lock_seconds: float | None = None
    ) -> None:
        self._connect = connect
        self._lock_seconds = lock_seconds
        self._connection: Connection | None = None
        self._statement: asyncpg.prepared_stmt.PreparedStatement | None = None

    async def execute(self, commands: Sequence[Command], *, is_blocking: bool) -> list[Answer]:
        """Return the committed answers, in any order.

        Raises: Unavailable when there is no connection; the driver's errors, the outcome may then be unknown.
        """
        if self._statement is None or self._connection is None or self._connection.is_closed():
            self._statement = await self._open()
        for place, command in enumerate(commands):
            command.ord = place
        with watched(self._connection):
            records = await self._statement.fetch(_encoder.encode(commands).decode(), is_blocking)
        return [Answer(*record) for record in records]

    def abandon(self) -> None:
        """Drop the connection without a word."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
            self._statement = None

    async def close(self) -> None:
        """Close the connection. Never raises for a server that is away."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.close(timeout=2)
        except AWAY:
            self.abandon()

    async def _open(self) -> asyncpg.prepared_stmt.PreparedStatement:
        self.abandon()
        try:
            self._connection = connection = await self._connect()
            with watched(connection):
                if self._lock_seconds is not None:
                    turn = f"{self._lock_seconds * 1000:.0f}ms"
                    await connection.execute("SELECT set_config('lock_timeout', $1, false)", turn)
                return await connection.prepare(_EXECUTE)
        except asyncpg.PostgresError as error:  # of the login or the schema, and not of any command
            raise away() from error


class Lane:
    """Takes commands from any task while it is entered.

    Left, it takes no more: the batch that is under way is answered, what is still queued is refused. `observe` is told how
    many seconds each batch took.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        observe: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._wire = Wire(connect)
        self._patient = Wire(connect, lock_seconds=TURN_SECONDS)
        self._queue: deque[_Item] = deque()
        self._waiting: dict[str, list[_Item]] = {}  # by account, at most BATCH_MAX of each
        self._work = asyncio.Event()
        self._patience = asyncio.Event()
        self._is_left = False
        self.tasks: tuple[asyncio.Task[None], ...] = ()
        self.is_away = True  # until PostgreSQL has answered
        self.batches_total = 0
        self.commands_total = 0
        self.results: Counter[tuple[str, ...]] = Counter()  # of commands, by what they are and their result
        self.lost_total = 0
        self._observe = observe

    async def __aenter__(self) -> "Lane":
        self.tasks = (asyncio.create_task(self._run()), asyncio.create_task(self._run_patiently()))
        for task in self.tasks:
            task.add_done_callback(self._on_done)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._leave()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._wire.close()
        await self._patient.close()

    @property
    def queued(self) -> int:
        """How many commands wait for the next batch."""
        return len(self._queue)

    @property
    def blocked(self) -> int:
        """How many commands wait for an account that another transaction has locked."""
        return sum(len(items) for items in self._waiting.values())

    async def submit(self, command: Command, *, within_seconds: float) -> Answer:
        """Return the committed answer. A command that could not be sent `within_seconds` is never sent.

        Raises: Unavailable when PostgreSQL or the account's row does not answer; Internal for a command that breaks the batch.
        """
        if self._is_left or len(self._queue) >= QUEUE_MAX:
            raise away()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append(_Item(command, loop.time() + within_seconds, future))
        self._work.set()
        return await future

    def _leave(self) -> None:
        self._is_left = True
        self._work.set()
        self._patience.set()

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._leave()
        _refuse_all([*self._queue, *(item for items in self._waiting.values() for item in items)])

    async def _run(self) -> None:
        while not self._is_left:
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
            await self._send(self._wire, batch, is_blocking=False)
            if not self._queue:
                await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        self._work.clear()
        if self._is_left:
            return
        try:
            async with asyncio.timeout(PROBE_SECONDS if self.is_away else None):
                await self._work.wait()
        except TimeoutError:
            return  # the next batch is empty, and finds out whether PostgreSQL is back

    async def _run_patiently(self) -> None:
        while not self._is_left:
            if not self._waiting:
                self._patience.clear()
                await self._patience.wait()
                continue
            batch = self._waiting.pop(next(iter(self._waiting)))
            await self._send(self._patient, batch, is_blocking=True)

    async def _send(self, wire: Wire, batch: list[_Item], *, is_blocking: bool) -> None:
        try:
            answers = await self._answers(wire, batch, is_blocking=is_blocking)
        except asyncpg.LockNotAvailableError:  # undone; another transaction keeps what the batch needs
            if is_blocking:
                self._wait_again(batch)
            else:
                _refuse_all(batch)
            return
        except BaseException:  # our end, or a fault of ours: nobody waits for ever
            _refuse_all(batch)
            raise
        for answer in answers:
            item = batch[answer.ord]
            self.results[item.command.op, answer.result] += 1
            if answer.result == "busy" and not is_blocking:
                self._send_later(item)
            elif not item.future.done():
                item.future.set_result(answer)

    def _send_later(self, item: _Item) -> None:
        item.busy += 1
        if item.busy < BUSY_TRIES:
            self._queue.append(item)
            return
        item.patient_until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        self._wait_again([item])

    def _wait_again(self, items: list[_Item]) -> None:
        """Queue the items, all of one account, behind the other accounts that wait."""
        now = asyncio.get_running_loop().time()
        for item in items:
            others = self._waiting.get(item.command.account_id, [])
            if len(others) >= BATCH_MAX or item.patient_until < now:
                _refuse(item, away())
                continue
            others.append(item)
            self._waiting[item.command.account_id] = others
            self._patience.set()

    async def _answers(self, wire: Wire, batch: list[_Item], *, is_blocking: bool) -> list[Answer]:
        """Return the answers to what is left in `batch`; none when all of it has been answered or refused already."""
        for _ in range(TRIES_MAX):
            batch[:] = _wanted(batch)
            if not batch and not self.is_away:
                return []
            failpoint("billing.batched")
            began = time.perf_counter()
            try:
                answers = await wire.execute([item.command for item in batch], is_blocking=is_blocking)
            except asyncpg.TransactionRollbackError:
                continue
            except asyncpg.LockNotAvailableError:
                raise  # it is of the whole batch, and not of one command
            except (Unavailable, *AWAY) as error:
                log.warning("the money lane lost PostgreSQL: %s", type(error.__cause__ or error).__name__)
                wire.abandon()
                self.lost_total += 1
                self.is_away = True
                if self._is_left:
                    break
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            except asyncpg.PostgresError:
                await self._send_one_by_one(wire, batch, is_blocking=is_blocking)
                return []
            failpoint("billing.committed")
            self.is_away = False
            self.batches_total += 1
            self.commands_total += len(batch)
            self._observe(time.perf_counter() - began)
            return answers
        _refuse_all(batch)
        return []

    async def _send_one_by_one(self, wire: Wire, batch: list[_Item], *, is_blocking: bool) -> None:
        """Find the command that PostgreSQL cannot take; called while its error is handled."""
        if len(batch) <= 1:
            for item in batch:
                details = {"request_id": item.command.id, "account_id": item.command.account_id}
                log.exception("a command was refused by PostgreSQL: %s", item.command.op, extra=details)
                _refuse(item, Internal("internal_error"))
            return
        for item in batch:
            await self._send(wire, [item], is_blocking=is_blocking)


def _wanted(batch: list[_Item]) -> list[_Item]:
    """Return the commands that somebody still waits for, and refuse those whose time has passed."""
    now = asyncio.get_running_loop().time()
    wanted = []
    for item in batch:
        if item.drop_at < now:
            _refuse(item, away())
        elif not item.future.done():
            wanted.append(item)
    return wanted


def _refuse_all(batch: list[_Item]) -> None:
    for item in batch:
        _refuse(item, away())


def _refuse(item: _Item, error: RelayError) -> None:
    if not item.future.done():
        item.future.set_exception(error)
