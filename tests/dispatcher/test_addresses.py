"""The rule where the dispatcher may connect to."""

import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.addresses import AddressPolicy, AddressRefused, GuardedResolver, is_public

SPECIAL = [
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1",
    "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001::1",
    "64:ff9b::808:808",
]  # fmt: skip
REFUSED_HOSTS = [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "::ffff:a9fe:a9fe", "0", "017700000001", "0x7f.1",
    "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001",
    "127.0.0.0x1", "8.8.8.8.", "134744072", "::1", "::ffff:7f00:1", "::ffff:127.0.0.1", "fe80::1%eth0",
    "١٢٧.٠.٠.١", "300.1.1.1",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    SPECIAL,
)
def test_special_addresses_are_not_public(text: str) -> None:
    """Private, local, shared, reserved, multicast, mapped and tunnelled addresses are refused."""
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    PUBLIC,
)
def test_addresses_of_the_internet_are_public(text: str) -> None:
    """The neighbours of the special networks, and translated public addresses, are allowed."""
    assert is_public(ipaddress.ip_address(text))


@given(address=st.ip_addresses())
def test_nothing_that_python_calls_special_is_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Our table refuses at least all that the standard library knows as private or reserved."""
    is_translated = address in ipaddress.ip_network("64:ff9b::/96")
    if not is_translated and (address.is_private or address.is_multicast or address.is_reserved):
        assert not is_public(address)


def test_a_policy_permits_its_networks_and_the_public() -> None:
    """A named network is permitted beside the internet, or instead of it."""
    networks = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    policy = AddressPolicy(allowed_networks=networks)
    only = AddressPolicy(allowed_networks=networks, is_public_allowed=False)
    for text in ("10.1.2.3", "fd00::1"):
        assert policy.permits(ipaddress.ip_address(text))
        assert only.permits(ipaddress.ip_address(text))
    assert policy.permits(ipaddress.ip_address("8.8.8.8"))
    assert not only.permits(ipaddress.ip_address("8.8.8.8"))
    assert not policy.permits(ipaddress.ip_address("192.168.0.1"))


@pytest.mark.parametrize(
    "host",
    REFUSED_HOSTS,
)
def test_addresses_as_hosts_are_refused_in_every_spelling(host: str) -> None:
    """F96: an address that is special, or written oddly, is no host to connect to."""
    with pytest.raises(AddressRefused):
        AddressPolicy().check_host(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "2606:4700::1111", "api.example.com", "localhost", "1and1.com", "x.0a"]
)
def test_public_addresses_and_names_pass(host: str) -> None:
    """A public address passes, and a name is left to the resolver."""
    AddressPolicy().check_host(host)


class _Names(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_the_resolver_gives_out_permitted_addresses_only() -> None:
    """F96: of a mixed answer only the permitted addresses are left, and of a bad one nothing."""
    mixed = GuardedResolver(AddressPolicy(), resolver=_Names("127.0.0.1", "8.8.8.8", "fe80::1%2"))
    assert [entry["host"] for entry in await mixed.resolve("provider.test")] == ["8.8.8.8"]
    bad = GuardedResolver(AddressPolicy(), resolver=_Names("10.0.0.1", "::1"))
    with pytest.raises(AddressRefused):
        await bad.resolve("provider.test")


async def test_the_system_resolver_is_guarded_too() -> None:
    """`localhost` is the plainest name of a refused address."""
    with pytest.raises(AddressRefused):
        await GuardedResolver(AddressPolicy()).resolve("localhost", 443, socket.AF_UNSPEC)
