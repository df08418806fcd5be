"""What a dispatcher learns of its channels, as the client of later requests meets it."""

from collections.abc import AsyncIterator

import pytest

from services.dispatcher.health import FAILURES_MAX
from services.edge.settings import EdgeSettings
from shared.contracts import billing
from tests.dispatcher.rig import World
from tests.edge.rig import Around, Edge, Torn, edge_of, stream

GOOD = "reply=hi"


@pytest.fixture
async def edge(around: Around, upstreams: World, settings: EdgeSettings) -> AsyncIterator[Edge]:
    """An edge, beside a dispatcher."""
    async with edge_of(around, settings) as edge:
        yield edge


async def seen(around: Around, answer: Torn) -> list[tuple[str, str]]:
    """Return what came of each channel for one request."""
    claim: billing.Settle | billing.Void = await around.billing.end_of(answer.headers["x-request-id"])
    return [(attempt.channel, attempt.result) for attempt in claim.attempts]


async def test_a_channel_that_keeps_failing_is_spared(around: Around, upstreams: World, edge: Edge) -> None:
    """After five failures in a row requests go to the other one at once, and the record says why."""
    broken = await upstreams.simulator("status=500")
    await upstreams.channel(broken, "broken", priority=1)
    await upstreams.channel(await upstreams.simulator(GOOD), "good")

    answers = [await stream(edge) for _ in range(FAILURES_MAX + 3)]

    assert {answer.status for answer in answers} == {200}
    assert len(broken.journal) == FAILURES_MAX
    assert await seen(around, answers[0]) == [("broken", "failed"), ("good", "completed")]
    assert await seen(around, answers[-1]) == [("broken", "skipped_ejected"), ("good", "completed")]


async def test_the_last_channel_is_never_ejected(around: Around, upstreams: World, edge: Edge) -> None:
    """However often it fails it is asked, for the next answer may be good."""
    only = await upstreams.simulator("status=500")
    await upstreams.channel(only, "only")

    answers = [await stream(edge) for _ in range(2 * FAILURES_MAX)]

    assert {answer.status for answer in answers} == {502}
    assert len(only.journal) == 2 * FAILURES_MAX
    assert await seen(around, answers[-1]) == [("only", "failed")]


async def test_an_ejected_channel_is_asked_when_no_other_is_left(
    around: Around, upstreams: World, edge: Edge
) -> None:
    """It may have come back, and the client loses nothing by it."""
    first = await upstreams.simulator("status=500")
    second = await upstreams.simulator(GOOD)
    await upstreams.channel(first, "first", priority=1)
    await upstreams.channel(second, "second")
    for _ in range(FAILURES_MAX):
        await stream(edge)
    first.queue("reply=back fail_first=0")
    second.queue("status=503")

    answer = await stream(edge)

    assert answer.status == 200
    assert b"back" in answer.data
    assert await seen(around, answer) == [
        ("first", "skipped_ejected"), ("second", "overloaded"), ("first", "completed"),
    ]  # fmt: skip


async def test_a_limit_is_kept_to_for_as_long_as_the_upstream_says(
    around: Around, upstreams: World, edge: Edge
) -> None:
    """Meanwhile it is not asked; a model that has nobody else is 503 with the rest of that wait, and nothing is held."""
    limited = await upstreams.simulator("status=429 retry_after=30")
    await upstreams.channel(limited, "limited", priority=1)
    first, second = await stream(edge), await stream(edge)
    await upstreams.channel(await upstreams.simulator(GOOD), "good")
    third = await stream(edge)

    assert (first.status, first.headers["retry-after"]) == (502, "30")
    assert (second.status, second.headers["x-should-retry"]) == (503, "true")
    assert 25 <= int(second.headers["retry-after"]) <= 30
    assert await seen(around, second) == [("limited", "skipped_cooling_down")]
    assert third.status == 200
    assert await seen(around, third) == [("limited", "skipped_cooling_down"), ("good", "completed")]
    assert len(limited.journal) == 1


async def test_a_limit_without_a_time_only_yields_to_others(
    around: Around, upstreams: World, edge: Edge
) -> None:
    """A guess is no reason to refuse: the only channel is asked again."""
    limited = await upstreams.simulator("status=429")
    await upstreams.channel(limited, "limited", priority=1)
    alone = [await stream(edge) for _ in range(2)]
    await upstreams.channel(await upstreams.simulator(GOOD), "good")
    answer = await stream(edge)

    assert [one.status for one in alone] == [502, 502]
    assert await seen(around, answer) == [("limited", "skipped_cooling_down"), ("good", "completed")]
