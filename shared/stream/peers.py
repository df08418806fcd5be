"""Life signs between processes: who is alive, and which requests both sides still know.

A process sends each peer with which it shares live requests a heartbeat every 3 s, as a request on the bus, and lists
them; the reply names those that the peer does not know. A peer is lost when nothing came from it for 15 s, and at once
when the bus says that nobody is there. A process that was asleep itself cannot trust what it believes about others.

A request is listed once it has been attached for 3 s: a heartbeat may travel faster than the ACCEPT that makes the peer
know it.
"""

import msgspec

from shared.stream.frames import ProcessId, RequestId

HEARTBEAT_SECONDS = 3.0
DEAD_SECONDS = 15.0
PAUSE_SECONDS = 10.0


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The process `sender` is alive and believes that these requests are live at the receiver too."""

    sender: ProcessId
    request_ids: list[RequestId]


class HeartbeatReply(msgspec.Struct, frozen=True, kw_only=True):
    """Of the requests listed in a heartbeat, the receiver shares these with the sender no more."""

    unknown: list[RequestId]


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that are given up with `peer`; their machines are told by `peer_lost`."""

    peer: str
    request_ids: list[str]


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick demands: the heartbeats to send, by peer, and the peers that are lost."""

    heartbeats: dict[str, Heartbeat]
    lost: list[Lost]


class _Peer:
    """Requests shared with one peer, each with when it was attached. They are kept while a machine holds them."""

    def __init__(self, now: float) -> None:
        self.heard_at = now
        self.beat_at = now
        self.attached_at: dict[str, float] = {}


class PeerTable:
    """The peers of one process, by the live requests that it shares with each. A peer without one is forgotten."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._peers: dict[str, _Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def attach(self, peer: str, request_id: str, now: float) -> None:
        """Share a live request with `peer`."""
        self._peers.setdefault(peer, _Peer(now)).attached_at.setdefault(request_id, now)

    def detach(self, peer: str, request_id: str) -> None:
        """Share the request no more; nothing happens if it was lost before."""
        entry = self._peers.get(peer)
        if entry is None:
            return
        entry.attached_at.pop(request_id, None)
        if not entry.attached_at:
            del self._peers[peer]

    def heard(self, peer: str, now: float) -> None:
        """Note a frame, heartbeat or reply from `peer`."""
        entry = self._peers.get(peer)
        if entry is not None:
            entry.heard_at = now

    def tick(self, now: float) -> Pulse:
        """Return the heartbeats that are due, and forget and return the peers that are dead."""
        dead = [peer for peer, entry in self._peers.items() if now - entry.heard_at >= DEAD_SECONDS]
        lost = [self._forget(peer) for peer in dead]
        heartbeats = {}
        for peer, entry in self._peers.items():
            if now - entry.beat_at >= HEARTBEAT_SECONDS:
                old = now - HEARTBEAT_SECONDS
                settled = [rid for rid, since in entry.attached_at.items() if since <= old]
                heartbeats[peer] = Heartbeat(sender=self._process, request_ids=settled)
                entry.beat_at = now
        return Pulse(heartbeats=heartbeats, lost=lost)

    def answer(self, heartbeat: Heartbeat, now: float) -> HeartbeatReply:
        """Return the reply to a peer's heartbeat."""
        self.heard(heartbeat.sender, now)
        entry = self._peers.get(heartbeat.sender)
        shared = entry.attached_at if entry is not None else {}
        return HeartbeatReply(unknown=[rid for rid in heartbeat.request_ids if rid not in shared])

    def handle_reply(self, peer: str, reply: HeartbeatReply, now: float) -> Lost:
        """Forget and return those of our requests that `peer` does not know."""
        self.heard(peer, now)
        entry = self._peers.get(peer)
        shared = entry.attached_at if entry is not None else {}
        lost = Lost(peer=peer, request_ids=[rid for rid in reply.unknown if rid in shared])
        for request_id in lost.request_ids:
            self.detach(peer, request_id)
        return lost

    def no_responders(self, peer: str) -> Lost:
        """Forget a peer of which the bus says that it is not there, and return what was shared with it."""
        return self._forget(peer)

    def paused(self, now: float, last_tick: float) -> list[Lost]:
        """Give all peers up if this process slept since `last_tick`: they have given it up as well."""
        if now - last_tick <= PAUSE_SECONDS:
            return []
        return [self._forget(peer) for peer in list(self._peers)]

    def _forget(self, peer: str) -> Lost:
        entry = self._peers.pop(peer, None)
        return Lost(peer=peer, request_ids=list(entry.attached_at) if entry is not None else [])
