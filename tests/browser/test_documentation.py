"""The documentation: its code is run as it stands, once the reader's own key is in it."""

from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Locator, expect

from services.edge.api.shapes.site import Status
from tests.browser import programs
from tests.browser.caller import MODEL, OTHER_MODEL, Caller
from tests.browser.visitor import Visitor
from tests.e2e.stack import RunningStack

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

EXAMPLE_KEY = "sk-relay-your-key"


def _part(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("region", name=visitor.words(f"docs:parts.{name}"), exact=True)


async def _copy(visitor: Visitor, part: Locator, kind: programs.Kind, key: str) -> str:
    """Return what a part's code is in a language, with a key in it."""
    await part.get_by_role("button", name=programs.LABELS[kind], exact=True).click()
    what = visitor.words("common:copy.what", what=programs.LABELS[kind])
    code = await visitor.copy(part.get_by_role("button", name=what, exact=True))
    assert EXAMPLE_KEY in code
    assert "relay.example" not in code
    return code.replace(EXAMPLE_KEY, key)


async def test_the_code_runs_as_it_stands(
    visitor: Visitor, spender: Caller, site: RunningStack, tmp_path: Path
) -> None:
    """A call and a stream, in each language, to this very site and to the model that was chosen."""
    await visitor.go("/docs/start")
    await visitor.page.get_by_role("combobox", name=visitor.words("docs:model")).click()
    await visitor.page.get_by_role("option", name=MODEL, exact=True).click()
    key = spender.key.secret
    codes = {
        name: {kind: await _copy(visitor, _part(visitor, name), kind, key) for kind in programs.LABELS}
        for name in ("call", "streaming")
    }
    for code in (*codes["call"].values(), *codes["streaming"].values()):
        assert f"{site.public_url}/v1" in code
        assert MODEL in code

    called = await programs.run_all(codes["call"], tmp_path)
    streamed = await programs.run_all(codes["streaming"], tmp_path)

    assert all(printed.strip() for printed in called.values())
    assert '"completion_tokens":' in streamed["curl"]
    assert " tokens in, " in streamed["python"]
    assert " tokens in, " in streamed["node"]


async def test_the_code_of_a_receipt_gets_it(visitor: Visitor, caller: Caller, tmp_path: Path) -> None:
    """With a request's id in its place."""
    await visitor.go("/docs/start")
    part = _part(visitor, "receipts")
    code = await visitor.copy(part.get_by_role("button", name=visitor.words("common:copy.do"), exact=True))
    code = code.replace(EXAMPLE_KEY, caller.key.secret).replace("your-request-id", caller.good)

    receipt = msgspec.json.decode(await programs.run("curl", code, tmp_path))

    assert (receipt["id"], receipt["state"]) == (caller.good, "settled")


async def test_the_choice_of_a_language_holds_for_every_code(visitor: Visitor) -> None:
    """And for the next page."""
    await visitor.go("/docs/start")
    await _part(visitor, "call").get_by_role("button", name="curl", exact=True).click()
    streaming = _part(visitor, "streaming").get_by_role("button", name="curl", exact=True)
    await expect(streaming).to_have_attribute("aria-pressed", "true")
    await visitor.go("/")
    first = visitor.page.get_by_role("button", name="curl", exact=True)
    await expect(first).to_have_attribute("aria-pressed", "true")


async def test_every_client_is_told_this_site(visitor: Visitor, site: RunningStack) -> None:
    """Each of the popular ones has its own base URL or host, and the model."""
    await visitor.go("/docs/start#clients")
    clients = _part(visitor, "clients")
    names = ("Cherry Studio", "Cline", "Continue", "Open WebUI", "aider", "LangChain", "Vercel AI SDK")
    for name in names:
        control = clients.get_by_role("button", name=name, exact=True)
        if await control.get_attribute("aria-expanded") != "true":
            await control.click()
        panel = clients.get_by_role("region", name=name, exact=True)
        await expect(panel).to_contain_text(site.public_url)
        assert "relay.example" not in await panel.inner_text()


async def test_the_landing_page_has_live_prices_and_code(visitor: Visitor, site: RunningStack) -> None:
    """The models with their prices, a search among them, and code with this site's base URL."""
    await visitor.go("/")
    models = visitor.page.get_by_role("table", name=visitor.words("public:models.title"))
    row = models.get_by_role("row").filter(has=visitor.page.get_by_text(MODEL, exact=True))
    await expect(row).to_contain_text("US$0.15")
    await visitor.page.get_by_role("searchbox").fill("no such model")
    await visitor.text("public:models.nothingTitle").wait_for()
    await visitor.page.get_by_role("searchbox").fill(OTHER_MODEL)
    await expect(row).to_have_count(1)
    code = await visitor.copy(visitor.button("common:copy.what", what="Python"))
    assert f"{site.public_url}/v1" in code


async def test_the_status_page_counts_real_traffic(visitor: Visitor, caller: Caller) -> None:
    """A model that was called has every figure, and none of them is made up: they are what the API counts."""
    async with visitor.page.expect_response("**/api/status?*") as answered:
        await visitor.go("/status?hours=1")
    status = msgspec.json.decode(await (await answered.value).body(), type=Status)
    known = next(each for each in status.items if each.model == MODEL)
    heading = visitor.page.get_by_role("heading", name=MODEL, exact=True)
    model = visitor.page.get_by_role("listitem").filter(has=heading)
    success, first, speed, requests = await model.get_by_role("definition").all_inner_texts()

    assert known.requests > 0
    assert known.success is not None
    assert requests == str(known.requests)
    assert success.removesuffix("%") == f"{known.success * 100:.2f}".rstrip("0").rstrip(".")
    assert visitor.words("common:noData") not in first + speed
    await visitor.page.get_by_role("searchbox").fill("no such model")
    await visitor.text("public:models.nothingTitle").wait_for()
