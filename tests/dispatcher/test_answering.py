"""One call from OPEN to FIN: what goes out, what the edge hears, who gives up, and what billing is told."""

import asyncio
import logging

import msgspec
import pytest

from services.dispatcher.answering import FundedSink
from services.dispatcher.course import Step
from services.dispatcher.estimate import MESSAGE_TOKENS, REQUEST_TOKENS
from services.dispatcher.evidence import Evidence
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.upstream import Sink, Upstream
from shared.contracts import billing
from shared.contracts.dispatcher import ChatCall
from shared.errors import Internal
from shared.stream.actions import Confirmed, Failed, Failure, Unconfirmed
from shared.stream.frames import Frame
from shared.tokens import tokenizer_of
from tests.dispatcher.rig import (
    ACCOUNT_ID,
    World,
    begun,
    chat,
    hear,
    identity,
    is_whole,
    replica,
    soon,
    two,
    until,
)

# What is sent, what is heard, what is claimed


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_whole_answer_is_passed_on_claimed_and_confirmed(world: World, is_stream: bool) -> None:
    """The claim says what the upstream reported, what was delivered and what the hold covers; END and billing have the same."""
    upstream = await world.simulator("reply='twelve bytes' cached=1")
    await world.channel(upstream, "one", abort_policy="no_bill")

    answer = await world.open(
        is_stream=is_stream, choices=2, body=chat("hello there you", is_stream=is_stream, n=2)
    )
    heard = await hear(answer)
    settlement = await soon(answer.settlement)

    (bill,) = upstream.ledger
    assert heard.head is not None
    assert heard.head.body_bytes == (None if is_stream else len(heard.data))
    assert heard.data.count(b'"finish_reason":"stop"') == 2
    assert b"[DONE]" not in heard.data
    assert heard.claim == billing.Settle(
        request_id=identity(answer),
        account_id=ACCOUNT_ID,
        attempt=1,
        outcome="completed",
        is_upstream_accepted=True,
        input_tokens_bound=100,
        output_tokens_bound=2000,
        usage=billing.Usage(
            input_tokens=bill.prompt_tokens, cache_read_tokens=1, output_tokens=bill.completion_tokens
        ),
        delivered=billing.Usage(input_tokens=25, output_tokens=6),
        abort_policy="no_bill",
        channel="one",
        attempts=heard.claim.attempts,
        first_output_ms=heard.claim.first_output_ms,
        took_ms=heard.claim.took_ms,
    )
    assert 0 <= (heard.claim.first_output_ms or 0) <= (heard.claim.took_ms or -1) < 10_000
    (tried,) = heard.claim.attempts
    assert (tried.channel, tried.credential, tried.result, tried.status) == (
        "one",
        "default",
        "completed",
        200,
    )
    assert world.billing.claims == [heard.claim]
    assert isinstance(settlement, Confirmed)
    assert msgspec.msgpack.decode(settlement.tail, type=billing.Ended).state == "SETTLED"


async def test_the_request_goes_out_as_it_came_but_for_three_things(world: World) -> None:
    """Model, output bound and `include_usage` are set, the channel's own credential is sent, and nothing of the client's."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream, output_parameter="max_completion_tokens")

    await world.ask(body=chat("hello", temperature=0.5, vendor={"x": [1, 2]}))
    await world.ask(body=chat("hello", max_tokens=7_000))

    first, second = upstream.journal
    assert msgspec.json.decode(first.body) == {
        "model": "theirs",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "temperature": 0.5,
        "vendor": {"x": [1, 2]},
        "max_completion_tokens": 1000,
        "stream_options": {"include_usage": True},
    }
    assert msgspec.json.decode(second.body)["max_completion_tokens"] == 1000
    assert "max_tokens" not in msgspec.json.decode(second.body)
    assert first.header("authorization") == "Bearer sk-upstream-secret"
    assert {name.lower() for name, _ in first.headers} == {
        "host", "authorization", "content-type", "content-length", "accept", "accept-encoding", "user-agent",
    }  # fmt: skip


async def test_what_a_channel_overrides_is_sent(world: World) -> None:
    """Its headers, its key where the provider reads it, and the parameters that it sets, gives and drops."""
    upstream = await world.simulator("reply=hi")
    await world.channel(
        upstream,
        auth_header="api-key",
        headers={"x-team": "blue", "user-agent": "mine"},
        set_parameters={"temperature": "0.25"},
        default_parameters={"seed": "1", "top_p": "0.5"},
        drop_parameters=["user"],
    )

    heard = await world.ask(body=chat("hello", temperature=1, seed=7, user="ada"))

    assert is_whole(heard)
    (entry,) = upstream.journal
    body = msgspec.json.decode(entry.body, type=dict[str, object])
    assert {name: body.get(name) for name in ("temperature", "seed", "top_p", "user")} == {
        "temperature": 0.25, "seed": 7, "top_p": 0.5, "user": None,
    }  # fmt: skip
    names = ("api-key", "authorization", "x-team", "user-agent")
    assert [entry.header(name) for name in names] == ["sk-upstream-secret", None, "blue", "mine"]


@pytest.mark.parametrize("include_usage", [True, False])
async def test_usage_reaches_the_client_that_asked_for_it(world: World, include_usage: bool) -> None:
    """And nobody else, while the claim has it in any case."""
    await world.channel(await world.simulator("reply=hi"))

    heard = await world.ask(include_usage=include_usage)

    assert (b'"usage"' in heard.data) == include_usage
    assert heard.claim.usage is not None


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_missing_usage_is_not_invented_here(world: World, is_stream: bool) -> None:
    """The claim has none, and our own count beside it, with how it was counted."""
    reply = "a few words without any usage"
    await world.channel(await world.simulator(f"reply='{reply}' usage=never ignore_include_usage=1"))
    tokenizer = tokenizer_of("theirs", "ours")

    claim = (await world.ask(is_stream=is_stream)).claim

    assert claim.usage is None
    assert claim.counted_by == tokenizer.name == "tiktoken/o200k_base*120%"
    assert claim.delivered == billing.Usage(
        input_tokens=tokenizer.count("hello") + MESSAGE_TOKENS + REQUEST_TOKENS,
        output_tokens=tokenizer.count(reply),
    )


# Who does not want the answer any more


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("client_gone", "client_gone"),
        ("client_stalled", "client_gone"),
        ("edge_stops", "platform_failed"),
        ("lease_ended", "platform_failed"),
        ("deadline", "upstream_failed"),
    ],
)
async def test_a_cancelled_stream_closes_its_upstream_and_is_claimed(
    world: World, reason: str, outcome: str
) -> None:
    """By the reason, which decides who pays, with what had been delivered."""
    upstream = await world.simulator("out=5000 tps=200")
    await world.channel(upstream)
    answer = await world.open()
    await begun(answer)
    await asyncio.sleep(0.1)

    await answer.cancel(reason)

    claim = await world.billing.end_of(identity(answer))
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == outcome
    assert claim.is_upstream_accepted
    assert claim.usage is None
    assert claim.counted_by.startswith("tiktoken/")
    assert 0 < claim.delivered.input_tokens < 25
    assert 0 < claim.delivered.output_tokens < 5000
    await until(lambda: upstream.journal[0].is_closed_early)
    assert isinstance(await soon(answer.settlement), Confirmed)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_call_cancelled_before_its_answer_closes_its_upstream_and_is_void(
    world: World, is_stream: bool
) -> None:
    """No upstream had accepted it."""
    upstream, other = await two(world, "header_delay=60000")
    answer = await world.open(is_stream=is_stream)
    await until(lambda: upstream.journal)

    await answer.cancel("client_gone")

    assert isinstance(await world.billing.end_of(identity(answer)), billing.Void)
    await until(lambda: upstream.journal[0].is_closed_early)
    assert not other.journal


async def test_a_reader_that_takes_nothing_stops_its_upstream(world: World) -> None:
    """Credit is all that is sent ahead; then the call can still be cancelled while it waits."""
    upstream = await world.simulator("out=100000 chunk_tokens=4")
    await world.channel(upstream)
    answer = await world.open(output_tokens_granted=100_000)
    await begun(answer)

    sent = -1
    while sent != upstream.stats.tokens_emitted:
        sent = upstream.stats.tokens_emitted
        await asyncio.sleep(0.3)
    await answer.cancel("client_stalled")

    claim = await world.billing.end_of(identity(answer))
    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "client_gone"
    await until(lambda: upstream.journal[0].outcome != "running")


class LeftAtTheEnd(Upstream):
    """Calls channels for clients that leave at the very moment in which an answer is over."""

    async def answer(
        self, step: Step, sink: Sink, call: ChatCall, body: bytes, evidence: Evidence, limit_seconds: float
    ) -> None:
        """Send the whole answer, then cancel the attempt as the edge would."""
        await super().answer(step, sink, call, body, evidence, limit_seconds)
        assert isinstance(sink, FundedSink)
        await sink.attempt.abort("client_gone")


async def test_a_word_with_the_last_byte_does_not_cut_off_the_settlement(
    around: World, settings: DispatcherSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides who pays and no more: the claim is sent and confirmed, and the edge hears that it was cut."""
    monkeypatch.setattr("services.dispatcher.app.Upstream", LeftAtTheEnd)
    async with replica(settings):
        await around.channel(await around.simulator("reply=hi"))
        answer = await around.open()
        heard = await hear(answer)
        settlement = await soon(answer.settlement)

    assert isinstance(heard.outcome, Failed)
    assert heard.outcome.reason is Failure.ABORTED
    assert isinstance(settlement, Confirmed)
    assert settlement.tail
    (claim,) = around.billing.claims
    assert isinstance(claim, billing.Settle)
    assert (claim.outcome, claim.usage is not None) == ("client_gone", True)


@pytest.mark.parametrize("reason", ["not_current", "superseded", "no_accept", "unconfirmed"])
async def test_an_attempt_that_nobody_listens_to_leaves_the_hold_alone(world: World, reason: str) -> None:
    """Another attempt has it: a void by this one would make that one free."""
    upstream = await world.simulator("header_delay=60000")
    await world.channel(upstream)
    answer = await world.open()
    await until(lambda: upstream.journal)

    await answer.cancel(reason)
    settlement = await soon(answer.settlement)

    assert isinstance(settlement, Confirmed)
    assert settlement.tail == b""
    assert world.billing.claims == []


# Settling


async def test_a_whole_answer_that_the_edge_never_got_is_not_charged_as_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it used is known and noted, as Relay's own loss."""
    monkeypatch.setattr("shared.stream.callee.DELIVERY_SECONDS", 0.5)
    await world.channel(await world.simulator("out=50 tps=100"))
    answer = await world.open()
    await begun(answer)

    async def deaf(request_id: str, frame: Frame) -> None:
        pass

    monkeypatch.setattr(world.callers, "on_frame", deaf)
    claim = await world.billing.end_of(identity(answer))

    assert isinstance(claim, billing.Settle)
    assert claim.outcome == "platform_failed"
    assert claim.usage is not None
    assert claim.usage.output_tokens == 50


async def test_a_claim_is_repeated_until_billing_confirms_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has its END long before; the same claim comes again, and FIN only after the confirmation."""
    monkeypatch.setattr(billing.SETTLE, "timeout_seconds", 0.1)
    monkeypatch.setattr("shared.settlement.RETRY_SECONDS", 0.02)
    await world.channel(await world.simulator("reply=hi"))
    world.billing.may_answer.clear()

    answer = await world.open()
    heard = await hear(answer)
    await until(lambda: len(world.billing.claims) >= 3)
    assert not answer.settlement.done()
    world.billing.may_answer.set()

    assert isinstance(await soon(answer.settlement), Confirmed)
    assert set(map(repr, world.billing.claims)) == {repr(heard.claim)}


async def test_a_claim_that_billing_refuses_is_left_to_the_edge(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """With an empty FIN and a line in the log."""
    await world.channel(await world.simulator("reply=hi"))
    world.billing.claim_refusal = Internal("internal_error")

    answer = await world.open()
    await hear(answer)
    settlement = await soon(answer.settlement)

    assert isinstance(settlement, Confirmed)
    assert settlement.tail == b""
    assert "refused the end of a hold" in caplog.text


async def test_a_call_that_cannot_be_read_is_given_up_by_the_edge(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a newer release, say: the edge learns that it is lost, and waits no longer."""
    monkeypatch.setattr("shared.stream.peers.HEARTBEAT_SECONDS", 0.2)
    answer = await world.callers.open(request_id="0" * 32, head=b"\xc1", body=b"{}", deadline_seconds=60.0)

    heard = await hear(answer)

    assert isinstance(heard.outcome, Failed)
    assert isinstance(await soon(answer.settlement), Unconfirmed)


async def test_nothing_of_the_credential_or_of_the_upstreams_words_gets_out(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in an error, not in a claim, not in a log, though the upstream echoes the key."""
    caplog.set_level(logging.DEBUG)
    upstream = await world.simulator("echo_secret=1")
    await world.channel(upstream)
    plain = await world.ask(is_stream=False)
    streamed = await world.ask()
    await upstream.close()
    refused = await world.ask()

    seen = repr([plain, streamed, refused, world.billing.claims]) + caplog.text
    assert "sk-upstream-secret" not in seen
    assert "Incorrect API key" not in seen
    assert "127.0.0.1" not in repr([plain.error, streamed.error, refused.error])


async def test_a_large_body_arrives_whole(world: World) -> None:
    """In parts, under credit."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream)
    text = "x" * 3_000_000

    assert is_whole(await world.ask(text))
    (entry,) = upstream.journal
    assert entry.body_bytes > 3_000_000


async def test_a_body_that_only_the_edge_could_read_is_refused(world: World) -> None:
    """Too deep for the stack of here: a clear refusal, not a fault of ours, and no channel is blamed."""
    upstream = await world.simulator("reply=hi")
    await world.channel(upstream)

    heard = await world.ask(body=b"[1]")

    assert heard.error.kind == "invalid_request"
    assert not upstream.journal
    assert isinstance(await world.billing.only_end(), billing.Void)
