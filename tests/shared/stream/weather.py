"""What goes wrong in a run of the simulation, and how often."""

import random
from dataclasses import dataclass

KINDS = ("calm", "loss", "disorder", "breaks", "pauses", "kills", "clocks", "people", "all")


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What goes wrong in a run until it heals. The default is a calm day, on which every request must succeed.

    `drop` to `slow_seconds` are of the bus, which loses, repeats and delays single messages; `breaks` are connections lost,
    `pauses` processes stopped as by SIGSTOP, `suspends` stopped with their clocks, `kills` ended as by SIGKILL, mostly to
    be followed by a new process without state; `jumps` are steps of wall clocks, which are `skew_ms` apart to begin with.
    `leave` and `cut` are requests given up by their client or their edge, `busy` is of dispatchers, `fail` of upstreams.
    """

    kind: str = "calm"
    drop: float = 0.0
    duplicate: float = 0.0
    slow_seconds: float = 0.0
    keeps_order: bool = True
    breaks: int = 0
    pauses: int = 0
    suspends: int = 0
    kills: int = 0
    jumps: int = 0
    skew_ms: int = 0
    leave: float = 0.0
    cut: float = 0.0
    busy: float = 0.0
    fail: float = 0.0


def forecast(rng: random.Random) -> Weather:
    """Return the weather of a run: one kind of trouble, none, or everything at once."""
    kind = rng.choice((*KINDS, "all"))

    def happens(*kinds: str) -> bool:
        return kind in ("all", *kinds)

    return Weather(
        kind=kind,
        drop=rng.choice([0.02, 0.1, 0.3]) if happens("loss") else 0.0,
        duplicate=rng.choice([0.05, 0.3]) if happens("disorder") else 0.0,
        slow_seconds=rng.choice([0.05, 0.7, 2.0]) if happens("disorder") else 0.0,
        keeps_order=not happens("disorder"),
        breaks=rng.randint(1, 4) if happens("breaks") else 0,
        pauses=rng.randint(1, 3) if happens("pauses") else 0,
        suspends=rng.randint(0, 2) if happens("clocks") else 0,
        kills=rng.randint(1, 3) if happens("kills") else 0,
        jumps=rng.randint(1, 3) if happens("clocks") else 0,
        skew_ms=rng.choice([0, 0, 700, 3_600_000]) if happens("clocks") else 0,
        leave=0.3 if happens("people") else 0.0,
        cut=0.2 if happens("people") else 0.0,
        busy=0.4 if happens("people") else 0.0,
        fail=0.2 if happens("people") else 0.0,
    )
