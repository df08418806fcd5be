"""The dispatcher's side of a call: try channels, answer, settle.

The order of words is fixed: END goes to the edge as soon as the answer is over, so that the client never waits for the
ledger; when the edge has said that it has all of it, the claim goes to billing until it is confirmed; then FIN tells the edge
how it was settled. A complete answer that never reached the edge is claimed as broken by Relay. Should this process
die in between, the edge has the same claim from END and sends it itself. An empty FIN leaves the hold to the edge.
"""

import asyncio
import logging
import random

import msgspec

from services.dispatcher.channels import Channels
from services.dispatcher.measures import Measures
from services.dispatcher.routing import order
from services.dispatcher.upstream import AttemptFailed, Evidence, Upstream
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
from shared.metrics import Metrics
from shared.settlement import settle

CLIENT_REASONS = frozenset({"client_gone", "client_stalled"})
# The edge listens to another attempt, or to none: the hold belongs to that one, and ending it here would make it free.
FENCED_REASONS = frozenset({"superseded", "not_current", "no_accept", "unconfirmed"})
FAILOVER_RETRY_SECONDS = 1.0
DEADLINE_GRACE_SECONDS = 5.0  # the edge ends a call at its deadline; this is for an edge that does not

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode_call = msgspec.msgpack.Decoder(ChatCall).decode


class Answering:
    """Answers attempts; `serve` is what the stream driver runs for each."""

    def __init__(self, bus: Bus, channels: Channels, upstream: Upstream, metrics: Metrics) -> None:
        self._bus = bus
        self._channels = channels
        self._upstream = upstream
        self._aborting: set[asyncio.Task[None]] = set()
        self._measures = Measures(metrics)

    async def serve(self, attempt: Attempt) -> None:
        """Answer one call, whatever happens: END, the settlement and FIN always follow."""
        call = _decode_call(attempt.head)
        evidence = Evidence()
        error = await self._run(attempt, call, evidence)
        claim = evidence.claim(call, request_id=_request_id(attempt), attempt=attempt.number)
        tail = AnswerTail(
            error=None if error is None else error.to_body(),
            claim=claim,
            may_be_billed=evidence.may_be_billed,
        )
        if error is None:
            failpoint("dispatcher.upstream_finished")
        await attempt.end(_encode(tail))
        reason = await attempt.delivery
        failpoint("dispatcher.end_sent")
        if reason in FENCED_REASONS:
            await attempt.finish(b"")
            return
        ended = await settle(
            self._bus, _void(attempt, call) if claim is None else _as_delivered(claim, reason)
        )
        failpoint("dispatcher.settled")
        await attempt.finish(b"" if ended is None else _encode(ended))

    async def _run(self, attempt: Attempt, call: ChatCall, evidence: Evidence) -> RelayError | None:
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
            await self._try_channels(attempt, call, evidence)
        except asyncio.CancelledError:
            if not attempt.cancelled.done():
                raise
            task.uncancel()
            return _given_up(attempt.cancelled.result(), call, evidence)
        except RelayError as error:
            evidence.outcome = "upstream_failed"
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

    def _end_at_deadline(self, attempt: Attempt) -> None:
        task = asyncio.get_running_loop().create_task(attempt.abort("deadline"))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)

    async def _try_channels(self, attempt: Attempt, call: ChatCall, evidence: Evidence) -> None:
        body = await attempt.body
        failpoint("dispatcher.accepted")
        routes = order(self._channels.routes, call.model, random.random)
        if not routes:
            raise Unavailable("no_channel_available", retry_after_seconds=5, model=call.model)
        failures: list[AttemptFailed] = []
        for route in routes:
            evidence.begin(route)
            began_at = asyncio.get_running_loop().time()
            result = "cancelled"
            try:
                await self._upstream.answer(route, attempt, call, body, evidence)
            except AttemptFailed as failed:
                result = failed.kind
                failures.append(failed)
                evidence.may_be_billed = any(each.may_be_billed for each in failures)
                log.info(
                    "a channel could not answer",
                    extra={"request_id": _request_id(attempt), "channel": route.name, "fault": failed.kind},
                )
                if failed.is_final:
                    break
            except RelayError:
                result = "broken"
                raise
            else:
                result = "completed"
                return
            finally:
                committed_at = evidence.committed_at
                first_output_seconds = None if committed_at is None else committed_at - began_at
                self._measures.attempt(route.name, result, first_output_seconds)
        raise _for_client(failures)


def _for_client(failures: list[AttemptFailed]) -> RelayError:
    """Return the last error, with an invitation to repeat if no attempt can have cost anything."""
    error = failures[-1].error
    if isinstance(error, UpstreamFailed):
        waits = [each.error.retry_after_seconds or FAILOVER_RETRY_SECONDS for each in failures]
        is_free = not any(each.may_be_billed for each in failures)
        error.retry_after_seconds = min(waits) if is_free else None
    return error


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


def _as_delivered(claim: billing.Settle, reason: str | None) -> billing.Settle:
    """Return the claim for an answer that the edge has, or has not for `reason`: what Relay lost on the way is not charged."""
    if claim.outcome != "completed" or reason is None or reason in CLIENT_REASONS:
        return claim
    return msgspec.structs.replace(claim, outcome="platform_failed")


def _void(attempt: Attempt, call: ChatCall) -> billing.Void:
    return billing.Void(
        request_id=_request_id(attempt),
        account_id=call.account_id,
        reason="not_accepted_upstream",
        attempt=attempt.number,
    )


def _request_id(attempt: Attempt) -> str:
    text = attempt.request_id
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
