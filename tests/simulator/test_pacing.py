"""The moments of events."""

from random import Random

import pytest

from services.simulator import pacing
from services.simulator.behaviour import parse, resolve
from services.simulator.chat import Event

EVENTS = [
    Event(label="role", data=b"", tokens=0),
    Event(label="delta", data=b"", tokens=1, advance=1),
    Event(label="delta", data=b"", tokens=2, advance=1),
    Event(label="finish", data=b"", tokens=2),
]


def _times(directive: str, seed: int = 0) -> list[float]:
    return pacing.event_times(EVENTS, resolve(parse(directive)), Random(seed))


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("", [0, 0, 0, 0]),
        ("header_delay=100 ttft=200", [0.3, 0.3, 0.3, 0.3]),
        ("tps=100", [0, 0.01, 0.02, 0.02]),
        ("tps=100 stall_at=1:5000", [0, 0.01, 5.02, 5.02]),
        ("stall_at=0:5000", [0, 5, 5, 5]),
        ("stall_at=2:5000", [0, 0, 0, 5]),
        ("pre_ping=3:100", [0.3, 0.3, 0.3, 0.3]),
        ("pre_ping=3:100 ttft=500", [0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_events_are_due_when_the_directive_says(directive: str, expected: list[float]) -> None:
    """Delays before the first token, a token each 1/tps, one pause where asked."""
    assert _times(directive) == pytest.approx(expected)


def test_jitter_comes_from_the_seed() -> None:
    """Equal seeds give equal moments, and none runs backwards."""
    times = _times("tps=10 jitter=1", seed=4)
    assert times == _times("tps=10 jitter=1", seed=4) != _times("tps=10 jitter=1", seed=5)
    assert times == sorted(times)


def test_pings_fill_the_silence() -> None:
    """Some before the first token, then one wherever nothing else is sent for that long."""
    behaviour = resolve(parse("pre_ping=2:100 ping_every=400"))
    assert pacing.ping_times([0.2, 1.3, 1.4], behaviour) == pytest.approx([0.1, 0.2, 0.6, 1.0])
    assert pacing.ping_times([0.2], resolve({})) == []


def test_pings_are_bounded() -> None:
    """A long silence with frequent pings cannot fill the memory."""
    assert len(pacing.ping_times([3_600.0], resolve(parse("ping_every=1")))) == pacing.MOST_PINGS
