"""The spill from end to end, with the rights of production: what witnesses leave there is charged once, whatever died since."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from starlette.applications import Starlette

from services.billing.audit import audit
from services.devstack.nats import EmbeddedNats
from shared import settlement
from shared.bus import Bus, work
from shared.contracts import billing
from shared.contracts.call import BILLING, DISPATCHER, EDGE, PARTIES
from shared.contracts.nats_config import nats_config
from shared.ids import uuid7
from shared.settings import Settings
from shared.settlement import settle
from tests.billing.bookkeeping import Ledger
from tests.billing.running import PATIENCE_SECONDS, reserve, running, until_closed
from tests.billing.running import settle as completed
from tests.shared.tcp_proxy import proxied

START_NANO_USD = 1_000_000
COST_NANO_USD = 200  # of what is `completed`


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spill at once, and look again after a moment."""
    monkeypatch.setattr(settlement, "SPILL_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(settlement, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(work, "LATER_SECONDS", 0.1)
    monkeypatch.setattr(work, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(work, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(work, "GRACE_SECONDS", 1.0)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A server with the configuration of a deployment, which may be stopped and started."""
    with EmbeddedNats(tmp_path / "nats", nats_config({party: party for party in PARTIES})) as server:
        yield server


@pytest.fixture
async def account_id(ledger: Ledger) -> UUID:
    """An account with money, and a price."""
    await ledger.set_price()
    return await ledger.open_account(START_NANO_USD)


async def test_what_was_spilled_outlives_the_witness_and_is_charged_when_billing_is_back(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID
) -> None:
    """Settlements and voids, each with the outcome that was claimed; several replicas work them off together."""
    settled, voided = await held(ledger, nats, account_id, 100), await held(ledger, nats, account_id, 20)
    async with witness(nats, DISPATCHER) as bus:
        ends = [settle(bus, completed(each)) for each in settled] + [
            settle(bus, void(each)) for each in voided
        ]
        assert set(await asyncio.gather(*ends)) == {None}
    assert await ledger.count("hold WHERE state = 'HELD'") == 120

    async with replica(ledger, nats), replica(ledger, nats):
        await until_ended(ledger, settled + voided)

    assert await ledger.count("usage") == 100
    await assert_charged(ledger, account_id, times=100)


async def test_both_witnesses_may_spill_a_claim_that_was_settled_already(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID
) -> None:
    """The commit was there and its answer was lost: four repeats of the claim change nothing."""
    (asked,) = await held(ledger, nats, account_id, 1)
    claim = completed(asked)
    async with replica(ledger, nats), witness(nats, EDGE) as bus:
        await bus.call(billing.SETTLE, claim)
    for party in (DISPATCHER, EDGE):
        async with witness(nats, party) as bus:
            mine = msgspec.structs.replace(claim, witness=party)
            for each in (mine, msgspec.structs.replace(mine, channel="another")):
                assert await settle(bus, each) is None

    async with replica(ledger, nats) as app:
        await until_metric(app, "done_total", 4)

    assert await ledger.count("usage") == 1
    await assert_charged(ledger, account_id, times=1)


async def test_claims_wait_in_the_spill_while_postgresql_is_away(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID
) -> None:
    """Billing is there and cannot commit: it puts them off, as often as it takes."""
    asked = await held(ledger, nats, account_id, 30)
    async with (
        proxied(ledger.url) as proxy,
        running(proxy.url, url_of(nats, BILLING), lease_seconds=60) as app,
        witness(nats, DISPATCHER) as bus,
    ):
        await until_metric(app, "ready", 1)
        proxy.refuse()
        assert set(await asyncio.gather(*(settle(bus, completed(each)) for each in asked))) == {None}
        await until_metric(app, "postponed_total", 1)
        assert await ledger.count("usage") == 0

        await proxy.listen()
        await until_ended(ledger, asked)
        await until_metric(app, "done_total", 30)

    await assert_charged(ledger, account_id, times=30)


async def test_a_claim_on_a_hold_that_has_expired_is_taken_late(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID
) -> None:
    """Everybody was away for longer than the lease: the money was free again, and what is available pays."""
    (asked,) = await held(ledger, nats, account_id, 1)
    await spilled(nats, completed(asked))
    await ledger.call("end_lease", asked.lease_id)
    await ledger.call("expire", 10, 0, 0)
    assert await ledger.balance(account_id) == (START_NANO_USD, 0)

    async with replica(ledger, nats) as app:
        await until_metric(app, "done_total", 1)

    assert await ledger.state(UUID(asked.request_id)) == "EXPIRED"
    await assert_charged(ledger, account_id, times=1)


async def test_what_billing_refuses_is_dropped_and_said(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown hold, an id that is none, bytes that are no claim: none of them holds up the claim behind it."""
    (asked,) = await held(ledger, nats, account_id, 1)
    unknown = msgspec.structs.replace(completed(asked), request_id=str(uuid7()))
    malformed = msgspec.structs.replace(completed(asked), request_id="no id")
    await spilled(nats, unknown, malformed)
    async with witness(nats, EDGE) as bus:
        for poison in (b"", b"\xc1", b"{}", msgspec.msgpack.encode({})):
            await work.store(bus.control, billing.SPILL, poison)
    await spilled(nats, completed(asked))

    async with replica(ledger, nats) as app:
        await until_ended(ledger, [asked])
        await until_metric(app, "refused_total", 6)
        await until_metric(app, "done_total", 1)

    refused = [vars(record) for record in caplog.records if "claim was refused" in record.getMessage()]
    assert {(each["request_id"], each["reason"]) for each in refused} == {
        (unknown.request_id, "id_conflict"), ("no id", "invalid_value"),
    }  # fmt: skip
    await assert_charged(ledger, account_id, times=1)


async def test_a_spill_that_is_deleted_costs_no_user_anything(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID, tmp_path: Path
) -> None:
    """JetStream comes back empty: what waited there is lost to the operator, and all else goes on, the spill included."""
    lost, kept, later = await held(ledger, nats, account_id, 3)
    await spilled(nats, completed(lost))
    nats.stop()
    shutil.rmtree(tmp_path / "nats/jetstream")
    nats.start()

    async with replica(ledger, nats), witness(nats, EDGE) as bus:
        assert (await bus.call(billing.SETTLE, completed(kept))).charged_nano_usd == COST_NANO_USD
    await spilled(nats, completed(later))
    async with replica(ledger, nats):
        await until_ended(ledger, [later])
    assert await ledger.state(UUID(lost.request_id)) == "HELD"

    await ledger.call("end_lease", lost.lease_id)
    await ledger.call("expire", 10, 0, 0)
    await assert_charged(ledger, account_id, times=2)


async def test_an_old_copy_of_the_spill_changes_nothing(
    ledger: Ledger, nats: EmbeddedNats, account_id: UUID, tmp_path: Path
) -> None:
    """JetStream forgets that claims were done, and all of them come again."""
    asked = await held(ledger, nats, account_id, 10)
    await spilled(nats, *map(completed, asked))
    nats.stop()
    shutil.copytree(tmp_path / "nats/jetstream", tmp_path / "copy")
    nats.start()
    async with replica(ledger, nats):
        await until_ended(ledger, asked)
    nats.stop()
    shutil.rmtree(tmp_path / "nats/jetstream")
    shutil.copytree(tmp_path / "copy", tmp_path / "nats/jetstream")
    nats.start()

    async with replica(ledger, nats) as app:
        await until_metric(app, "done_total", 10)

    await assert_charged(ledger, account_id, times=10)


@contextlib.asynccontextmanager
async def replica(ledger: Ledger, nats: EmbeddedNats) -> AsyncIterator[Starlette]:
    """Run billing with the spill in its reach; it expires nothing meanwhile."""
    async with running(ledger.url, url_of(nats, BILLING), lease_seconds=60) as app:
        await until_metric(app, "ready", 1)
        yield app


@contextlib.asynccontextmanager
async def witness(nats: EmbeddedNats, party: str) -> AsyncIterator[Bus]:
    """A process that owes claims; nothing of it is left afterwards."""
    async with Bus(Settings(nats_url=url_of(nats, party)), party=party) as bus:
        yield bus


async def held(ledger: Ledger, nats: EmbeddedNats, account_id: UUID, count: int) -> list[billing.Reserve]:
    """Return requests whose money is held by a billing that is gone since."""
    asked = [reserve(account_id) for _ in range(count)]
    async with replica(ledger, nats), witness(nats, EDGE) as bus:
        await ledger.call("renew_lease", "lease", 3600)
        await asyncio.gather(*(bus.call(billing.RESERVE, each, timeout_seconds=30) for each in asked))
    return asked


async def spilled(nats: EmbeddedNats, *claims: billing.Settle) -> None:
    """Return when the claims are in the spill, and their witness is gone."""
    async with witness(nats, DISPATCHER) as bus, asyncio.timeout(PATIENCE_SECONDS):
        for claim in claims:
            assert await settle(bus, claim) is None


def void(asked: billing.Reserve) -> billing.Void:
    """What a dispatcher says that nobody upstream would answer."""
    return billing.Void(
        request_id=asked.request_id, account_id=asked.account_id, reason="not_accepted_upstream"
    )


def url_of(nats: EmbeddedNats, party: str) -> str:
    """Return where a party connects as itself."""
    return nats.url.replace("nats://", f"nats://{party}:{party}@")


async def until_ended(ledger: Ledger, asked: list[billing.Reserve]) -> None:
    """Return when none of the holds is live."""
    await until_closed(ledger, *(UUID(each.request_id) for each in asked))


async def until_metric(app: Starlette, name: str, least: float) -> None:
    """Return when a figure of the spill has come so far."""
    line = f"relay_billing_spill_{name} "
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            text = app.state.life.metrics.render().decode()
            if float(next(each for each in text.splitlines() if each.startswith(line)).split()[1]) >= least:
                return
            await asyncio.sleep(0.01)


async def assert_charged(ledger: Ledger, account_id: UUID, *, times: int) -> None:
    """Assert what the account has left, that nothing of it is held, and that the books are in order."""
    assert await ledger.balance(account_id) == (START_NANO_USD - times * COST_NANO_USD, 0)
    assert await audit(ledger.connection) == []
