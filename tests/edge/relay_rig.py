"""A relay without HTTP, and dispatchers that speak the real protocol and do as each test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from services.edge import openai
from services.edge.relay import Exchange, Relay
from services.edge.settings import EdgeSettings
from shared.bus import Attempt, Callees, Callers
from shared.contracts import auth, billing, dispatcher
from shared.errors import (
    RelayError,
    UpstreamFailed,
)
from shared.ids import uuid7
from shared.stream.actions import Ended, Failed, Started
from tests.dispatcher.rig import ACCOUNT_ID, chat, soon
from tests.edge.rig import Around, Serve

PRINCIPAL = auth.Principal(account_id=ACCOUNT_ID, key_id="key", version=1)
HEAD = msgspec.msgpack.encode(dispatcher.AnswerHead(content_type="text/event-stream"))
encode = msgspec.msgpack.encode


class World:
    """A relay with everybody around it."""

    def __init__(self, around: Around, relay: Relay, callers: Callers) -> None:
        self.billing = around.billing
        self.bus = around.dispatcher
        self.relay = relay
        self.callers = callers

    async def open(self, body: bytes | None = None, principal: auth.Principal = PRINCIPAL) -> Exchange:
        """Open one request."""
        given = body or chat("hello")
        return await self.relay.open(uuid7(), principal, openai.parse(given), given)

    async def refusal(self, principal: auth.Principal = PRINCIPAL) -> RelayError:
        """Return the error with which a request is refused."""
        with pytest.raises(RelayError) as caught:
            await self.open(principal=principal)
        return caught.value

    async def run(self, exchange: Exchange) -> tuple[RelayError | None, bool]:
        """Read the answer to its end, and close."""
        try:
            return await soon(_outcome(exchange))
        finally:
            self.relay.close(exchange)


async def _outcome(exchange: Exchange) -> tuple[RelayError | None, bool]:
    while True:
        for step in await exchange.answer.next():
            if isinstance(step, Started):
                exchange.started(step)
            elif isinstance(step, Ended | Failed):
                return exchange.outcome(step)


@asynccontextmanager
async def world_of(around: Around, settings: EdgeSettings) -> AsyncIterator[World]:
    """Yield a relay with these settings."""
    async with Callers(around.bus) as callers:
        relay = Relay(around.bus, callers, settings)
        await relay.lease.begin()
        yield World(around, relay, callers)
        await relay.finish(asyncio.sleep(30))


def claim_of(attempt: Attempt, **changes: object) -> billing.Settle:
    """Return what a dispatcher claims for a complete answer."""
    text = attempt.request_id
    claim = billing.Settle(
        request_id=f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}",
        account_id=ACCOUNT_ID,
        attempt=attempt.number,
        outcome="completed",
        is_upstream_accepted=True,
        input_tokens_bound=10,
        output_tokens_bound=20,
        usage=billing.Usage(input_tokens=1, output_tokens=2),
        channel="one",
    )
    return msgspec.structs.replace(claim, **changes)


def ending(*, fin: bytes | None, is_claimed: bool = True) -> Serve:
    """Return a dispatcher that answers, says END, and then FIN with `fin`, or nothing more."""

    async def serve(attempt: Attempt) -> None:
        await attempt.body
        await attempt.send_head(HEAD)
        await attempt.send(b"data: {}\n\n")
        claim = claim_of(attempt) if is_claimed else None
        error = None if is_claimed else UpstreamFailed("upstream_error").to_body()
        await attempt.end(encode(dispatcher.AnswerTail(claim=claim, error=error)))
        if fin is None:
            await asyncio.Event().wait()
        await attempt.finish(fin or b"")

    return serve


async def never(attempt: Attempt) -> None:
    """Accept, and answer nothing."""
    await asyncio.Event().wait()


async def begins(attempt: Attempt) -> None:
    """Begin an answer, and then say nothing more."""
    await attempt.send_head(HEAD)
    await asyncio.Event().wait()


async def kill(callees: Callees) -> None:
    """End a dispatcher as a killed process does: without a word."""
    await callees.__aexit__(None, None, None)
