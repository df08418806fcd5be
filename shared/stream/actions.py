"""What a machine of the stream protocol asks its driver to do. Actions are performed in the order of the list."""

import enum

import msgspec


class Failure(enum.StrEnum):
    """Why a caller's request failed."""

    BUSY = "busy"
    """Every callee that was asked refused."""
    NO_RESPONDERS = "no_responders"
    """There is no callee."""
    NO_ACCEPT = "no_accept"
    """No callee answered in time."""
    GAP = "gap"
    """Frames stayed missing."""
    PEER_LOST = "peer_lost"
    """The callee's process is gone, or does not know the request any more."""
    ABORTED = "aborted"
    """The callee gave up."""
    CANCELLED = "cancelled"
    """The caller's own application gave up."""


class Send(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Publish `frame` for this request to the process `peer`; None is the queue of callees.

    `is_repair` says that it goes out again, or as a probe, because something may have been lost.
    """

    peer: str | None
    frame: bytes
    is_repair: bool = False


class Closed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Drop the machine: it has nothing more to say. Always the last action."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The process `peer` has accepted `attempt`. At most once, and always before `Started`."""

    peer: str
    attempt: int


class Started(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer begins with the opaque `head`."""

    head: bytes


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The next bytes of the answer; report them with `consumed` when the client has taken them."""

    data: bytes


class Ended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Outcome: the answer is complete, every byte was delivered, and the callee's opaque `tail` says how it went."""

    tail: bytes


class Failed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Outcome: there is no complete answer.

    `has_accept` says whether a callee may have called upstream; False only if all that were asked refused.
    """

    reason: Failure
    attempt: int
    has_accept: bool


class Confirmed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Follows an outcome: the callee has settled, and `tail` says how."""

    tail: bytes


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Follows an outcome: no settlement is known, so settle as second witness. `tail` is that of END if it came."""

    tail: bytes | None


class BodyReady(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The whole body is here: call upstream. Exactly once, unless the attempt is cancelled before."""

    body: bytes


class Writable(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The caller has granted more credit."""


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nobody wants the answer any more: stop upstream, then `end` and `finish`. At most once, and never after `end`."""

    reason: str


class Delivered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The caller has every byte of the complete answer, END included."""


class Undelivered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`reason` tells why the caller does not have the whole answer, or cannot be known to have it."""

    reason: str


CallerAction = Send | Opened | Started | Received | Ended | Failed | Confirmed | Unconfirmed | Closed
CalleeAction = Send | BodyReady | Writable | Cancelled | Delivered | Undelivered | Closed
