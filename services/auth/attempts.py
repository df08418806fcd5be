"""How often something secret was tried, and how long the next try must wait: one count for all replicas.

A try is paid for before it is made: its counts go up in the transaction that looks for whom it is about, so that a hundred tries at
once are a hundred. Who was right gets it back. Counts are kept of what was entered, whether or not it exists, and by its hash.

A few tries are free; each one after them makes the next wait twice as long, up to a bound. The bound for an address of a person is
low, and does not hold where that person has signed in before: whoever guesses at somebody else's password cannot lock them out.
"""

import hashlib
import ipaddress
import math

import msgspec

from shared.db import Connection
from shared.errors import RateLimited

IPV6_HOST_BITS = 64  # one subscriber has a whole /64 to choose from (RFC 6177)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """`free` tries; the next waits for `first_seconds`, and each one after it twice as long, up to `longest_seconds`.

    The count is forgotten when nobody has tried for `quiet_seconds`.
    """

    name: str
    free: int
    first_seconds: float
    longest_seconds: float
    quiet_seconds: float


# A password, by who and where; by where; by who.
SIGN_IN_FROM = Limit(name="sign-in-from", free=5, first_seconds=1, longest_seconds=900, quiet_seconds=3600)
SIGN_IN_ADDRESS = Limit(
    name="sign-in-address", free=50, first_seconds=1, longest_seconds=300, quiet_seconds=3600
)
SIGN_IN_PERSON = Limit(
    name="sign-in-person", free=30, first_seconds=1, longest_seconds=60, quiet_seconds=86_400
)
# A password or code of whoever has signed in, or has shown the password.
CONFIRM = Limit(name="confirm", free=5, first_seconds=1, longest_seconds=900, quiet_seconds=3600)
# A sign-in that is begun before anybody has shown anything: with a passkey, or at somebody else's.
BEGIN_ADDRESS = Limit(name="begin-address", free=100, first_seconds=1, longest_seconds=60, quiet_seconds=3600)
# A message that somebody asks for, by whom it goes to and from where it is asked.
MAIL_TO = Limit(name="mail-to", free=4, first_seconds=60, longest_seconds=3600, quiet_seconds=86_400)
MAIL_ADDRESS = Limit(name="mail-address", free=20, first_seconds=10, longest_seconds=600, quiet_seconds=3600)


class Subject(msgspec.Struct, frozen=True):
    """What tries are counted by: the value of one kind, such as an e-mail address."""

    limit: Limit
    value: str

    @property
    def digest(self) -> bytes:
        """What stands for it in the database."""
        return hashlib.sha256(f"{self.limit.name}\0{self.value}".encode("utf-8", "replace")).digest()


def wait_seconds(limit: Limit, tries: int) -> float:
    """Return how long to wait after `tries`: nothing while the next is free."""
    if tries < limit.free:
        return 0.0
    return min(limit.longest_seconds, math.ldexp(limit.first_seconds, min(tries - limit.free, 60)))


def place_of(address: str) -> str:
    """Return the network that counts as one place: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 128 - IPV6_HOST_BITS), strict=False))


async def take(connection: Connection, subjects: tuple[Subject, ...]) -> None:
    """Count one try of each subject, or none of them when one must wait. Raises: RateLimited, which rolls back."""
    for subject in _in_order(subjects):
        tries = await connection.fetchval(
            """INSERT INTO auth.attempt AS a (subject) VALUES ($1)
               ON CONFLICT (subject) DO UPDATE SET tried_at = now(), blocked_until = NULL,
                   tries = CASE WHEN a.tried_at < now() - make_interval(secs => $2) THEN 1 ELSE a.tries + 1 END
               WHERE a.blocked_until IS NULL OR a.blocked_until <= now()
               RETURNING tries""",
            subject.digest,
            subject.limit.quiet_seconds,
        )
        if tries is None:
            raise await _limited(connection, subject)
        if wait := wait_seconds(subject.limit, tries):
            await connection.execute(
                "UPDATE auth.attempt SET blocked_until = now() + make_interval(secs => $2) WHERE subject = $1",
                subject.digest,
                wait,
            )


async def forgive(
    connection: Connection, subjects: tuple[Subject, ...], *, wholly: tuple[Subject, ...] = ()
) -> None:
    """Take back the one try of each subject, which was right; of those named `wholly`, every try."""
    for subject in _in_order((*subjects, *wholly)):
        await connection.execute(
            """UPDATE auth.attempt SET blocked_until = NULL, tries = CASE WHEN $2 THEN 0 ELSE greatest(tries - 1, 0) END
               WHERE subject = $1""",
            subject.digest,
            subject in wholly,
        )


def _in_order(subjects: tuple[Subject, ...]) -> list[Subject]:
    """Return each subject once, in the one order in which rows are locked."""
    return sorted(set(subjects), key=lambda subject: subject.digest)


async def _limited(connection: Connection, subject: Subject) -> RateLimited:
    left = await connection.fetchval(
        "SELECT extract(epoch FROM blocked_until - now())::float8 FROM auth.attempt WHERE subject = $1",
        subject.digest,
    )
    seconds = max(1, math.ceil(left or 1.0))
    return RateLimited("too_many_attempts", retry_after_seconds=seconds, retry_seconds=seconds)
