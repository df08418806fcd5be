"""Life signs: heartbeats, replies, silence and sleep."""

import msgspec
import pytest

from shared.stream.peers import Heartbeat, HeartbeatReply, Lost, PeerTable
from tests.shared.stream.wire import CALLEE, CALLER

ONE, TWO = "1" * 32, "2" * 32


def table() -> PeerTable:
    """Return the table of a caller that shares one request with a callee since time 0."""
    peers = PeerTable(CALLER)
    peers.attach(CALLEE, ONE, 0.0)
    return peers


def test_a_heartbeat_each_three_seconds_lists_what_is_shared() -> None:
    """Only peers with live requests get one."""
    peers = table()

    assert peers.tick(2.9).heartbeats == {}
    assert peers.tick(3.0).heartbeats == {CALLEE: Heartbeat(sender=CALLER, request_ids=[ONE])}
    assert peers.tick(5.9).heartbeats == {}
    peers.detach(CALLEE, ONE)
    assert peers.tick(9.0).heartbeats == {}
    assert len(peers) == 0


def test_a_young_request_is_not_listed() -> None:
    """The heartbeat may be faster than the frame that makes the peer know the request."""
    peers = table()
    peers.attach(CALLEE, TWO, 0.5)

    assert peers.tick(3.0).heartbeats[CALLEE].request_ids == [ONE]
    assert peers.tick(6.0).heartbeats[CALLEE].request_ids == [ONE, TWO]


def test_a_peer_is_lost_after_fifteen_seconds_of_silence() -> None:
    """With all that was shared, once."""
    peers = table()
    peers.heard(CALLEE, 4.0)

    assert peers.tick(18.9).lost == []
    assert peers.tick(19.0).lost == [Lost(peer=CALLEE, request_ids=[ONE])]
    assert peers.tick(40.0).lost == []
    assert len(peers) == 0


def test_heartbeats_and_replies_are_signs_of_life() -> None:
    """Each of them starts the fifteen seconds again."""
    peers = table()
    peers.answer(Heartbeat(sender=CALLEE, request_ids=[]), 10.0)
    peers.handle_reply(CALLEE, HeartbeatReply(unknown=[]), 20.0)

    assert peers.tick(34.9).lost == []


def test_a_reply_names_what_is_not_shared() -> None:
    """Also to a peer with which nothing is."""
    peers = table()

    assert peers.answer(Heartbeat(sender=CALLEE, request_ids=[ONE, TWO]), 0.0) == HeartbeatReply(
        unknown=[TWO]
    )
    assert peers.answer(Heartbeat(sender="f" * 24, request_ids=[ONE]), 0.0) == HeartbeatReply(unknown=[ONE])


def test_what_the_peer_does_not_know_is_lost() -> None:
    """The rest stays shared; what we do not share ourselves is not our loss."""
    peers = table()
    peers.attach(CALLEE, TWO, 0.0)

    lost = peers.handle_reply(CALLEE, HeartbeatReply(unknown=[ONE, "3" * 32]), 3.0)

    assert lost == Lost(peer=CALLEE, request_ids=[ONE])
    assert peers.tick(3.0).heartbeats[CALLEE].request_ids == [TWO]
    assert peers.handle_reply("f" * 24, HeartbeatReply(unknown=[ONE]), 3.0).request_ids == []


def test_no_responders_loses_a_peer_at_once() -> None:
    """The bus knows that the process is gone."""
    peers = table()

    assert peers.no_responders(CALLEE) == Lost(peer=CALLEE, request_ids=[ONE])
    assert peers.no_responders(CALLEE) == Lost(peer=CALLEE, request_ids=[])


def test_a_process_that_slept_gives_all_peers_up() -> None:
    """They have given it up as well."""
    peers = table()

    assert peers.paused(10.0, 0.0) == []
    assert peers.paused(10.1, 0.0) == [Lost(peer=CALLEE, request_ids=[ONE])]
    assert len(peers) == 0


def test_detaching_what_is_lost_already_changes_nothing() -> None:
    """The machine closes later than its peer was lost."""
    peers = table()
    peers.no_responders(CALLEE)
    peers.detach(CALLEE, ONE)

    assert len(peers) == 0


def test_a_heartbeat_with_a_wrong_id_is_refused() -> None:
    """What comes from the bus is checked when it is decoded."""
    data = msgspec.msgpack.encode({"sender": CALLER, "request_ids": ["x"]})

    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(data, type=Heartbeat)
