"""When each event of a stream is due, in seconds after the request was read.

The head is due after `header_delay`, the role after `ttft` more. Then a token takes 1/`tps`, so the first one comes one
interval later, and k tokens take k/`tps`; several choices are generated side by side.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from services.simulator.behaviour import Behaviour
from services.simulator.chat import Event

MOST_PINGS = 10_000


def head_at(behaviour: Behaviour) -> float:
    """Return when the head of a stream is due."""
    return behaviour.header_delay / 1_000


def event_times(events: Sequence[Event], behaviour: Behaviour, random: Random) -> list[float]:
    """Return when each event is due; `random` is asked only for `jitter`."""
    clock = head_at(behaviour) + max(behaviour.ttft / 1_000, *_pre_pings(behaviour), 0.0)
    stall_after, stall_seconds = _stall(behaviour)
    times: list[float] = []
    tokens_before = 0
    for event in events:
        if stall_seconds and event.label != "role" and tokens_before >= stall_after:
            clock += stall_seconds
            stall_seconds = 0.0
        if event.advance and behaviour.tps:
            stretch = 1 + behaviour.jitter * random.uniform(-1, 1) if behaviour.jitter else 1
            clock += event.advance / behaviour.tps * stretch
        times.append(clock)
        tokens_before = event.tokens
    return times


def ping_times(times: Sequence[float], behaviour: Behaviour) -> list[float]:
    """Return when the stream says that it lives: `pre_ping`, then `ping_every` wherever it would be silent longer."""
    start = head_at(behaviour)
    pings = [start + after for after in _pre_pings(behaviour)]
    if behaviour.ping_every:
        every = behaviour.ping_every / 1_000
        for before, after in pairwise(sorted({start, *pings, *times})):
            count = min(int((after - before) / every), MOST_PINGS - len(pings))
            pings += [before + every * number for number in range(1, count + 1)]
    return sorted(pings)


def _pre_pings(behaviour: Behaviour) -> list[float]:
    count, _, every = (behaviour.pre_ping or "0:0").partition(":")
    return [number * int(every) / 1_000 for number in range(1, int(count) + 1)]


def _stall(behaviour: Behaviour) -> tuple[int, float]:
    after, _, pause = (behaviour.stall_at or "0:0").partition(":")
    return int(after), int(pause) / 1_000
