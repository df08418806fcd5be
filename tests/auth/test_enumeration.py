"""Nobody learns who has an account: what is done for an address is the same whether or not it has one.

Clocks lie on a busy machine, so the work itself is compared: each statement to PostgreSQL and each password that is hashed or
checked, between the question and its answer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from asyncpg.connection import LoggedQuery

from services.auth.database import Database
from services.auth.factors import Codes
from services.auth.passwords import Passwords
from services.auth.people_handlers import PeopleHandlers
from services.auth.postman import Postman
from services.auth.secrets import Pepper
from services.auth.sessions import Sessions
from services.auth.settings import AuthSettings
from shared.contracts import auth, people
from shared.contracts.people import Client
from shared.db import Connection
from shared.errors import RelayError
from tests.auth.conftest import World
from tests.auth.visitor import EMAIL, PASSWORD, open_sign_up

CLIENT = Client(address="192.0.2.7", agent="Firefox on Linux")
Ask = Callable[[PeopleHandlers, str], Awaitable[object]]


class Watched(Database):
    """The database, noting what it is asked."""

    def __init__(self, url: str, work: list[str]) -> None:
        super().__init__(url, pool_size=1)
        self._work = work

    @asynccontextmanager
    async def look_up(self) -> AsyncIterator[Connection]:
        """As it is, noted."""
        async with super().look_up() as connection:
            with connection.query_logger(self._note):
                yield connection

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Connection]:
        """As it is, noted."""
        async with super().change() as connection:
            with connection.query_logger(self._note):
                yield connection

    def _note(self, query: LoggedQuery) -> None:
        self._work.append(" ".join(query.query.split()))


class WatchedPasswords(Passwords):
    """Passwords, noting what is done with them."""

    def __init__(self, work: list[str]) -> None:
        super().__init__(threads=1)
        self._work = work

    async def hash(self, password: str) -> str:
        """As it is, noted."""
        self._work.append("hash")
        return await super().hash(password)

    async def is_match(self, password: str, stored: str | None) -> bool:
        """As it is, noted."""
        self._work.append("check")
        return await super().is_match(password, stored)


async def sign_up(handlers: PeopleHandlers, email: str) -> object:
    """Sign up with an address."""
    return await handlers.sign_up(people.SignUp(email=email, password="another password", client=CLIENT))


async def forgot(handlers: PeopleHandlers, email: str) -> object:
    """Ask for a new password."""
    return await handlers.forgot_password(people.ForgotPassword(email=email, client=CLIENT))


async def sign_in(handlers: PeopleHandlers, email: str) -> object:
    """Show a wrong password."""
    return await handlers.sign_in(people.SignIn(email=email, password="wrong password", client=CLIENT))


@pytest.mark.parametrize("ask", [sign_up, forgot, sign_in])
async def test_the_work_is_the_same_for_known_and_unknown_addresses(
    world: World, settings: AuthSettings, ask: Ask
) -> None:
    """Statement by statement; and so is the answer."""
    await open_sign_up(world)
    await world.operator.call(auth.CREATE_USER, auth.CreateUser(email=EMAIL, password=PASSWORD))
    known = await _work(world, settings, ask, EMAIL)
    unknown = await _work(world, settings, ask, "nobody@example.com")

    assert known == unknown
    assert len(known) > 3
    assert ("hash" in known, "check" in known) == (ask is sign_up, ask is sign_in)


async def _work(world: World, settings: AuthSettings, ask: Ask, email: str) -> list[str]:
    """Return what is done for `email`, ending with the answer or the error."""
    await world.execute("DELETE FROM auth.attempt")
    work: list[str] = []
    database = Watched(settings.database_url.reveal(), work)
    pepper, passwords = Pepper(settings.pepper), WatchedPasswords(work)
    postman = Postman(database, settings, pepper)  # it does not run: its work is done after the answer
    async with database.open():
        with passwords:
            codes = Codes(None, pepper)
            handlers = PeopleHandlers(database, world.edge, passwords, Sessions(settings), codes, postman)
            try:
                work.append(repr(await ask(handlers, email)))
            except RelayError as error:
                work.append(repr(error.to_body()))
    return work
