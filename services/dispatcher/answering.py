"""The dispatcher's side of a call: answer, settle.

The order of words is fixed: END goes to the edge as soon as the answer is over, so that the client never waits for the
ledger; when the edge has said that it has all of it, the claim goes to billing until it is confirmed; then FIN tells the edge
how it was settled. A complete answer that never reached the edge is claimed as broken by Relay. Should this process
die in between, the edge has the same claim from END and sends it itself. An empty FIN leaves the hold to the edge.
"""

import asyncio
import logging

import msgspec

from services.dispatcher.estimate import estimate
from services.dispatcher.evidence import Evidence
from services.dispatcher.failover import Failover
from services.dispatcher.funding import Funding, Unfunded
from shared.bus import Attempt, Bus
from shared.contracts import billing
from shared.contracts.dispatcher import AnswerTail, ChatCall
from shared.errors import (
    Internal,
    RelayError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from shared.failpoints import failpoint
from shared.settlement import settle

CLIENT_REASONS = frozenset({"client_gone", "client_stalled"})
# The edge listens to another attempt, or to none: the hold belongs to that one, and ending it here would make it free.
FENCED_REASONS = frozenset({"superseded", "not_current", "no_accept", "unconfirmed"})
DEADLINE_GRACE_SECONDS = 5.0  # the edge ends a call at its deadline; this is for an edge that does not

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode_call = msgspec.msgpack.Decoder(ChatCall).decode


class Answering:
    """Answers attempts; `serve` is what the stream driver runs for each."""

    def __init__(self, bus: Bus, failover: Failover) -> None:
        self._bus = bus
        self._failover = failover
        self._aborting: set[asyncio.Task[None]] = set()

    async def serve(self, attempt: Attempt) -> None:
        """Answer one call, whatever happens: END, the settlement and FIN always follow."""
        call = _decode_call(attempt.head)
        evidence = Evidence()
        funding = Funding(self._bus, call, request_id=_request_id(attempt), attempt=attempt.number)
        now = asyncio.get_running_loop().time
        began_at = now()
        error = await self._run(attempt, call, evidence, funding)
        evidence.close(error, began_at=began_at, ended_at=now())
        await funding.close()
        await _estimate_missing_usage(attempt, call, evidence)
        claim = evidence.claim(call, request_id=_request_id(attempt), attempt=attempt.number)
        tail = AnswerTail(
            error=None if error is None else error.to_body(),
            claim=claim,
            may_be_billed=evidence.may_be_billed,
            attempts=() if claim is not None else tuple(evidence.attempts),
        )
        if error is None:
            failpoint("dispatcher.upstream_finished")
        await attempt.end(_encode(tail))
        reason = await attempt.delivery
        failpoint("dispatcher.end_sent")
        if reason in FENCED_REASONS:
            await attempt.finish(b"")
            return
        void = evidence.void(call, request_id=_request_id(attempt), attempt=attempt.number)
        ended = await settle(self._bus, void if claim is None else _as_delivered(claim, reason))
        failpoint("dispatcher.settled")
        await attempt.finish(b"" if ended is None else _encode(ended))

    async def _run(
        self, attempt: Attempt, call: ChatCall, evidence: Evidence, funding: Funding
    ) -> RelayError | None:
        """Return None when the answer is complete, or the error that ended it. Never raises but for our own end."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        is_over = False

        def stop(_: object) -> None:
            if not is_over:  # a word that comes with the last byte must not cut off the settlement
                task.cancel()

        attempt.cancelled.add_done_callback(stop)
        deadline_seconds = call.deadline_seconds + DEADLINE_GRACE_SECONDS
        deadline = loop.call_later(deadline_seconds, self._end_at_deadline, attempt)
        try:
            await self._answer(attempt, call, evidence, funding)
        except asyncio.CancelledError:
            if not attempt.cancelled.done():
                raise
            task.uncancel()
            return _given_up(attempt.cancelled.result(), call, evidence)
        except RelayError as error:
            return error
        except (
            Exception
        ):  # the handler boundary of streams: END must follow, and the caller must hear that it failed
            log.exception("an answer failed", extra={"request_id": _request_id(attempt)})
            evidence.outcome = "platform_failed"
            return Internal("internal_error")
        finally:
            is_over = True
            deadline.cancel()
            attempt.cancelled.remove_done_callback(stop)
        if attempt.cancelled.done():
            return _given_up(attempt.cancelled.result(), call, evidence)
        return None

    async def _answer(self, attempt: Attempt, call: ChatCall, evidence: Evidence, funding: Funding) -> None:
        body = await attempt.body
        failpoint("dispatcher.accepted")
        sink = FundedSink(attempt, funding, evidence)
        try:
            await self._failover.answer(sink, call, body, evidence, _request_id(attempt))
        except Unfunded as ended:
            evidence.outcome = "unfunded"
            raise ended.error from ended

    def _end_at_deadline(self, attempt: Attempt) -> None:
        task = asyncio.get_running_loop().create_task(attempt.abort("deadline"))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)


class FundedSink:
    """The edge, which gets nothing that its hold does not cover."""

    def __init__(self, attempt: Attempt, funding: Funding, evidence: Evidence) -> None:
        self.send_head = attempt.send_head
        self.attempt = attempt
        self._funding = funding
        self._evidence = evidence
        self._sent_bytes = 0  # of the answer's text

    async def send(self, data: bytes) -> None:
        """Send a part of the answer. Raises: Unfunded, when what the hold covers of it has been sent."""
        evidence = self._evidence
        try:
            await self._funding.cover(evidence.delivered, evidence)
        except Unfunded:
            rest = self._funding.affordable(data, evidence.delivered, self._sent_bytes, evidence)
            if rest:
                await self.attempt.send(rest)
            raise
        self._sent_bytes = evidence.delivered.size_bytes
        await self.attempt.send(data)


def _given_up(reason: str, call: ChatCall, evidence: Evidence) -> RelayError:
    """Note why nobody wants the answer any more, which decides who pays, and return the error for whoever still listens."""
    if reason in CLIENT_REASONS:
        evidence.outcome = "client_gone"
        return UpstreamFailed("upstream_disconnected")
    if reason == "deadline":
        evidence.outcome = "upstream_failed"
        return UpstreamTimeout("deadline_exceeded", limit_seconds=round(call.deadline_seconds))
    evidence.outcome = "platform_failed"
    return Unavailable("stream_interrupted")


async def _estimate_missing_usage(attempt: Attempt, call: ChatCall, evidence: Evidence) -> None:
    """Count what an accepted call used, if its upstream has not said so."""
    if evidence.is_accepted and evidence.usage is None and evidence.route is not None:
        upstream_model = evidence.route.models[call.model]
        evidence.estimate = await estimate(call, upstream_model, attempt.body.result(), evidence.delivered)


def _as_delivered(claim: billing.Settle, reason: str | None) -> billing.Settle:
    """Return the claim for an answer that the edge has, or has not for `reason`: what Relay lost on the way is not charged."""
    if claim.outcome != "completed" or reason is None or reason in CLIENT_REASONS:
        return claim
    return msgspec.structs.replace(claim, outcome="platform_failed", error="stream_interrupted")


def _request_id(attempt: Attempt) -> str:
    text = attempt.request_id
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
