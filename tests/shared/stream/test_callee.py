"""The callee: accepting once, the body, the answer under credit, giving up, the last word."""

import pytest

from shared.stream.actions import BodyReady, Cancelled, Closed, Delivered, Send, Undelivered, Writable
from shared.stream.callee import CalleeStream, is_expired, refusal
from shared.stream.frames import (
    MAX_OPAQUE_BYTES,
    Accept,
    Body,
    BodyCredit,
    Busy,
    Cancel,
    Credit,
    Data,
    End,
    Fin,
    Frame,
    Head,
    Nack,
)
from tests.shared.stream.wire import (
    CALLEE,
    CALLER,
    OTHER,
    UNIX_MS,
    WINDOW,
    callee,
    contents,
    frame,
    opening,
    others,
    sent,
)

ACCEPT = Accept(callee=CALLEE, body_limit=100_002)


def confirmed() -> CalleeStream:
    """Return a callee that has accepted at time 0 and knows that the caller listens."""
    stream = callee()
    stream.accept(0.0)
    stream.handle(frame(Credit(limit=WINDOW, received_seq=0)), 0.0)
    return stream


def finished() -> CalleeStream:
    """Return a callee that has said FIN at time 0, with nothing acknowledged."""
    stream = confirmed()
    stream.send_head(b"200")
    stream.send_data(b"abc")
    stream.end(b"usage", 0.0)
    stream.finish(b"settled", 0.0)
    return stream


class TestAccepting:
    """One OPEN, one call."""

    def test_an_expired_open_is_dropped(self) -> None:
        """The caller has gone on to another attempt."""
        assert not is_expired(opening(), UNIX_MS + 1000)
        assert is_expired(opening(), UNIX_MS + 1001)

    def test_a_refusal_is_busy_for_the_caller(self) -> None:
        """It names the attempt and leaves no machine behind."""
        action = refusal(opening(), 3, "full")

        assert action.peer == CALLER
        assert sent([action]) == [frame(Busy(reason="full"), attempt=3, callee=None)]

    def test_accept_is_sent_at_once_with_the_body(self) -> None:
        """A body that came whole is ready."""
        actions = callee().accept(0.0)

        assert isinstance(actions[0], Send)
        assert actions[0].peer == CALLER
        assert sent(actions) == [frame(ACCEPT)]
        assert others(actions) == [BodyReady(body=b"{}")]

    def test_a_repeated_open_is_accepted_again_without_a_second_call(self) -> None:
        """The answer to it may have been lost."""
        actions = confirmed().handle(frame(opening(), callee=None), 0.1)

        assert contents(actions) == [ACCEPT]
        assert others(actions) == []

    def test_a_newer_attempt_ends_an_older_one(self) -> None:
        """The caller has given it up; an older OPEN changes nothing."""
        stream = callee(attempt=2)
        stream.accept(0.0)

        assert stream.handle(frame(opening(), attempt=1, callee=None), 0.1) == []
        assert stream.handle(frame(opening(), attempt=3, callee=None), 0.1) == [
            Cancelled(reason="superseded")
        ]

    def test_accept_is_repeated_until_somebody_listens(self) -> None:
        """It may have been lost, and the caller then knows nothing of this callee."""
        stream = callee()
        stream.accept(0.0)

        assert [contents(stream.tick(now)) for now in (1.0, 1.5, 2.5, 3.0)] == [[], [ACCEPT], [], [ACCEPT]]
        stream.handle(frame(Credit(limit=WINDOW, received_seq=0)), 3.1)
        assert stream.tick(9.0) == []

    def test_an_attempt_to_which_nobody_listens_is_given_up(self) -> None:
        """After eight seconds."""
        stream = callee()
        stream.accept(0.0)

        assert stream.tick(8.0) == [Cancelled(reason="unconfirmed")]

    @pytest.mark.parametrize(
        "foreign",
        [frame(Cancel(reason="x"), attempt=2), frame(Cancel(reason="x"), callee=OTHER)],
        ids=["attempt", "callee"],
    )
    def test_frames_of_another_attempt_or_callee_are_dropped(self, foreign: Frame) -> None:
        """Also a CANCEL."""
        assert confirmed().handle(foreign, 0.0) == []


class TestBody:
    """The rest of a long body, under credit."""

    def test_parts_are_collected_and_given_once(self) -> None:
        """Credit goes back as they come, the last part is acknowledged at once."""
        stream = callee(opening(b"ab", body_bytes=100_005))
        assert others(stream.accept(0.0)) == []

        first = stream.handle(frame(Body(payload=bytes(60_000)), seq=1, offset=2), 0.0)
        last = stream.handle(frame(Body(payload=bytes(40_003)), seq=2, offset=60_002), 0.0)
        again = stream.handle(frame(Body(payload=bytes(40_003)), seq=2, offset=60_002), 0.0)

        assert contents(first) == [BodyCredit(limit=160_002, received_seq=1)]
        assert others(last) == [BodyReady(body=b"ab" + bytes(100_003))]
        assert contents(last) == [BodyCredit(limit=200_005, received_seq=2)]
        assert again == []

    def test_a_missing_part_is_asked_for_and_ends_the_attempt_after_five_seconds(self) -> None:
        """Half a body is no call."""
        stream = callee(opening(b"ab", body_bytes=20))
        stream.accept(0.0)

        assert contents(stream.handle(frame(Body(payload=b"c"), seq=2, offset=9), 0.0)) == [
            Nack(first_missing_seq=1)
        ]
        assert stream.tick(5.0) == [Cancelled(reason="gap")]

    def test_an_empty_part_is_answered_with_credit(self) -> None:
        """The caller asks whether there is any."""
        stream = callee(opening(b"ab", body_bytes=20))
        stream.accept(0.0)

        said = contents(stream.handle(frame(Body(payload=b""), seq=1, offset=2), 0.0))

        assert said == [BodyCredit(limit=100_002, received_seq=1)]


class TestAnswering:
    """HEAD, DATA and END under the caller's credit."""

    def test_an_answer_is_numbered_and_ends_with_its_length(self) -> None:
        """END says how many bytes there were, and that they are all."""
        stream = confirmed()

        actions = [*stream.send_head(b"200"), *stream.send_data(b"abc"), *stream.end(b"usage", 0.0)]

        assert sent(actions) == [
            frame(Head(head=b"200"), seq=1),
            frame(Data(payload=b"abc"), seq=2),
            frame(End(tail=b"usage", total_bytes=3), seq=3, offset=3),
        ]

    def test_credit_is_used_up_and_comes_back(self) -> None:
        """Writable says when to go on."""
        stream = confirmed()
        stream.send_data(bytes(WINDOW))
        assert (stream.can_send(), stream.retained_bytes) == (0, WINDOW)

        assert stream.handle(frame(Credit(limit=WINDOW, received_seq=1)), 0.0) == []
        assert stream.handle(frame(Credit(limit=WINDOW + 9, received_seq=1)), 0.0) == [Writable()]
        assert (stream.can_send(), stream.retained_bytes) == (9, 0)

    def test_a_nack_and_a_reconnect_bring_what_is_missing(self) -> None:
        """All that is not acknowledged is kept."""
        stream = confirmed()
        stream.send_head(b"200")
        stream.send_data(b"abc")

        assert contents(stream.handle(frame(Nack(first_missing_seq=2)), 0.0)) == [Data(payload=b"abc")]
        assert contents(stream.reconnected(0.0)) == [Data(payload=b"abc")]

    def test_a_reconnect_repeats_an_accept_that_nobody_confirmed(self) -> None:
        """And asks for the body, if it is not here yet."""
        stream = callee(opening(b"ab", body_bytes=20))
        stream.accept(0.0)

        assert contents(stream.reconnected(0.1)) == [ACCEPT, Nack(first_missing_seq=1)]

    def test_a_starved_callee_asks_for_credit(self) -> None:
        """The message that granted it may be lost."""
        stream = confirmed()
        stream.send_data(bytes(WINDOW))
        stream.handle(frame(Credit(limit=WINDOW, received_seq=1)), 0.0)
        stream.tick(0.5)

        assert contents(stream.tick(2.5)) == [Data(payload=b"")]

    def test_a_head_that_the_other_side_would_refuse_is_not_sent(self) -> None:
        """Our own mistake is seen where it is made."""
        with pytest.raises(AssertionError, match="too long"):
            confirmed().send_head(bytes(MAX_OPAQUE_BYTES + 1))


class TestGivingUp:
    """Cancelled is said once; the answer then can never look complete."""

    def test_a_cancel_is_passed_on_once(self) -> None:
        """The caller repeats it until END."""
        stream = confirmed()
        cancel = frame(Cancel(reason="client_gone"))

        assert stream.handle(cancel, 0.0) == [Cancelled(reason="client_gone")]
        assert stream.handle(cancel, 1.0) == []

    def test_a_lost_caller_and_our_own_drain_cancel(self) -> None:
        """Whatever the cause, the application stops upstream."""
        assert confirmed().peer_lost(0.0) == [Cancelled(reason="peer_lost")]
        assert confirmed().abort("draining") == [Cancelled(reason="draining")]

    def test_after_cancelled_nothing_is_sent_but_an_aborted_end(self) -> None:
        """What was sent is forgotten, and numbers go on."""
        stream = confirmed()
        stream.send_data(b"abc")
        stream.abort("draining")

        assert (stream.can_send(), stream.retained_bytes) == (0, 0)
        assert stream.send_head(b"") == stream.send_data(b"x") == stream.tick(0.0) == []
        assert sent(stream.end(b"cut", 0.0)) == [
            frame(End(tail=b"cut", total_bytes=3, is_aborted=True), seq=2, offset=3)
        ]

    def test_after_end_nothing_is_cancelled(self) -> None:
        """A late CANCEL brings END again, and says that the answer is not wanted."""
        stream = confirmed()
        stream.end(b"usage", 0.0)

        assert stream.abort("draining") == []
        actions = stream.handle(frame(Cancel(reason="client_gone")), 0.0)
        assert contents(actions) == [End(tail=b"usage", total_bytes=0)]
        assert others(actions) == [Undelivered(reason="client_gone")]

    def test_a_cancelled_attempt_takes_no_body(self) -> None:
        """It will never be called."""
        stream = callee(opening(b"ab", body_bytes=3))
        stream.accept(0.0)
        stream.abort("draining")

        assert stream.handle(frame(Body(payload=b"c"), seq=1, offset=2), 0.0) == []


class TestDelivery:
    """Exactly one word on whether the caller has it all."""

    def test_an_answer_is_delivered_when_end_is_acknowledged(self) -> None:
        """Not before, and not twice."""
        stream = confirmed()
        stream.send_data(b"abc")
        stream.end(b"usage", 0.0)

        assert stream.handle(frame(Credit(limit=WINDOW, received_seq=1)), 1.0) == []
        assert stream.handle(frame(Credit(limit=WINDOW, received_seq=2)), 1.0) == [Delivered()]
        assert stream.handle(frame(Credit(limit=WINDOW, received_seq=2)), 1.0) == []
        assert stream.peer_lost(2.0) == stream.tick(99.0) == []

    def test_a_caller_that_is_lost_does_not_have_it(self) -> None:
        """Nobody can say what became of it."""
        stream = confirmed()
        stream.end(b"usage", 0.0)

        assert stream.peer_lost(1.0) == [Undelivered(reason="peer_lost")]
        assert stream.handle(frame(Credit(limit=WINDOW, received_seq=1)), 2.0) == []

    def test_a_newer_attempt_leaves_it_undelivered(self) -> None:
        """The caller has gone on to somebody else."""
        stream = confirmed()
        stream.end(b"usage", 0.0)

        actions = stream.handle(frame(opening(), attempt=2, callee=None), 1.0)

        assert others(actions) == [Undelivered(reason="superseded")]

    def test_nothing_heard_for_twenty_seconds_leaves_it_undelivered(self) -> None:
        """The application must not wait for ever."""
        stream = confirmed()
        stream.end(b"usage", 5.0)

        assert others(stream.tick(24.9)) == []
        assert others(stream.tick(25.0)) == [Undelivered(reason="unacknowledged")]

    def test_a_cancelled_answer_is_undelivered_at_once(self) -> None:
        """For the reason of its cancel."""
        stream = confirmed()
        stream.abort("draining")

        assert others(stream.end(b"cut", 0.0)) == [Undelivered(reason="draining")]

    def test_a_cancel_that_acknowledges_the_end_is_no_delivery(self) -> None:
        """And nothing is sent again: the caller has END."""
        stream = confirmed()
        stream.end(b"usage", 0.0)

        assert stream.handle(frame(Cancel(reason="client_gone", received_seq=1)), 0.1) == [
            Undelivered(reason="client_gone")
        ]
        assert contents(stream.tick(5.0)) == []


class TestLastWord:
    """FIN, and how long the machine stays."""

    def test_fin_carries_the_number_of_end(self) -> None:
        """Should it overtake END, the caller knows what is missing."""
        stream = confirmed()
        stream.end(b"usage", 0.0)

        assert sent(stream.finish(b"settled", 0.0)) == [frame(Fin(tail=b"settled"), seq=1)]

    def test_fin_is_repeated_for_ten_seconds(self) -> None:
        """Then the state is dropped, whether it was heard or not."""
        stream = finished()

        said = [contents(stream.tick(float(now))) for now in range(1, 10)]

        assert all(Fin(tail=b"settled") in each for each in said)
        assert stream.tick(10.0) == [Closed()]
        assert stream.tick(11.0) == stream.handle(frame(Fin()), 11.0) == stream.reconnected(11.0) == []

    def test_the_callers_fin_ends_the_linger(self) -> None:
        """But not before the OPEN has expired, so that a copy of it cannot begin again."""
        stream = finished()

        assert stream.handle(frame(Fin()), 0.5) == []
        assert stream.handle(frame(opening(), callee=None), 0.6) == []
        assert stream.tick(0.9) == []
        assert stream.tick(1.0) == [Closed()]

    def test_the_callers_fin_after_the_open_has_expired_closes_at_once(self) -> None:
        """There is nothing to wait for."""
        assert finished().handle(frame(Fin()), 1.0) == [Closed()]

    def test_an_open_that_is_valid_for_hours_is_remembered_for_ten_seconds(self) -> None:
        """Clocks may differ."""
        stream = callee(opening(valid_ms=3_600_000))
        stream.accept(0.0)
        stream.end(b"", 0.0)
        stream.finish(b"", 0.0)
        stream.handle(frame(Fin()), 0.1)

        assert stream.tick(9.9) == []
        assert stream.tick(10.0) == [Closed()]

    def test_strays_are_answered_with_fin_at_most_once_a_second(self) -> None:
        """No two machines keep each other awake."""
        stream = finished()
        stray = frame(opening(), callee=None)

        answers = [contents(stream.handle(stray, now)) for now in (0.5, 1.0, 1.5, 2.0)]

        assert answers == [[], [Fin(tail=b"settled")], [], [Fin(tail=b"settled")]]

    def test_a_late_cancel_is_answered_with_end_and_fin(self) -> None:
        """The caller may have missed both."""
        said = contents(finished().handle(frame(Cancel(reason="x")), 1.0))

        assert said == [End(tail=b"usage", total_bytes=3), Fin(tail=b"settled")]

    def test_a_reconnect_repeats_all_that_was_not_heard(self) -> None:
        """In the order in which it was said."""
        said = contents(finished().reconnected(0.1))

        assert [type(each) for each in said] == [Head, Data, End, Fin]
