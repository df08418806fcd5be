"""What the clients of a soak do, drawn by seed: which request, how its client reads, when it leaves, what its upstream does. Pure.

Five in a hundred requests meet a fault of the upstream, thirty have a client that leaves early, the rest are to complete.
"""

from random import Random

import msgspec

from tests.faults.client import Leaving, Script

FAULT_SHARE = 0.05
LEAVE_SHARE = 0.30
STREAM_SHARE = 0.55
SLOW_READER_SHARE = 0.10  # of the streams that are to complete
WAYS: tuple[Leaving, ...] = ("fin", "rst", "half")

# Bytes that stand before the question, and how often; the last do not fit into OPEN, and come in parts.
PADDING_BYTES = {0: 80, 4_000: 14, 60_000: 5, 300_000: 1}

# A directive of the simulator, and whether it is for streams alone.
FAULTS = (
    ("out=30 tps=100 cut=tok:5 cut_mode=rst", True),
    ("out=30 tps=100 cut=tok:5 cut_mode=fin", True),
    ("out=30 cut=first cut_mode=rst", False),
    ("out=30 cut=mid_json cut_mode=fin", True),
    ("out=30 tps=100 err_in=mid:5", True),
    ("out=30 err_in=first_event", True),
    ("out=30 err_in=body200", False),
    ("out=50 tps=500 stall_at=10:600000", True),
    ("out=5 ttft=600000", False),
    ("status=429", False),
    ("status=500", False),
    ("status=503 err_shape=html", False),
    ("status=400", False),
    ("out=20 ttft=2000 tps=20", False),
    ("out=30 usage=never", False),
)


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a client. It leaves by its script, or by `leave_by` after `leave_seconds`; then it rests for `pause_seconds`.

    `must_complete` is false when the upstream fails it, or its client leaves.
    """

    text: str
    is_stream: bool
    script: Script
    leave_seconds: float | None = None
    must_complete: bool
    is_typical: bool = False  # its times are Relay's own: the upstream is prompt, the client reads
    pause_seconds: float

    @property
    def leave_by(self) -> Leaving:
        """How the client goes."""
        return self.script.leave_by


def draw(chance: Random, pause_seconds_max: float) -> Visit:
    """Return the next visit of a client whose numbers are `chance`."""
    share = chance.random()
    pause = chance.uniform(0, pause_seconds_max)
    if share < FAULT_SHARE:
        return _faulted(chance, pause)
    if share < FAULT_SHARE + LEAVE_SHARE:
        return _leaving(chance, pause)
    return _ordinary(chance, pause)


def _ordinary(chance: Random, pause: float) -> Visit:
    is_stream = chance.random() < STREAM_SHARE
    directive = f"out={chance.randint(1, 300)}"
    script = Script()
    if is_stream:
        directive = f"out={chance.randint(5, 80)} tps={chance.choice((40, 80, 160))}"
        if chance.random() < SLOW_READER_SHARE:
            script = Script(bytes_per_second=chance.choice((10_000, 30_000)))
    return Visit(
        text=_text(chance, directive),
        is_stream=is_stream,
        script=script,
        must_complete=True,
        is_typical=script.bytes_per_second is None,
        pause_seconds=pause,
    )


def _faulted(chance: Random, pause: float) -> Visit:
    directive, is_for_streams = chance.choice(FAULTS)
    return Visit(
        text=_text(chance, directive),
        is_stream=is_for_streams or chance.random() < STREAM_SHARE,
        script=Script(),
        must_complete=False,
        pause_seconds=pause,
    )


def _leaving(chance: Random, pause: float) -> Visit:
    how = chance.choice(WAYS)
    is_stream = chance.random() < STREAM_SHARE
    place = chance.choice(("request", "before", "within", "bytes"))
    directive = {"before": "out=20 ttft=8000"}.get(place, "out=300 tps=60")
    script = Script(leave_by=how)
    leave_seconds = None
    if place == "request":
        # In the head as often as in the body; a negative place counts from the end.
        script = Script(
            leave_by=how, leave_in_request_at=chance.choice((chance.randint(1, 150), -chance.randint(1, 100)))
        )
    elif place == "bytes" and is_stream:
        script = Script(leave_by=how, leave_after_bytes=chance.randint(1, 15_000))
    else:
        leave_seconds = chance.uniform(0, 1.0)
    return Visit(
        text=_text(chance, directive),
        is_stream=is_stream,
        script=script,
        leave_seconds=leave_seconds,
        must_complete=False,
        pause_seconds=pause,
    )


def _text(chance: Random, directive: str) -> str:
    (size,) = chance.choices(list(PADDING_BYTES), weights=list(PADDING_BYTES.values()))
    return f"{'x' * size} hi [[sim {directive}]]"
