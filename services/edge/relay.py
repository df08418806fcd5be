"""The use case: verify → reserve → open → answer → settled. Knows no HTTP.

A call whose dispatcher fell silent before anything of an answer was seen is sent to another one, once. The hold is fenced first:
should the former dispatcher still live, billing refuses whatever it says of the hold.

Every hold that is made here ends: before a dispatcher has accepted, this module voids it; after that the dispatcher settles, and
when it does not confirm in time this module sends the same claim as the second witness. Should this process die, the
hold's lease ends. The first commit wins, whoever sent it.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Coroutine
from uuid import UUID

import msgspec

from services.edge.lease import Lease
from services.edge.openai import ChatRequest, input_tokens_bound
from services.edge.prompt import tighter_input_bound
from services.edge.settings import EdgeSettings
from shared.bus import Answer, Bus, Callers
from shared.contracts import auth, billing, dispatcher
from shared.errors import (
    Forbidden,
    InsufficientFunds,
    Internal,
    RateLimited,
    RelayError,
    Unavailable,
    UpstreamTimeout,
    from_body,
)
from shared.failpoints import failpoint
from shared.patience import until_done
from shared.settlement import settle, void_reason
from shared.stream.actions import Confirmed, Ended, Failed, Failure, Started

LEASE_TRIES = 2
CLIENT_REASONS = frozenset({"client_gone", "client_stalled"})
REPEATABLE = frozenset({Failure.NO_ACCEPT, Failure.PEER_LOST, Failure.GAP})
ENDINGS_MAX = 10_000  # holds whose end is not confirmed yet; beyond, billing is too far behind to begin more

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode_tail = msgspec.msgpack.Decoder(dispatcher.AnswerTail).decode
_decode_head = msgspec.msgpack.Decoder(dispatcher.AnswerHead).decode


class Exchange:
    """One admitted request and its answer."""

    def __init__(
        self,
        request_id: UUID,
        lease_id: str,
        call: dispatcher.ChatCall,
        body: bytes,
        answer: Answer,
        standing: billing.Standing | None = None,
    ) -> None:
        self.request_id = request_id
        self.standing = standing  # what limits leave to the caller
        self.lease_id = lease_id
        self.call = call
        self.body = body  # until the answer begins: it may have to be sent again
        self.answer = answer
        self.fence = 0  # attempts below it can end the hold no more
        self.is_accepted = False  # the head of a good answer was seen
        self.is_failed = False  # there was no complete answer, whatever the dispatcher believes
        self.error: RelayError | None = None  # what the client is told of it
        self.cut: RelayError | None = None  # set when this side ends the answer, for what the client is told
        self.words: dispatcher.AnswerTail | None = None  # the last word on the answer, once it has come
        self.deadline: asyncio.TimerHandle | None = None

    @property
    def attempt(self) -> int:
        """The number that this side's claims on the hold carry."""
        return max(self.answer.machine.attempt, self.fence)

    def may_repeat(self, failed: Failed) -> bool:
        """Return whether the call may be sent to another dispatcher: once, and only if nothing can have reached the client."""
        return failed.reason in REPEATABLE and not self.is_accepted and self.fence == 0 and self.cut is None

    def started(self, event: Started) -> dispatcher.AnswerHead:
        """Take the head of the answer."""
        self.is_accepted = True
        self.body = b""
        return _decode_head(event.head)

    def outcome(self, event: Ended | Failed) -> tuple[RelayError | None, bool]:
        """Return the error that ended the answer, None if it is complete, and whether an attempt can have been billed."""
        if isinstance(event, Failed):
            self.is_failed = True
            self.error = self._failure(event)
            return self.error, event.has_accept
        self.words = words = _decode_tail(event.tail)
        self.error = None if words.error is None else from_body(words.error)
        return self.error, words.may_be_billed

    def _failure(self, event: Failed) -> RelayError:
        if self.cut is not None:
            return self.cut
        if event.reason in (Failure.BUSY, Failure.NO_RESPONDERS, Failure.NO_ACCEPT):
            return Unavailable("service_unavailable", retry_after_seconds=2, part="dispatcher")
        return Unavailable("stream_interrupted")


class Relay:
    """Runs exchanges, and sees each of their holds to its end."""

    def __init__(self, bus: Bus, callers: Callers, settings: EdgeSettings) -> None:
        self._bus = bus
        self._callers = callers
        self._settings = settings
        self._exchanges: dict[UUID, Exchange] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self.lease = Lease(bus, renew_seconds=settings.lease_renew_seconds, ended=self._on_lease_ended)

    @property
    def running(self) -> int:
        """How many answers are under way."""
        return len(self._exchanges)

    @property
    def unsettled(self) -> int:
        """How many holds have an end that is not confirmed yet."""
        return len(self._endings)

    async def open(
        self,
        request_id: UUID,
        principal: auth.Principal,
        request: ChatRequest,
        body: bytes,
        idempotency_key: str | None = None,
    ) -> Exchange:
        """Admit the request and send it to a dispatcher; the caller then reads `answer` and calls `close` in the end.

        Raises: Forbidden, NotFound, InsufficientFunds, RateLimited, Unauthenticated, Unavailable or Internal; with an
        `idempotency_key` also Repeated and KeyReused. What may be held then is given back.
        """
        if principal.allowed_models and request.model not in principal.allowed_models:
            raise Forbidden("model_not_allowed", param="model", model=request.model)
        if len(self._endings) >= ENDINGS_MAX:
            raise Unavailable("overloaded", retry_after_seconds=1)
        failpoint("edge.authenticated")
        question = self._question(request_id, principal, request, body, idempotency_key)
        question, hold, lease_id = await self._admit(question, request, body)
        failpoint("edge.reserved")
        call = dispatcher.ChatCall(
            account_id=principal.account_id,
            model=request.model,
            is_stream=request.is_stream,
            include_usage=request.include_usage,
            output_tokens_granted=hold.output_tokens_granted,
            output_tokens_held=hold.output_tokens_held,
            choices=request.choices,
            input_tokens_bound=question.input_tokens_bound,
            deadline_seconds=question.deadline_seconds,
        )
        try:
            answer = await self._send(request_id, call, body)
        except BaseException as error:
            self._void(question, "not_opened", error)
            raise
        failpoint("edge.opened")
        exchange = self._exchanges[request_id] = Exchange(
            request_id, lease_id, call, body, answer, hold.standing
        )
        late = UpstreamTimeout("deadline_exceeded", limit_seconds=round(call.deadline_seconds))
        exchange.deadline = asyncio.get_running_loop().call_later(
            call.deadline_seconds, self._cut, exchange, late, "deadline"
        )
        return exchange

    async def repeat(self, exchange: Exchange, failed: Failed) -> bool:
        """Send the call to another dispatcher if that can do no harm; return whether its new `answer` is to be read."""
        if not exchange.may_repeat(failed) or not self._callers.take_reopen():
            return False
        exchange.fence = failed.attempt + 1
        fence = billing.Fence(
            request_id=str(exchange.request_id), account_id=exchange.call.account_id, attempt=exchange.fence
        )
        try:
            fenced = await self._bus.call(billing.FENCE, fence)
            if not fenced.is_held or exchange.cut is not None:
                return False
            exchange.answer = await self._send(
                exchange.request_id, exchange.call, exchange.body, first_attempt=exchange.fence
            )
        except RelayError as error:
            log.warning("a call could not be sent again: %s", error.code)
            return False
        details = {"request_id": str(exchange.request_id), "reason": failed.reason}
        log.warning("a dispatcher was lost before it answered; another one is asked", extra=details)
        return True

    def close(self, exchange: Exchange) -> None:
        """Forget an exchange whose answer is over or was given up; its hold is seen to its end without it."""
        if exchange.deadline is not None:
            exchange.deadline.cancel()
        self._exchanges.pop(exchange.request_id, None)
        self._spawn(self._see_settled(exchange))

    def cut_all(self, error: RelayError) -> None:
        """End every running answer visibly."""
        for exchange in list(self._exchanges.values()):
            self._cut(exchange, error, "edge_stops")

    async def finish(self, patience: Awaitable[None]) -> None:
        """Wait until every hold has been seen to its end, or `patience` ends; what is left goes to the spill, or expires."""
        await until_done(self._endings, patience)
        left = list(self._endings)
        for ending in left:
            ending.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            log.error("holds are left to the spill, or to their lease", extra={"holds": len(left)})
        elif not self._exchanges:
            await self.lease.end()

    def _question(
        self,
        request_id: UUID,
        principal: auth.Principal,
        request: ChatRequest,
        body: bytes,
        idempotency_key: str | None,
    ) -> billing.Reserve:
        """Return what billing is asked, without the lease."""
        return billing.Reserve(
            request_id=str(request_id),
            account_id=principal.account_id,
            key_id=principal.key_id,
            lease_id="",
            model=request.model,
            input_tokens_bound=input_tokens_bound(len(body), request),
            output_tokens_wanted=request.output_tokens_wanted,
            choices=request.choices,
            deadline_seconds=self._settings.request_seconds_max,
            fingerprint=hashlib.blake2b(body, digest_size=16).hexdigest(),
            idempotency_key=idempotency_key,
            is_stream=request.is_stream,
        )

    async def _send(
        self, request_id: UUID, call: dispatcher.ChatCall, body: bytes, first_attempt: int = 1
    ) -> Answer:
        return await self._callers.open(
            request_id=request_id.hex,
            head=_encode(call),
            body=body,
            deadline_seconds=call.deadline_seconds,
            first_attempt=first_attempt,
        )

    async def _admit(
        self, question: billing.Reserve, request: ChatRequest, body: bytes
    ) -> tuple[billing.Reserve, billing.Hold, str]:
        """Return what was asked in the end, the hold, and its lease. A refusal may be for want of a closer look at the prompt."""
        try:
            return question, *await self._reserve(question)
        except (InsufficientFunds, RateLimited) as refusal:
            bound = await tighter_input_bound(refusal, body, request, question.input_tokens_bound)
        question = msgspec.structs.replace(question, input_tokens_bound=bound)
        return question, *await self._reserve(question)

    async def _reserve(self, question: billing.Reserve) -> tuple[billing.Hold, str]:
        """Return the hold and the id of the lease that it is under."""
        for left in reversed(range(LEASE_TRIES)):
            lease_id = self.lease.id
            question = msgspec.structs.replace(question, lease_id=lease_id)
            try:
                return await self._bus.call(billing.RESERVE, question), lease_id
            except (Unavailable, Internal) as error:
                if error.code == "lease_ended" and left:
                    await self.lease.replace(lease_id)
                    continue
                # The outcome is unknown: a void ends the hold, or keeps a reserve that is still on its way from making one.
                self._void(question, "reserve_unanswered", error)
                raise
            except asyncio.CancelledError:
                self._void(question, "client_gone")
                raise
        raise Internal("internal_error")

    def _void(self, question: billing.Reserve, reason: str, error: BaseException | None = None) -> None:
        void = billing.Void(
            request_id=question.request_id,
            account_id=question.account_id,
            reason="client_gone" if isinstance(error, asyncio.CancelledError) else reason,
            error=error.code if isinstance(error, RelayError) else None,
        )
        self._spawn(self._end(void))

    async def _end(self, claim: billing.Settle | billing.Void) -> None:
        await settle(self._bus, claim)

    async def _see_settled(self, exchange: Exchange) -> None:
        try:
            settlement = await exchange.answer.settlement
        except asyncio.CancelledError:
            # There is no time to wait for the dispatcher's word. What END has said is known, and goes at least to the spill.
            if exchange.words is not None:
                await settle(self._bus, _claim_of(exchange, exchange.words), patience_seconds=0)
            raise
        words = exchange.words
        if isinstance(settlement, Confirmed):
            if settlement.tail:
                return
            log.warning("a dispatcher left a hold to us", extra={"request_id": str(exchange.request_id)})
        elif settlement.tail is not None:
            words = _decode_tail(settlement.tail)
        await self._end(_claim_of_the_lost(exchange) if words is None else _claim_of(exchange, words))

    def _on_lease_ended(self, lease_id: str) -> None:
        for exchange in list(self._exchanges.values()):
            if exchange.lease_id == lease_id:
                self._cut(exchange, Unavailable("stream_interrupted"), "lease_ended")

    def _cut(self, exchange: Exchange, error: RelayError, reason: str) -> None:
        exchange.cut = error
        self._spawn(exchange.answer.cancel(reason))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)


def _claim_of_the_lost(exchange: Exchange) -> billing.Settle | billing.Void:
    """Return the claim for a call whose dispatcher is lost: rule C8, or nothing when no answer ever began."""
    if not exchange.is_accepted:
        return _void_of(exchange)
    call = exchange.call
    return billing.Settle(
        request_id=str(exchange.request_id),
        account_id=call.account_id,
        attempt=exchange.attempt,
        outcome="platform_failed",
        is_upstream_accepted=True,
        input_tokens_bound=call.input_tokens_bound,
        output_tokens_bound=call.output_tokens_granted * call.choices,
        witness="edge",
        error=_code(exchange),
    )


def _void_of(exchange: Exchange) -> billing.Void:
    return billing.Void(
        request_id=str(exchange.request_id),
        account_id=exchange.call.account_id,
        reason=void_reason(exchange.error, is_client_gone=_is_left(exchange)),
        attempt=exchange.attempt,
        attempts=() if exchange.words is None else exchange.words.attempts,
        error=_code(exchange),
    )


def _claim_of(exchange: Exchange, words: dispatcher.AnswerTail) -> billing.Settle | billing.Void:
    """Return the dispatcher's claim as this side saw it: an answer that broke between the two is not charged as complete."""
    claim = words.claim
    if claim is None:
        return _void_of(exchange)
    if exchange.is_failed and not _is_left(exchange) and claim.outcome == "completed":
        claim = msgspec.structs.replace(claim, outcome="platform_failed", error=_code(exchange))
    return msgspec.structs.replace(claim, witness="edge")


def _is_left(exchange: Exchange) -> bool:
    return exchange.answer.cancel_reason in CLIENT_REASONS


def _code(exchange: Exchange) -> str | None:
    """Return the code of the error that the client saw, if it saw one."""
    return None if exchange.error is None or _is_left(exchange) else exchange.error.code
