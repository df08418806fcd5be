"""Requests and the overview in the console: why a request went where it went, what it cost, and what the whole site does."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Locator, expect

from services.edge.api import table
from services.edge.api.shapes import channels, operator
from tests.api.client import PATIENCE_SECONDS, POLL_SECONDS, Ask
from tests.api.world import World, channel_body
from tests.browser.conftest import Arrive
from tests.browser.desk import Desk, live_price

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

LIST, OVERVIEW = "/operator/requests", "/operator"
FIGURES = {"above_input_tokens": 0, "input": "1", "output": "2", "cache_read": "1", "cache_write": "1"}


async def _call(world: World, model: str, content: str) -> httpx.Response:
    """Return the answer to a call of alice."""
    await world.credit(world.alice)
    key = (await world.make_key(world.alice)).secret
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    headers = {"authorization": f"Bearer {key}"}
    return await world.http.post("/v1/chat/completions", json=body, headers=headers)


async def _ended(world: World, request_id: str) -> channels.AnyCall:
    """Return a request once it is told how it ended."""
    give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    ask = Ask(query={"request_id": request_id})
    while True:
        found = await world.operator.browser.get(table.ANY_CALLS, channels.AnyCalls, ask)
        if found.items and found.items[0].state != "running":
            return found.items[0]
        assert asyncio.get_running_loop().time() < give_up, f"{request_id} has not ended"
        await asyncio.sleep(POLL_SECONDS)


async def _traffic(world: World) -> operator.Traffic:
    return await world.operator.browser.get(table.TRAFFIC, operator.Traffic)


async def _two_channels(world: World) -> tuple[str, str, str]:
    """Return a model, the channel that is asked first and refuses its key, and the one that answers."""
    first, second = (f"channel-{secrets.token_hex(4)}" for _ in range(2))
    model = f"model-of-{first}"
    for name, more in ((first, {"credential": "sk-sim-invalid-1", "priority": 9}), (second, {})):
        body = channel_body(world, name) | {"models": {model: model}} | more
        await world.operator.browser.get(table.MAKE_CHANNEL, channels.Channel, Ask(body=body))
    price = Ask(body={"model": model, "figures": [FIGURES], "max_output_tokens": 1000})
    await world.operator.browser.get(table.SET_PRICE, channels.Price, price)
    await live_price(world, model, "1")
    return model, first, second


async def test_a_request_is_found_by_its_id_with_its_attempts_and_receipt(desk: Desk, world: World) -> None:
    """Why the first channel did not answer, that the second did, and everything that the charge was reckoned with."""
    visitor, words = desk.visitor, desk.words
    model, first, second = await _two_channels(world)
    answer = await _call(world, model, "hello [[sim out=7]]")
    assert answer.status_code == 200, answer.text
    request_id = answer.headers["x-request-id"]
    call = await _ended(world, request_id)
    await desk.open(LIST)
    search = visitor.field("operator:requests.searchId")
    await search.fill("0198c0de-1234-7abc-8def-0123456789ab")
    await expect(visitor.text("operator:requests.noneFits")).to_be_visible()
    await search.fill(request_id)
    line = desk.row(model)
    await expect(line).to_contain_text(words("operator:requests.states.complete"))
    await expect(line).to_contain_text(world.alice.email)
    await line.get_by_role("button").click()

    attempts = desk.panel("operator:request.attemptsTitle").get_by_role("listitem")
    await expect(attempts).to_have_count(2)
    await expect(attempts.nth(0)).to_contain_text(first)
    await expect(attempts.nth(0)).to_contain_text(words("operator:result.credential"))
    await expect(attempts.nth(1)).to_contain_text(second)
    await expect(attempts.nth(1)).to_contain_text(words("operator:result.completed"))
    receipt = desk.panel("operator:receipt.title")
    output = receipt.get_by_role("row").filter(has_text=words("operator:figure.output"))
    await expect(output).to_contain_text("7")
    await expect(output).to_contain_text("US$0.000014")
    await expect(receipt).to_contain_text(f"US${call.charged_usd}")


async def _counted(world: World, before: operator.Traffic, *, more: int) -> operator.Traffic:
    """Return what the site did, once so many more requests are counted."""
    give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while (traffic := await _traffic(world)).totals.requests < before.totals.requests + more:
        assert asyncio.get_running_loop().time() < give_up, "requests are not counted"
        await asyncio.sleep(POLL_SECONDS)
    return traffic


async def test_the_overview_shows_what_the_site_does(desk: Desk, world: World) -> None:
    """Its figures are those of the API; a cause of errors leads to the requests that had it."""
    words, before = desk.words, await _traffic(world)
    assert (await _call(world, world.stack.demo.model, "hello [[sim out=3]]")).status_code == 200
    refused = await _call(world, world.stack.demo.model, "[[sim status=400]]")
    assert refused.status_code == 400
    code = (await _ended(world, refused.headers["x-request-id"])).error
    traffic = await _counted(world, before, more=2)
    assert traffic.totals.failed > before.totals.failed

    await desk.open(OVERVIEW)

    await expect(desk.panel("operator:overview.traffic").get_by_role("figure")).to_be_visible()
    await expect(_figure(desk, "requests")).to_contain_text(f"{traffic.totals.requests:,}")
    count = "failedCount_one" if traffic.totals.failed == 1 else "failedCount_other"
    await expect(_figure(desk, "failed")).to_contain_text(
        words(f"operator:overview.{count}", count=traffic.totals.failed)
    )
    money = desk.panel("operator:overview.money")
    await expect(_fact(money, words("operator:overview.credited"))).to_have_text(
        f"US${float(traffic.credited_usd):,.2f}"
    )
    await expect(_fact(money, words("operator:overview.chargedToAccounts"))).not_to_have_text("US$0.00")
    await expect(desk.panel("operator:overview.byChannel")).to_contain_text("demo")
    told = words(f"operator:error.{code}")
    await desk.panel("operator:overview.causes").get_by_role("link", name=told).click()
    await expect(desk.page).to_have_url(f"{world.stack.public_url}{LIST}?error={code}")
    await expect(desk.row(world.alice.email).first).to_contain_text(told)


def _figure(desk: Desk, name: str) -> Locator:
    """Return one of the large figures on top, with its label and note."""
    return (
        desk.page.get_by_role("main")
        .get_by_text(desk.words(f"operator:overview.{name}"), exact=True)
        .first.locator("..")
    )


def _fact(panel: Locator, name: str) -> Locator:
    """Return what stands beside a name."""
    return panel.locator("dt").get_by_text(name, exact=True).locator("+ dd")


async def test_the_overview_counts_open_streams(desk: Desk, world: World) -> None:
    """While an answer is on its way it runs, and holds money."""
    words = desk.words
    await world.credit(world.alice)
    key = (await world.make_key(world.alice)).secret
    body = {
        "model": world.stack.demo.model,
        "stream": True,
        "messages": [{"role": "user", "content": "slowly [[sim out=1000 tps=4]]"}],
    }
    headers = {"authorization": f"Bearer {key}"}
    async with world.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        lines = answer.aiter_lines()  # kept, since whoever forgets it hangs up
        await anext(lines)
        running = (await _traffic(world)).running
        assert running >= 1
        await desk.open(OVERVIEW)
        await expect(_figure(desk, "running")).to_contain_text(f"{running}")
        held = words(
            "operator:overview.heldNote_one" if running == 1 else "operator:overview.heldNote_other",
            count=running,
        )
        await expect(desk.panel("operator:overview.money")).to_contain_text(held)
    await _ended(world, answer.headers["x-request-id"])


@asynccontextmanager
async def _audited(world: World, findings: int) -> AsyncIterator[None]:
    """Let the last audit have ended like this, until the end of the context."""
    before = await world.database.fetchrow("SELECT took_ms, invariants, findings FROM billing.audit_result")
    await world.database.execute("SELECT billing.note_audit(120, 11, $1)", findings)
    try:
        yield
    finally:
        await world.database.execute("DELETE FROM billing.audit_result")
        if before is not None:
            await world.database.execute("SELECT billing.note_audit($1, $2, $3)", *before)


async def test_findings_of_the_audit_are_loud(desk: Desk, world: World, arriving: Arrive) -> None:
    """A calm one is a panel; one with findings stands on top of everything, and says what to do."""
    words = desk.words
    alarm = desk.page.get_by_role("alert").filter(has_text=words("operator:overview.auditFindingsNote"))

    async with _audited(world, 0):
        await desk.open(OVERVIEW)
        await expect(desk.panel("operator:overview.audit")).to_contain_text(
            words("operator:overview.auditCalm")
        )
        await expect(alarm).to_be_hidden()
    async with _audited(world, 2):
        await desk.page.reload()
        await expect(alarm).to_contain_text(words("operator:overview.auditFindings_other", count=2))
