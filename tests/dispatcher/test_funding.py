"""A stream and its money: the hold grows ahead of the answer, and an answer that cannot be paid ends and says why."""

import asyncio

import pytest

from services.dispatcher.chat import StreamInspector
from shared.contracts import billing
from shared.errors import Conflict, InsufficientFunds, RateLimited, RelayError, Unavailable, from_body
from shared.tokens import tokenizer_of
from tests.dispatcher.rig import Heard, World, soon

# The simulator's token is four bytes; a byte is at most one token, so 20 tokens can use up 80.
WORDS = "[[sim out=400]]"


async def ask(
    world: World, *, output_tokens_granted: int = 4000, output_tokens_held: int | None = 64
) -> Heard:
    """Ask for an answer of 400 simulated tokens, some 1,600 bytes, of which 64 tokens are held at first."""
    await world.channel(await world.simulator())
    return await soon(
        world.ask(WORDS, output_tokens_granted=output_tokens_granted, output_tokens_held=output_tokens_held)
    )


async def test_a_hold_grows_ahead_of_its_answer(world: World) -> None:
    """It doubles, as far as the answer needs it, and the answer is whole."""
    heard = await ask(world, output_tokens_granted=1_000_000)
    bounds = [each.output_tokens_bound for each in world.billing.extensions]
    assert heard.tail.error is None
    assert bounds == [64 * 2**place for place in range(1, len(bounds) + 1)]
    assert bounds[-1] // 2 <= 2 * len(heard.data)
    assert all(each.is_partial and each.attempt == 1 for each in world.billing.extensions)
    assert heard.claim.outcome == "completed"


@pytest.mark.parametrize("held", [None, 4000])
async def test_a_whole_hold_is_never_extended(world: World, held: int | None) -> None:
    """Nobody is asked for what is there."""
    heard = await ask(world, output_tokens_held=held)
    assert heard.tail.error is None
    assert world.billing.extensions == []


async def test_nothing_is_asked_beyond_what_was_granted(world: World) -> None:
    """The upstream heeds that bound; a hold that has reached it is whole."""
    await ask(world, output_tokens_granted=100, output_tokens_held=64)
    assert [each.output_tokens_bound for each in world.billing.extensions] == [100]


@pytest.mark.parametrize(
    ("refusal", "family", "code", "words"),
    [
        (InsufficientFunds("insufficient_balance"), "insufficient_funds", "insufficient_balance", "used up"),
        (RateLimited("balance_held", retry_after_seconds=2), "rate_limited", "balance_held", "other requests"),
        (
            InsufficientFunds(
                "spend_limit_reached", wording="spend_day_reached", scope="key", limit_usd="1", left_usd="0", needed_usd="1"
            ),
            "insufficient_funds", "spend_limit_reached", "in a day",
        ),
        (RateLimited("spend_limit_held", retry_after_seconds=2, scope="key"), "rate_limited", "spend_limit_held", "limit"),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_paid_ends_and_says_why(
    world: World, refusal: RelayError, family: str, code: str, words: str
) -> None:
    """What is held is spent to the last token, and no more goes out than that; the claim says what came."""
    world.billing.output_tokens_affordable = 100
    world.billing.extend_refusal = refusal
    heard = await ask(world)

    assert (heard.error.kind, heard.error.code) == (family, code)
    assert words in str(from_body(heard.error))
    assert heard.claim.outcome == "unfunded"
    assert heard.claim.attempts[-1].result == "unfunded"
    assert b'"finish_reason":"stop"' not in heard.data
    assert heard.data.endswith(b"\n\n")
    reader = StreamInspector(include_usage=True)
    reader.feed(heard.data)
    sent = tokenizer_of("theirs", "m").count(bytes(reader.delivered.kept))
    assert 60 <= heard.claim.delivered.output_tokens <= 100
    assert abs(heard.claim.delivered.output_tokens - sent) <= 2


async def test_a_wallet_that_has_more_again_goes_on(world: World) -> None:
    """A refusal is not the last word while there is still something held."""
    world.billing.output_tokens_affordable = 64
    world.billing.extend_refusal = RateLimited("balance_held", retry_after_seconds=1)
    upstream = await world.simulator()
    await world.channel(upstream)
    answer = asyncio.create_task(
        world.ask("[[sim out=60 tps=60]]", output_tokens_granted=4000, output_tokens_held=64)
    )
    while not world.billing.extensions:  # noqa: ASYNC110 - the stand-in tells nobody
        await asyncio.sleep(0.01)
    world.billing.output_tokens_affordable = 4000
    heard = await soon(answer)
    assert heard.tail.error is None


@pytest.mark.parametrize(
    "refusal", [Unavailable("service_unavailable", retry_after_seconds=1), Conflict("id_conflict", id="x")]
)
async def test_a_stream_goes_on_when_billing_cannot_say_no(world: World, refusal: RelayError) -> None:
    """It is away, or the hold is another's: the answer is whole, and its end is settled as ever."""
    world.billing.output_tokens_affordable = 0
    world.billing.extend_refusal = refusal
    heard = await ask(world)
    assert heard.tail.error is None
    assert heard.claim.outcome == "completed"
    claim = await world.billing.only_end()
    assert isinstance(claim, billing.Settle)
