"""The money of the simulation: one hold for each request, which ends once, by a claim that no fence shuts out."""

from dataclasses import dataclass
from typing import NamedTuple

COMPLETED, CLIENT_GONE, UPSTREAM_FAILED, PLATFORM_FAILED, VOID = (
    "completed", "client_gone", "upstream_failed", "platform_failed", "void",
)  # fmt: skip


class Claim(NamedTuple):
    """The evidence of how an attempt ended, as END carries it and billing gets it."""

    outcome: str
    attempt: int

    def encoded(self) -> bytes:
        """Return the claim as the tail of END."""
        return f"{self.outcome} {self.attempt}".encode()

    @classmethod
    def of(cls, tail: bytes) -> "Claim":
        """Return the claim in the tail of END."""
        outcome, attempt = tail.decode().split()
        return cls(outcome, int(attempt))


@dataclass
class Hold:
    """One hold: `fence` is the lowest attempt that may end it, `claims` are those that counted, the late one included."""

    edge: str
    fence: int = 0
    is_expired: bool = False
    claims: tuple[Claim, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return not self.claims and not self.is_expired


class Holds:
    """Billing, in so far as streams depend on it."""

    def __init__(self) -> None:
        self.by_request: dict[str, Hold] = {}

    @property
    def live(self) -> int:
        """How many holds have not ended."""
        return sum(hold.is_live for hold in self.by_request.values())

    def reserve(self, request_id: str, edge: str) -> None:
        """Hold money for a request of `edge`."""
        self.by_request[request_id] = Hold(edge)

    def raise_fence(self, request_id: str, attempt: int) -> bool:
        """Shut out all attempts below `attempt`, unless that is too late; return whether the hold is live."""
        hold = self.by_request[request_id]
        if hold.is_live:
            hold.fence = max(hold.fence, attempt)
        return hold.is_live

    def end(self, request_id: str, claim: Claim) -> bool:
        """End the hold, or take a late claim once it has expired; return False when the claim was shut out."""
        hold = self.by_request[request_id]
        if hold.claims:
            return True
        if claim.attempt < hold.fence:
            return False
        hold.claims = (claim,)
        return True

    def expire(self, edge: str) -> None:
        """End the live holds of an edge whose lease has run out."""
        for hold in self.by_request.values():
            if hold.edge == edge and hold.is_live:
                hold.is_expired = True
