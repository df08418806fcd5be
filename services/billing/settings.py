"""What billing is told."""

import re
from typing import Annotated, Literal

from msgspec import Meta

from shared.settings import Secret, Settings, SettingsError

_HEX_OF_32_BYTES = re.compile("(?:[0-9a-fA-F]{2}){32,}")


class BillingSettings(Settings, frozen=True, kw_only=True):
    """Settings of billing, beside those that every service has."""

    port: Annotated[
        int, Meta(description="Port of the HTTP listener; 0 picks a free one", ge=0, le=65535)
    ] = 8082
    database_url: Annotated[Secret, Meta(description="PostgreSQL of this service, as postgresql://…")]
    database_pool_size: Annotated[int, Meta(description="Connections to PostgreSQL at most", ge=1)] = 4
    code_pepper: Annotated[
        Secret,
        Meta(
            description="Secret that codes for credit are hashed with: at least 64 hexadecimal digits; empty: there are no codes. "
            "Codes made with another pepper are no longer valid"
        ),
    ] = Secret("")
    lanes: Annotated[
        int,
        Meta(description="Dedicated connections that move the money of requests, in batches", ge=1, le=32),
    ] = 1
    hold_slice_tokens: Annotated[
        int,
        Meta(
            description="Output tokens that the hold of a stream covers at first, for each choice",
            ge=64,
            le=10_000_000,
        ),
    ] = 2048
    nats_replicas: Annotated[
        Literal[1, 3, 5],
        Meta(description="Copies of what waits on JetStream's disks: 1, or 3 or 5 on a cluster of NATS"),
    ] = 1
    lease_seconds: Annotated[
        int, Meta(description="Seconds after which a silent edge loses its lease and its holds expire", ge=10)
    ] = 60
    expiry_grace_seconds: Annotated[
        int,
        Meta(description="Seconds between the end of a lease or deadline and the expiry of its holds", ge=0),
    ] = 30
    reap_seconds: Annotated[
        float, Meta(description="Seconds between two looks for holds to expire", gt=0)
    ] = 5.0
    audit_seconds: Annotated[
        float, Meta(description="Seconds between two audits of the ledger; 0 for none", ge=0)
    ] = 3600.0
    audit_seconds_max: Annotated[
        float, Meta(description="Seconds that one audit may take; it is given up then", ge=1)
    ] = 600.0
    audit_database_url: Annotated[
        Secret,
        Meta(
            description="PostgreSQL to audit, such as a standby, as postgresql://…; empty for billing's own"
        ),
    ] = Secret("")

    def __post_init__(self) -> None:
        """Refuse a pepper that could be guessed."""
        if self.pepper is not None and not _HEX_OF_32_BYTES.fullmatch(self.code_pepper.reveal()):
            raise SettingsError(
                "RELAY_CODE_PEPPER must be at least 64 hexadecimal digits. Make one with: openssl rand -hex 32."
            )

    @property
    def pepper(self) -> bytes | None:
        """The pepper itself, at least 32 bytes; None where there are no codes."""
        text = self.code_pepper.reveal()
        return text.encode() if text else None
