"""What a handler of the JSON API is given, and what it may answer beside its shape."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import msgspec

from services.edge.errors import Language
from services.edge.settings import EdgeSettings
from shared.bus import Bus
from shared.contracts.auth import Role
from shared.contracts.people import Client
from shared.errors import Unauthenticated

Through = Literal["console", "management key"]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `session_id` is None for a management key, which is always fresh: making it asked for the password."""

    user_id: str
    account_id: str
    email: str
    role: Role
    language: Language
    is_fresh: bool
    through: Through
    session_id: str | None = None


class Redirect(msgspec.Struct, frozen=True):
    """Go to `url` instead: 302."""

    url: str


class Rows(msgspec.Struct, frozen=True):
    """A table as it comes, part by part, saved under the name `file`."""

    parts: AsyncIterator[bytes]
    file: str


class Context:
    """One call of the API: who asks, from where, and by what.

    `path` holds the parameters of the path, decoded. A handler that changes something may note for the log of operators' actions
    what it was done to (`object`) and how that was `before`. What it leaves in `session_token` becomes the session's cookie: a new
    token, or "" to end it. `new_cookies` are others that the browser gets with the answer, as whole values of Set-Cookie.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        settings: EdgeSettings,
        path: dict[str, str],
        language: Language,
        client: Client,
        cookies: dict[str, str],
        person: Person | None,
    ) -> None:
        self.bus = bus
        self.settings = settings
        self.path = path
        self.language = language
        self.client = client
        self.cookies = cookies
        self.session_token: str | None = None
        self.new_cookies: list[str] = []
        self.object = ""
        self.before: msgspec.Struct | None = None
        self._person = person

    @property
    def person(self) -> Person:
        """Who asks; the route's access sees to it that there is somebody. Raises: Unauthenticated."""
        if self._person is None:
            raise Unauthenticated("sign_in_needed")
        return self._person

    @property
    def address(self) -> str:
        """The address that the request comes from, empty if nobody knows."""
        return self.client.address

    @property
    def agent(self) -> str:
        """Browser and system in words, empty if not known."""
        return self.client.agent

    @property
    def is_signed_in(self) -> bool:
        """Whether somebody asks who is known, also where nobody need be."""
        return self._person is not None

    def set_session(self, token: str) -> None:
        """Let the browser carry `token` from this answer on."""
        self.session_token = token

    def clear_session(self) -> None:
        """Let the browser forget its session with this answer."""
        self.session_token = ""


Answer = msgspec.Struct | Redirect | Rows
Handler = Callable[[Context, Any, Any], Awaitable[Answer]]
"""`await handler(context, ask, query)` → what the endpoint gives."""
