"""How often keys were wrong: at one address, for one key id, and on the whole.

A count leaks away at a fixed pace. While it is at its limit, nobody asks auth about another key, so guessing costs the database
no more than that pace. The secret itself cannot be guessed, with 190 random bits; this is about load.
"""

from collections import OrderedDict
from ipaddress import IPv6Address

import msgspec

from services.edge.addresses import Address
from shared.errors import RateLimited

ENTRIES_MAX = 10_000
IPV6_HOST_BITS = 64  # one subscriber has a whole /64 to choose from (RFC 6177)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """At most `burst` at once, and `per_second` in the long run."""

    burst: int
    per_second: float


ONE = Pace(burst=20, per_second=1.0)  # one address, or one key id
ALL = Pace(burst=1_000, per_second=200.0)  # everybody at this edge


class Leaks:
    """Counts by name that leak away; the `entries_max` that were raised last are kept."""

    def __init__(self, pace: Pace, *, entries_max: int = ENTRIES_MAX) -> None:
        self._pace = pace
        self._entries_max = entries_max
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_seconds(self, name: str, now: float) -> float:
        """Return how long it takes until there is room for one more; 0 or less if there is."""
        return (self._count(name, now) - (self._pace.burst - 1)) / self._pace.per_second

    def add(self, name: str, now: float) -> None:
        """Raise a count by one. It stays below twice the burst, so that nobody waits for ever."""
        self._counts[name] = (min(self._count(name, now) + 1, 2.0 * self._pace.burst), now)
        self._counts.move_to_end(name)
        while len(self._counts) > self._entries_max:
            self._counts.popitem(last=False)

    def _count(self, name: str, now: float) -> float:
        count, at = self._counts.get(name, (0.0, now))
        return max(0.0, count - (now - at) * self._pace.per_second)


class Guesses:
    """The wrong keys of an edge. `now` is of a clock that never goes back, in seconds."""

    def __init__(self) -> None:
        self._of_address = Leaks(ONE)
        self._of_key = Leaks(ONE)
        self._of_all = Leaks(ALL)

    def check(self, address: Address | None, key_id: str, now: float) -> None:
        """Return if another key may be tried. Raises: RateLimited with the wait."""
        wait_seconds = max(
            self._of_address.wait_seconds(address_name(address), now),
            self._of_key.wait_seconds(key_id, now),
            self._of_all.wait_seconds("", now),
        )
        if wait_seconds > 0:
            raise RateLimited("too_many_wrong_keys", retry_after_seconds=wait_seconds)

    def add(self, address: Address | None, key_id: str, now: float) -> None:
        """Count a wrong key."""
        self._of_address.add(address_name(address), now)
        self._of_key.add(key_id, now)
        self._of_all.add("", now)


def address_name(address: Address | None) -> str:
    """Return the name under which what comes from an address is counted: a subscriber's, not a machine's."""
    if isinstance(address, IPv6Address):
        return f"{int(address) >> IPV6_HOST_BITS:x}/64"
    return str(address)
