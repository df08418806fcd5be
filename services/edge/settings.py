"""What the edge is told."""

import ipaddress
from typing import Annotated, Literal

from msgspec import Meta

from shared.settings import Settings, SettingsError


class EdgeSettings(Settings, frozen=True, kw_only=True):
    """Settings of the edge, beside those that every service has."""

    default_language: Annotated[
        Literal["en", "zh"], Meta(description="Language of messages when the client names none: en or zh")
    ] = "en"
    public_url: Annotated[
        str,
        Meta(
            description="Where people reach the console, as https://relay.example.com, the same as for auth: what changes "
            "something must come from there, and cookies demand TLS if it begins with https",
            pattern=r"^https?://[A-Za-z0-9._:\[\]-]+$",
        ),
    ] = "http://localhost:8080"
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks whose X-Forwarded-For is believed, as CIDR separated by commas; none by default"
        ),
    ] = ()
    head_seconds_max: Annotated[
        float, Meta(description="Seconds to receive the head of a request, from its first byte", gt=0)
    ] = 10.0
    body_bytes_max: Annotated[int, Meta(description="Bytes of a request body at most", ge=1024)] = (
        20 * 1024 * 1024
    )
    body_seconds_max: Annotated[float, Meta(description="Seconds to receive a request body", gt=0)] = 60.0
    body_bytes_per_second_min: Annotated[
        float,
        Meta(
            description="Bytes of a request body for each second at least, after the first 5 s; 0 for any pace",
            ge=0,
        ),
    ] = 1024.0
    body_memory_bytes: Annotated[
        int,
        Meta(description="Memory for the bodies of all running requests together, in bytes", ge=1024 * 1024),
    ] = 512 * 1024 * 1024
    request_seconds_max: Annotated[
        float, Meta(description="Seconds that one request may run; its hold ends then", ge=1, le=86400)
    ] = 1800.0
    streams_max: Annotated[int, Meta(description="Requests that one edge carries at the same time", ge=1)] = (
        2000
    )
    keep_alive_seconds: Annotated[
        float, Meta(description="Seconds of silence after which a stream gets a keep-alive comment", gt=0)
    ] = 10.0
    status_held_seconds: Annotated[
        float,
        Meta(
            description="Seconds to wait for the first event before a stream's status 200 is sent regardless",
            gt=0,
        ),
    ] = 10.0
    client_stall_seconds: Annotated[
        float, Meta(description="Seconds that a client may take nothing of its answer", gt=0)
    ] = 60.0
    key_cache_seconds: Annotated[
        float, Meta(description="Seconds that a verified key is remembered at most", ge=0, le=10)
    ] = 10.0
    access_log: Annotated[bool, Meta(description="Whether each request gets a line in the log")] = True
    lease_renew_seconds: Annotated[
        float, Meta(description="Seconds between two renewals of this edge's lease on its holds", gt=0)
    ] = 10.0

    def __post_init__(self) -> None:
        """Refuse proxies that are no networks: a typing error must not silently trust nobody."""
        for text in self.trusted_proxies:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise SettingsError(f"RELAY_TRUSTED_PROXIES is not usable: {error}.") from error
