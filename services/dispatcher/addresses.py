"""Where the dispatcher may connect to: the public internet, and the networks that the operator has named.

The check is made on the addresses that the connection then uses, not on a name that may resolve differently a moment
later (OWASP API7, server-side request forgery). A host that is an address literal needs no resolver, so the transport
asks `AddressPolicy.check_host` for each request; every other host passes `GuardedResolver`.
"""

import ipaddress
import socket

import httpx
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast. Written out, since what `is_private`
# and `is_global` of the standard library say differs between patch releases of Python.
_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers' translators
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, where clouds serve their metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

# https://www.iana.org/assignments/iana-ipv6-special-registry. Only 2000::/3 is assigned to the public at all, which
# leaves out loopback, link-local, unique local, multicast and IPv4-mapped addresses.
_ASSIGNED_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, with Teredo, which holds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",
    )
)
_TRANSLATED_V4 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052; networks without IPv4 reach it so


class AddressRefused(httpx.ConnectError):
    """The host is, or resolves only to, addresses that may not be connected to. Nothing was sent."""


def is_public(address: Address) -> bool:
    """Return whether `address` is one of the public internet, reached as itself and not inside another protocol."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address in _TRANSLATED_V4:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _ASSIGNED_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


class AddressPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which addresses may be connected to: `allowed_networks`, and the public internet unless that is excluded."""

    allowed_networks: tuple[Network, ...] = ()
    is_public_allowed: bool = True

    def permits(self, address: Address) -> bool:
        """Return whether a connection to `address` may be made."""
        if any(address in network for network in self.allowed_networks):
            return True
        return self.is_public_allowed and is_public(address)

    def check_host(self, host: str) -> None:
        """Return if `host` is a name, which is for the resolver to check, or an address that is permitted.

        Odd spellings of an IPv4 address, such as `2130706433`, `0x7f.1` or `127.0.0.1.`, are refused whatever they
        mean, for two parsers may disagree about them.

        Raises: AddressRefused when it is any other address.
        """
        last_label = host.rstrip(".").rpartition(".")[2]
        if ":" not in host and not last_label.isdigit() and not last_label.lower().startswith("0x"):
            return
        try:
            address = ipaddress.ip_address(host)
        except ValueError as error:
            raise AddressRefused("the host is not a well-formed IP address") from error
        if not self.permits(address):
            raise AddressRefused("the host is an address that may not be connected to")


class GuardedResolver(AbstractResolver):
    """Resolves names once, and gives out only the addresses that its policy permits."""

    def __init__(self, policy: AddressPolicy, *, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the permitted addresses of `host`.

        Raises: AddressRefused when it has addresses and none is permitted; OSError when it has none.
        """
        found = await self._resolver.resolve(host, port, family)
        permitted = [entry for entry in found if self._policy.permits(ipaddress.ip_address(entry["host"]))]
        if found and not permitted:
            raise AddressRefused("the host resolves to an address that may not be connected to")
        return permitted

    async def close(self) -> None:
        """Release what the inner resolver holds."""
        await self._resolver.close()
