"""What is held back of an answer until it has begun."""

from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.opening import HELD_BYTES_MAX, HELD_EVENTS_MAX, Opening

EVENT = b"data: {}\n\n"


@given(st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=20))
def test_nothing_is_lost_changed_or_reordered(events: list[tuple[bytes, bool]]) -> None:
    """Whatever comes and whenever it begins: what has gone out is a beginning of what came, and all of it once it has begun."""
    opening, came, gone, has_begun = Opening(), b"", b"", False
    for event, begins in events:
        has_begun = has_begun or begins
        came += event
        gone += opening.release(event, has_begun=has_begun)
        assert gone == (came if has_begun else b"")
        assert opening.is_over == has_begun


def test_an_opening_is_bounded_in_events_and_in_bytes() -> None:
    """An upstream that sends nothing but empty deltas, or one that is huge, is let through and believed."""
    many, large = Opening(), Opening()

    held = [many.release(EVENT, has_begun=False) for _ in range(HELD_EVENTS_MAX)]
    assert set(held) == {b""}
    assert many.release(EVENT, has_begun=False) == EVENT * (HELD_EVENTS_MAX + 1)
    assert many.release(EVENT, has_begun=False) == EVENT

    assert large.release(b"x" * HELD_BYTES_MAX, has_begun=False) == b""
    assert large.release(b"y", has_begun=False) == b"x" * HELD_BYTES_MAX + b"y"
