"""What axe-core finds on a page that keeps people out. Source: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md."""

from functools import cache
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Page

from tests import node

FOLDER = Path(__file__).parent
GRAVE = ("serious", "critical")
_RUN = "async () => JSON.stringify((await axe.run(document, {resultTypes: ['violations']})).violations)"


class Node(msgspec.Struct, frozen=True):
    """One element with a fault."""

    html: str
    target: tuple[object, ...]


class Violation(msgspec.Struct, frozen=True):
    """One rule that is broken."""

    id: str
    help: str
    impact: str | None
    nodes: tuple[Node, ...]


async def grave_faults(page: Page) -> list[str]:
    """Return what axe calls serious or critical on a page as it is now, a line each."""
    if not await page.evaluate("() => 'axe' in window"):
        # Not as a script of the page: its content security policy would refuse that, and stays in force.
        session = await page.context.new_cdp_session(page)
        await session.send("Runtime.evaluate", {"expression": _source()})
        await session.detach()
    violations = msgspec.json.decode(await page.evaluate(_RUN), type=list[Violation])
    return [
        f"{each.impact}: {each.help} ({each.id}): {node.target[-1]}: {node.html[:200]}"
        for each in violations
        if each.impact in GRAVE
        for node in each.nodes
    ]


async def check(page: Page) -> None:
    """Fail when axe finds something serious or critical on a page as it is now."""
    faults = await grave_faults(page)
    assert not faults, f"{page.url}:\n" + "\n".join(faults)


@cache
def _source() -> str:
    try:
        node.install(FOLDER)
    except node.NodeFailed as error:
        pytest.fail(str(error))
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
