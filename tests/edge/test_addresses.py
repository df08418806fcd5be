"""The client's address behind proxies, and the networks of a key."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from services.edge.addresses import client_address, is_allowed

PROXIES = ("10.0.0.0/8", "fd00::/8")


def scope(peer: str | None, *forwarded: str) -> Scope:
    """Return the part of an ASGI scope that is looked at."""
    return {
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"x-forwarded-for", value.encode("utf-8", "replace")) for value in forwarded],
    }


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        # Nobody is trusted by being asked.
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        # One proxy, two proxies, and what a client put in front.
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["127.0.0.1", "198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        # Everybody is trusted: the one who is farthest away.
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # Forms that proxies write.
        ("10.0.0.1", ["198.51.100.1:5555"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:5555"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        # What is no address ends the search at the hop that passed it on.
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [",,,"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1\r\nx: y"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3"], "10.0.0.1"),
        ("10.0.0.1", ["0x7f000001"], "10.0.0.1"),
        ("10.0.0.1", ["١٠.٠.٠.١"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%<script>"], "fe80::1"),
        # More hops than a chain has are not walked.
        ("10.0.0.1", ["198.51.100.1," + "10.0.0.2," * 10_000 + "10.0.0.2"], "10.0.0.2"),
    ],
)
def test_client_address_is_the_right_most_that_is_not_trusted(
    peer: str, forwarded: list[str], expected: str
) -> None:
    """Only what trusted hops appended is believed."""
    assert client_address(scope(peer, *forwarded), PROXIES) == ip_address(expected)


@pytest.mark.parametrize("peer", [None, "testclient", ""])
def test_a_peer_without_an_address_is_nobody(peer: str | None) -> None:
    """Over a Unix socket there is no peer that could be trusted to forward."""
    assert client_address(scope(peer, "198.51.100.1"), PROXIES) is None


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    """The default setting believes nobody."""
    assert client_address(scope("10.0.0.1", "198.51.100.1"), ()) == ip_address("10.0.0.1")


@pytest.mark.parametrize(
    ("address", "allowed", "expected"),
    [
        ("198.51.100.1", (), True),
        ("198.51.100.1", ("198.51.100.1",), True),
        ("198.51.100.1", ("198.51.100.0/24",), True),
        ("198.51.100.1", ("198.51.100.77/24",), True),
        ("198.51.101.1", ("198.51.100.0/24",), False),
        ("198.51.101.1", ("198.51.100.0/24", "198.51.101.0/24"), True),
        ("::ffff:198.51.100.1", ("198.51.100.0/24",), True),
        ("198.51.100.1", ("::ffff:198.51.100.0/120",), True),
        ("198.51.101.1", ("::ffff:198.51.100.0/120",), False),
        ("198.51.100.1", ("::ffff:0:0/96",), True),
        ("198.51.100.1", ("::/0",), False),
        ("2001:db8::1", ("2001:db8::/32",), True),
        ("2001:db9::1", ("2001:db8::/32",), False),
        ("2001:db8::1", ("0.0.0.0/0",), False),
        ("198.51.100.1", ("nonsense", "300.1.1.1", ""), False),
        ("198.51.100.1", ("nonsense", "198.51.100.1"), True),
    ],
)
def test_is_allowed_compares_with_every_network(
    address: str, allowed: tuple[str, ...], expected: bool
) -> None:
    """Single addresses and networks, IPv4 in both its forms; a malformed entry lets nobody in."""
    assert is_allowed(ip_address(address), allowed) is expected


def test_an_unknown_address_is_allowed_only_where_all_are() -> None:
    """A key that is bound to addresses fails closed."""
    assert is_allowed(None, ())
    assert not is_allowed(None, ("0.0.0.0/0", "::/0"))


@given(peer=st.none() | st.text(), forwarded=st.lists(st.text(), max_size=3))
def test_no_header_is_an_error(peer: str | None, forwarded: list[str]) -> None:
    """Whatever a client writes, the answer is an address or None."""
    found = client_address(scope(peer, *forwarded), ("0.0.0.0/0", "::/0"))
    assert is_allowed(found, ("0.0.0.0/0", "::/0")) is (found is not None)
