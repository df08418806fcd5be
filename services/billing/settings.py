"""What billing is told."""

from typing import Annotated

from msgspec import Meta

from shared.settings import Secret, Settings


class BillingSettings(Settings, frozen=True, kw_only=True):
    """Settings of billing, beside those that every service has."""

    port: Annotated[
        int, Meta(description="Port of the HTTP listener; 0 picks a free one", ge=0, le=65535)
    ] = 8082
    database_url: Annotated[Secret, Meta(description="PostgreSQL of this service, as postgresql://…")]
    database_pool_size: Annotated[int, Meta(description="Connections to PostgreSQL at most", ge=1)] = 4
    lanes: Annotated[
        int,
        Meta(description="Dedicated connections that move the money of requests, in batches", ge=1, le=32),
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
