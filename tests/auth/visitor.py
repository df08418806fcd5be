"""Somebody with a browser: what they do through the edge, and the messages that they read."""

import asyncio
import re

from shared.bearer import sha256_of
from shared.contracts import people, site
from shared.contracts.call import Empty
from tests.auth.conftest import World

PASSWORD = "correct horse battery"
EMAIL = "ada@example.com"
_TOKEN = re.compile(r"#[a-z]+=([A-Za-z0-9_-]{43})\b")


class Visitor:
    """A person at one address with one browser, who remembers the session's token like a cookie."""

    def __init__(self, world: World, *, address: str = "192.0.2.7", agent: str = "Firefox on Linux") -> None:
        self.world = world
        self.address = address
        self.agent = agent
        self.token: str | None = None
        self.session_id: str | None = None

    @property
    def client(self) -> people.Client:
        """Where this visitor is."""
        return people.Client(address=self.address, agent=self.agent, session_id=self.session_id)

    async def sign_up(
        self, email: str = EMAIL, password: str = PASSWORD, *, invitation: str | None = None
    ) -> None:
        """Fill in the form."""
        ask = people.SignUp(
            email=email,
            password=password,
            client=self.client,
            invitation_sha256=None if invitation is None else sha256_of(invitation),
        )
        assert await self.world.edge.call(people.SIGN_UP, ask) == Empty()

    async def confirm(self, token: str) -> people.SignedIn:
        """Follow the link of the message."""
        ask = people.ConfirmEmail(token_sha256=sha256_of(token), client=self.client)
        return await self._entered(await self.world.edge.call(people.CONFIRM_EMAIL, ask))

    async def join(self, email: str = EMAIL, password: str = PASSWORD) -> people.SessionPerson:
        """Sign up, read the message and follow its link."""
        await self.sign_up(email, password)
        await self.confirm(await token_for(self.world, email))
        return await self.whoami()

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> people.SignedIn:
        """Sign in with a password."""
        ask = people.SignIn(email=email, password=password, client=self.client)
        return await self._entered(await self.world.edge.call(people.SIGN_IN, ask))

    async def whoami(self) -> people.SessionPerson:
        """Show the session."""
        return await find(self.world, self.token or "", self.client)

    async def forgot(self, email: str = EMAIL) -> None:
        """Ask for a new password."""
        ask = people.ForgotPassword(email=email, client=self.client)
        assert await self.world.edge.call(people.FORGOT_PASSWORD, ask) == Empty()

    async def reset(self, token: str, password: str) -> None:
        """Set a new password with the link of the message."""
        ask = people.ResetPassword(token_sha256=sha256_of(token), password=password, client=self.client)
        await self.world.edge.call(people.RESET_PASSWORD, ask)

    async def change_password(self, password: str, current: str | None = PASSWORD) -> None:
        """Change the password; the session goes on under its new token."""
        ask = people.ChangePassword(
            user_id=(await self.whoami()).user_id,
            session_id=self.session_id or "",
            current=current,
            password=password,
            client=self.client,
        )
        self.token = (await self.world.edge.call(people.CHANGE_PASSWORD, ask)).session_token

    async def prove(self, password: str = PASSWORD) -> None:
        """Show the password again; the session goes on under its new token."""
        ask = people.ConfirmSession(
            user_id=(await self.whoami()).user_id,
            session_id=self.session_id or "",
            factor="password",
            secret=password,
            client=self.client,
        )
        self.token = (await self.world.edge.call(people.CONFIRM_SESSION, ask)).session_token

    async def _entered(self, outcome: people.SignedIn) -> people.SignedIn:
        if outcome.session_token is not None:
            self.token = outcome.session_token
            self.session_id = (await self.whoami()).session_id
        return outcome


async def find(world: World, token: str, client: people.Client) -> people.SessionPerson:
    """Return whose session the token is."""
    ask = people.FindSession(token_sha256=sha256_of(token), client=client)
    return await world.edge.call(people.FIND_SESSION, ask)


async def open_sign_up(world: World, mode: site.SignUpMode = "open", credit_nano_usd: int = 0) -> None:
    """Let people sign up."""
    known = (await world.edge.call(site.GET_SITE, Empty())).settings
    changed = site.SiteSettings(
        version=known.version,
        name="Acme AI",
        sign_up=mode,
        sign_up_credit_nano_usd=credit_nano_usd,
        notice=known.notice,
        about=known.about,
        contact=known.contact,
    )
    await world.edge.call(site.PUT_SITE, site.PutSite(settings=changed))


async def prolong_waits(world: World) -> None:
    """Let whoever must wait wait for a minute longer: a wait of one second is over soon on a busy machine."""
    await world.execute("UPDATE auth.attempt SET blocked_until = blocked_until + interval '60 s'")


async def letters(world: World, email: str = EMAIL) -> list[site.Message]:
    """Return what the address got, oldest first, when nothing is on its way any more."""
    for _ in range(1000):
        if await world.rows("SELECT count(*) FROM auth.mail WHERE ended_at IS NULL") == [(0,)]:
            break
        await asyncio.sleep(0.02)
    kept = await world.edge.call(site.LIST_MAIL, site.ListMail())
    return [message for message in reversed(kept.items) if message.to == email]


async def token_for(world: World, email: str = EMAIL) -> str:
    """Return the token in the last message to the address."""
    return token_in((await letters(world, email))[-1].body)


def token_in(text: str) -> str:
    """Return the token of the link in a message."""
    found = _TOKEN.search(text)
    assert found is not None, text
    return found[1]
