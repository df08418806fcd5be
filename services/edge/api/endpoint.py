"""What a route of the JSON API declares: its path, who may use it, what it takes and what it gives."""

from typing import Literal

import msgspec

Access = Literal["public", "person", "operator"]
"""Who may use a route: anybody, whoever has signed in, or people with the role of administrator."""


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No members: what a route takes or gives that has nothing to say."""


class Endpoint(msgspec.Struct, frozen=True):
    """One route. `path` is below `/api`, with its parameters in braces.

    `takes` is the body of an unsafe method, `query` what stands behind the question mark. `is_dangerous` asks for the password or a
    second factor within the last minutes, unless a management key is shown. `media` is what a route gives that is not JSON.
    `is_browser_only` refuses management keys: it is about the session itself. `ignores_unknown` lets the query have parameters
    that are not ours, which other routes refuse: what another site sends a browser back with (RFC 6749 §4.1.2).
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    access: Access
    summary: str
    takes: type[msgspec.Struct] = Nothing
    gives: type[msgspec.Struct] = Nothing
    query: type[msgspec.Struct] = Nothing
    is_dangerous: bool = False
    is_browser_only: bool = False
    ignores_unknown: bool = False
    media: str = "application/json"

    @property
    def name(self) -> str:
        """What it is called in the OpenAPI document, such as `get_keys_id`."""
        parts = self.path.replace("{", "").replace("}", "").replace("-", "_").strip("/").split("/")
        return "_".join((self.method.lower(), *parts)).replace(".", "_")
