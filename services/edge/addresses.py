"""Who is calling, and may the key be used from there?

`X-Forwarded-For` is a list that every hop appends to. Only what our own proxies appended is known; everything left of the first
untrusted address is hearsay that any client can write. So the list is read from the right and no further than trust reaches.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOPS_AT_MOST = 16
MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 in IPv6, RFC 4291 §2.5.5.2


def client_address(scope: Scope, trusted_proxies: tuple[str, ...]) -> Address | None:
    """Return the address of the client: the peer's, or what trusted peers say in `X-Forwarded-For`.

    The answer is the right-most address that is not in `trusted_proxies` (networks in CIDR form). An entry that is no address ends
    the search at the hop that passed it on. None when the server names no peer, as for a Unix socket.
    """
    peer = scope.get("client")
    address = None if peer is None else _address(peer[0])
    for entry in _forwarded(scope):
        if address is None or not _is_within(address, trusted_proxies):
            break
        told = _address(_without_port(entry))
        if told is None:
            break
        address = told
    return address


def is_allowed(address: Address | None, allowed: tuple[str, ...]) -> bool:
    """Return whether `address` lies in one of the networks `allowed`; an empty list allows everything.

    An unknown address is in no network, and a malformed network has no members: both refuse.
    """
    return not allowed or (address is not None and _is_within(_plain(address), allowed))


def _forwarded(scope: Scope) -> list[str]:
    """Return the entries of all `X-Forwarded-For` headers, the nearest hop first, at most as many as a real chain has."""
    joined = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    entries = joined.decode("latin-1").rsplit(",", HOPS_AT_MOST)[-HOPS_AT_MOST:]
    return [entry.strip() for entry in reversed(entries)]


def _without_port(entry: str) -> str:
    """Return the host of `192.0.2.1:4711` and `[2001:db8::1]:4711`, which some proxies write."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _address(text: str) -> Address | None:
    try:
        # A zone such as `%eth0` means something on one machine only, and may hold any text.
        return _plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """Return an IPv4 address that came as IPv6 in its own form, so that one client has one address."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_within(address: Address, networks: tuple[str, ...]) -> bool:
    return any(address in network for network in _networks(networks))


@lru_cache(maxsize=1_024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(network for text in texts if (network := _network(text)) is not None)


def _network(text: str) -> Network | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        start = int(network.network_address) - int(MAPPED.network_address)
        return IPv4Network((start, network.prefixlen - MAPPED.prefixlen))
    return network
