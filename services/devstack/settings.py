"""What the local stack is told: everything has a default, so that `relay up` works as it is."""

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.settings import Secret, Settings

STACK_FILE = "stack.json"


class StackFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line needs to talk to the running stack; `stack.json` in the data directory, private."""

    nats_url: str
    nats_user: str
    nats_password: str
    database_url: str


class StackSettings(Settings, frozen=True, kw_only=True):
    """Settings of `relay up`. The services that it starts get theirs from it, and from the same environment."""

    nats_url: Annotated[
        str, Meta(description="NATS server to use instead of the embedded one; empty for embedded")
    ] = ""
    database_url: Annotated[
        Secret,
        Meta(
            description="PostgreSQL to use instead of the embedded one, as postgresql://…; empty for embedded"
        ),
    ] = Secret("")
    public_url: Annotated[
        str, Meta(description="Where people reach the console; http://localhost and the port by default")
    ] = ""
    data_dir: Annotated[str, Meta(description="Directory of the local stack's data")] = ".relay"
    outbox_page: Annotated[
        bool,
        Meta(description="Whether messages to people can be read at /api/outbox when no mail server is set"),
    ] = True
    upstream_base_url: Annotated[
        str, Meta(description="Provider of the demo channel, with its /v1; OpenAI when only a key is given")
    ] = ""
    upstream_api_key: Annotated[
        Secret,
        Meta(
            description="Key of that provider, or OPENAI_API_KEY; without one the built-in simulator answers"
        ),
    ] = Secret("")
    upstream_models: Annotated[
        tuple[str, ...],
        Meta(description="Models of that provider, separated by commas; some of OpenAI's by default"),
    ] = ()
    upstream_private_networks: Annotated[
        str,
        Meta(
            description="Private networks that channels of the local stack may point into, as CIDR with commas"
        ),
    ] = "127.0.0.0/8,::1/128"
    drain_seconds: Annotated[
        float, Meta(description="Seconds that running streams and calls may go on after SIGTERM", ge=0)
    ] = 10.0

    @property
    def console_url(self) -> str:
        """Where people reach the console: by name, since a passkey belongs to a name and never to an address."""
        return self.public_url or f"http://localhost:{self.port}"
