"""The ledger against its model: any sequence of commands, repeats and mutations, with the audit after every step.

The default is a short run; `pytest tests/billing/test_ledger_machine.py --hypothesis-profile=thorough` is a long one.
"""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.billing.audit import audit
from services.billing.pricing import Price
from tests.billing.bookkeeping import Command, Ledger, extend, fence, migrated, reserve, settle, void
from tests.billing.model import Account, Model

T = TypeVar("T")

ACCOUNTS = [UUID(int=number) for number in (11, 12, 13)]
MODELS = ("m", "n")
ACCOUNT = st.sampled_from(ACCOUNTS)
MOSTLY = st.sampled_from((True, True, True, True, False))
ATTEMPTS = st.sampled_from((0, 0, 0, 1, 2))
WHICH_LEASE = st.sampled_from((-1, -1, -2))  # the current one, or the one before


@st.composite
def requests(draw: st.DrawFn) -> tuple[UUID, UUID]:
    """One of a few request ids, so that ids come again, mostly with the account that it belongs to."""
    number = draw(st.integers(100, 114))
    return UUID(int=number), ACCOUNTS[number % len(ACCOUNTS)] if draw(MOSTLY) else draw(ACCOUNT)


@st.composite
def reserves(draw: st.DrawFn) -> Command:
    """A reserve that the accounts can afford more often than not; the machine fills in the current lease."""
    return reserve(
        *draw(requests()),
        lease_id="current" if draw(MOSTLY) else "older",
        model=draw(st.sampled_from((*MODELS, *MODELS, "unpriced"))),
        fingerprint="f" if draw(MOSTLY) else "g",
        choices=draw(st.integers(1, 2)),
        is_stream=draw(st.booleans()),
        input_tokens_bound=draw(st.integers(0, 300)),
        output_tokens_wanted=draw(st.none() | st.integers(0, 200)),
    )


@st.composite
def settlements(draw: st.DrawFn) -> Command:
    """A settlement with plausible tokens, below or above the hold; some are free, some an estimate."""
    input_tokens, is_charged = draw(st.integers(0, 400)), draw(MOSTLY)
    cache_read_tokens = draw(st.integers(0, input_tokens))
    return settle(
        *draw(requests()),
        attempt=draw(ATTEMPTS),
        outcome=draw(
            st.sampled_from(("completed", "completed", "client_gone", "upstream_failed", "unfunded"))
        ),
        error=draw(st.none() | st.just("upstream_error")),
        first_output_ms=draw(st.none() | st.integers(0, 5_000)),
        took_ms=draw(st.none() | st.integers(0, 60_000)),
        is_charged=is_charged,
        writeoff_cause=None if is_charged else "platform_failed",
        is_estimated=draw(st.booleans()),
        input_tokens=input_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=draw(st.integers(0, input_tokens - cache_read_tokens)),
        output_tokens=draw(st.integers(0, 700)),
    )


@st.composite
def extensions(draw: st.DrawFn) -> Command:
    """An extend to a bound that may be below what the hold has already."""
    return extend(*draw(requests()), attempt=draw(ATTEMPTS), output_tokens_bound=draw(st.integers(0, 600)))


@st.composite
def fences(draw: st.DrawFn) -> Command:
    """A fence, mostly before the attempt that is to follow the first."""
    return fence(*draw(requests()), attempt=draw(st.sampled_from((0, 1, 1, 2, 2))))


@st.composite
def voids(draw: st.DrawFn) -> Command:
    """A void of some attempt, or by somebody who knows of none."""
    request, attempt = draw(requests()), draw(st.none() | ATTEMPTS)
    return void(*request) if attempt is None else void(*request, attempt=attempt)


@st.composite
def lives(draw: st.DrawFn) -> list[Command]:
    """A reserve and up to four other commands, half the time all for one request."""
    kinds = (extensions(), extensions(), settlements(), settlements(), reserves(), voids(), fences())
    commands = [draw(reserves()), *draw(st.lists(st.one_of(kinds), max_size=4))]
    if draw(st.booleans()):
        one = {"id": commands[0]["id"], "account_id": commands[0]["account_id"]}
        commands = [command | one for command in commands]
    return commands


BATCHES = st.lists(lives(), min_size=1, max_size=5).map(
    lambda parts: [command for part in parts for command in part]
)


class Machine(RuleBasedStateMachine):
    """Gives the same commands to PostgreSQL and to the model."""

    runner: asyncio.Runner
    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.versions = iter(range(1, 10**6))
        self.leases = ["lease-0", "lease-1"]

    @initialize(money=st.integers(500, 5000))
    def begin(self, money: int) -> None:
        """Three accounts, the last without money; two leases and two prices."""
        tables = "account, api_key, lease, hold, transfer, usage, price, outbox, traffic, timing, by_hand"
        names = ", ".join(f"billing.{name}" for name in tables.split(", "))
        self._do(
            self.ledger.connection.execute(
                f"SET session_replication_role = replica; TRUNCATE {names}; SET session_replication_role = origin"
            )
        )
        for account_id in ACCOUNTS:
            self._call("put_account", account_id, "active", next(self.versions))
            self._call("put_key", f"key-{account_id}", account_id, "active", None, next(self.versions))
            self.model.accounts[str(account_id)] = Account()
        for lease_id in self.leases:
            self._call("renew_lease", lease_id, 3600)
        for name in MODELS:
            self.change_price(name, 1000, 2000, 500)
        for account_id in ACCOUNTS[:2]:
            self.credit(account_id, money)

    @rule(commands=BATCHES, is_repeated=st.booleans())
    def execute(self, commands: list[Command], is_repeated: bool) -> None:
        """Send a batch, and perhaps the very same again."""
        for command in commands:
            if command.get("lease_id") in ("current", "older"):
                command["lease_id"] = self.leases[-1 if command["lease_id"] == "current" else -2]
        for batch in [commands] * (1 + is_repeated):
            answers = self._do(self.ledger.execute(*batch))
            order = sorted(range(len(batch)), key=lambda place: (str(batch[place]["account_id"]), place))
            for place in order:
                expected = self.model.run(batch[place])
                answer = answers[place]
                shown = (
                    "amount_nano_usd" if batch[place]["op"] in ("reserve", "extend") else "charged_nano_usd"
                )
                assert (answer["result"], answer[shown]) == expected, (batch[place], answer)

    @rule(commands=BATCHES)
    def execute_once(self, commands: list[Command]) -> None:
        """Send a batch. (A second rule, so that commands are as frequent as all that changes around them.)"""
        self.execute(commands, False)

    @rule(account_id=ACCOUNT, amount=st.integers(-1000, 2000).filter(bool), is_repeated=st.booleans())
    def adjust(self, account_id: UUID, amount: int, is_repeated: bool) -> None:
        """Credit an account, or take back what is available, and perhaps the very same again."""
        account = self.model.accounts[str(account_id)]
        key = str(next(self.versions))
        is_possible = account.available + amount >= 0
        answer = self._call("credit", account_id, amount, key, "test")
        assert answer["result"] == ("ok" if is_possible else "insufficient")
        if is_possible:
            account.posted += amount
            if is_repeated:
                assert self._call("credit", account_id, amount, key, "test")["result"] == "already"

    @rule(account_id=ACCOUNT, is_active=MOSTLY)
    def change_status(self, account_id: UUID, is_active: bool) -> None:
        """Suspend or reinstate an account."""
        self._call("put_account", account_id, "active" if is_active else "suspended", next(self.versions))
        (set.discard if is_active else set.add)(self.model.suspended, str(account_id))

    @rule(account_id=ACCOUNT, is_active=MOSTLY)
    def change_key(self, account_id: UUID, is_active: bool) -> None:
        """Revoke or reinstate a key."""
        key = f"key-{account_id}"
        self._call(
            "put_key", key, account_id, "active" if is_active else "revoked", None, next(self.versions)
        )
        (set.discard if is_active else set.add)(self.model.revoked, key)

    @rule(
        name=st.sampled_from(MODELS),
        input_pico_usd=st.integers(0, 3000),
        output_pico_usd=st.integers(0, 3000),
        limit=st.integers(1, 400),
    )
    def change_price(self, name: str, input_pico_usd: int, output_pico_usd: int, limit: int) -> None:
        """Give a model a new price version."""
        price = Price(
            input_pico_usd=input_pico_usd,
            output_pico_usd=output_pico_usd,
            cache_read_pico_usd=input_pico_usd // 10,
            cache_write_pico_usd=input_pico_usd * 5 // 4,
        )
        self._do(self.ledger.set_price(input_pico_usd, output_pico_usd, model=name, max_output_tokens=limit))
        self.model.prices[name] = (price, limit)

    @rule(which=WHICH_LEASE)
    def end_lease(self, which: int) -> None:
        """End a lease in order, lapsed or not, and perhaps again; its edge takes a new one."""
        lease_id = self.leases[which]
        assert self._call("end_lease", lease_id) == (lease_id not in self.model.ended_leases)
        self.model.lapsed_leases.discard(lease_id)
        self.model.ended_leases.add(lease_id)
        self.renew_lease(which)

    @rule(which=WHICH_LEASE)
    def lapse_lease(self, which: int) -> None:
        """Let the time of a lease pass, unless it has ended."""
        lease_id = self.leases[which]
        if lease_id not in self.model.ended_leases:
            self._do(self.ledger.lapse(lease_id))
            self.model.lapsed_leases.add(lease_id)

    @rule(which=WHICH_LEASE)
    def renew_lease(self, which: int) -> None:
        """Renew a lease, which revives it if it has lapsed; an edge whose lease has ended takes a new one."""
        is_live = self._call("renew_lease", self.leases[which], 3600) is not None
        assert is_live == self.model.renew(self.leases[which])
        if not is_live:
            self.leases.append(f"lease-{len(self.leases)}")
            self._call("renew_lease", self.leases[-1], 3600)

    @rule()
    def pass_deadlines(self) -> None:
        """Let the deadline of every live hold pass."""
        self._do(
            self.ledger.connection.execute("UPDATE billing.hold SET deadline = now() WHERE state = 'HELD'")
        )
        for hold in self.model.holds.values():
            hold.is_overdue = hold.state == "HELD"

    @rule()
    def expire(self) -> None:
        """Let the reaper pass."""
        assert self._call("expire", 256, 0, 0) == self.model.expire()

    @rule(places=st.lists(st.integers(0, 20), max_size=10), is_repeated=st.booleans())
    def publish(self, places: list[int], is_repeated: bool) -> None:
        """Take some events out of the outbox, in any order, and perhaps the very same again; invariant I31 looks at the counts."""
        rows = self._do(self.ledger.connection.fetch("SELECT id FROM billing.outbox ORDER BY id"))
        ids = [rows[place]["id"] for place in places if place < len(rows)]
        for _ in range(1 + is_repeated):
            self._call("outbox_published", ids)

    @rule(limit=st.integers(0, 5))
    def count_untold(self, limit: int) -> None:
        """Count some of what nobody is told of."""
        self._call("count_untold", limit)

    @invariant()
    def agree(self) -> None:
        """Balances equal the model's, and the audit finds nothing."""
        for account_id, account in self.model.accounts.items():
            assert self._do(self.ledger.balance(UUID(account_id))) == (account.posted, account.held)
        assert self._do(audit(self.ledger.connection)) == []

    def credit(self, account_id: UUID, amount: int) -> None:
        """Credit an account without a doubt."""
        if amount:
            self.adjust(account_id, amount, False)

    def _call(self, function: str, *arguments: object) -> asyncpg.Record:
        return self._do(self.ledger.call(function, *arguments))

    def _do(self, step: Coroutine[None, None, T]) -> T:
        return self.runner.run(step)


def test_ledger_does_what_the_model_does(postgres_url: str) -> None:
    """PostgreSQL and the model give the same answers and end with the same balances, and every invariant holds throughout."""
    is_thorough = settings.get_current_profile_name() == "thorough"
    limits = settings(
        max_examples=1000 if is_thorough else 50,
        stateful_step_count=50 if is_thorough else 25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(postgres_url))
        try:
            runner.run(connection.execute("DROP SCHEMA IF EXISTS billing CASCADE"))
            runner.run(migrated(connection))
            machine = type(
                "BoundMachine", (Machine,), {"runner": runner, "ledger": Ledger(connection, postgres_url)}
            )
            run_state_machine_as_test(machine, settings=limits)
        finally:
            runner.run(connection.execute("DROP SCHEMA billing CASCADE"))
            runner.run(connection.close())
