"""What the auth service is told beyond what every service is."""

import re
from typing import Annotated

import msgspec

from shared.settings import Secret, Settings, SettingsError

_HEX_OF_32_BYTES = re.compile("(?:[0-9a-fA-F]{2}){32,}")


class AuthSettings(Settings, frozen=True, kw_only=True):
    """Settings of `auth`. Raises: SettingsError for a pepper that is too short to keep a secret."""

    database_url: Annotated[
        Secret, msgspec.Meta(description="PostgreSQL, as postgresql://user:password@host:port/database")
    ]
    key_pepper: Annotated[
        Secret,
        msgspec.Meta(
            description="Secret that API keys are hashed with: at least 64 hexadecimal digits. "
            "Keys made with another pepper are no longer valid"
        ),
    ]
    database_pool_size: Annotated[
        int,
        msgspec.Meta(description="Connections to PostgreSQL for look-ups; as many again for changes", ge=1),
    ] = 8
    port: Annotated[
        int, msgspec.Meta(description="Port of the HTTP listener; 0 picks a free one", ge=0, le=65535)
    ] = 8081

    def __post_init__(self) -> None:
        """Refuse a pepper that could be guessed."""
        if not _HEX_OF_32_BYTES.fullmatch(self.key_pepper.reveal()):
            raise SettingsError(
                "RELAY_KEY_PEPPER must be at least 64 hexadecimal digits. Make one with: openssl rand -hex 32."
            )

    @property
    def pepper(self) -> bytes:
        """The pepper itself, at least 32 bytes."""
        return bytes.fromhex(self.key_pepper.reveal())
