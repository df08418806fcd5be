"""The caller: opening and its budget, fencing, flow and the outcome."""

from shared.stream.actions import (
    Closed,
    Confirmed,
    Ended,
    Failure,
    Opened,
    Received,
    Send,
    Started,
    Unconfirmed,
)
from shared.stream.frames import (
    MAX_PART_BYTES,
    Accept,
    Body,
    BodyCredit,
    Busy,
    Cancel,
    Credit,
    Data,
    End,
    Head,
    Nack,
    Open,
)
from tests.shared.stream.wire import (
    ACCEPT,
    CALLEE,
    CALLER,
    DATA,
    END,
    FIN,
    HEAD,
    OTHER,
    REQUEST,
    UNIX_MS,
    WINDOW,
    accepted_caller,
    caller,
    contents,
    failed,
    frame,
    others,
    sent,
)


class TestOpening:
    """Until somebody accepts."""

    def test_open_goes_to_the_queue_with_the_body_and_a_second_of_validity(self) -> None:
        """One message is all that a small call needs."""
        actions = caller(b"{}").open(5.0, UNIX_MS)

        assert [action.peer for action in actions if isinstance(action, Send)] == [None]
        assert contents(actions) == [
            Open(
                caller=CALLER,
                request_id=REQUEST,
                valid_until_unix_ms=UNIX_MS + 1000,
                deadline_unix_ms=UNIX_MS + 60_000,
                head=b"call",
                body=b"{}",
                body_bytes=2,
                credit_limit=WINDOW,
            )
        ]

    def test_accept_opens(self) -> None:
        """The application learns who answers."""
        stream = caller()
        stream.open(0.0, UNIX_MS)

        assert stream.handle(frame(ACCEPT), 0.5) == [Opened(peer=CALLEE, attempt=1)]

    def test_silence_is_a_failure_after_a_second(self) -> None:
        """Somebody may have begun, so only the application can say what comes next."""
        stream = caller()
        (opened,) = sent(stream.open(0.0, UNIX_MS))
        assert isinstance(opened.content, Open)
        assert opened.content.valid_until_unix_ms == UNIX_MS + 1000

        assert stream.tick(0.9) == []
        assert stream.tick(1.0) == [failed(Failure.NO_ACCEPT)]
        assert stream.tick(4.0) == [Unconfirmed(tail=None), Closed()]

    def test_a_late_accept_after_the_silence_is_cancelled(self) -> None:
        """And its word on the settlement is waited for."""
        stream = caller()
        stream.open(0.0, UNIX_MS)
        stream.tick(1.0)

        assert contents(stream.handle(frame(ACCEPT), 1.5)) == [Cancel(reason="no_accept")]
        assert others(stream.handle(FIN, 2.0)) == [Confirmed(tail=b"settled"), Closed()]

    def test_busy_without_a_budget_is_a_failure(self) -> None:
        """A slow moment does not become a storm."""
        stream = caller(has_budget=False)
        stream.open(0.0, UNIX_MS)

        assert others(stream.handle(frame(Busy(reason="full"), callee=None), 0.0))[0] == failed(
            Failure.BUSY, has_accept=False
        )

    def test_busy_brings_the_next_attempt_at_once(self) -> None:
        """At most four in all; that nobody has called upstream is then certain."""
        stream = caller()
        stream.open(0.0, UNIX_MS)
        for attempt in (1, 2, 3):
            (opened,) = sent(stream.handle(frame(Busy(reason="full"), attempt=attempt, callee=None), 0.0))
            assert opened.attempt == attempt + 1

        assert stream.handle(frame(Busy(reason="full"), attempt=4, callee=None), 0.0) == [
            failed(Failure.BUSY, attempt=4, has_accept=False),
            Unconfirmed(tail=None),
            Closed(),
        ]

    def test_an_old_busy_changes_nothing(self) -> None:
        """It speaks of an attempt that is over."""
        stream = caller()
        stream.open(0.0, UNIX_MS)
        busy = frame(Busy(reason="full"), callee=None)
        stream.handle(busy, 0.0)

        assert stream.handle(busy, 0.0) == []

    def test_no_responders_is_a_failure_at_once(self) -> None:
        """The bus has said that nobody is there, so nobody has called upstream."""
        stream = caller()
        stream.open(0.0, UNIX_MS)

        assert stream.no_responders(0.0) == [
            failed(Failure.NO_RESPONDERS, has_accept=False),
            Unconfirmed(tail=None),
            Closed(),
        ]
        assert stream.tick(99.0) == stream.handle(frame(ACCEPT), 99.0) == stream.no_responders(99.0) == []

    def test_a_further_machine_of_a_request_continues_the_numbers(self) -> None:
        """What the first one left behind cannot be taken for its own."""
        (opened,) = sent(caller(first_attempt=5).open(0.0, UNIX_MS))

        assert opened.attempt == 5


class TestFencing:
    """Only one callee of one attempt is listened to."""

    def test_a_late_accept_of_an_old_attempt_is_cancelled(self) -> None:
        """At most once a second, and so are later frames of that callee."""
        stream = caller(first_attempt=2)
        stream.open(0.0, UNIX_MS)
        late = frame(ACCEPT, attempt=1)

        (cancel,) = stream.handle(late, 1.1)
        assert isinstance(cancel, Send)
        assert cancel.peer == CALLEE
        assert sent([cancel]) == [frame(Cancel(reason="not_current"), attempt=1)]
        assert stream.handle(late, 1.5) == []
        assert contents(stream.handle(HEAD, 2.1)) == [Cancel(reason="not_current")]

    def test_a_second_accept_of_the_current_attempt_is_cancelled(self) -> None:
        """The first is served, and what the second sends is dropped."""
        stream = accepted_caller()

        (cancel,) = stream.handle(frame(Accept(callee=OTHER, body_limit=0), callee=OTHER), 0.0)

        assert isinstance(cancel, Send)
        assert cancel.peer == OTHER
        assert stream.handle(frame(Head(head=b"no"), callee=OTHER, seq=1), 0.0) == []
        assert stream.handle(HEAD, 0.0) == [Started(head=b"200")]

    def test_frames_of_an_unknown_callee_are_dropped(self) -> None:
        """Before its ACCEPT nobody knows whom to tell."""
        stream = caller()
        stream.open(0.0, UNIX_MS)

        assert stream.handle(HEAD, 0.0) == []

    def test_frames_of_an_old_attempt_are_dropped(self) -> None:
        """Also when the same callee has taken both."""
        stream = caller(first_attempt=2)
        stream.open(0.0, UNIX_MS)
        stream.handle(frame(ACCEPT, attempt=2), 0.0)

        assert stream.handle(HEAD, 0.0) == []

    def test_a_repeated_accept_is_answered(self) -> None:
        """The callee has not heard that somebody listens."""
        assert contents(accepted_caller().handle(frame(ACCEPT), 2.0)) == [
            Credit(limit=WINDOW, received_seq=0)
        ]


class TestFlowing:
    """The answer in, the rest of the body out."""

    def test_an_answer_arrives_in_order_and_ends_complete(self) -> None:
        """HEAD, DATA and END become what the application sees, and END is acknowledged at once."""
        stream = accepted_caller()

        actions = [action for each in (HEAD, DATA, END) for action in stream.handle(each, 0.0)]

        assert others(actions) == [Started(head=b"200"), Received(data=b"abc"), Ended(tail=b"usage")]
        assert contents(actions) == [Credit(limit=WINDOW, received_seq=3)]

    def test_credit_goes_out_when_the_client_has_read(self) -> None:
        """Half a window is worth a message."""
        stream = accepted_caller()
        stream.handle(frame(Data(payload=bytes(40_000)), seq=1), 0.0)

        assert contents(stream.consumed(40_000, 0.0)) == [Credit(limit=40_000 + WINDOW, received_seq=1)]

    def test_the_window_can_be_resized(self) -> None:
        """From the next credit on."""
        stream = accepted_caller()
        stream.resize(100_000)
        stream.handle(frame(Data(payload=bytes(40_000)), seq=1), 0.0)

        assert contents(stream.consumed(40_000, 0.0)) == [Credit(limit=140_000, received_seq=1)]

    def test_a_gap_is_asked_for_and_fails_after_five_seconds(self) -> None:
        """END before the last byte is not an end."""
        stream = accepted_caller()
        stream.handle(HEAD, 0.0)

        assert contents(stream.handle(END, 0.0)) == [Nack(first_missing_seq=2)]
        assert contents(stream.tick(4.5)) == [Nack(first_missing_seq=2)]
        actions = stream.tick(5.0)
        assert others(actions) == [failed(Failure.GAP)]
        assert contents(actions) == [Cancel(reason="gap")]

    def test_an_end_with_another_total_is_a_failure(self) -> None:
        """A callee that counts otherwise is not believed."""
        actions = accepted_caller().handle(frame(End(tail=b"", total_bytes=7), seq=1), 0.0)

        assert others(actions) == [failed(Failure.GAP)]

    def test_an_empty_frame_is_answered_with_credit(self) -> None:
        """The callee asks whether there is any."""
        actions = accepted_caller().handle(frame(Data(payload=b""), seq=1), 0.0)

        assert contents(actions) == [Credit(limit=WINDOW, received_seq=1)]
        assert others(actions) == []

    def test_a_long_body_follows_in_parts_under_credit(self) -> None:
        """256 KiB travel in OPEN; the rest waits for the callee's limits, and is sent again on demand."""
        body = bytes(range(256)) * 4096
        stream = caller(body)
        (opened,) = sent(stream.open(0.0, UNIX_MS))
        assert isinstance(opened.content, Open)
        assert (len(opened.content.body), opened.content.body_bytes) == (MAX_PART_BYTES, len(body))

        first = sent(stream.handle(frame(Accept(callee=CALLEE, body_limit=300_000)), 0.0))
        rest = sent(stream.handle(frame(BodyCredit(limit=10**7, received_seq=1)), 0.0))
        again = sent(stream.handle(frame(Nack(first_missing_seq=3)), 0.0))

        parts = [each.content.payload for each in first + rest if isinstance(each.content, Body)]
        assert opened.content.body + b"".join(parts) == body
        assert max(map(len, parts)) <= MAX_PART_BYTES
        assert first[-1].offset + len(parts[0]) == 300_000
        assert [each.seq for each in again] == [3, 4]

    def test_a_body_without_an_answer_is_probed(self) -> None:
        """The last part may be lost, and no later one shows it."""
        stream = accepted_caller(bytes(MAX_PART_BYTES + 10))
        stream.tick(0.5)

        assert contents(stream.tick(2.5))[-1] == Body(payload=bytes(10))

    def test_a_reconnect_repairs_both_directions(self) -> None:
        """What may be lost is asked for, what may have been lost is sent."""
        stream = accepted_caller(bytes(MAX_PART_BYTES + 10))

        assert contents(stream.reconnected(0.5)) == [Nack(first_missing_seq=1), Body(payload=bytes(10))]

    def test_an_aborted_end_is_a_failure_at_once(self) -> None:
        """Though every frame has arrived, the answer is not complete."""
        stream = accepted_caller()
        stream.handle(HEAD, 0.0)
        aborted = frame(End(tail=b"cut", total_bytes=0, is_aborted=True), seq=2)

        actions = stream.handle(aborted, 0.0)

        assert others(actions) == [failed(Failure.ABORTED)]
        assert contents(actions) == [Credit(limit=WINDOW, received_seq=2)]
        assert stream.tick(3.0) == [Unconfirmed(tail=b"cut"), Closed()]
