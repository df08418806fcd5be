"""People for the tests of what they show and manage: made by an operator, signed in through the edge."""

import time

import msgspec
import pyotp

from shared.bearer import sha256_of
from shared.contracts import auth, factors, people
from shared.contracts.people import Client, SignedIn
from tests.auth.conftest import World
from tests.auth.device import Device

PASSWORD = "a long enough passphrase"
CLIENT = Client(address="192.0.2.7", agent="Firefox on Linux")


class SignedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person and the session that they have."""

    user_id: str
    account_id: str
    email: str
    session_id: str


async def sign_up(world: World, email: str = "ada@example.com") -> SignedPerson:
    """Return a new person who has signed in."""
    ask = auth.CreateUser(email=email, password=PASSWORD)
    user = await world.operator.call(auth.CREATE_USER, ask)
    signed = await sign_in(world, email)
    assert signed.session_token is not None
    session = await find_session(world, signed.session_token)
    return SignedPerson(
        user_id=user.id, account_id=user.account_id, email=email, session_id=session.session_id
    )


async def sign_in(world: World, email: str = "ada@example.com") -> SignedIn:
    """Return what a right password gives."""
    ask = people.SignIn(email=email, password=PASSWORD, client=CLIENT)
    return await world.edge.call(people.SIGN_IN, ask, timeout_seconds=20)


async def find_session(world: World, token: str) -> people.SessionPerson:
    """Return whose session this token is."""
    ask = people.FindSession(token_sha256=sha256_of(token), client=CLIENT)
    return await world.edge.call(people.FIND_SESSION, ask)


async def set_up_totp(world: World, person: SignedPerson) -> tuple[str, tuple[str, ...]]:
    """Return the secret of an authenticator that has been in force for a while, and recovery codes."""
    begun = await world.edge.call(factors.BEGIN_TOTP, factors.OfPerson(user_id=person.user_id))
    ask = factors.ConfirmTotp(user_id=person.user_id, code=code_of(begun.secret))
    made = await world.edge.call(factors.CONFIRM_TOTP, ask)
    await world.execute("UPDATE auth.totp SET last_step = last_step - 100")
    return begun.secret, made.codes


def code_of(secret: str, steps: int = 0) -> str:
    """Return the code of so many steps from now."""
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + steps)


async def show_code(world: World, ticket: str, code: str, factor: people.CodeFactor = "totp") -> SignedIn:
    """Show a second factor."""
    ask = factors.SignInFactor(ticket_sha256=sha256_of(ticket), factor=factor, code=code, client=CLIENT)
    return await world.edge.call(factors.SIGN_IN_FACTOR, ask)


async def add_passkey(world: World, person: SignedPerson, device: Device, name: str = "") -> factors.Passkey:
    """Return the passkey that `device` makes."""
    begun = await world.edge.call(factors.BEGIN_PASSKEY, factors.OfPerson(user_id=person.user_id))
    ask = factors.AddPasskey(
        user_id=person.user_id,
        challenge_sha256=sha256_of(begun.challenge_id),
        credential=device.make(begun.options),
        name=name,
    )
    return await world.edge.call(factors.ADD_PASSKEY, ask)


async def start_passkey(world: World, ticket: str | None = None) -> factors.PasskeyOptions:
    """Return what a browser is asked to show."""
    ask = factors.StartPasskey(client=CLIENT, ticket_sha256=None if ticket is None else sha256_of(ticket))
    return await world.edge.call(factors.START_PASSKEY, ask)


async def show_passkey(
    world: World, begun: factors.PasskeyOptions, credential: str, ticket: str | None = None
) -> SignedIn:
    """Show what a browser answered."""
    ask = factors.SignInPasskey(
        challenge_sha256=sha256_of(begun.challenge_id),
        credential=credential,
        client=CLIENT,
        ticket_sha256=None if ticket is None else sha256_of(ticket),
    )
    return await world.edge.call(factors.SIGN_IN_PASSKEY, ask)
