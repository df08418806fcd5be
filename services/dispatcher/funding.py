"""The money of a stream while it runs: its hold grows before it is used up, and when the wallet cannot pay for more, it ends.

A byte of text is at most one token, so bytes tell how much of the hold can be used without counting anything. When half of it is,
more is asked for, twice as much each time, while the stream goes on. Only when the wallet has said no is the text counted, to
spend what is held to the last token; then the answer ends with an error that tells "used up" from "held by your other requests".

When billing does not answer, the stream goes on: nobody else can spend the money either, and what its end costs beyond the hold is
taken from what is available, or written off. A hold that is closed or belongs to another attempt is not this one's to extend.
"""

import asyncio
import logging

from services.dispatcher.chat import StreamInspector
from services.dispatcher.delivered import DeliveredText
from services.dispatcher.evidence import Evidence
from shared.bus import Bus
from shared.contracts import billing
from shared.contracts.dispatcher import ChatCall
from shared.errors import Conflict, InsufficientFunds, RateLimited, RelayError
from shared.tokens import Tokenizer, off_loop, tokenizer_of

GROWTH = 2
RETRY_SECONDS = 1.0  # after billing did not answer

log = logging.getLogger(__name__)


class Unfunded(Exception):
    """The wallet cannot pay for more of this answer; `error` says why, to whoever reads it."""

    def __init__(self, error: RelayError) -> None:
        super().__init__(error.code)
        self.error = error


class Funding:
    """Keeps one answer within its hold. `cover` comes before each piece of it goes out."""

    def __init__(self, bus: Bus, call: ChatCall, *, request_id: str, attempt: int) -> None:
        self._bus = bus
        self._call = call
        self._request_id = request_id
        self._attempt = attempt
        self._whole_tokens = call.output_tokens_granted * call.choices
        self._held_tokens = self._whole_tokens if call.output_tokens_held is None else call.output_tokens_held
        self._counted_tokens = (
            0  # in the first `_counted_bytes` of the text; each byte after them may be one more
        )
        self._counted_bytes = 0
        self._extending: asyncio.Task[None] | None = None
        self._refusal: RelayError | None = None
        self._is_slow = (
            False  # the last extension gave less than was asked: the next one waits until it is needed
        )
        self._not_before = 0.0

    async def cover(self, delivered: DeliveredText, evidence: Evidence) -> None:
        """Return when the hold covers all of `delivered`. Raises: Unfunded."""
        used_tokens = self._used(delivered)
        if used_tokens * GROWTH <= self._held_tokens or self._held_tokens >= self._whole_tokens:
            return
        is_needed = used_tokens > self._held_tokens
        if is_needed or not self._is_slow:
            self._ask_for_more()
        while self._used(delivered) > self._held_tokens and self._held_tokens < self._whole_tokens:
            if self._refusal is not None:
                if await self._counted(delivered, evidence):
                    return
                raise Unfunded(self._refusal)
            self._ask_for_more()
            if self._extending is None:
                return  # billing is away
            await asyncio.shield(self._extending)

    def affordable(self, data: bytes, delivered: DeliveredText, sent_bytes: int, evidence: Evidence) -> bytes:
        """Return the first whole events of `data` that what is held still covers, and take the others out of `delivered`.

        `data` is what `cover` has refused, and the end of `delivered`, of which `sent_bytes` have gone out before.
        """
        tokenizer = self._tokenizer(evidence)
        delivered.truncate(sent_bytes)
        left_tokens = self._held_tokens - _tokens(tokenizer, delivered)
        end = 0
        while (after := data.find(b"\n\n", end) + 2) > 1:
            reader = StreamInspector(include_usage=True)
            reader.feed(data[end:after])
            left_tokens -= _tokens(tokenizer, reader.delivered)
            if left_tokens < 0:
                break
            delivered.add(reader.delivered.kept.decode("utf-8", "replace"))
            end = after
        return data[:end]

    async def close(self) -> None:
        """Let an extension that is under way end, so that the settlement comes after it."""
        if self._extending is not None:
            await asyncio.wait({self._extending})

    def _used(self, delivered: DeliveredText) -> int:
        return self._counted_tokens + delivered.size_bytes - self._counted_bytes

    def _ask_for_more(self) -> None:
        """Begin an extension, unless one is under way or billing has just not answered."""
        loop = asyncio.get_running_loop()
        if self._extending is None and loop.time() >= self._not_before:
            self._refusal = None
            self._extending = loop.create_task(self._extend())

    async def _extend(self) -> None:
        bound = min(self._held_tokens * GROWTH, self._whole_tokens)
        question = billing.Extend(
            request_id=self._request_id,
            account_id=self._call.account_id,
            attempt=self._attempt,
            output_tokens_bound=bound,
            is_partial=True,
        )
        try:
            extended = await self._bus.call(billing.EXTEND, question)
        except InsufficientFunds as error:
            self._refusal, self._is_slow = _used_up(error), True
        except RateLimited as error:
            self._refusal, self._is_slow = _held_by_others(error), True
        except Conflict:
            self._held_tokens = (
                self._whole_tokens
            )  # it is no longer this attempt's hold; whoever has it settles
        except RelayError as error:
            self._not_before = asyncio.get_running_loop().time() + RETRY_SECONDS
            details = {"request_id": self._request_id, "reason": error.code}
            log.warning("a hold could not be extended; its stream goes on", extra=details)
        else:
            self._is_slow = extended.output_tokens_bound < bound
            self._held_tokens = max(self._held_tokens, extended.output_tokens_bound)
        finally:
            self._extending = None

    async def _counted(self, delivered: DeliveredText, evidence: Evidence) -> bool:
        """Count the text instead of taking each byte for a token; return whether the hold covers it then."""
        tokenizer = self._tokenizer(evidence)
        tokens = await off_loop(tokenizer, len(delivered.kept), lambda: _tokens(tokenizer, delivered))
        if tokens is None:
            return False
        self._counted_tokens, self._counted_bytes = tokens, delivered.size_bytes
        return tokens <= self._held_tokens

    def _tokenizer(self, evidence: Evidence) -> Tokenizer:
        assert evidence.route is not None
        return tokenizer_of(evidence.route.models[self._call.model], self._call.model)


def _tokens(tokenizer: Tokenizer, delivered: DeliveredText) -> int:
    """Return the tokens of the text; what was not kept of it counts a byte each."""
    return tokenizer.count(bytes(delivered.kept)) + delivered.size_bytes - len(delivered.kept)


def _used_up(error: InsufficientFunds) -> RelayError:
    if error.code == "spend_limit_reached":
        return error
    return InsufficientFunds("insufficient_balance", wording="balance_used_up")


def _held_by_others(error: RateLimited) -> RelayError:
    if error.code == "spend_limit_held":
        return error
    return RateLimited("balance_held", wording="balance_held_by_others")
