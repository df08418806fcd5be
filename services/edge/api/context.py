"""What a handler of the JSON API knows of its request, and what every handler is."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from services.edge.errors import Language
from services.edge.settings import EdgeSettings
from shared.bus import Bus

Through = Literal["console", "management key", "command line"]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `is_fresh` when password or second factor were shown a moment ago; `session_id` None for a management key."""

    user_id: str
    account_id: str
    email: str
    role: Literal["admin", "member"]
    is_fresh: bool
    session_id: str | None
    through: Through


class Context:
    """One request: who asks for what, and by what means it is answered.

    `path` has the parameters of the path, decoded. An operator's handler may set `object` to name what it changed better than the
    route can, and `before` to what that was until now, both for the log of actions.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        person: Person,
        path: dict[str, str],
        language: Language,
        address: str,
        agent: str,
        settings: EdgeSettings,
    ) -> None:
        self.bus = bus
        self.person = person
        self.path = path
        self.language = language
        self.address = address
        self.agent = agent
        self.settings = settings
        self.object = ""
        self.before: msgspec.Struct | None = None


Handler = Callable[[Context, Any, Any], Awaitable[msgspec.Struct]]
