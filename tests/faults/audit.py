"""The auditor: after a scenario, what the clients saw, what the ledger says and what the upstream did must be one story.

It sees that every part serves again, waits until everything has come to rest, asks the invariants and judges each request
(`verdict.py`). Nobody may have kept memory, descriptors or running work, ended by itself, or logged an exception as an error.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import httpx
import msgspec

from services.billing.audit import audit as broken_invariants
from services.simulator.journal import JournalEntry, LedgerEntry
from shared.contracts.billing import Usage
from shared.db import Connection
from shared.errors import RelayError
from tests.e2e.tenants import Operator
from tests.faults.client import Caller, Transcript
from tests.faults.cluster import Cluster
from tests.faults.process import Replica
from tests.faults.verdict import Allowance, Evidence, Hold, UsageRow, problems

REST_SECONDS = 60.0
LIVENESS_SECONDS = 15.0  # the promise: new requests succeed so soon after everything is whole
POLL_SECONDS = 0.1
GRACE_SECONDS = 5  # a hold outlives its lease by the time of expiry and of two looks
MEMORY_MARGIN_BYTES = 64 * 1024 * 1024
DESCRIPTORS_MARGIN = 24  # pools of connections grow to their size with the first load
TASKS_MARGIN = 4  # a look may meet a heartbeat, a renewal or another look
RUNNING = {
    "edge": ("relay_edge_streams", "relay_edge_body_bytes", "relay_edge_unsettled"),
    "dispatcher": ("relay_dispatcher_streams",),
    "billing": ("relay_billing_calls_running",),
    "auth": (),
}


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """What an idle process of one service has."""

    memory_bytes: int
    descriptors: int
    tasks: int


Baseline = dict[str, Vitals]
T = TypeVar("T", JournalEntry, LedgerEntry)


async def measure(cluster: Cluster) -> Baseline:
    """Return the vitals by service, the larger of its processes; taken once, after the first requests."""
    baseline = {}
    for service in RUNNING:
        vitals = [await _vitals(replica) for replica in cluster.replicas(service)]
        baseline[service] = Vitals(
            memory_bytes=max(each.memory_bytes for each in vitals),
            descriptors=max(each.descriptors for each in vitals),
            tasks=max(each.tasks for each in vitals),
        )
    return baseline


async def audit(
    cluster: Cluster,
    operator: Operator,
    transcripts: Sequence[Transcript],
    baseline: Baseline,
    *,
    allow: Allowance | None = None,
) -> list[Evidence]:
    """Return the evidence of each transcript, in their order, if all is right; call it after `cluster.heal`.

    Fails with everything that is wrong, as sentences.
    """
    allow = allow or Allowance()
    found = [] if allow.may_end else list(cluster.incidents)
    await _until_served(cluster, operator)
    async with cluster.database() as database:
        await _until_at_rest(cluster, database)
        for finding in await broken_invariants(database, grace_seconds=GRACE_SECONDS):
            found.append(f"{finding.number} {finding.sentence} {finding.rows}")
        evidence = await gather_evidence(cluster, database, transcripts)
    for each in evidence:
        found += problems(each, allow)
    found += await _leaks(cluster, baseline)
    found += [fault for process in cluster.processes for fault in process.faults]
    assert not found, f"{len(found)} findings:\n" + "\n".join(found[:40])
    return evidence


async def gather_evidence(
    cluster: Cluster, database: Connection, transcripts: Sequence[Transcript]
) -> list[Evidence]:
    """Return what ledger and simulator know of each transcript, as it stands."""
    journal = await _simulated(cluster, "requests", JournalEntry)
    ledger = await _simulated(cluster, "ledger", LedgerEntry)
    return [await _evidence_of(database, transcript, journal, ledger) for transcript in transcripts]


async def _evidence_of(
    database: Connection, transcript: Transcript, journal: list[JournalEntry], ledger: list[LedgerEntry]
) -> Evidence:
    holds = await database.fetch(
        "SELECT id::text, state::text FROM billing.hold WHERE account_id = $1::uuid AND fingerprint = $2",
        transcript.tenant.account_id,
        transcript.fingerprint,
    )
    usage = await database.fetch(
        """SELECT request_id::text, is_late, rule::text, witness::text, charged_nano_usd, input_tokens,
            cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens
        FROM billing.usage WHERE request_id = ANY($1::uuid[]) ORDER BY is_late""",
        [row["id"] for row in holds],
    )
    calls = tuple(entry for entry in journal if transcript.marker in entry.body)
    numbers = {entry.number for entry in calls}
    return Evidence(
        transcript=transcript,
        holds=tuple(Hold(**row) for row in holds),
        usage=tuple(
            UsageRow(
                usage=Usage(**{name: row[name] for name in Usage.__struct_fields__}),
                **{name: row[name] for name in UsageRow.__struct_fields__ if name != "usage"},
            )
            for row in usage
        ),
        calls=calls,
        bills=tuple(bill for bill in ledger if bill.number in numbers),
    )


async def _simulated(cluster: Cluster, name: str, kind: type[T]) -> list[T]:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        answer = await http.get(f"{cluster.simulator_url}/_sim/{name}")
    return msgspec.json.decode(answer.content, type=list[kind])  # type: ignore[valid-type]


async def _until_served(cluster: Cluster, operator: Operator) -> None:
    """Return once a new customer is served on every edge, plain and streamed."""

    async def is_served() -> str:
        try:
            tenant = await operator.make_tenant(upstream_url=cluster.upstream.url)
        except RelayError as error:
            return f"no tenant could be made: {error}"
        caller = Caller(cluster, tenant)
        for edge in cluster.edges:
            for is_stream in (False, True):
                caller.send("ready? [[sim out=3]]", edge=edge, is_stream=is_stream)
        answers = await caller.transcripts()
        return ", ".join(
            f"{one.edge}: {one.verdict} {one.error}" for one in answers if one.verdict != "complete"
        )

    await _until(is_served, LIVENESS_SECONDS)


async def _until_at_rest(cluster: Cluster, database: Connection) -> None:
    """Return once nothing is held, nothing waits to be published, and nothing runs anywhere."""

    async def what_moves() -> str:
        held = await database.fetchval("SELECT count(*) FROM billing.hold WHERE state = 'HELD'")
        waiting = await database.fetchval("SELECT count(*) FROM billing.outbox")
        running = [text for replica in cluster.replicas() if (text := await _running(replica))]
        journal = await _simulated(cluster, "requests", JournalEntry)
        upstream = sum(entry.outcome == "running" for entry in journal)
        if held or waiting or running or upstream:
            return f"{held} held, {waiting} in the outbox, {running} running, {upstream} upstream"
        return ""

    await _until(what_moves, REST_SECONDS)


async def _running(replica: Replica) -> str:
    metrics = await replica.metrics()
    return ", ".join(f"{replica.name} {name}" for name in RUNNING[replica.service] if metrics[name])


async def _leaks(cluster: Cluster, baseline: Baseline) -> list[str]:
    """Return what processes have kept. Idle connections to the upstream are cut: those would be closed half a minute later."""
    cluster.upstream.cut()

    async def what_is_kept() -> str:
        kept = [await _kept(replica, baseline[replica.service]) for replica in cluster.replicas()]
        return "\n".join(text for texts in kept for text in texts)

    try:
        await _until(what_is_kept, LIVENESS_SECONDS)
    except AssertionError as error:
        return str(error).splitlines()
    return []


async def _kept(replica: Replica, before: Vitals) -> list[str]:
    now = await _vitals(replica)
    found = []
    if now.memory_bytes > before.memory_bytes + MEMORY_MARGIN_BYTES:
        found.append(f"{replica.name} has {now.memory_bytes} bytes of memory, had {before.memory_bytes}")
    if now.descriptors > before.descriptors + DESCRIPTORS_MARGIN:
        found.append(f"{replica.name} has {now.descriptors} descriptors, had {before.descriptors}")
    if now.tasks > before.tasks + TASKS_MARGIN:
        found.append(f"{replica.name} has {now.tasks} tasks, had {before.tasks}")
    return found


async def _vitals(replica: Replica) -> Vitals:
    return Vitals(
        memory_bytes=replica.memory_bytes,
        descriptors=replica.descriptors,
        tasks=round((await replica.metrics())["relay_tasks"]),
    )


async def _until(what_is_wrong: Callable[[], Awaitable[str]], seconds: float) -> None:
    """Return once nothing is wrong; fail with what still is after `seconds`."""
    give_up = time.monotonic() + seconds
    while problem := await what_is_wrong():
        assert time.monotonic() < give_up, f"after {seconds:g} s: {problem}"
        await asyncio.sleep(POLL_SECONDS)
