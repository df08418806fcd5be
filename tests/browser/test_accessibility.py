"""Everybody can use every page: with a screen reader, by keyboard, on a phone, in either theme and language."""

import pytest

from tests.api.client import Asker
from tests.api.world import World
from tests.browser import axe
from tests.browser.caller import Caller
from tests.browser.conftest import Arrive
from tests.browser.gallery.walk import sign_in_with
from tests.browser.pages import NOT_FOUND, Access, Page, pages
from tests.browser.visitor import NARROW, Visitor

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

KINDS: tuple[Access, ...] = ("public", "person", "operator")
SCHEMES = ("light", "dark")


async def _values(world: World, caller: Caller) -> dict[str, str]:
    """Return what fills in the parameters of addresses: things that are there."""
    return {
        "keyId": caller.key.key.id,
        "requestId": caller.good,
        "name": "demo",
        "id": caller.person.me.account_id,
    }


def _session(world: World, caller: Caller, kind: Access) -> Asker | None:
    return {"public": None, "person": caller.person.browser, "operator": world.operator.browser}[kind]


def _seen(kind: Access) -> list[Page]:
    found = [page for page in pages() if page.access == kind]
    return [*found, Page(path=NOT_FOUND, access="public")] if kind == "public" else found


async def _sideways(visitor: Visitor) -> int:
    """Return by how many pixels a page is wider than its window."""
    too_wide: int = await visitor.page.evaluate(
        "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    )
    return too_wide


@pytest.mark.parametrize("kind", KINDS)
async def test_axe_finds_nothing_serious_and_a_phone_is_wide_enough(
    arriving: Arrive, world: World, caller: Caller, kind: Access
) -> None:
    """On every page that this kind of visitor sees: in light colours on a wide screen, in dark ones on a phone."""
    values = await _values(world, caller)
    session = _session(world, caller, kind)
    faults = []
    wide, phone = await arriving(scheme="light"), await arriving(scheme="dark", width=NARROW)
    for visitor in (wide, phone):
        if session is not None:
            await sign_in_with(visitor, session)
        for page in _seen(kind):
            await visitor.go(page.address(values))
            faults += [f"{page.name}: {fault}" for fault in await axe.grave_faults(visitor.page)]
            if visitor is phone and (pixels := await _sideways(visitor)) > 0:
                faults.append(f"{page.name} is {pixels} px too wide for a phone")
    assert not faults, "\n".join(faults)
