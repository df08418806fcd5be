"""Named points in the life of a request at which a test may let this process die or stand still.

Off unless RELAY_FAILPOINTS_DIR names a directory; a point then costs one look for a file, and nothing otherwise. A point is armed
by a file of its name, whose content is the action. Who reaches it first takes the file (it becomes `<name>.taken`) and acts, so
that one process of many acts once, and its successor does not act again.

    crash   SIGKILL to this process: nothing is said or written any more
    stop    SIGSTOP to this process, until somebody sends SIGCONT
"""

import os
import signal
from pathlib import Path
from typing import Literal, get_args

Point = Literal[
    "edge.authenticated",  # the key is good, nothing is reserved
    "edge.reserved",  # the hold is known, OPEN is not sent
    "edge.opened",  # OPEN is sent, nobody has accepted
    "edge.started",  # the head of the answer is here, the client has nothing
    "edge.first_byte",  # the client has the first bytes
    "edge.ended",  # the whole answer is here, its last bytes and [DONE] are not written
    "edge.done",  # the client has everything, the settlement is not known
    "dispatcher.opened",  # OPEN is here, ACCEPT is not sent
    "dispatcher.accepted",  # ACCEPT is sent, upstream is not called
    "dispatcher.upstream_accepted",  # upstream has accepted, nothing is passed on
    "dispatcher.first_byte",  # the first bytes are passed on
    "dispatcher.upstream_finished",  # the answer is complete, END is not sent
    "dispatcher.end_sent",  # the edge has END, or cannot have it; the claim is not sent
    "dispatcher.settled",  # the settlement is confirmed, FIN is not sent
    "billing.batched",  # a batch is about to be sent to PostgreSQL
    "billing.committed",  # a batch is committed, nobody is answered
    "billing.published",  # events are published, and still in the outbox
]
POINTS: tuple[Point, ...] = get_args(Point)
ACTIONS = {"crash": signal.SIGKILL, "stop": signal.SIGSTOP}

_directory: Path | None = None


def enable(directory: str) -> None:
    """Let the points of this process be armed in `directory`; empty for never, which is how it starts."""
    global _directory
    _directory = Path(directory) if directory else None


def failpoint(name: Point) -> None:
    """Die or stand still here if a test has armed the point `name`."""
    if _directory is not None:
        _reach(_directory, name)


def _reach(directory: Path, name: Point) -> None:
    taken = directory / f"{name}.taken"
    try:
        (directory / name).rename(taken)
    except FileNotFoundError:
        return  # it is not armed, or another process was faster
    os.kill(os.getpid(), ACTIONS[taken.read_text().strip()])
