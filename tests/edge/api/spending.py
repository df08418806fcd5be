"""A person with money and a key, and calls of theirs as an edge and a dispatcher make them."""

from typing import Any

from shared.bus import Bus
from shared.contracts import auth, billing
from shared.contracts.call import OPERATOR
from shared.ids import process_id, uuid7
from tests.cli.conftest import Relay
from tests.edge.api.conftest import Operator, member, settings_of

NAME = "=laptop"  # which a spreadsheet would take for a formula


class Spender(Operator):
    """A member at the API, with a balance of a dollar and one key."""

    def __init__(self, bus: Bus, user: auth.User, running: Relay, key: auth.Key) -> None:
        super().__init__(bus, user, running)
        self.key = key

    async def call(self, model: str, end: str = "completed", **told: Any) -> str:
        """Make a call and end it so, or let it run; return its id."""
        lease = billing.Lease(lease_id=process_id())
        await self.bus.call(billing.RENEW_LEASE, lease)
        request_id = str(uuid7())
        reserve = billing.Reserve(
            request_id=request_id, account_id=self.key.account_id, key_id=self.key.id, lease_id=lease.lease_id, model=model,
            input_tokens_bound=100, output_tokens_wanted=50, choices=1, deadline_seconds=60, fingerprint="f", is_stream=True,
        )  # fmt: skip
        await self.bus.call(billing.RESERVE, reserve)
        ids: dict[str, Any] = {"request_id": request_id, "account_id": self.key.account_id, "attempt": 1}
        if end == "refused":
            await self.bus.call(billing.VOID, billing.Void(reason="refused", **ids, **told))
        elif end != "running":
            settle = billing.Settle(
                outcome=end, is_upstream_accepted=True, input_tokens_bound=100, output_tokens_bound=50, channel="secret-channel",  # type: ignore[arg-type]
                usage=billing.Usage(input_tokens=100, output_tokens=20), **ids, **told,
            )  # fmt: skip
            await self.bus.call(billing.SETTLE, settle)
        return request_id


async def spender(bus: Bus, running: Relay, model: str) -> Spender:
    """Return a new person with a dollar and a key; `model` costs a dollar for a million tokens in, and two out."""
    user = await member(running, f"spender-{uuid7().hex}@example.com")
    async with Bus(settings_of(running, OPERATOR), party=OPERATOR) as operator:
        made = await operator.call(auth.CREATE_KEY, auth.CreateKey(account_id=user.account_id, name=NAME))
        credit = billing.Credit(
            account_id=user.account_id, amount_nano_usd=10**9, idempotency_key=uuid7().hex, reason="=a gift"
        )
        await operator.call(billing.CREDIT, credit)
        price = billing.SetPrice(
            model=model, input_pico_usd=10**6, output_pico_usd=2 * 10**6, cache_read_pico_usd=0, cache_write_pico_usd=0,
            max_output_tokens=1000,
        )  # fmt: skip
        await operator.call(billing.SET_PRICE, price)
    return Spender(bus, user, running, made.key)
