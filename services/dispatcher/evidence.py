"""What is known of a call while it runs and when it is over: what decides the charge, and which channel did what."""

from services.dispatcher.delivered import DeliveredText
from services.dispatcher.estimate import Estimate, by_bytes
from services.dispatcher.routing import Route
from services.dispatcher.usage import Usage
from shared.contracts import billing
from shared.contracts.dispatcher import ChatCall
from shared.errors import RelayError
from shared.settlement import void_reason

ATTEMPTS_NOTED_MAX = 20  # channels that were asked or passed over


class Evidence:
    """What is known of a call, whoever asks and whenever: each field is true at every moment."""

    def __init__(self) -> None:
        self.route: Route | None = None
        self.is_accepted = False  # the upstream took the request: a good answer has begun
        self.may_be_billed = False  # some attempt, maybe an earlier one, can have cost money upstream
        self.is_committed = False  # the head of the answer has gone to the client
        self.committed_at: float | None = None  # when it went, on the loop's clock
        self.usage: Usage | None = None
        self.delivered = DeliveredText()
        self.estimate: Estimate | None = None  # what was used, once it was counted for want of a usage
        self.outcome: billing.Outcome = "upstream_failed"
        self.attempts: list[billing.UpstreamAttempt] = []
        self.error: RelayError | None = None  # what the client was told
        self.first_output_ms: int | None = None
        self.took_ms: int | None = None

    def begin(self, route: Route) -> None:
        """Note that `route` is tried now; nothing of an earlier one was accepted."""
        self.route = route
        self.is_accepted = False
        self.usage = None

    def close(self, error: RelayError | None, *, began_at: float, ended_at: float) -> None:
        """Note that it is over: with which error, and how long it took since the request was taken, on the loop's clock."""
        self.error = None if self.outcome == "client_gone" else error
        self.took_ms = _ms(ended_at - began_at)
        if self.committed_at is not None:
            self.first_output_ms = _ms(self.committed_at - began_at)

    def note(self, attempt: billing.UpstreamAttempt) -> None:
        """Keep what came of a channel, up to ATTEMPTS_NOTED_MAX of them."""
        if len(self.attempts) < ATTEMPTS_NOTED_MAX:
            self.attempts.append(attempt)

    def claim(self, call: ChatCall, *, request_id: str, attempt: int) -> billing.Settle | None:
        """Return the evidence as billing wants it, None when no upstream accepted the call."""
        if not self.is_accepted or self.route is None:
            return None
        usage = self.usage
        return billing.Settle(
            request_id=request_id,
            account_id=call.account_id,
            attempt=attempt,
            outcome=self.outcome,
            is_upstream_accepted=True,
            input_tokens_bound=call.input_tokens_bound,
            output_tokens_bound=call.output_tokens_granted * call.choices,
            usage=None
            if usage is None
            else billing.Usage(
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
            ),
            is_usage_doubtful=usage is not None and usage.is_implausible,
            delivered=by_bytes(call, self.delivered) if self.estimate is None else self.estimate.usage,
            counted_by="bytes" if self.estimate is None else self.estimate.counted_by,
            abort_policy=self.route.abort_policy,
            channel=self.route.name,
            attempts=tuple(self.attempts),
            error=self._code,
            first_output_ms=self.first_output_ms,
            took_ms=self.took_ms,
        )

    def void(self, call: ChatCall, *, request_id: str, attempt: int) -> billing.Void:
        """Return what ends the hold of a call that no upstream accepted."""
        return billing.Void(
            request_id=request_id,
            account_id=call.account_id,
            reason=void_reason(self.error, is_client_gone=self.outcome == "client_gone"),
            attempt=attempt,
            attempts=tuple(self.attempts),
            channel="" if self.route is None else self.route.name,
            error=self._code,
            first_output_ms=self.first_output_ms,
            took_ms=self.took_ms,
        )

    @property
    def _code(self) -> str | None:
        return None if self.error is None else self.error.code


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
