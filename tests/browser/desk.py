"""An operator at the console: what they meet on many of its pages, and how a test sees that something was done."""

import asyncio
import re
from decimal import Decimal
from typing import Literal

import msgspec
from playwright.async_api import Locator, Page, expect

from services.edge.api import table
from services.edge.api.shapes import operator, people
from services.edge.api.shapes.site import Model, Models
from tests.api.client import POLL_SECONDS, Ask, Asker, sign_in
from tests.api.world import Person, World
from tests.browser.visitor import Visitor
from tests.browser.words import Language, Words

LIVE_SECONDS = 10.0  # what is read for everybody is a second old at most


class Desk:
    """An operator who has signed in, with a browser of their own."""

    def __init__(self, world: World, visitor: Visitor) -> None:
        self.world = world
        self.visitor = visitor

    @property
    def page(self) -> Page:
        """The page that is open."""
        return self.visitor.page

    @property
    def words(self) -> Words:
        """The texts in the operator's language."""
        return self.visitor.words

    async def open(self, path: str) -> None:
        """Open a page by its address. What is looked for on it is waited for, so nothing else is, unlike with `Visitor.go`."""
        await self.page.goto(self.visitor.site.public_url + path)

    def row(self, *texts: str) -> Locator:
        """Return the lines of a table in which all of this stands."""
        rows = self.page.get_by_role("row")
        for text in texts:
            rows = rows.filter(has_text=text)
        return rows

    def dialog(self, key: str, /, **values: object) -> Locator:
        """Return a dialog or drawer by its title."""
        return self.page.get_by_role("dialog", name=self.words(key, **values), exact=True)

    def panel(self, key: str, /, **values: object) -> Locator:
        """Return a part of a page by its heading."""
        return self.page.get_by_role("region", name=self.words(key, **values), exact=True)

    def list(self, key: str, /, **values: object) -> Locator:
        """Return a field that one chooses in, by its label, which its list has as well."""
        return self.page.get_by_role("combobox", name=self.words(key, **values), exact=True)

    async def choose(self, field: Locator, option: str) -> None:
        """Choose what is called `option` in a field with a list."""
        await field.click()
        await self.page.get_by_role("option", name=option, exact=True).click()

    async def told(self, key: str, /, **values: object) -> None:
        """Return once a notice says this."""
        notices = self.page.get_by_role("alert").filter(has_text=self.words(key, **values))
        await expect(notices.first).to_be_visible()

    async def switch_account(self, to: Literal["suspend", "reactivate"]) -> None:
        """Suspend or reactivate the account whose page is open."""
        await self.visitor.button(f"operator:account.{to}").click()
        question = self.dialog(f"operator:account.{to}Title")
        await question.get_by_role("button", name=self.words(f"operator:account.{to}")).click()
        await self.told("operator:account.suspended" if to == "suspend" else "operator:account.reactivated")

    async def wrong(self, field: Locator, text: str | re.Pattern[str]) -> None:
        """Return once a field is marked as wrong, and what is wrong with it is read out with it."""
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description(
            text if isinstance(text, re.Pattern) else re.compile(re.escape(text))
        )

    async def logged(self, action: str, thing: str, *, by: str = "", result: str = "done") -> operator.Action:
        """Return the newest row of the log about an action on a thing; fail unless it says who did it and how it ended."""
        for row in await self.world.actions():
            if row.action == action and thing in row.object:
                assert (row.email, row.through, row.result) == (
                    by or self.world.operator.email,
                    "console",
                    result,
                )
                return row
        raise AssertionError(f"{action} of {thing} is not in the log")


async def sit_down(world: World, visitor: Visitor, session: Asker | None = None) -> Desk:
    """Let a visitor be the operator, or whoever else has this session."""
    await visitor.sign_in_with(session or world.operator.browser)
    return Desk(world, visitor)


async def colleague(world: World, language: Language) -> Person:
    """Return one more operator, who has chosen a language."""
    person = await world.newcomer("colleague")
    role = Ask(path={"user_id": person.me.user_id}, body={"role": "admin"})
    await world.operator.browser.get(table.SET_ROLE, operator.Person, role)
    await person.browser.get(table.UPDATE_ME, people.Me, Ask(body={"language": language}))
    return person


async def another_session(world: World, person: Person) -> Asker:
    """Return a session of a person that no other test uses, since it is about to be changed."""
    session = Asker(world.http)
    await sign_in(session, person.email, person.password)
    return session


async def live_price(world: World, model: str, input_usd: str) -> Model:
    """Return what anybody sees of a model, once its first tier has this price of input."""
    give_up = asyncio.get_running_loop().time() + LIVE_SECONDS
    while True:
        for found in (await world.nobody.get(table.MODELS, Models)).items:
            if found.id == model and Decimal(found.figures[0].input) == Decimal(input_usd):
                return found
        assert asyncio.get_running_loop().time() < give_up, f"{model} does not cost {input_usd}"
        await asyncio.sleep(POLL_SECONDS)


def written(value: object) -> str:
    """Return a row of the log, or any answer, as the text in which a secret would be found."""
    return msgspec.json.encode(value).decode()


def asked(raw: msgspec.Raw) -> dict[str, object]:
    """Return what a row of the log says was asked for, or was there before."""
    return msgspec.json.decode(raw, type=dict[str, object])
