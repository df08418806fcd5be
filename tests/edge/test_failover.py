"""The failover contract (`docs/failover.md`), row by row: an upstream misbehaves, and a client sees bytes, status and money.

The edge and the dispatcher are real; the rule of the charge is what billing decides from the claim that it is sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import pytest
from _pytest.mark import ParameterSet

from services.billing.commands import settle
from services.edge.settings import EdgeSettings
from shared.contracts import billing
from tests.dispatcher.rig import World, chat, replica, settings_of, until
from tests.edge.rig import Around, Edge, Torn, edge_of, stream

GOOD = "reply='one two three' opening=2"
LIMITS = {"first_output_seconds": 3.0, "slow_seconds": 0.6, "idle_seconds": 1.5}
SECRET = b"sk-upstream-secret"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream does before its first output, and what comes of it when there is no other: `retry` is `x-should-retry`."""

    directive: str
    kind: str
    status: int = 502
    code: str = "upstream_error"
    retry: str = "true"
    modes: tuple[bool, ...] = (True, False)  # streamed, plain

    @property
    def may_be_billed(self) -> bool:
        """Whether the attempt can have cost money upstream."""
        return self.retry == "false"


STREAMED = (True,)
UNREADABLE = "upstream_invalid_response"
BEFORE_OUTPUT = (
    # slow, stalled
    Fault(directive="header_delay=60000", kind="timeout", status=504, code="upstream_timeout", retry="false"),
    Fault(directive="ttft=60000", kind="timeout", status=504, code="upstream_timeout", retry="false"),
    Fault(directive="stall_at=0:60000 opening=3", kind="timeout", status=504, code="upstream_timeout", retry="false",
          modes=STREAMED),
    # cut
    Fault(directive="cut=headers", kind="disconnected", retry="false"),
    Fault(directive="cut=headers cut_mode=rst", kind="disconnected", retry="false"),
    Fault(directive="cut=first", kind="disconnected", retry="false"),
    Fault(directive="cut=tok:0 cut_mode=rst", kind="disconnected", retry="false"),
    Fault(directive="cut=mid_json", kind="disconnected", retry="false"),
    Fault(directive="cut=tok:0 cut_mode=bad_chunk opening=3", kind="disconnected", retry="false", modes=STREAMED),
    # malformed
    Fault(directive="malformed=0", kind="invalid", code=UNREADABLE, retry="false"),
    Fault(directive="err_in=body200 err_shape=html", kind="invalid", code=UNREADABLE, retry="false"),
    # empty
    Fault(directive="empty=body", kind="empty", code=UNREADABLE, retry="false"),
    Fault(directive="empty=choices", kind="empty", code=UNREADABLE, retry="false"),
    # an error as the first event, or after opening events
    Fault(directive="err_in=first_event", kind="failed", modes=STREAMED),
    Fault(directive="err_in=mid:0 opening=3", kind="failed", modes=STREAMED),
    # 200 with an error inside
    Fault(directive="err_in=body200", kind="failed"),
    Fault(directive="err_in=body200 status=402", kind="billing"),
    # a lying [DONE]
    Fault(directive="done_at=0", kind="empty", code=UNREADABLE, retry="false", modes=STREAMED),
    # a status
    Fault(directive="status=500", kind="failed"),
    Fault(directive="status=502 err_shape=html", kind="failed"),
    Fault(directive="status=503", kind="overloaded"),
    Fault(directive="status=504", kind="timeout", retry="false"),
    Fault(directive="status=429 retry_after=2", kind="rate_limited"),
    Fault(directive="status=401 echo_secret=1", kind="credential"),
    Fault(directive="status=403 echo_secret=1", kind="credential"),
    Fault(directive="status=402", kind="billing"),
    Fault(directive="status=429 code=insufficient_quota", kind="billing"),
    Fault(directive="status=404", kind="misconfigured"),
)  # fmt: skip


def cases(*, is_with_another: bool) -> list[ParameterSet]:
    """Return every fault, streamed and plain where it can be both; a plain answer has the whole time of its attempt."""
    return [
        pytest.param(fault, is_stream, id=f"{'stream' if is_stream else 'plain'} {fault.directive}")
        for fault in BEFORE_OUTPUT
        for is_stream in fault.modes
        if not is_with_another or is_stream or fault.code != "upstream_timeout"
    ]


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream does after its first output."""

    directive: str
    kind: str
    code: str


AFTER_OUTPUT = (
    Break(directive="stall_at=3:60000", kind="stalled", code="upstream_timeout"),
    Break(directive="cut=tok:3", kind="disconnected", code="upstream_disconnected"),
    Break(directive="cut=tok:3 cut_mode=rst", kind="disconnected", code="upstream_disconnected"),
    Break(directive="malformed=3", kind="invalid", code="upstream_invalid_response"),
    Break(directive="err_in=mid:3", kind="failed", code="upstream_error"),
    Break(directive="done_at=3", kind="incomplete", code="upstream_disconnected"),
)


@pytest.fixture
async def edge(
    around: Around,
    providers: World,
    settings: EdgeSettings,
    nats_url: str,
    dispatcher_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Edge]:
    """An edge and a dispatcher that wait for nobody for long."""
    monkeypatch.setattr("services.dispatcher.silence.CHECK_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(replica(settings_of(nats_url, dispatcher_url, **LIMITS)))
        yield await stack.enter_async_context(edge_of(around, settings))


def rule_of(claim: billing.Settle) -> str:
    """Return the rule by which billing charges `claim`."""
    return settle(claim).rule or ""


async def end_of(around: Around, answer: Torn) -> billing.Settle | billing.Void:
    """Return the claim that ended the hold of a request."""
    return await around.billing.end_of(answer.headers["x-request-id"])


def seen(claim: billing.Settle | billing.Void) -> list[tuple[str, str, bool]]:
    """Return what the claim says of the channels that were asked."""
    return [(attempt.channel, attempt.result, attempt.may_be_billed) for attempt in claim.attempts]


# Before the first output


@pytest.mark.parametrize(("fault", "is_stream"), cases(is_with_another=True))
async def test_before_the_first_output_another_channel_answers_in_its_own_bytes(
    around: Around, providers: World, edge: Edge, fault: Fault, is_stream: bool
) -> None:
    """The client sees the good answer to the byte, as if nothing had failed; it pays for that one, and each attempt is told."""
    broken = await providers.simulator(fault.directive)
    good = await providers.simulator(GOOD)
    await providers.channel(good, "good")
    expected = await stream(edge, is_stream=is_stream)
    await providers.channel(broken, "broken", priority=1)

    answer = await stream(edge, is_stream=is_stream)
    claim = await end_of(around, answer)

    assert (answer.status, answer.data, answer.is_finished) == (200, expected.data, True)
    assert isinstance(claim, billing.Settle)
    assert (rule_of(claim), claim.channel) == ("C1", "good")
    assert seen(claim) == [("broken", fault.kind, fault.may_be_billed), ("good", "completed", True)]
    asked = [
        entry for entry in broken.journal if "hello" in entry.body
    ]  # the other ones are tests of a doubtful key
    assert (len(asked), len(good.journal)) == (1, 2)


@pytest.mark.parametrize(("fault", "is_stream"), cases(is_with_another=False))
async def test_before_the_first_output_and_alone_it_is_a_true_status_and_free(
    around: Around, providers: World, edge: Edge, fault: Fault, is_stream: bool
) -> None:
    """With an invitation to repeat when nothing can have been billed, and nothing of the upstream's words or key; rule C5."""
    await providers.channel(await providers.simulator(fault.directive), "broken")

    answer = await stream(edge, is_stream=is_stream)
    claim = await end_of(around, answer)

    assert (answer.status, answer.headers["x-should-retry"]) == (fault.status, fault.retry)
    error = msgspec.json.decode(answer.data, type=dict[str, dict[str, str | None]])["error"]
    assert error["code"] == fault.code
    assert b"Simulated" not in answer.data
    assert SECRET not in answer.data
    assert isinstance(claim, billing.Void)
    assert seen(claim) == [("broken", fault.kind, fault.may_be_billed)]


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_connection_that_is_refused_is_the_next_channels_turn(
    around: Around, providers: World, edge: Edge, is_stream: bool
) -> None:
    """Nothing was sent; alone it is 502 with an invitation to repeat, and free."""
    gone = await providers.simulator()
    await providers.channel(gone, "gone", priority=1)
    await gone.close()
    alone = await stream(edge, is_stream=is_stream)
    await providers.channel(await providers.simulator(GOOD), "good")

    answer = await stream(edge, is_stream=is_stream)
    claim = await end_of(around, answer)

    assert (alone.status, alone.headers["x-should-retry"]) == (502, "true")
    assert isinstance(await end_of(around, alone), billing.Void)
    assert answer.status == 200
    assert seen(claim) == [("gone", "refused", False), ("good", "completed", True)]


async def test_opening_events_go_out_together_and_byte_for_byte(
    around: Around, providers: World, edge: Edge
) -> None:
    """Nothing of them is changed, dropped or reordered, with usage asked for so that no event needs to be rewritten."""
    upstream = await providers.simulator("reply='one two' opening=5")
    await providers.channel(upstream, "one")

    answer = await stream(edge, stream_options={"include_usage": True})

    assert answer.is_whole
    chunks = [msgspec.json.decode(event) for event in answer.events[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert deltas[1:6] == [{"content": ""}] * 5
    assert [delta["content"] for delta in deltas[6:-1]] == ["one ", "two"]


async def test_a_client_that_leaves_in_the_opening_pays_for_its_prompt(
    around: Around, providers: World, edge: Edge
) -> None:
    """The upstream has accepted, and works: rule C6, by the channel's policy; the upstream is closed."""
    upstream = await providers.simulator("stall_at=0:60000 opening=3")
    await providers.channel(upstream, "one")
    async with edge.client() as client:
        asking = asyncio.create_task(
            client.post("/v1/chat/completions", content=chat("hello", is_stream=True))
        )
        await until(lambda: upstream.journal and upstream.journal[0].first_byte_at)
        await asyncio.sleep(0.2)
        asking.cancel()
        claim = await around.billing.only_end()

    assert isinstance(claim, billing.Settle)
    assert (rule_of(claim), claim.outcome) == ("C6", "client_gone")
    assert claim.delivered.output_tokens == 0
    assert seen(claim) == [("one", "cancelled", True)]
    await until(lambda: upstream.journal[0].is_closed_early)


# After the first output


@pytest.mark.parametrize("fault", AFTER_OUTPUT, ids=lambda fault: fault.directive)
async def test_after_the_first_output_the_break_is_visible_and_free(
    around: Around, providers: World, edge: Edge, fault: Break
) -> None:
    """What came, whole; an error event; no `[DONE]`; a body that is not finished; rule C7. No other channel is asked."""
    broken = await providers.simulator(f"reply='one two three four five' tps=500 {fault.directive}")
    good = await providers.simulator(GOOD)
    await providers.channel(broken, "broken", priority=1)
    await providers.channel(good, "good")

    answer = await stream(edge)
    claim = await end_of(around, answer)

    assert answer.status == 200
    text = [
        msgspec.json.decode(event)["choices"][0]["delta"].get("content", "") for event in answer.events[:-1]
    ]
    assert "".join(text) == "one two thre"  # three tokens, and the opening before them
    assert (answer.error["code"], answer.is_finished) == (fault.code, False)
    assert b"[DONE]" not in answer.data
    assert b"Simulated" not in answer.data
    assert isinstance(claim, billing.Settle)
    assert rule_of(claim) == "C7"
    assert seen(claim) == [("broken", fault.kind, True)]
    assert not good.journal


@pytest.mark.parametrize("mode", ["fin", "rst", "bad_chunk"])
async def test_an_answer_that_has_finished_is_whole_without_its_last_word(
    around: Around, providers: World, edge: Edge, mode: str
) -> None:
    """Every choice had its finish reason: only `[DONE]` is missing, which is ours to write; rule C1."""
    await providers.channel(
        await providers.simulator(f"reply=hi tps=500 cut=before_done cut_mode={mode}"), "one"
    )

    answer = await stream(edge)
    claim = await end_of(around, answer)

    assert answer.is_whole
    assert isinstance(claim, billing.Settle)
    assert rule_of(claim) == "C1"


@pytest.mark.parametrize("is_stream", [True, False])
async def test_an_empty_answer_that_says_so_is_an_answer(
    around: Around, providers: World, edge: Edge, is_stream: bool
) -> None:
    """A finish reason without any output is what the model said; it passes, and is charged by its usage: C1."""
    good = await providers.simulator(GOOD)
    await providers.channel(await providers.simulator("out=0"), "one", priority=1)
    await providers.channel(good, "good")

    answer = await stream(edge, is_stream=is_stream)
    claim = await end_of(around, answer)

    assert (answer.status, answer.is_finished) == (200, True)
    assert b'"finish_reason":"' in answer.data
    assert isinstance(claim, billing.Settle)
    assert (rule_of(claim), claim.channel) == ("C1", "one")
    assert not good.journal


# The request is at fault


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_the_client_did_wrong_is_told_as_such_and_asked_of_nobody_else(
    around: Around, providers: World, edge: Edge, status: int, is_stream: bool
) -> None:
    """400 with the upstream's code and none of its words, free, and no mark against the channel."""
    broken = await providers.simulator(f"status={status} echo_secret=1")
    good = await providers.simulator(GOOD)
    await providers.channel(broken, "broken", priority=1)
    await providers.channel(good, "good")

    answers = [await stream(edge, is_stream=is_stream) for _ in range(6)]
    claim = await end_of(around, answers[0])

    assert {(answer.status, answer.headers["x-should-retry"]) for answer in answers} == {(400, "false")}
    assert SECRET not in answers[0].data
    assert isinstance(claim, billing.Void)
    assert seen(claim) == [("broken", "invalid_request", False)]
    assert (len(broken.journal), len(good.journal)) == (6, 0)
