"""The auth service put together."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from services.auth.challenges import Challenges
from services.auth.database import Database
from services.auth.directory_handlers import DirectoryHandlers
from services.auth.factor_handlers import FactorHandlers
from services.auth.factor_key import sealer
from services.auth.factor_sign_in import FactorSignIn
from services.auth.factors import Codes
from services.auth.handlers import Handlers
from services.auth.key_handlers import KeyHandlers
from services.auth.management_key_handlers import ManagementKeyHandlers
from services.auth.oidc import Issuers
from services.auth.oidc_handlers import OidcHandlers
from services.auth.outside import Outside
from services.auth.passwords import Passwords
from services.auth.people_handlers import PeopleHandlers
from services.auth.postman import Postman
from services.auth.secrets import Pepper
from services.auth.session_handlers import SessionHandlers
from services.auth.sessions import Sessions
from services.auth.settings import AuthSettings
from services.auth.site_handlers import SiteHandlers
from shared.bus import Bus
from shared.contracts import people, site
from shared.metrics import Metrics
from shared.service import Life, build


def create_app(settings: AuthSettings, bus: Bus) -> Starlette:
    """Return the service as an application; it answers calls on `bus` while its lifespan runs."""
    database = Database(settings.database_url.reveal(), pool_size=settings.database_pool_size)
    passwords = Passwords(settings.password_threads)
    pepper, kept, outside = Pepper(settings.pepper), Sessions(settings), Outside()
    postman = Postman(database, settings, pepper)
    of_keys = KeyHandlers(database, bus, pepper)
    of_management_keys = ManagementKeyHandlers(database, bus, pepper)
    codes, challenges = Codes(sealer(settings.factor_key), pepper), Challenges(database, settings.origin)
    parts = (
        Handlers(database, bus, passwords),
        of_keys,
        of_management_keys,
        FactorHandlers(database, bus, codes, challenges),
        FactorSignIn(database, bus, codes, challenges, kept),
        OidcHandlers(database, bus, kept, Issuers(outside), settings.providers, settings.origin),
    )
    of_people = PeopleHandlers(database, bus, passwords, kept, codes, postman)
    of_sessions = SessionHandlers(database, kept)
    of_site = SiteHandlers(database, bus, settings, pepper, postman)

    @asynccontextmanager
    async def opened(life: Life, metrics: Metrics) -> AsyncIterator[Mapping[str, object]]:
        _measure(metrics, database, passwords, postman)
        async with database.open(), AsyncExitStack() as stack:
            for uses in app.state.uses:
                await stack.enter_async_context(uses.kept())
            stack.enter_context(passwords)
            stack.push_async_callback(outside.close)
            life.run_beside(stack, postman.run())
            for part in (*parts, DirectoryHandlers(database, bus)):
                await part.serve()
            await _serve_people(bus, of_people, of_sessions)
            await _serve_site(bus, of_site)
            await bus.control.flush()  # ready means heard
            try:
                yield {}
            finally:
                await bus.stop_serving(timeout_seconds=settings.drain_seconds)

    app = build(bus, opened, checks=(lambda: "PostgreSQL" if database.is_away else None,))
    app.state.uses = (of_keys.uses, of_management_keys.uses)
    return app


def _measure(metrics: Metrics, database: Database, passwords: Passwords, postman: Postman) -> None:
    postman.measure(metrics)
    metrics.gauge(
        "auth_postgresql_away", "Whether the last look at a key did not reach PostgreSQL: 1 or 0"
    ).set_function(lambda: database.is_away)
    metrics.gauge("auth_passwords_running", "Passwords being hashed or waiting for it").set_function(
        lambda: passwords.running
    )


async def _serve_people(bus: Bus, handlers: PeopleHandlers, of_sessions: SessionHandlers) -> None:
    await bus.serve(people.SIGN_UP, handlers.sign_up)
    await bus.serve(people.CONFIRM_EMAIL, handlers.confirm_email)
    await bus.serve(people.SIGN_IN, handlers.sign_in)
    await bus.serve(people.FORGOT_PASSWORD, handlers.forgot_password)
    await bus.serve(people.RESET_PASSWORD, handlers.reset_password)
    await bus.serve(people.CHANGE_PASSWORD, handlers.change_password)
    await bus.serve(people.CONFIRM_SESSION, handlers.confirm_session)
    await bus.serve(people.SET_PASSWORD, handlers.set_password)
    await bus.serve(people.CONFIRM_PERSON, handlers.confirm_person)
    await bus.serve(people.FIND_SESSION, of_sessions.find_session)
    await bus.serve(people.LIST_SESSIONS, of_sessions.list_sessions)
    await bus.serve(people.END_SESSION, of_sessions.end_session)
    await bus.serve(people.END_SESSIONS, of_sessions.end_sessions)
    await bus.serve(people.GET_PERSON, of_sessions.get_person)
    await bus.serve(people.UPDATE_PERSON, of_sessions.update_person)


async def _serve_site(bus: Bus, handlers: SiteHandlers) -> None:
    await bus.serve(site.GET_SITE, handlers.get_site)
    await bus.serve(site.PUT_SITE, handlers.put_site)
    await bus.serve(site.INVITE, handlers.invite)
    await bus.serve(site.LIST_INVITATIONS, handlers.list_invitations)
    await bus.serve(site.REVOKE_INVITATION, handlers.revoke_invitation)
    await bus.serve(site.LIST_MAIL, handlers.list_mail)
    await bus.serve(site.BEGIN_ACTION, handlers.begin_action)
    await bus.serve(site.END_ACTION, handlers.end_action)
    await bus.serve(site.LIST_ACTIONS, handlers.list_actions)
