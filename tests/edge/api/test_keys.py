"""API keys as the people of an account manage them: with what they may do, what they cost, and their secret once."""

import time
from collections.abc import AsyncIterator

import pytest

from services.edge.api import table
from services.edge.api.shapes import wallet
from shared.bus import Bus
from shared.contracts import auth
from shared.contracts.call import EDGE
from shared.errors import InvalidRequest, NotFound, Unauthenticated
from shared.ids import uuid7
from shared.keys import parse
from tests.cli.conftest import Relay
from tests.edge.api.conftest import Operator, settings_of
from tests.edge.api.spending import NAME, Spender, spender

LIMITS = wallet.Limits(requests_per_minute=5, spend_day_usd="1.50")


@pytest.fixture
async def ada(running: Relay) -> AsyncIterator[Spender]:
    """A person with a dollar and a key."""
    async with Bus(settings_of(running, EDGE), party=EDGE) as bus:
        yield await spender(bus, running, f"model-{uuid7().hex}")


async def verify(of: Operator, secret: str) -> auth.Principal:
    """Return whose key this text is."""
    parsed = parse(secret)
    assert parsed is not None
    return await of.bus.call(auth.VERIFY, auth.Verify(key_id=parsed.id, secret_sha256=parsed.secret_sha256))


async def test_a_key_is_made_with_all_that_was_asked_for(ada: Spender) -> None:
    """Its secret comes once; afterwards a page knows how it begins."""
    ends = int(time.time()) + 3600
    ask = wallet.MakeKey(
        name="laptop", expires=ends, allowed_models=("a",), allowed_addresses=("192.0.2.7",), limits=LIMITS
    )
    made: wallet.MadeKey = await ada.do(table.MAKE_KEY, ask)
    key = made.key

    assert made.secret.startswith(key.hint)
    assert (key.name, key.state, key.expires, key.last_used) == ("laptop", "active", ends, None)
    assert (key.allowed_models, key.allowed_addresses, key.limits) == (("a",), ("192.0.2.7/32",), LIMITS)
    assert key.spent_usd == "0.00"
    assert (await verify(ada, made.secret)).account_id == ada.user.account_id
    assert await ada.do(table.KEY, key_id=key.id) == key


async def test_what_keys_cost_is_told_of_a_page_at_once(ada: Spender) -> None:
    """Of a key with limits and of one without, from what was charged."""
    model = f"model-{uuid7().hex}"
    rich = await spender(ada.bus, ada.running, model)
    await rich.call(model)
    await rich.do(table.MAKE_KEY, wallet.MakeKey(name="unused"))
    page: wallet.Keys = await rich.do(table.KEYS)
    assert [(key.name, key.spent_usd, key.used.requests) for key in page.items] == [
        ("unused", "0.00", 0),
        (NAME, "0.00014", 0),
    ]

    update = wallet.UpdateKey(limits=LIMITS)
    limited: wallet.Key = await rich.do(table.UPDATE_KEY, update, key_id=rich.key.id)
    assert (limited.limits, limited.spent_usd, limited.used.total_usd) == (LIMITS, "0.00014", "0.00014")
    await rich.call(model)
    again: wallet.Key = await rich.do(table.KEY, key_id=rich.key.id)
    assert (again.spent_usd, again.used.requests, again.used.day_usd) == ("0.00028", 1, "0.00028")


async def test_what_is_given_is_changed(ada: Spender) -> None:
    """And what is not given stays; null makes a key last, and empty limits take them away."""
    first = wallet.UpdateKey(name="desktop", expires=int(time.time()) + 60, limits=LIMITS)
    await ada.do(table.UPDATE_KEY, first, key_id=ada.key.id)
    changed: wallet.Key = await ada.do(table.UPDATE_KEY, wallet.UpdateKey(expires=None), key_id=ada.key.id)
    assert (changed.name, changed.expires, changed.limits) == ("desktop", None, LIMITS)
    free: wallet.Key = await ada.do(
        table.UPDATE_KEY, wallet.UpdateKey(limits=wallet.Limits()), key_id=ada.key.id
    )
    assert free.limits == wallet.Limits()


async def test_a_rotated_key_is_another_with_the_same_limits(ada: Spender) -> None:
    """The old one is revoked; its secret opens nothing."""
    made: wallet.MadeKey = await ada.do(table.MAKE_KEY, wallet.MakeKey(name="old", limits=LIMITS))
    rotated: wallet.MadeKey = await ada.do(table.ROTATE_KEY, key_id=made.key.id)

    assert (rotated.key.name, rotated.key.limits, rotated.key.state) == ("old", LIMITS, "active")
    assert (await verify(ada, rotated.secret)).key_id == rotated.key.id
    with pytest.raises(Unauthenticated):
        await verify(ada, made.secret)
    old: wallet.Key = await ada.do(table.KEY, key_id=made.key.id)
    assert old.state == "revoked"
    with pytest.raises(InvalidRequest, match="revoked"):
        await ada.do(table.ROTATE_KEY, key_id=made.key.id)


async def test_a_revoked_key_is_listed_as_that(ada: Spender) -> None:
    """By its state; revoking it again changes nothing."""
    for _ in range(2):
        ended: wallet.Key = await ada.do(table.REVOKE_KEY, key_id=ada.key.id)
        assert ended.state == "revoked"
    page: wallet.Keys = await ada.do(table.KEYS, state="revoked")
    assert [key.id for key in page.items] == [ada.key.id]
    live: wallet.Keys = await ada.do(table.KEYS, state="active")
    assert live.items == ()


async def test_another_account_finds_nothing(ada: Spender, op: Operator) -> None:
    """Not even an operator, whose own keys these are not."""
    for endpoint, ask in (
        (table.KEY, None),
        (table.UPDATE_KEY, wallet.UpdateKey(name="mine")),
        (table.ROTATE_KEY, None),
        (table.REVOKE_KEY, None),
    ):
        for key_id in (ada.key.id, "none", "'"):
            with pytest.raises(NotFound):
                await op.do(endpoint, ask, key_id=key_id)
    page: wallet.Keys = await op.do(table.KEYS)
    assert page.items == ()
    kept: wallet.Key = await ada.do(table.KEY, key_id=ada.key.id)
    assert (kept.name, kept.state) == (NAME, "active")


@pytest.mark.parametrize(
    ("ask", "param"),
    [
        (wallet.MakeKey(name=""), "name"),
        (wallet.MakeKey(name="x", expires=1), "expires"),
        (wallet.MakeKey(name="x", allowed_addresses=("x",)), "allowed_addresses"),
        (wallet.MakeKey(name="x", limits=wallet.Limits(concurrent_requests=0)), "concurrent_requests"),
        (wallet.MakeKey(name="x", limits=wallet.Limits(spend_day_usd="-1")), "spend_day_usd"),
    ],
)
async def test_what_is_wrong_is_named_as_the_api_names_it(
    ada: Spender, ask: wallet.MakeKey, param: str
) -> None:
    """And nothing is made."""
    with pytest.raises(InvalidRequest) as caught:
        await ada.do(table.MAKE_KEY, ask)
    assert caught.value.param == param
    page: wallet.Keys = await ada.do(table.KEYS)
    assert [key.id for key in page.items] == [ada.key.id]
