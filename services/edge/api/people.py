"""Signing up and in, and what people manage of themselves: sessions, password, language. Who they are, `auth` decides."""

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.shapes import people as shapes
from shared.bearer import sha256_of
from shared.contracts import people
from shared.contracts.people import Client
from shared.errors import InvalidRequest, NotFound

TOKEN_CHARACTERS_MAX = 200


async def sign_up(context: Context, ask: shapes.SignUp, query: Nothing) -> Nothing:
    """Let a message go to the address. The answer does not tell whether it has an account."""
    invitation = None if ask.invitation is None else _hashed(ask.invitation, "invitation")
    question = people.SignUp(
        email=ask.email,
        password=ask.password,
        language=ask.language,
        invitation_sha256=invitation,
        client=client_of(context),
    )
    await context.bus.call(people.SIGN_UP, question)
    return Nothing()


async def confirm_email(context: Context, ask: shapes.Token, query: Nothing) -> shapes.SignedIn:
    """Make the account that was signed up for, and sign in."""
    question = people.ConfirmEmail(token_sha256=_hashed(ask.token, "token"), client=client_of(context))
    return signed_in(context, await context.bus.call(people.CONFIRM_EMAIL, question))


async def sign_in(context: Context, ask: shapes.SignIn, query: Nothing) -> shapes.SignedIn:
    """Sign in, or give a ticket for the second factor."""
    question = people.SignIn(email=ask.email, password=ask.password, client=client_of(context))
    return signed_in(context, await context.bus.call(people.SIGN_IN, question))


async def sign_out(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """End this session."""
    person = context.person
    if person.session_id is not None:
        await _end(context, person.session_id)
    context.clear_session()
    return Nothing()


async def forgot_password(context: Context, ask: shapes.Email, query: Nothing) -> Nothing:
    """Let a link go to the address. The answer does not tell whether it has an account."""
    question = people.ForgotPassword(email=ask.email, language=ask.language, client=client_of(context))
    await context.bus.call(people.FORGOT_PASSWORD, question)
    return Nothing()


async def reset_password(context: Context, ask: shapes.ResetPassword, query: Nothing) -> Nothing:
    """Set a new password with the link's token; every session of the person has ended."""
    question = people.ResetPassword(
        token_sha256=_hashed(ask.token, "token"), password=ask.password, client=client_of(context)
    )
    await context.bus.call(people.RESET_PASSWORD, question)
    return Nothing()


async def me(context: Context, ask: Nothing, query: Nothing) -> shapes.Me:
    """Return who has signed in."""
    question = people.GetPerson(user_id=context.person.user_id)
    person = await context.bus.call(people.GET_PERSON, question)
    return view(person, is_fresh=context.person.is_fresh)


async def update_me(context: Context, ask: shapes.UpdateMe, query: Nothing) -> shapes.Me:
    """Change what is given."""
    question = people.UpdatePerson(user_id=context.person.user_id, language=ask.language)
    person = await context.bus.call(people.UPDATE_PERSON, question)
    return view(person, is_fresh=context.person.is_fresh)


async def confirm(context: Context, ask: shapes.Confirm, query: Nothing) -> shapes.Me:
    """Make the session fresh."""
    question = people.ConfirmSession(
        user_id=context.person.user_id,
        session_id=_session_id(context),
        factor=ask.factor,
        secret=ask.secret,
        client=client_of(context),
    )
    renewed = await context.bus.call(people.CONFIRM_SESSION, question)
    context.set_session(renewed.session_token)
    person = await context.bus.call(people.GET_PERSON, people.GetPerson(user_id=context.person.user_id))
    return view(person, is_fresh=True)


async def change_password(context: Context, ask: shapes.ChangePassword, query: Nothing) -> Nothing:
    """Set a new password; every other session has ended."""
    question = people.ChangePassword(
        user_id=context.person.user_id,
        session_id=_session_id(context),
        current=ask.current,
        password=ask.password,
        client=client_of(context),
    )
    renewed = await context.bus.call(people.CHANGE_PASSWORD, question)
    context.set_session(renewed.session_token)
    return Nothing()


async def list_sessions(context: Context, ask: Nothing, query: Nothing) -> shapes.Sessions:
    """Return where the person is signed in."""
    person = context.person
    found = await context.bus.call(people.LIST_SESSIONS, people.ListSessions(user_id=person.user_id))
    return shapes.Sessions(
        items=tuple(
            shapes.Session(
                id=each.id,
                agent=each.agent,
                address=each.address,
                created=int(each.created_unix),
                seen=int(each.seen_unix),
                is_current=each.id == person.session_id,
            )
            for each in found.items
        )
    )


async def end_other_sessions(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """End every session but this one; with a management key every session."""
    person = context.person
    question = people.EndSessions(user_id=person.user_id, session_id=person.session_id)
    await context.bus.call(people.END_SESSIONS, question)
    return Nothing()


async def end_session(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """End one session of the person; the browser forgets it if it is its own."""
    person, session_id = context.person, context.path["session_id"]
    await context.bus.call(
        people.END_SESSION, people.EndSession(user_id=person.user_id, session_id=session_id)
    )
    if session_id == person.session_id:
        context.clear_session()
    return Nothing()


def client_of(context: Context) -> Client:
    """Return where the request comes from, with the session that ends if another begins."""
    session_id = context.person.session_id if context.is_signed_in else None
    return Client(address=context.client.address, agent=context.client.agent, session_id=session_id)


def signed_in(context: Context, outcome: people.SignedIn) -> shapes.SignedIn:
    """Return what the browser is told; a session's token goes into its cookie and nowhere else."""
    if outcome.session_token is not None:
        context.set_session(outcome.session_token)
    return shapes.SignedIn(state=outcome.state, ticket=outcome.ticket, factors=outcome.factors)


def view(person: people.Person, *, is_fresh: bool) -> shapes.Me:
    """Return a person as they see themselves."""
    return shapes.Me(
        user_id=person.id,
        account_id=person.account_id,
        email=person.email,
        role=person.role,
        language=person.language,
        has_password=person.has_password,
        has_totp=person.has_totp,
        passkeys=person.passkeys,
        recovery_codes_left=person.recovery_codes_left,
        is_fresh=is_fresh,
        created=int(person.created_unix),
    )


def _session_id(context: Context) -> str:
    session_id = context.person.session_id
    assert session_id is not None, "the routes of a session refuse management keys"
    return session_id


def _hashed(token: str, param: str) -> bytes:
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise InvalidRequest("link_not_valid", param=param)
    return sha256_of(token)


async def _end(context: Context, session_id: str) -> None:
    question = people.EndSession(user_id=context.person.user_id, session_id=session_id)
    try:
        await context.bus.call(people.END_SESSION, question)
    except NotFound:
        return  # it has ended meanwhile, which is what was asked for


HANDLERS: dict[Endpoint, Handler] = {
    table.SIGN_UP: sign_up,
    table.CONFIRM_EMAIL: confirm_email,
    table.SIGN_IN: sign_in,
    table.SIGN_OUT: sign_out,
    table.FORGOT_PASSWORD: forgot_password,
    table.RESET_PASSWORD: reset_password,
    table.ME: me,
    table.UPDATE_ME: update_me,
    table.CONFIRM: confirm,
    table.CHANGE_PASSWORD: change_password,
    table.SESSIONS: list_sessions,
    table.END_OTHER_SESSIONS: end_other_sessions,
    table.END_SESSION: end_session,
}
