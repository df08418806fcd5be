"""What was used, charged, written off and credited, counted from the committed rows of the ledger.

The publisher of the outbox meets every usage row and every credit after its commit, whoever made it: a dispatcher, an edge, the
spill or the reaper. It counts a row once it is told and forgotten, so that a row which is told again after a crash is counted once.
Counts are those of this process; over all replicas they add up to the ledger's, less what was told when a process died.
"""

from collections import Counter
from collections.abc import Iterable
from typing import get_args

import msgspec

from shared.contracts.billing import Outcome
from shared.metrics import OTHER, Bounded, Metrics

RULES = tuple(f"C{number}" for number in range(1, 10))
WITNESSES = ("dispatcher", "edge", "reaper")
CAUSES = (*get_args(Outcome), "uncollectable")
TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")


class Row(msgspec.Struct, frozen=True):
    """A usage row or a transfer, as far as events and figures need it; the ledger writes the whole row as the body.

    `rule` is empty in a transfer, `kind` in a usage row.
    """

    request_id: str = ""
    account_id: str = ""
    model: str = ""
    rule: str = ""
    witness: str = ""
    is_estimated: bool = False
    is_late: bool = False
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    charged_nano_usd: int = 0
    writeoff_nano_usd: int = 0
    writeoff_cause: str | None = None
    debit_account: str = ""
    credit_account: str = ""
    kind: str = ""
    amount_nano_usd: int = 0


class Takings:
    """The figures. Models are those that have a price, the first hundred that are used; all others count as `other`."""

    def __init__(self) -> None:
        self._models = Bounded()
        self._rules: Counter[tuple[str, ...]] = _zeros(RULES)
        self._witnesses: Counter[tuple[str, ...]] = _zeros(WITNESSES)
        self._written_off: Counter[tuple[str, ...]] = _zeros(CAUSES)
        self._credited: Counter[tuple[str, ...]] = _zeros(("credit", "adjustment"))
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._charged: Counter[tuple[str, ...]] = Counter()
        self._tokens: Counter[tuple[str, ...]] = Counter()
        self._estimated = 0
        self._late = 0

    def measure(self, metrics: Metrics) -> None:
        """Show the figures in `metrics`."""
        for name, help_text, label, counts in (
            (
                "requests",
                "Usage records by the rule that decided the charge: C1 to C9",
                ("rule",),
                self._rules,
            ),
            ("settled", "Usage records by who brought the evidence", ("witness",), self._witnesses),
            (
                "written_off_nano_usd",
                "What was used and not charged, by cause",
                ("cause",),
                self._written_off,
            ),
            (
                "credited_nano_usd",
                "Added to balances (credit), or taken back (adjustment)",
                ("kind",),
                self._credited,
            ),
            ("model_requests", "Usage records by model", ("model",), self._requests),
            ("charged_nano_usd", "Charged for requests, by model", ("model",), self._charged),
            (
                "tokens",
                "Tokens used, by model and kind; cache tokens are part of input, reasoning of output",
                ("model", "kind"),
                self._tokens,
            ),
        ):
            metrics.totals(f"billing_{name}_total", help_text, label, counts.copy)
        metrics.total(
            "billing_estimated_total", "Usage records whose tokens are an estimate", lambda: self._estimated
        )
        metrics.total(
            "billing_late_total", "Holds that were settled after they had expired", lambda: self._late
        )

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows that were committed."""
        for row in rows:
            if row.rule:
                self._add_usage(row)
            elif row.kind:
                self._credited[(row.kind,)] += row.amount_nano_usd

    def _add_usage(self, row: Row) -> None:
        model = self._models.of(row.model)
        self._rules[(row.rule,)] += 1
        self._witnesses[(row.witness,)] += 1
        self._requests[(model,)] += 1
        self._charged[(model,)] += row.charged_nano_usd
        for kind in TOKENS:
            self._tokens[model, kind] += getattr(row, f"{kind}_tokens")
        self._estimated += row.is_estimated
        self._late += row.is_late
        if row.writeoff_nano_usd:
            cause = row.writeoff_cause or OTHER
            self._written_off[(cause if cause in CAUSES else OTHER,)] += row.writeoff_nano_usd


def _zeros(names: Iterable[str]) -> Counter[tuple[str, ...]]:
    """Return counts that stand at 0 from the start: a series that begins with its first event has no increase."""
    return Counter({(name,): 0 for name in names})
