"""The caller after the outcome: the word on the settlement, and the word to a callee that is left."""

import pytest

from shared.stream.actions import Closed, Confirmed, Ended, Failure, Unconfirmed
from shared.stream.frames import Cancel, Credit, Data, Fin, Nack
from tests.shared.stream.wire import (
    ACCEPT,
    DATA,
    END,
    FIN,
    HEAD,
    UNIX_MS,
    WINDOW,
    accepted_caller,
    caller,
    contents,
    ended_caller,
    failed,
    frame,
    others,
)


class TestSettling:
    """From the outcome to the word on the settlement."""

    def test_fin_confirms(self) -> None:
        """And is answered, so that the callee may forget."""
        actions = ended_caller().handle(FIN, 1.0)

        assert others(actions) == [Confirmed(tail=b"settled"), Closed()]
        assert contents(actions) == [Fin()]

    def test_without_fin_the_application_settles_after_three_seconds(self) -> None:
        """It is the second witness, with the tail of END."""
        stream = ended_caller()

        assert stream.tick(2.9) == []
        assert stream.tick(3.0) == [Unconfirmed(tail=b"usage"), Closed()]

    def test_a_fin_that_overtook_end_waits_for_it(self) -> None:
        """It also shows which frames are missing."""
        stream = accepted_caller()
        stream.handle(HEAD, 0.0)

        assert contents(stream.handle(FIN, 0.0)) == [Nack(first_missing_seq=2)]
        stream.handle(DATA, 0.0)
        assert others(stream.handle(END, 0.0)) == [Ended(tail=b"usage"), Confirmed(tail=b"settled"), Closed()]

    def test_a_repeated_end_is_acknowledged_again_and_nothing_else(self) -> None:
        """There is one outcome."""
        stream = ended_caller()

        assert stream.handle(END, 0.5) == stream.handle(DATA, 0.5) == []
        assert contents(stream.tick(1.0)) == [Credit(limit=WINDOW, received_seq=3)]
        assert stream.handle(frame(Data(payload=b"more"), seq=4, offset=3), 1.0) == []

    def test_a_lost_callee_ends_the_wait(self) -> None:
        """Nobody is left who could confirm."""
        assert ended_caller().peer_lost(0.5) == [Unconfirmed(tail=b"usage"), Closed()]

    def test_cancel_after_the_outcome_changes_nothing(self) -> None:
        """The request was served."""
        assert ended_caller().cancel("client_gone", 0.5) == []


class TestLeaving:
    """After a failure, the callee is told, and its word on the settlement is still of interest."""

    def test_cancel_is_repeated_until_ten_seconds_have_passed(self) -> None:
        """The outcome does not wait for it."""
        stream = accepted_caller()

        first = stream.cancel("client_gone", 0.0)
        assert contents(stream.reconnected(0.0)) == [Cancel(reason="client_gone")]
        ticks = {now: contents(stream.tick(now)) for now in range(1, 10)}

        assert others(first) == [failed(Failure.CANCELLED)]
        assert contents(first) == [Cancel(reason="client_gone")]
        assert all(ticks[now] == [Cancel(reason="client_gone")] for now in ticks)
        assert stream.tick(10.0) == [Unconfirmed(tail=None), Closed()]

    def test_end_stops_the_cancel_and_gives_the_tail(self) -> None:
        """Though frames before it are missing, for nobody wants them."""
        stream = accepted_caller()
        stream.cancel("client_gone", 0.0)

        assert contents(stream.handle(END, 1.0)) == [Cancel(reason="client_gone", received_seq=3)]
        assert stream.tick(2.0) == stream.handle(DATA, 2.0) == stream.consumed(3, 2.0) == []
        assert stream.tick(4.0) == [Unconfirmed(tail=b"usage"), Closed()]

    def test_an_end_that_nobody_wants_is_acknowledged_by_cancel_alone(self) -> None:
        """However often it comes: of two messages the one that says so might be lost, and the other count as a delivery."""
        stream = accepted_caller()
        stream.cancel("client_gone", 0.0)

        for now in (1.0, 1.5):
            assert contents(stream.handle(END, now)) == [Cancel(reason="client_gone", received_seq=3)]

    def test_fin_ends_the_cancel_and_confirms(self) -> None:
        """With or without END."""
        stream = accepted_caller()
        stream.cancel("client_gone", 0.0)

        assert others(stream.handle(FIN, 0.5)) == [Confirmed(tail=b"settled"), Closed()]

    def test_a_lost_callee_is_a_failure_with_one_cancel(self) -> None:
        """It may only be cut off from us; nobody waits for its word."""
        actions = accepted_caller().peer_lost(0.0)

        assert others(actions) == [failed(Failure.PEER_LOST), Unconfirmed(tail=None), Closed()]
        assert contents(actions) == [Cancel(reason="peer_lost")]

    def test_a_cancel_before_the_accept_reaches_who_accepts_late(self) -> None:
        """And then waits for its word like any other."""
        stream = caller()
        stream.open(0.0, UNIX_MS)
        assert stream.cancel("client_gone", 0.5) == [failed(Failure.CANCELLED)]
        assert stream.tick(3.4) == []

        assert contents(stream.handle(frame(ACCEPT), 3.4)) == [Cancel(reason="client_gone")]
        assert contents(stream.tick(4.5)) == [Cancel(reason="client_gone")]
        assert others(stream.handle(FIN, 5.0)) == [Confirmed(tail=b"settled"), Closed()]

    @pytest.mark.parametrize("reason", [Failure.GAP, Failure.CANCELLED])
    def test_a_fin_that_came_before_the_failure_confirms_at_once(self, reason: Failure) -> None:
        """The callee has said its last word already."""
        stream = accepted_caller()
        stream.handle(FIN, 0.0)

        actions = stream.cancel("client_gone", 5.0) if reason is Failure.CANCELLED else stream.tick(5.0)

        assert others(actions) == [failed(reason), Confirmed(tail=b"settled"), Closed()]
