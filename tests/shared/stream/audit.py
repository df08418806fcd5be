"""What has to be true of every request when a run of the simulation is over."""

from typing import TYPE_CHECKING

from services.edge.relay import CLIENT_REASONS
from shared.stream.actions import Ended
from tests.shared.stream.edges import Leg, Request
from tests.shared.stream.holds import CLIENT_GONE, COMPLETED, PLATFORM_FAILED, Claim
from tests.shared.stream.processes import check
from tests.shared.stream.weather import Weather

if TYPE_CHECKING:
    from tests.shared.stream.simulation import World


def audit(world: "World", request: Request) -> None:
    """Check a request that was begun: its stream, its outcome and its money. Raises: Violation."""
    for leg in request.legs:
        check(len(leg.opened) <= 1 and len(leg.heads) <= 1, "two callees were listened to")
        check(leg is request.legs[-1] or not leg.heads, "a request that had begun was begun again")
    leg = request.legs[-1]
    whole = _answer(world, leg)
    check(whole.startswith(request.output), "the output is not what the callee answered")
    assert request.edge is not None
    if request.edge.is_alive:
        _audit_outcome(world, request, leg, whole)
    _audit_money(world, request, leg)


def is_given_away(world: "World", request: Request) -> bool:
    """Whether a complete answer was free, since its dispatcher heard nothing of the edge for too long and took it for lost."""
    claims = world.holds.by_request[request.request_id].claims
    return is_complete(request) and bool(claims) and claims[0].outcome == PLATFORM_FAILED


def is_complete(request: Request) -> bool:
    """Whether the client has all of an answer, and is told so."""
    outcome = request.outcomes[0] if request.outcomes else None
    return isinstance(outcome, Ended) and Claim.of(outcome.tail).outcome == COMPLETED


def _answer(world: "World", leg: Leg) -> bytes:
    if not leg.heads:
        return b""
    key, opened = leg.heads[0].decode(), leg.opened[0]
    check(key.split()[1:] == [str(opened.attempt), opened.peer], "another callee's answer")
    return world.answer(key)


def _audit_outcome(world: "World", request: Request, leg: Leg, whole: bytes) -> None:
    check(len(request.outcomes) == len(leg.outcomes) == len(leg.words) == 1, "not exactly one outcome")
    check(leg.is_closed, "a machine was left open")
    if is_complete(request):
        check(request.output == whole and bool(leg.heads), "a silent cut")
    else:
        check(world.weather != Weather(), f"a failure on a calm day: {request.outcomes[0]}")


def _audit_money(world: "World", request: Request, leg: Leg) -> None:
    """Complete is charged once, by the attempt that the client heard, or given away; what broke is not charged as complete."""
    hold = world.holds.by_request[request.request_id]
    check(not hold.is_live and len(hold.claims) <= 1, "a hold has not ended exactly once")
    outcome = hold.claims[0].outcome if hold.claims else None
    if is_complete(request):
        is_free = hold.is_expired or (is_given_away(world, request) and world.weather != Weather())
        check(is_free or outcome == COMPLETED, f"a complete answer was charged as {outcome}")
        check(
            not hold.claims or hold.claims[0].attempt == leg.opened[0].attempt, "another attempt was charged"
        )
    elif request.given_up not in CLIENT_REASONS:
        check(outcome not in (COMPLETED, CLIENT_GONE), f"a broken answer was charged as {outcome}")
