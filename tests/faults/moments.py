"""Moments that a scenario waits for before it breaks something, and the short form of how a request ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.faults.process import Process, Replica
from tests.faults.stage import Stage
from tests.faults.verdict import Evidence

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.02

# `[[sim …]]` of an upstream that is busy until the test has broken what it wants to break.
SLOW = "hi [[sim out=400 tps=20]]"
SHORT = "hi [[sim out=20 tps=20]]"


async def until(is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return once it is so; fail with `what` it should be when it is not in time."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not await is_so():
        assert time.monotonic() < give_up, f"not in time: {what}"
        await asyncio.sleep(POLL_SECONDS)


async def until_held(stage: Stage, count: int = 1) -> None:
    """Return once the tenant has had `count` holds."""

    async def are_held() -> bool:
        return len(await hold_states(stage)) >= count

    await until(are_held, f"{count} holds")


async def until_logged(processes: list[Replica], text: str, count: int = 1) -> None:
    """Return once the processes have said `text` so many times together."""

    async def is_said() -> bool:
        return sum(process.log.count(text) for process in processes) >= count

    await until(is_said, f"{text!r} in the logs {count} times")


async def hold_states(stage: Stage) -> list[str]:
    """Return the states of the tenant's holds at this moment."""
    rows = await stage.operator.database.fetch(
        "SELECT state::text FROM billing.hold WHERE account_id = $1::uuid", stage.tenant.account_id
    )
    return [row["state"] for row in rows]


async def serving_dispatcher(stage: Stage) -> Replica:
    """Return the dispatcher that carries the only call there is."""
    found: list[Replica] = []

    async def is_found() -> bool:
        for replica in stage.cluster.dispatchers:
            if replica.is_alive and (await replica.metrics())["relay_dispatcher_streams"]:
                found.append(replica)
        return bool(found)

    await until(is_found, "a dispatcher that serves")
    assert len(found) == 1
    return found[0]


def has_been_killed(process: Process) -> bool:
    """Whether it ended by SIGKILL, as at a point that fired."""
    return process.exit_status == -9


def story(evidence: Evidence) -> tuple[str, str, str]:
    """Return what the client saw, how the hold ended ("" for none), and the rule that decided ("" for none)."""
    states = "+".join(hold.state for hold in evidence.holds)
    return evidence.transcript.verdict, states, "+".join(row.rule for row in evidence.usage)
