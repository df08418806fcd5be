"""What a site is: whom it lets in, what it says of itself, and the models that it has."""

import asyncio

import msgspec

from services.edge.api import table
from services.edge.api.shapes import operator as shapes
from shared.bus import Bus
from shared.contracts import billing, dispatcher
from shared.contracts.call import OPERATOR
from shared.ids import uuid7
from tests.cli.conftest import Relay
from tests.edge.api.browser import NEW, TOKEN, Browser, Reply, address
from tests.edge.api.conftest import Operator, open_sign_up, settings_of, signed_in


async def test_operators_invite(browser: Browser, url: str, running: Relay) -> None:
    """The link is shown once and works once; taken back it is gone from the list."""
    await open_sign_up(running, "invitation")
    await signed_in(browser, running, "admin")
    made = await browser.ask("POST", "/operator/invitations", lifetime_days=3)
    found = TOKEN.search(str(made["url"]))
    assert found is not None
    invitation = msgspec.convert(made["invitation"], dict[str, object])
    newcomer = Browser(url)
    async with newcomer.http:
        email = address()
        await newcomer.ask("POST", "/sign-up", email=email, password=NEW, invitation=found[1])
        await newcomer.ask("POST", "/sign-up/confirm", token=await newcomer.token(email))
        assert (await newcomer.refused("GET", "/operator/invitations", 403))[0] == "operators_only"
    listed = msgspec.convert(
        (await browser.ask("GET", "/operator/invitations"))["items"], list[dict[str, object]]
    )
    assert next(each for each in listed if each["id"] == invitation["id"])["used"] is not None

    second = msgspec.convert(
        (await browser.ask("POST", "/operator/invitations", email="bob@example.com"))["invitation"],
        dict[str, object],
    )
    assert await browser.ask("DELETE", f"/operator/invitations/{second['id']}") == {}
    listed = msgspec.convert(
        (await browser.ask("GET", "/operator/invitations"))["items"], list[dict[str, object]]
    )
    assert second["id"] not in [each["id"] for each in listed]
    for path in (f"/operator/invitations/{uuid7()}", "/operator/invitations/x"):
        assert (await browser.refused("DELETE", path, 404))[0] == "not_found"
    for days in (0, 366):
        assert await browser.refused("POST", "/operator/invitations", 400, lifetime_days=days) == (
            "invalid_value", "lifetime_days",
        )  # fmt: skip


async def test_operators_change_the_site(browser: Browser, running: Relay) -> None:
    """Anybody sees it at once; who was slower is told to look again, and it stands in the log of actions."""
    await signed_in(browser, running, "admin")
    before = await browser.ask("GET", "/operator/settings")
    wanted = {**before, "name": "Acme AI", "sign_up_credit_usd": "1.50", "notice": {"en": "Hi", "zh": "你好"}}

    after = await browser.ask("PUT", "/operator/settings", **wanted)

    assert after == {**wanted, "version": int(str(before["version"])) + 1}
    site = await browser.ask("GET", "/site")
    assert (site["name"], site["notice"], site["base_url"], site["has_outbox"]) == (
        "Acme AI", {"en": "Hi", "zh": "你好"}, "https://relay.example/v1", True,
    )  # fmt: skip
    assert await browser.refused("PUT", "/operator/settings", 400, **wanted) == ("site_changed", "version")
    for change, param in (
        ({"sign_up_credit_usd": "-1"}, "sign_up_credit_usd"),
        ({"sign_up_credit_usd": "a lot"}, "sign_up_credit_usd"),
        ({"name": ""}, "name"),
        ({"notice": {"en": "a" * 5001}}, "notice"),
    ):
        assert await browser.refused("PUT", "/operator/settings", 400, **{**after, **change}) == (
            "invalid_value", param,
        )  # fmt: skip


async def test_the_models_are_those_that_can_be_called(browser: Browser, running: Relay) -> None:
    """With the price in force, tiers after it; a model without a price, or without a channel, is not there."""
    name, unpriced, unserved = (f"{kind}-{uuid7().hex}" for kind in ("m", "unpriced", "unserved"))
    async with Bus(settings_of(running, OPERATOR), party=OPERATOR) as bus:
        await bus.call(
            dispatcher.CREATE_CHANNEL,
            dispatcher.CreateChannel(
                name=f"c-{uuid7().hex[:12]}",
                base_url="https://api.example.org/v1",
                credential="sk-secret",
                models={name: name, unpriced: unpriced},
            ),
        )
        for model in (name, unserved):
            await bus.call(billing.SET_PRICE, price(model))

    answer: Reply = {}
    for _ in range(100):
        answer = await browser.ask("GET", "/models")
        if any(each["id"] == name for each in msgspec.convert(answer["items"], list[dict[str, object]])):
            break
        await asyncio.sleep(0.1)

    items = {str(each["id"]): each for each in msgspec.convert(answer["items"], list[dict[str, object]])}
    assert items[name] == {
        "id": name,
        "figures": [
            {"above_input_tokens": 0, "input": "1.00", "output": "2.50", "cache_read": "0.10", "cache_write": "1.00"},
            {"above_input_tokens": 1000, "input": "2.00", "output": "5.00", "cache_read": "0.20", "cache_write": "2.00"},
        ],
        "context_tokens": 8000,
        "max_output_tokens": 100,
        "capabilities": ["vision"],
    }  # fmt: skip
    assert not {unpriced, unserved} & set(items)


async def test_a_person_is_shown_what_their_group_may_call_and_pays(op: Operator) -> None:
    """And nothing that would be refused, or cost something else."""
    mine, other = (f"{kind}-{uuid7().hex}" for kind in ("mine", "other"))
    async with Bus(settings_of(op.running, OPERATOR), party=OPERATOR) as bus:
        channel = dispatcher.CreateChannel(
            name=f"c-{uuid7().hex[:12]}",
            base_url="https://api.example.org/v1",
            credential="sk-secret",
            models={mine: mine, other: other},
        )
        await bus.call(dispatcher.CREATE_CHANNEL, channel)
        for model in (mine, other):
            await bus.call(billing.SET_PRICE, price(model))
    for _ in range(100):
        if {mine, other} <= {each.id for each in (await op.do(table.MODELS)).items}:
            break
        await asyncio.sleep(0.1)

    group = shapes.Group(name=f"few {uuid7().hex}", allowed_models=(mine, "gone"), price_multiplier="1.2345")
    await op.do(table.PUT_GROUP, group)
    await op.do(
        table.SET_ACCOUNT_GROUP, shapes.SetGroup(group_name=group.name), account_id=op.user.account_id
    )

    (shown,) = (await op.do(table.MODELS)).items
    assert shown.id == mine
    assert [(each.above_input_tokens, each.input, each.cache_read) for each in shown.figures] == [
        (0, "1.2345", "0.12345"), (1000, "2.469", "0.2469"),
    ]  # fmt: skip


def price(model: str) -> billing.SetPrice:
    """Return a price with a tier."""
    return billing.SetPrice(
        model=model,
        input_pico_usd=1_000_000,
        output_pico_usd=2_500_000,
        cache_read_pico_usd=100_000,
        cache_write_pico_usd=1_000_000,
        max_output_tokens=100,
        context_tokens=8000,
        capabilities=("vision",),
        tiers=(
            billing.PriceTier(
                above_input_tokens=1000,
                input_pico_usd=2_000_000,
                output_pico_usd=5_000_000,
                cache_read_pico_usd=200_000,
                cache_write_pico_usd=2_000_000,
            ),
        ),
    )
