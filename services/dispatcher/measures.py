"""What the dispatcher measures of its upstreams. A channel is named by the operator: it is a label, within bounds."""

from collections import Counter

from shared.metrics import Bounded, Metrics

REASONS_MAX = 32  # more than there are kinds of faults, or reasons to pass a channel over


class Measures:
    """The figures of attempts, by channel."""

    def __init__(self, metrics: Metrics) -> None:
        self._channels = Bounded()
        self._results = Bounded(REASONS_MAX)
        self._reasons = Bounded(REASONS_MAX)
        self._attempts: Counter[tuple[str, ...]] = Counter()
        self._skipped: Counter[tuple[str, ...]] = Counter()
        metrics.totals(
            "dispatcher_attempts_total",
            "Upstream attempts by channel and how they ended",
            ("channel", "result"),
            self._attempts.copy,
        )
        metrics.totals(
            "dispatcher_skipped_total",
            "Channels that were passed over, by reason",
            ("channel", "reason"),
            self._skipped.copy,
        )
        self._first_output = metrics.seconds(
            "dispatcher_first_output_seconds", "From calling an upstream to its first good output", "channel"
        )

    def skip(self, channel: str, reason: str) -> None:
        """Count a channel that was not asked."""
        self._skipped[self._channels.of(channel), self._reasons.of(reason)] += 1

    def attempt(self, channel: str, result: str, first_output_seconds: float | None) -> None:
        """Count an attempt that is over; `first_output_seconds` is None when no good output came."""
        name = self._channels.of(channel)
        self._attempts[name, self._results.of(result)] += 1
        if first_output_seconds is not None:
            self._first_output.labels(name).observe(first_output_seconds)
