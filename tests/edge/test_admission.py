"""How much one edge carries: requests, and the bytes of their bodies."""

import pytest
from starlette.types import Message, Receive

from services.edge.admission import Admission
from shared.errors import Unavailable


def body_of(*parts: bytes) -> Receive:
    """Return a `receive` that gives these parts."""
    waiting = list(parts)

    async def receive() -> Message:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    return receive


def fail_inside(admission: Admission) -> None:
    """Carry a request that ends with an error."""
    with admission.entered(body_of()):
        raise ZeroDivisionError


def refusal(admission: Admission) -> Unavailable:
    """Return the error with which one more request is refused."""
    with pytest.raises(Unavailable) as caught:
        admission.entered(body_of()).__enter__()
    return caught.value


def test_requests_beyond_the_limit_are_refused_until_one_has_ended() -> None:
    """As overloaded, with a time to come back; however a request ends, its place is free again."""
    admission = Admission(requests_max=2, body_bytes_max=100)
    with admission.entered(body_of()):
        with pytest.raises(ZeroDivisionError):
            fail_inside(admission)
        with admission.entered(body_of()):
            error = refusal(admission)
            assert (error.code, error.retry_after_seconds) == ("overloaded", 1.0)
        assert admission.requests == 1
    assert admission.requests == 0


async def test_bodies_are_counted_as_they_arrive() -> None:
    """Not as they were announced; what has come is given back with its request."""
    admission = Admission(requests_max=9, body_bytes_max=100)
    with admission.entered(body_of(b"x" * 40, b"x" * 50)) as first:
        await first()
        assert admission.body_bytes == 40
        with admission.entered(body_of(b"y" * 50)) as second:
            await second()
            assert admission.body_bytes == 90
            with pytest.raises(Unavailable):
                await first()
        assert admission.body_bytes == 40
    assert admission.body_bytes == 0


async def test_one_body_alone_is_always_taken() -> None:
    """How large one body may be is another setting."""
    admission = Admission(requests_max=9, body_bytes_max=100)
    with admission.entered(body_of(b"x" * 80, b"x" * 80)) as only:
        await only()
        await only()
        assert admission.body_bytes == 160


async def test_what_is_no_part_of_a_body_counts_nothing() -> None:
    """The word that the client has left, for one."""
    admission = Admission(requests_max=9, body_bytes_max=100)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with admission.entered(receive) as counting:
        assert await counting() == {"type": "http.disconnect"}
        assert admission.body_bytes == 0
