"""What came of each request: figures, and one line in the log.

Labels are bounded: a route is one of ours, a status and a code come from our own tables, whatever a client or an upstream
wrote. A line names the model only when billing has a price for it: until then it is text of the client's.
"""

import logging
import time
from collections import Counter
from typing import Literal
from uuid import UUID

from shared import tracing
from shared.contracts.auth import Principal
from shared.contracts.dispatcher import ChatCall
from shared.errors import RelayError
from shared.ids import uuid7
from shared.log import event
from shared.messages import MESSAGES
from shared.metrics import OTHER, Metrics

Route = Literal["chat", "playground", "models", "account", "api", "other", "unread"]
Outcome = Literal["complete", "refused", "broken", "left", "stalled", "cut"]
"""`refused` has an error status, `broken` an error after it. The client of `left` and `stalled` did not take its answer, and we
gave up `cut`."""

# What alarms look for stands at 0 from the start: a series that begins with its first event has no increase.
_ALARMING = tuple(("chat", *how, "refused") for how in (("500", "internal_error"), ("503", "overloaded")))

log = logging.getLogger(__name__)


class Visit:
    """One request. Whoever serves it notes what happens; `status` is 0 until one is sent."""

    __slots__ = (
        "account_id", "call", "code", "first_byte_at", "key_id", "outcome", "request_id", "route", "started_at", "status",
    )  # fmt: skip

    def __init__(self, route: Route) -> None:
        self.route = route
        self.request_id: UUID = uuid7()
        self.started_at = time.perf_counter()
        self.first_byte_at = 0.0
        self.status = 0
        self.outcome: Outcome = "cut"
        self.code = ""
        self.account_id = ""
        self.key_id = ""
        self.call: ChatCall | None = None

    def identified(self, principal: Principal) -> None:
        """Note whose request it is."""
        self.account_id = principal.account_id
        self.key_id = principal.key_id

    def failed(self, outcome: Outcome, error: RelayError) -> None:
        """Note the error that the client is told."""
        code = error.wording or error.code  # a code that has another's wording is an upstream's
        self.code = code if code in MESSAGES else OTHER
        self.outcome = outcome


class Visits:
    """All requests of this process that have ended; `access_log` makes a line of each."""

    def __init__(self, *, access_log: bool) -> None:
        self._has_log = access_log
        self._counts: Counter[tuple[str, ...]] = Counter(dict.fromkeys(_ALARMING, 0))

    def measure(self, metrics: Metrics) -> None:
        """Show the requests in `metrics`."""
        metrics.totals(
            "edge_requests_total",
            "Requests by route, status (0: none was sent), error code (empty: none) and outcome",
            ("route", "status", "code", "outcome"),
            self._counts.copy,
        )
        first_byte = metrics.seconds(
            "edge_first_byte_seconds", "From a request to the first byte of its good answer", "streamed"
        )
        whole = metrics.seconds(
            "edge_request_seconds", "From a request to the end of its good answer", "streamed"
        )
        self._first_byte = {is_stream: first_byte.labels(_truth(is_stream)) for is_stream in (True, False)}
        self._whole = {is_stream: whole.labels(_truth(is_stream)) for is_stream in (True, False)}

    def end(self, visit: Visit) -> None:
        """Count a request whose answer is over."""
        now = time.perf_counter()
        self._counts[visit.route, str(visit.status), visit.code, visit.outcome] += 1
        if visit.call is not None and visit.first_byte_at:
            self._first_byte[visit.call.is_stream].observe(visit.first_byte_at - visit.started_at)
            if visit.outcome == "complete":
                self._whole[visit.call.is_stream].observe(now - visit.started_at)
        if self._has_log:
            event(log, "request", _line(visit, now))
        if tracing.is_on():
            tracing.note(_attributes(visit))
            if visit.outcome in ("broken", "cut") or visit.status >= 500:
                tracing.failed(visit.code or visit.outcome)


def _line(visit: Visit, now: float) -> dict[str, object]:
    call = visit.call
    line: dict[str, object] = {
        "request_id": str(visit.request_id),
        "route": visit.route,
        "status": visit.status,
        "outcome": visit.outcome,
        "code": visit.code,
        "ms": round((now - visit.started_at) * 1000, 1),
        "account_id": visit.account_id,
        "key_id": visit.key_id,
    }
    if call is not None:
        line["model"] = call.model
        line["streamed"] = call.is_stream
        if visit.first_byte_at:
            line["first_byte_ms"] = round((visit.first_byte_at - visit.started_at) * 1000, 1)
    return line


def _attributes(visit: Visit) -> dict[str, str | int | float | bool]:
    return {
        "http.response.status_code": visit.status,
        "relay.request_id": str(visit.request_id),
        "relay.outcome": visit.outcome,
        "relay.code": visit.code,
        "relay.key_id": visit.key_id,
    }


def _truth(value: bool) -> str:
    return "true" if value else "false"
