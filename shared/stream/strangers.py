"""Callees that accepted a request and are not listened to: they came late, or second."""

from shared.stream.actions import CallerAction, Send
from shared.stream.frames import Cancel, Frame, encode

REPEAT_SECONDS = 1.0
MAX_STRANGERS = 8


class Strangers:
    """Who has to be turned away. ACCEPT says which process a frame's callee is; before it, nobody can be told."""

    def __init__(self) -> None:
        self._peers: dict[tuple[int, int], str] = {}
        self._told_at: dict[tuple[int, int], float] = {}

    def meet(self, frame: Frame, peer: str) -> None:
        """Remember that the callee of `frame` is the process `peer`. Beyond eight, new ones are left to heartbeats."""
        if len(self._peers) < MAX_STRANGERS:
            self._peers[frame.attempt, frame.callee] = peer

    def turn_away(self, frame: Frame, now: float) -> list[CallerAction]:
        """Return CANCEL for the callee of `frame` if it is known and was not told within the last second."""
        key = (frame.attempt, frame.callee)
        peer = self._peers.get(key)
        if peer is None or now - self._told_at.get(key, float("-inf")) < REPEAT_SECONDS:
            return []
        self._told_at[key] = now
        cancel = Cancel(reason="not_current")
        return [Send(peer=peer, frame=encode(cancel, attempt=frame.attempt, callee=frame.callee))]
