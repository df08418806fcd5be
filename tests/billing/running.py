"""Billing as it runs: a lane on a real connection, the service on a real bus, and the questions that others ask it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from starlette.applications import Starlette

from services.billing.answers import Answer
from services.billing.app import create_app
from services.billing.commands import Command
from services.billing.lane import Lane
from services.billing.settings import BillingSettings
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.call import BILLING, EDGE, Call, Q, R
from shared.db import Connection, connect
from shared.errors import Unavailable
from shared.ids import uuid7
from shared.settings import Secret, Settings
from tests.billing.bookkeeping import Ledger

PATIENCE_SECONDS = 30.0  # how long anything may take before a test gives up on it
LEASE_SECONDS = 2  # half of it is the pause between two looks that the reaper takes for an outage


def lane_on(url: str) -> Lane:
    """Return a lane to the database `url` that waits for locks for a fifth of a second only."""

    async def open_connection() -> Connection:
        connection = await connect(url, schema="billing", application="relay-billing-lane")
        await connection.execute("SET lock_timeout = '200ms'")
        return connection

    return Lane(open_connection)


@asynccontextmanager
async def running(database_url: str, nats_url: str, **other: float | Secret) -> AsyncIterator[Starlette]:
    """Run one replica of billing through its lifespan; `other` are its settings.

    Its leases are short and have no grace, and it drains for a while.
    """
    settings = BillingSettings(
        database_url=Secret(database_url),
        nats_url=nats_url,
        **({"lease_seconds": LEASE_SECONDS, "expiry_grace_seconds": 0, "reap_seconds": 0.1} | other),  # type: ignore[arg-type]
    )
    app = create_app(settings, Bus(settings, party=BILLING))
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def asking(ledger: Ledger, nats_url: str, **other: Secret) -> AsyncIterator[Bus]:
    """Run billing with a price for the model `m` and `other` settings, and yield the bus of whoever asks it."""
    await ledger.set_price()
    async with (
        running(ledger.url, nats_url, lease_seconds=60, reap_seconds=60.0, **other),
        Bus(Settings(nats_url=nats_url), party=EDGE) as bus,
    ):
        yield bus


async def balance(bus: Bus, account_id: UUID) -> tuple[int, int]:
    """Return what billing says that an account has posted and held."""
    answer = await bus.call(billing.GET_BALANCE, billing.GetBalance(account_id=str(account_id)))
    return answer.posted_nano_usd, answer.held_nano_usd


@asynccontextmanager
async def locked(url: str, statement: str, *arguments: object) -> AsyncIterator[Connection]:
    """Hold the locks of `statement`; yields the connection, whose transaction may be ended at any time."""
    connection = await asyncpg.connect(url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statement, *arguments)
        yield connection
        if not connection.is_closed():
            with contextlib.suppress(asyncpg.InterfaceError):  # the test has ended it
                await transaction.rollback()
    finally:
        connection.terminate()


def account_locked(url: str, account_id: UUID) -> contextlib.AbstractAsyncContextManager[Connection]:
    """Hold the row of one account."""
    return locked(url, "SELECT FROM billing.account WHERE id = $1 FOR UPDATE", account_id)


def ledger_locked(url: str) -> contextlib.AbstractAsyncContextManager[Connection]:
    """Let nobody read any account: whatever is sent waits."""
    return locked(url, "LOCK TABLE billing.account IN ACCESS EXCLUSIVE MODE")


async def waiters(connection: Connection) -> int:
    """Return how many statements of the lanes wait for a lock."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'relay-billing-lane'"
        " AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    return count


async def until_waiting(connection: Connection, count: int = 1) -> None:
    """Return when `count` statements of the lanes wait for a lock."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await waiters(connection) < count:  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.005)


async def eventually(bus: Bus, call: Call[Q, R], question: Q) -> R:
    """Return the answer of a billing that is about to be reachable again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(Unavailable):
                return await bus.call(call, question)
            await asyncio.sleep(0.05)


async def until_closed(ledger: Ledger, *request_ids: UUID) -> None:
    """Return when no hold of these requests is live."""
    query = "SELECT count(*) FROM billing.hold WHERE id = ANY ($1) AND state = 'HELD'"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await ledger.connection.fetchval(query, request_ids):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.01)


async def until(holds: Callable[[], bool]) -> None:
    """Return when `holds()`, within the patience of the tests."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


def reserve_command(account_id: UUID, /, **other: str | int | None) -> Command:
    """A reserve of 100 input and 50 output tokens of the model `m`, unless `other` says otherwise."""
    fields: dict[str, str | int | None] = {
        "op": "reserve", "id": str(uuid7()), "account_id": str(account_id), "key_id": f"key-{account_id}",
        "lease_id": "lease", "model": "m", "fingerprint": "f", "deadline_seconds": 600, "choices": 1,
        "output_tokens_wanted": 50, "input_tokens_bound": 100,
    }  # fmt: skip
    return Command(**(fields | other))  # type: ignore[arg-type]


def reserve(account_id: UUID, /, **other: str | float | None) -> billing.Reserve:
    """What an edge asks for 100 input and 50 output tokens of the model `m`, unless `other` says otherwise."""
    fields: dict[str, str | float | None] = {
        "request_id": str(uuid7()), "account_id": str(account_id), "key_id": f"key-{account_id}", "lease_id": "lease",
        "model": "m", "input_tokens_bound": 100, "output_tokens_wanted": 50, "choices": 1, "deadline_seconds": 600.0,
        "fingerprint": "f",
    }  # fmt: skip
    return billing.Reserve(**(fields | other))  # type: ignore[arg-type]


def settle(
    asked: billing.Reserve, *, input_tokens: int = 100, output_tokens: int = 50, attempt: int = 1
) -> billing.Settle:
    """What a dispatcher says of a complete answer to what was `asked`."""
    return billing.Settle(
        request_id=asked.request_id,
        account_id=asked.account_id,
        attempt=attempt,
        outcome="completed",
        is_upstream_accepted=True,
        input_tokens_bound=asked.input_tokens_bound,
        output_tokens_bound=50,
        usage=billing.Usage(input_tokens=input_tokens, output_tokens=output_tokens),
        channel="channel",
    )


def submitted(lane: Lane, *commands: Command, within_seconds: float = 30.0) -> list[asyncio.Task[Answer]]:
    """Submit the commands in their order."""
    return [asyncio.create_task(lane.submit(command, within_seconds=within_seconds)) for command in commands]


async def answered(*tasks: asyncio.Task[Answer]) -> list[Answer]:
    """Return the answers, within the patience of the tests."""
    return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_SECONDS)


async def results(tasks: list[asyncio.Task[Answer]]) -> list[str]:
    """Return each result, or the name of the error, within the patience of the tests."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return [each.result if isinstance(each, Answer) else type(each).__name__ for each in outcomes]
