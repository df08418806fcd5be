"""F97: guessed keys at a running edge, and how many of them anybody behind it hears of."""

import asyncio
import zlib
from collections.abc import Iterable

import httpx
import pytest
from starlette.types import Scope

from services.edge.guesses import ONE, Pace
from services.edge.principals import Principals
from services.edge.settings import EdgeSettings
from shared.errors import RateLimited, RelayError, Unauthenticated
from shared.ids import ALPHABET
from shared.keys import CHECKSUM_CHARACTERS, SECRET_CHARACTERS, mint
from tests.dispatcher.rig import World, chat, soon
from tests.edge.rig import Around, Edge, edge_of, error_of

CHAT = "/v1/chat/completions"
GUESSES = 1_000
LEAKED = 50  # what may leak away while a test runs, on a machine that is slow


def with_another_secret(key: str, number: int) -> str:
    """Return a well-formed key with the id of `key`."""
    body = key[: -SECRET_CHARACTERS - CHECKSUM_CHARACTERS] + f"{number:0{SECRET_CHARACTERS}d}"
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return body + digits


def request(key: str, peer: str) -> Scope:
    """Return a request with `key` from `peer`."""
    headers = [(b"authorization", b"Bearer " + key.encode())]
    return {"type": "http", "headers": headers, "client": (peer, 50_000)}


async def refusal(principals: Principals, key: str, peer: str) -> type[RelayError]:
    """Return how a wrong key is refused."""
    with pytest.raises(RelayError) as caught:
        await principals.of(request(key, peer))
    return type(caught.value)


async def answers(edge: Edge, method: str, path: str, keys: Iterable[str]) -> list[httpx.Response]:
    """Return the answer to a request with each key, one after the other."""
    async with edge.client() as client:
        return [
            await client.request(
                method, path, content=chat("hello"), headers={"authorization": f"Bearer {key}"}
            )
            for key in keys
        ]


async def test_what_is_no_key_asks_nobody(around: Around, settings: EdgeSettings) -> None:
    """F97: a wrong form or a wrong checksum is a 401 each time, and never a limit for anybody."""
    good = mint()
    wrong = [
        good[:-1] + ("a" if good[-1] != "a" else "b"),
        "sk-relay-",
        "sk-" + "x" * 48,
        "x" * 60_000,
        "a.*.>",
    ]
    async with edge_of(around, settings) as edge:
        for answer in await answers(edge, "POST", CHAT, wrong * 20):
            assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")

    assert around.auth.asked == []


async def test_guesses_from_one_address_soon_ask_nobody(around: Around, settings: EdgeSettings) -> None:
    """F97: 401 at first, then 429 with a true wait, and hardly anything reaches auth; a key that was good stays good."""
    async with edge_of(around, settings) as edge:
        keys = (edge.key, *(mint() for _ in range(GUESSES)), edge.key)
        before, *guesses, after = await answers(edge, "POST", CHAT, keys)

    assert guesses[0].status_code == 401
    assert (guesses[-1].status_code, error_of(guesses[-1])["code"]) == (429, "too_many_wrong_keys")
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 60
    assert len(around.auth.asked) <= 1 + ONE.burst + LEAKED
    assert (before.status_code, after.status_code) == (503, 503)  # let in, and no dispatcher there to answer


async def test_guesses_for_one_key_soon_ask_nobody(around: Around) -> None:
    """F97: wherever they come from."""
    principals = Principals(around.bus, cache_seconds=10)
    victim = around.auth.key()
    around.auth.principals.clear()
    for number in range(GUESSES):
        await refusal(principals, with_another_secret(victim, number), f"10.0.{number // 250}.{number % 250}")

    assert len(around.auth.asked) <= ONE.burst + LEAKED


async def test_guesses_from_everywhere_reach_auth_at_a_bounded_pace(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F97: many addresses, many keys; new ones are told to wait, whoever was let in before goes on."""
    monkeypatch.setattr("services.edge.guesses.ALL", Pace(burst=100, per_second=1.0))
    principals = Principals(around.bus, cache_seconds=0)
    good = around.auth.key()
    await principals.of(request(good, "192.0.2.1"))
    refusals = [
        await refusal(principals, mint(), f"10.{number // 250}.0.{number % 250}") for number in range(GUESSES)
    ]
    await principals.of(request(good, "10.0.0.1"))

    assert len(around.auth.asked) <= 2 + 100 + LEAKED
    assert (refusals[0], refusals[-1]) == (Unauthenticated, RateLimited)


async def test_a_key_that_was_good_is_asked_for_again_during_an_attack(around: Around) -> None:
    """F97: its time in the memory may be over, and its address the attacker's; when it ends, it counts as any other."""
    principals = Principals(around.bus, cache_seconds=0)
    good, ended = around.auth.key(), around.auth.key()
    for key in (good, ended):
        await principals.of(request(key, "192.0.2.1"))
    for _ in range(2 * ONE.burst):
        await refusal(principals, mint(), "192.0.2.1")

    for _ in range(3):
        await principals.of(request(good, "192.0.2.1"))
    around.auth.principals = {key: each for key, each in around.auth.principals.items() if key in good}
    assert await refusal(principals, ended, "192.0.2.1") is Unauthenticated
    assert await refusal(principals, mint(), "192.0.2.1") is RateLimited


async def test_a_flood_at_once_is_counted_too(around: Around) -> None:
    """F97: what is under way together passes together, and is then paid for with a longer wait."""
    principals = Principals(around.bus, cache_seconds=10)
    await soon(asyncio.gather(*(refusal(principals, mint(), "192.0.2.1") for _ in range(200))))
    asked = len(around.auth.asked)

    with pytest.raises(RateLimited) as caught:
        await principals.of(request(mint(), "192.0.2.1"))

    assert len(around.auth.asked) == asked
    assert caught.value.retry_after_seconds is not None
    assert ONE.burst / 2 < caught.value.retry_after_seconds <= 60


async def test_the_list_of_models_is_no_way_around(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """F97: guesses there count as everywhere; without a key the list is public, with too many wrong ones it is not."""
    async with edge_of(around, settings) as edge:
        first, *_, last = await answers(edge, "GET", "/v1/models", [mint() for _ in range(GUESSES)])

    assert ONE.burst <= len(around.auth.asked) <= ONE.burst + LEAKED
    assert (first.status_code, last.status_code) == (200, 429)
