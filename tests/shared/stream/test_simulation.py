"""The simulation over many seeds, and faults planted in the machines that it has to find."""

from collections.abc import Callable

import pytest

from shared.stream import callee
from shared.stream.actions import Ended, Failed
from shared.stream.callee import CalleeStream
from shared.stream.flow import Inflow, Outflow
from shared.stream.frames import Frame
from tests.shared.stream.processes import Violation
from tests.shared.stream.simulation import simulate
from tests.shared.stream.weather import Weather

SEEDS = 600
BATCHES = 8


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_promise_holds_in_any_weather(batch: int) -> None:
    """Complete or visibly failed, one outcome, one callee, nothing beyond credit, nothing left behind."""
    for seed in range(batch, SEEDS, BATCHES):
        simulate(seed)


def test_the_seeds_reach_every_kind_of_outcome() -> None:
    """A simulation in which nothing goes wrong would prove nothing."""
    worlds = [simulate(seed) for seed in range(100)]
    outcomes = [outcome for world in worlds for done in world.requests.values() for outcome in done.outcomes]

    assert any(world.weather == Weather() for world in worlds)
    assert sum(isinstance(outcome, Ended) for outcome in outcomes) > 100
    assert len({outcome.reason for outcome in outcomes if isinstance(outcome, Failed)}) >= 5


def _simulate_all() -> None:
    for seed in range(SEEDS):
        simulate(seed)


def _skip_gaps(self: Inflow, frame: Frame, size: int, now: float) -> bool:
    if frame.seq <= self.seq:
        return False
    self.seq, self.offset = frame.seq, frame.offset + size
    return True


def _never_probe(self: Outflow, now: float, *, has_more: bool) -> list[bytes]:
    return []


def _ignore_credit(self: Outflow) -> int:
    return self._limit - self.offset + 500


def _keep_everything(self: Outflow, received_seq: int, limit: int) -> bool:
    has_risen = limit > self._limit
    self._limit = max(limit, self._limit)
    return has_risen


def _ignore_rivals(self: CalleeStream, frame: Frame, now: float) -> list[object]:
    return []


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (Inflow, "receive", _skip_gaps),
        (Outflow, "tick", _never_probe),
        (Outflow, "credit", property(_ignore_credit)),
        (Outflow, "acknowledge", _keep_everything),
        (CalleeStream, "_handle_open", _ignore_rivals),
        (callee, "LINGER_SECONDS", 1e9),
    ],
    ids=["skips gaps", "never probes", "ignores credit", "keeps all", "ignores rivals", "never forgets"],
)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, fault: Callable[..., object] | property | float
) -> None:
    """The simulation fails for a machine that breaks a promise, and names the seed."""
    monkeypatch.setattr(owner, name, fault)

    with pytest.raises(Violation, match=r"^seed \d+ at "):
        _simulate_all()
