"""The ledger in a few lines of Python, as its users are told it works: what the state machine compares PostgreSQL with."""

from dataclasses import dataclass, field

from services.billing.pricing import Price, Units, cost_nano_usd, hold_nano_usd
from tests.billing.bookkeeping import Command

Result = tuple[str, int | None]  # the result, and what was held (reserve, extend) or charged (the others)


@dataclass
class Account:
    """A customer's money."""

    posted: int = 0
    held: int = 0

    @property
    def available(self) -> int:
        """What nothing holds."""
        return self.posted - self.held


@dataclass
class Hold:
    """One request; without a price it is a tombstone."""

    account_id: str
    fingerprint: str = ""
    lease_id: str = ""
    price: Price | None = None
    input_tokens_bound: int = 0
    output_tokens_bound: int = 0
    amount: int = 0
    attempt: int = 0
    state: str = "VOIDED"
    charged: int = 0
    is_late: bool = False
    is_overdue: bool = False


@dataclass
class Model:
    """Everything the commands decide from; `run` is one command."""

    accounts: dict[str, Account] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    lapsed_leases: set[str] = field(default_factory=set)
    ended_leases: set[str] = field(default_factory=set)
    prices: dict[str, tuple[Price, int]] = field(default_factory=dict)  # with the output limit
    holds: dict[str, Hold] = field(default_factory=dict)

    def run(self, command: Command) -> Result:
        """Return what the ledger must answer, and change as it must."""
        hold = self.holds.get(str(command["id"]))
        if hold is not None and hold.account_id != command["account_id"]:
            return "conflict", None
        match command["op"]:
            case "reserve":
                return self._reserve(command, hold)
            case "extend":
                return self._extend(command, hold)
            case "settle":
                return self._settle(command, hold)
            case _:
                return self._void(command, hold)

    def expire(self) -> int:
        """End what has lapsed, and expire what is due; return how many holds that were."""
        self.ended_leases |= self.lapsed_leases
        self.lapsed_leases.clear()
        due = [
            hold
            for hold in self.holds.values()
            if hold.state == "HELD" and (hold.is_overdue or hold.lease_id in self.ended_leases)
        ]
        for hold in due:
            self.accounts[hold.account_id].held -= hold.amount
            hold.state = "EXPIRED"
        return len(due)

    def renew(self, lease_id: str) -> bool:
        """Revive a lease unless it has ended; return whether it lives."""
        self.lapsed_leases.discard(lease_id)
        return lease_id not in self.ended_leases

    def _reserve(self, command: Command, hold: Hold | None) -> Result:
        if hold is not None:
            if hold.price is not None and hold.fingerprint != command["fingerprint"]:
                return "conflict", hold.amount
            return ("ok" if hold.state == "HELD" else hold.state.lower()), hold.amount
        account_id = str(command["account_id"])
        refusal = self._refusal(command)
        if refusal is not None:
            return refusal, None
        price, limit = self.prices[str(command["model"])]
        account, input_bound = self.accounts[account_id], _int(command, "input_tokens_bound")
        granted = self._granted(command, price, limit, account.available)
        least = (
            granted
            if command["output_tokens_wanted"] is not None
            else min(16, limit) * _int(command, "choices")
        )
        amount = hold_nano_usd(input_bound, granted, price)
        if amount > account.available:
            return self._lack(account, hold_nano_usd(input_bound, least, price)), None
        self.holds[str(command["id"])] = Hold(
            account_id=account_id,
            fingerprint=str(command["fingerprint"]),
            lease_id=str(command["lease_id"]),
            price=price,
            input_tokens_bound=input_bound,
            output_tokens_bound=granted,
            amount=amount,
            state="HELD",
        )
        account.held += amount
        return "ok", amount

    def _refusal(self, command: Command) -> str | None:
        if command["lease_id"] in self.ended_leases | self.lapsed_leases:
            return "lease_ended"
        if command["account_id"] in self.suspended:
            return "account_suspended"
        if command["key_id"] != f"key-{command['account_id']}":
            return "key_unknown"
        if command["key_id"] in self.revoked:
            return "key_revoked"
        return None if command["model"] in self.prices else "model_unpriced"

    def _granted(self, command: Command, price: Price, limit: int, available: int) -> int:
        choices = _int(command, "choices")
        if command["output_tokens_wanted"] is not None:
            return _int(command, "output_tokens_wanted") * choices
        bound = _int(command, "input_tokens_bound")
        for each in range(limit, min(16, limit), -1):
            if hold_nano_usd(bound, each * choices, price) <= available:
                return each * choices
        return min(16, limit) * choices

    def _lack(self, account: Account, needed: int) -> str:
        return "insufficient" if needed > account.posted else "held"

    def _extend(self, command: Command, hold: Hold | None) -> Result:
        if hold is None:
            return "unknown", None
        if hold.state != "HELD":
            return "closed", hold.amount
        if _int(command, "attempt") < hold.attempt:
            return "stale_attempt", hold.amount
        assert hold.price is not None
        account = self.accounts[hold.account_id]
        bound = hold.output_tokens_bound
        if "output_tokens_bound" in command:  # otherwise it is a fence, and nothing more
            bound = max(bound, _int(command, "output_tokens_bound"))
        amount = hold_nano_usd(hold.input_tokens_bound, bound, hold.price)
        if amount - hold.amount > account.available:
            return self._lack(account, amount), None
        account.held += amount - hold.amount
        hold.output_tokens_bound, hold.amount, hold.attempt = bound, amount, _int(command, "attempt")
        return "ok", amount

    def _settle(self, command: Command, hold: Hold | None) -> Result:
        if hold is None:
            return "unknown", None
        if hold.state in ("SETTLED", "VOIDED"):
            return "already", hold.charged
        if _int(command, "attempt") < hold.attempt:
            return "stale_attempt", None
        assert hold.price is not None
        account = self.accounts[hold.account_id]
        cost = cost_nano_usd(_billed(command, hold), hold.price)
        if hold.state == "EXPIRED":
            if hold.is_late or cost == 0:
                return "already", hold.charged
            hold.is_late = True
        else:
            account.held -= hold.amount
            hold.state, hold.attempt = "SETTLED", _int(command, "attempt")
        hold.charged = min(cost, account.available) if command["is_charged"] else 0
        account.posted -= hold.charged
        return ("late" if hold.is_late else "ok"), hold.charged

    def _void(self, command: Command, hold: Hold | None) -> Result:
        if hold is None:
            self.holds[str(command["id"])] = Hold(account_id=str(command["account_id"]))
            return "ok", 0
        if hold.state != "HELD":
            return "already", hold.charged
        if (_int(command, "attempt") if "attempt" in command else 0) < hold.attempt:
            return "stale_attempt", None
        self.accounts[hold.account_id].held -= hold.amount
        hold.state = "VOIDED"
        return "ok", 0


def _billed(command: Command, hold: Hold) -> Units:
    units = Units(**{name: _int(command, name) for name in Units.__struct_fields__})
    if not command["is_estimated"]:
        return units
    input_tokens = min(units.input_tokens, hold.input_tokens_bound)
    cache_read_tokens = min(units.cache_read_tokens, input_tokens)
    return Units(
        input_tokens=input_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=min(units.cache_write_tokens, input_tokens - cache_read_tokens),
        output_tokens=min(units.output_tokens, hold.output_tokens_bound),
    )


def _int(command: Command, name: str) -> int:
    value = command[name]
    assert isinstance(value, int)
    return value
