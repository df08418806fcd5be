"""Chat through a session: the playground of the console speaks to the same endpoint as every SDK.

The call is made with a key of the account's own that nobody has the secret of, so that it is limited, charged and listed like any
other.
"""

from starlette.types import Scope

from services.edge.api.access import Access, cookies_of
from shared.bus import Bus
from shared.contracts import auth
from shared.contracts.auth import Principal
from shared.errors import Unauthenticated


class SessionPrincipals:
    """Finds the principal of whoever is signed in."""

    def __init__(self, bus: Bus, access: Access) -> None:
        self._bus = bus
        self._access = access

    async def of(self, scope: Scope) -> Principal:
        """Return the playground's key of the session's account. Raises: Unauthenticated, Forbidden, Unavailable."""
        self._access.check_origin(scope)
        token = cookies_of(scope).get(self._access.cookie_name, "")
        if not token:
            raise Unauthenticated("sign_in_needed")
        person = await self._access.by_session(token, self._access.client(scope))
        question = auth.GetPlaygroundKey(account_id=person.account_id)
        return await self._bus.call(auth.PLAYGROUND_KEY, question)
