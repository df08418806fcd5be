"""What the auth service is told beyond what every service is."""

import re
from email.utils import parseaddr
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from services.auth.providers import Provider, providers_of
from shared.settings import Secret, Settings, SettingsError

_HEX_OF_32_BYTES = re.compile("(?:[0-9a-fA-F]{2}){32,}")


class AuthSettings(Settings, frozen=True, kw_only=True):
    """Settings of `auth`. Raises: SettingsError for a pepper that is too short to keep a secret, and what cannot work."""

    database_url: Annotated[
        Secret, Meta(description="PostgreSQL, as postgresql://user:password@host:port/database")
    ]
    key_pepper: Annotated[
        Secret,
        Meta(
            description="Secret that API keys are hashed with: at least 64 hexadecimal digits. "
            "Keys made with another pepper are no longer valid"
        ),
    ]
    factor_key: Annotated[
        Secret,
        Meta(
            description="Key that seals the secrets of authenticators: 64 random hexadecimal digits; empty for no authenticators. "
            "With another key people must set theirs up anew"
        ),
    ] = Secret("")
    database_pool_size: Annotated[
        int,
        Meta(description="Connections to PostgreSQL for look-ups; as many again for changes", ge=1),
    ] = 8
    public_url: Annotated[
        str,
        Meta(
            description="Where people reach the console, as https://relay.example.com, the same as for the edge: links in messages "
            "lead there, and passkeys are good there alone"
        ),
    ] = "http://localhost:8080"
    smtp_host: Annotated[
        str, Meta(description="Mail server; empty for none: messages then wait, or lie on the outbox page")
    ] = ""
    smtp_port: Annotated[int, Meta(description="Port of the mail server", ge=1, le=65535)] = 587
    smtp_tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(
            description="How the mail server is spoken to: starttls (mostly port 587), tls from the first byte (465), or none"
        ),
    ] = "starttls"
    smtp_user: Annotated[str, Meta(description="User of the mail server; empty for none")] = ""
    smtp_password: Annotated[Secret, Meta(description="Password of that user")] = Secret("")
    smtp_from: Annotated[
        str, Meta(description="Sender of messages, as relay@example.com or Relay <relay@example.com>")
    ] = ""
    outbox_page: Annotated[
        bool,
        Meta(
            description="Whether anybody may read, without a mail server, the messages at /api/outbox: for development alone, "
            "since they hold links that sign in"
        ),
    ] = False
    oidc_google_client_id: Annotated[
        str, Meta(description="Client id for sign-in with Google; empty for none")
    ] = ""
    oidc_google_client_secret: Annotated[Secret, Meta(description="Secret of that client")] = Secret("")
    oidc_github_client_id: Annotated[
        str, Meta(description="Client id for sign-in with GitHub; empty for none")
    ] = ""
    oidc_github_client_secret: Annotated[Secret, Meta(description="Secret of that client")] = Secret("")
    oidc_providers: Annotated[
        Secret,
        Meta(
            description="Other issuers to sign in with, as JSON: "
            '[{"id": "acme", "name": "Acme", "issuer": "https://…", "client_id": "…", "client_secret": "…"}]; empty for none'
        ),
    ] = Secret("")
    session_idle_seconds: Annotated[
        float, Meta(description="Seconds after which a session ends that nobody uses", ge=60)
    ] = 7 * 86_400.0
    session_seconds_max: Annotated[
        float, Meta(description="Seconds after which a session ends in any case", ge=60)
    ] = 30 * 86_400.0
    fresh_seconds: Annotated[
        float,
        Meta(description="Seconds for which a password or second factor counts for dangerous acts", ge=1),
    ] = 600.0
    password_threads: Annotated[
        int, Meta(description="Threads that hash passwords, each with 64 MiB", ge=1, le=64)
    ] = 2
    port: Annotated[
        int, Meta(description="Port of the HTTP listener; 0 picks a free one", ge=0, le=65535)
    ] = 8081

    def __post_init__(self) -> None:
        """Refuse a pepper that could be guessed, links that lead nowhere, and mail without a sender."""
        if not _HEX_OF_32_BYTES.fullmatch(self.key_pepper.reveal()):
            raise SettingsError(
                "RELAY_KEY_PEPPER must be at least 64 hexadecimal digits. Make one with: openssl rand -hex 32."
            )
        _ = self.providers
        address = urlsplit(self.public_url)
        if address.scheme not in ("http", "https") or not address.hostname or address.path not in ("", "/"):
            raise SettingsError("RELAY_PUBLIC_URL must be like https://relay.example.com, without a path.")
        if self.smtp_host and "@" not in parseaddr(self.smtp_from)[1]:
            raise SettingsError("RELAY_SMTP_FROM must be the sender of messages, such as relay@example.com.")

    @property
    def has_outbox(self) -> bool:
        """Whether messages are kept for anybody to read, since no mail server takes them."""
        return self.outbox_page and not self.smtp_host

    @property
    def origin(self) -> str:
        """Where people reach the console, without a slash at its end."""
        return self.public_url.rstrip("/")

    @property
    def providers(self) -> tuple[Provider, ...]:
        """Whose sign-in this site takes besides its own. Raises: SettingsError for one that cannot work."""
        return providers_of(
            self.oidc_providers,
            google=(self.oidc_google_client_id, self.oidc_google_client_secret),
            github=(self.oidc_github_client_id, self.oidc_github_client_secret),
        )

    @property
    def pepper(self) -> bytes:
        """The pepper itself, at least 32 bytes."""
        return bytes.fromhex(self.key_pepper.reveal())
