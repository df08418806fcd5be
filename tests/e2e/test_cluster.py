"""Two replicas of each service: they share the load, agree about changes, and one can go without anybody noticing."""

import asyncio
import os
import signal
from collections import Counter
from ipaddress import IPv4Address

import pytest

from shared.contracts import auth, dispatcher
from shared.keys import mint
from tests.e2e.stack import RunningStack, wait_until_async
from tests.e2e.tenants import BALANCE_NANO_USD, Operator, Tenant
from tests.e2e.wire import Received, ask, exchange, http_request

pytestmark = pytest.mark.xdist_group("e2e")

WAVE = 100
WAVES_MAX = 10
PROMISED_SECONDS = (
    1.0  # a change of configuration holds everywhere after this: the promise itself, not a guess
)
PROBES = 20  # on new connections, so that both replicas of the edge answer some
PATIENCE_SECONDS = 30.0
FIRST_SENDER = int(IPv4Address("198.18.0.0"))  # addresses for tests (RFC 2544)


async def _ask_often(stack: RunningStack, tenant: Tenant, text: str = "hi [[sim out=2]]") -> list[Received]:
    return [await ask(stack, tenant, text, is_stream=False) for _ in range(PROBES)]


async def _codes(stack: RunningStack, tenant: Tenant) -> set[str | None]:
    return {
        None if answer.status == 200 else answer.error["code"] for answer in await _ask_often(stack, tenant)
    }


async def _comes_again(stack: RunningStack, service: str, starts: int) -> None:
    await wait_until_async(lambda: stack.starts(service) >= starts, PATIENCE_SECONDS, f"another {service}")


async def test_all_replicas_serve_the_same_load(cluster: RunningStack, cluster_operator: Operator) -> None:
    """Both edges, both dispatchers and both billings have worked on the requests of one tenant."""
    tenant = await cluster_operator.make_tenant()
    services = ("dispatcher", "billing")
    before = {service: await cluster.metrics(service) for service in services}

    # The edges share one queue of connections, and a quick one can empty it for a while: so more than one wave.
    asked = 0
    leases: list[object] = []
    while len(leases) < 2 and asked < WAVES_MAX * WAVE:
        answers = await asyncio.gather(
            *(ask(cluster, tenant, "hi [[sim out=20 tps=100]]") for _ in range(WAVE))
        )
        asked += WAVE
        assert all(answer.is_whole for answer in answers)
        leases = await cluster_operator.database.fetch(
            "SELECT lease_id, count(*) AS holds FROM billing.hold WHERE account_id = $1::uuid GROUP BY 1",
            tenant.account_id,
        )

    await cluster_operator.settled(tenant, asked)
    assert len(leases) == 2  # an edge holds under a lease of its own
    for service, metric in zip(services, ("attempts_total", "commands_total"), strict=True):
        after = await cluster.metrics(service)
        name = f"relay_{service}_{metric}"
        assert len(after) == 2
        assert all(after[pid][name] > before[service][pid].get(name, 0) for pid in after), name


async def test_a_revoked_key_is_refused_by_every_replica(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """A second after the revocation nobody accepts the key, although every edge had verified it before."""
    tenant = await cluster_operator.make_tenant()
    assert await _codes(cluster, tenant) == {None}

    await cluster_operator.bus.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=tenant.key_id))
    await asyncio.sleep(PROMISED_SECONDS)

    assert await _codes(cluster, tenant) == {"revoked_api_key"}
    records = await cluster_operator.settled(tenant, PROBES)
    assert len(records) == PROBES


async def test_a_revoked_key_spends_nothing_more(cluster: RunningStack, cluster_operator: Operator) -> None:
    """From the moment of the operator's answer on no request is admitted: money needs no second to hear of it."""
    tenant = await cluster_operator.make_tenant()
    assert await _codes(cluster, tenant) == {None}

    await cluster_operator.bus.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=tenant.key_id))

    assert await _codes(cluster, tenant) == {"revoked_api_key"}


async def test_a_suspended_account_is_refused_by_every_replica(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """A second after the suspension, and served again a second after its end."""
    tenant = await cluster_operator.make_tenant()
    changes: tuple[tuple[auth.AccountStatus, str | None], ...] = (
        ("suspended", "account_suspended"),
        ("active", None),
    )
    for status, code in changes:
        change = auth.SetAccountStatus(account_id=tenant.account_id, status=status)
        await cluster_operator.bus.call(auth.SET_ACCOUNT_STATUS, change)
        await asyncio.sleep(PROMISED_SECONDS)
        assert await _codes(cluster, tenant) == {code}


async def test_a_changed_price_holds_on_every_replica(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """A second later every request is charged by the new version."""
    tenant = await cluster_operator.make_tenant()
    await _ask_often(cluster, tenant)
    before = await cluster_operator.settled(tenant, PROBES)

    price = await cluster_operator.set_price(tenant.model, 7_000, 9_000, 2_000)
    await asyncio.sleep(PROMISED_SECONDS)
    await _ask_often(cluster, tenant)

    after = (await cluster_operator.settled(tenant, 2 * PROBES))[:PROBES]
    assert {record.price_id for record in before} == {tenant.price.id}
    assert {record.price_id for record in after} == {price.id}


async def test_a_changed_channel_holds_on_every_replica(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """A second later every dispatcher uses the new credential."""
    tenant = await cluster_operator.make_tenant()
    await _ask_often(cluster, tenant)
    credential = f"{tenant.credential}-new"

    change = dispatcher.UpdateChannel(name=tenant.channel, credential=credential)
    await cluster_operator.bus.call(dispatcher.UPDATE_CHANNEL, change)
    await asyncio.sleep(PROMISED_SECONDS)
    await _ask_often(cluster, tenant)

    used = Counter(
        entry.api_key for entry in await cluster_operator.whole_journal() if entry.model == tenant.model
    )
    assert used == {tenant.credential: PROBES, credential: PROBES}


async def test_a_disabled_channel_is_gone_on_every_replica(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """A second later its model is neither served nor listed, by nobody."""
    tenant = await cluster_operator.make_tenant()
    assert await _codes(cluster, tenant) == {None}

    change = dispatcher.UpdateChannel(name=tenant.channel, state="off")
    await cluster_operator.bus.call(dispatcher.UPDATE_CHANNEL, change)
    await asyncio.sleep(PROMISED_SECONDS)

    assert await _codes(cluster, tenant) == {"no_channel_available"}
    lists = [await exchange(cluster, http_request("GET", "/v1/models")) for _ in range(PROBES)]
    assert not any(tenant.model.encode() in answer.data for answer in lists)


@pytest.mark.parametrize("service", ["dispatcher", "edge"])
async def test_streams_survive_the_end_of_a_replica_in_order(
    cluster: RunningStack, cluster_operator: Operator, service: str
) -> None:
    """SIGTERM lets running streams finish: all are whole, and the stack starts another replica."""
    tenant = await cluster_operator.make_tenant()
    old, starts = cluster.pids(service), cluster.starts(service)
    streams = [
        asyncio.create_task(ask(cluster, tenant, f"{number} [[sim out=60 tps=20]]")) for number in range(20)
    ]
    await cluster_operator.flowing(tenant, len(streams))

    os.kill(min(old), signal.SIGTERM)

    answers = await asyncio.gather(*streams)
    assert all(answer.is_whole and answer.events()[-1] == b"[DONE]" for answer in answers)
    records = await cluster_operator.settled(tenant, len(streams))
    assert {record.rule for record in records} == {"C1"}
    await _comes_again(cluster, service, starts + 1)
    assert min(old) not in cluster.pids(service)


@pytest.mark.parametrize("service", ["auth", "billing", "dispatcher"])
async def test_replicas_are_replaced_one_after_another_without_a_failed_request(
    cluster: RunningStack, cluster_operator: Operator, service: str
) -> None:
    """While each replica in turn ends in order and comes again, every request gets the answer that it should get.

    A well-formed key that does not exist is a 401 only as long as auth answers: nobody else knows, and nobody remembers it. Each
    comes from an address of its own, or the edge would soon take it for guessing.
    """
    tenant = await cluster_operator.make_tenant()
    statuses: list[int] = []
    is_over = asyncio.Event()

    async def keep_asking() -> None:
        while not is_over.is_set():
            good = await ask(cluster, tenant, "hi [[sim out=2]]", is_stream=False)
            sender = str(IPv4Address(FIRST_SENDER + len(statuses)))
            question = http_request("POST", "/v1/chat/completions", b"{}", key=mint(), sender=sender)
            stranger = await exchange(cluster, question)
            statuses.extend((good.status, stranger.status))

    workers = [asyncio.create_task(keep_asking()) for _ in range(4)]
    starts = cluster.starts(service)
    for number, pid in enumerate(sorted(cluster.pids(service)), 1):
        os.kill(pid, signal.SIGTERM)
        await _comes_again(cluster, service, starts + number)
    is_over.set()
    await asyncio.gather(*workers)

    assert set(statuses) == {200, 401}
    one_of_all, *_ = await cluster_operator.settled(tenant, 1)
    spent = BALANCE_NANO_USD - (await cluster_operator.balance(tenant)).posted_nano_usd
    assert spent == statuses.count(200) * one_of_all.charged_nano_usd


async def test_streams_of_a_killed_dispatcher_break_visibly_and_cost_nothing(
    cluster: RunningStack, cluster_operator: Operator
) -> None:
    """SIGKILL: its streams end with an error event and no end; those of the other replica are whole; every hold ends."""
    tenant = await cluster_operator.make_tenant()
    old, starts = cluster.pids("dispatcher"), cluster.starts("dispatcher")
    streams = [
        asyncio.create_task(ask(cluster, tenant, f"{number} [[sim out=160 tps=20]]")) for number in range(30)
    ]
    await cluster_operator.flowing(tenant, len(streams))

    os.kill(min(old), signal.SIGKILL)

    answers = await asyncio.gather(*streams)
    whole = [answer for answer in answers if answer.is_whole]
    broken = [answer for answer in answers if not answer.is_whole]
    assert whole
    assert broken
    assert all(answer.events()[-1] == b"[DONE]" for answer in whole)
    assert all(answer.events()[-1].startswith(b'{"error":') for answer in broken)
    records = await cluster_operator.settled(tenant, len(streams))
    assert Counter(record.rule for record in records) == {"C1": len(whole), "C8": len(broken)}
    assert all(record.charged_nano_usd == 0 for record in records if record.rule == "C8")
    await _comes_again(cluster, "dispatcher", starts + 1)
