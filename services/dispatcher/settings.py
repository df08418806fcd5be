"""What the dispatcher is told."""

import ipaddress
from typing import Annotated

from msgspec import Meta

from shared.settings import Secret, Settings, SettingsError

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


class DispatcherSettings(Settings, frozen=True, kw_only=True):
    """Settings of the dispatcher, beside those that every service has."""

    port: Annotated[
        int, Meta(description="Port of the HTTP listener; 0 picks a free one", ge=0, le=65535)
    ] = 8083
    database_url: Annotated[Secret, Meta(description="PostgreSQL of this service, as postgresql://…")]
    database_pool_size: Annotated[int, Meta(description="Connections to PostgreSQL at most", ge=1)] = 4
    master_key: Annotated[
        Secret, Meta(description="Key that seals upstream credentials: 64 hexadecimal digits (32 bytes)")
    ]
    master_key_previous: Annotated[
        Secret,
        Meta(description="Master key before this one, until `relay reseal` has been run; empty for none"),
    ] = Secret("")
    upstream_private_networks: Annotated[
        tuple[str, ...],
        Meta(
            description="Private networks that channels may point into, as CIDR separated by commas; else public only"
        ),
    ] = ()
    upstream_connections_per_host: Annotated[
        int, Meta(description="Connections to one upstream host at most", ge=1)
    ] = 2000
    connect_seconds: Annotated[float, Meta(description="Seconds to connect to an upstream", gt=0)] = 5.0
    first_output_seconds: Annotated[
        float, Meta(description="Seconds that an upstream may take until its first output", gt=0)
    ] = 600.0
    slow_seconds: Annotated[
        float,
        Meta(
            description="Seconds without output after which a stream is asked for on another channel, if there is a good one",
            gt=0,
        ),
    ] = 60.0
    failover_seconds: Annotated[
        float, Meta(description="Seconds of a call after which no further channel is tried", ge=0)
    ] = 120.0
    failover_share: Annotated[
        float, Meta(description="Further attempts at most, as a share of all calls", ge=0, le=1)
    ] = 0.1
    failover_per_second: Annotated[
        float, Meta(description="Further attempts in each second that are allowed beside that share", ge=0)
    ] = 10.0
    idle_seconds: Annotated[float, Meta(description="Seconds of silence that end a running answer", gt=0)] = (
        120.0
    )
    answer_bytes_max: Annotated[int, Meta(description="Bytes of a plain answer at most", ge=1024)] = (
        64 * 1024 * 1024
    )
    streams_max: Annotated[
        int, Meta(description="Answers that one dispatcher carries at the same time", ge=1)
    ] = 2000
    body_memory_bytes: Annotated[
        int,
        Meta(description="Memory for request bodies of all running calls together, in bytes", ge=1024 * 1024),
    ] = 512 * 1024 * 1024
    channels_reread_seconds: Annotated[
        float, Meta(description="Seconds after which channels are read again even without an event", gt=0)
    ] = 10.0

    channel_probe_seconds: Annotated[
        float, Meta(description="Seconds between two tests of an upstream key that is out", gt=0)
    ] = 60.0
    channel_test_seconds: Annotated[
        float, Meta(description="Seconds between two tests of every upstream key; 0 for none", ge=0)
    ] = 0.0

    def networks(self) -> Networks:
        """Return the private networks that are allowed. Raises: SettingsError."""
        try:
            return tuple(ipaddress.ip_network(text) for text in self.upstream_private_networks if text)
        except ValueError as error:
            raise SettingsError(f"RELAY_UPSTREAM_PRIVATE_NETWORKS is not usable: {error}.") from error
