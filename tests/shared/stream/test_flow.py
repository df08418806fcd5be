"""Flow control: numbering, credit, acknowledgement, gaps, probes."""

import pytest

from shared.stream.flow import Inflow, Outflow, window_bytes
from shared.stream.frames import Credit, Data, End, Frame, FrameType, Head, Nack, decode


def outflow(limit: int = 1000) -> Outflow:
    """Return a sender of DATA with credit up to `limit`."""
    return Outflow(FrameType.DATA, attempt=1, callee=1, limit=limit)


def inflow(window: int = 1000) -> Inflow:
    """Return a receiver of DATA, made at time 0."""
    return Inflow(Credit, window=window, now=0.0)


def data(seq: int, offset: int, size: int) -> Frame:
    """Return a DATA frame of `size` bytes."""
    return Frame(attempt=1, callee=1, seq=seq, offset=offset, content=Data(payload=bytes(size)))


def numbers(frames: list[bytes]) -> list[tuple[int, int]]:
    """Return seq and offset of encoded frames."""
    decoded = [decode(frame) for frame in frames]
    return [(frame.seq, frame.offset) for frame in decoded if frame is not None]


@pytest.mark.parametrize(
    ("active", "window"),
    [(0, 262_144), (1, 262_144), (96, 262_144), (97, 259_441), (2_000, 12_582), (10_000, 8_192)],
)
def test_the_window_is_a_share_of_the_process(active: int, window: int) -> None:
    """All windows together stay at 24 MiB, and none leaves 8 to 256 KiB."""
    assert window_bytes(active) == window


class TestOutflow:
    """The sending side."""

    def test_frames_are_numbered_and_have_offsets(self) -> None:
        """Control frames take a number and no bytes."""
        flow = outflow()

        frames = [
            flow.push_control(Head(head=b"h")),
            flow.push(b"abc"),
            flow.push(b"de"),
            flow.push_control(End(tail=b"t", total_bytes=5)),
        ]

        assert numbers(frames) == [(1, 0), (2, 0), (3, 3), (4, 5)]
        assert (flow.credit, flow.retained_bytes) == (995, 5)

    def test_nothing_is_sent_beyond_the_credit(self) -> None:
        """A driver that sends more than it may is stopped at once."""
        flow = outflow(limit=2)

        with pytest.raises(AssertionError, match="credit"):
            flow.push(b"abc")

    def test_acknowledged_frames_are_forgotten(self) -> None:
        """Only what may have to be sent again is kept."""
        flow = outflow()
        for _ in range(3):
            flow.push(b"abc")

        has_risen = flow.acknowledge(2, 1000)

        assert not has_risen
        assert flow.retained_bytes == 3
        assert numbers(flow.resend_all()) == [(3, 6)]

    def test_old_and_untrue_words_change_nothing(self) -> None:
        """A limit never falls, and frames that were never sent cannot be acknowledged."""
        flow = outflow()
        flow.push(b"abc")

        flow.acknowledge(9, 5000)
        flow.acknowledge(0, 500)

        assert (flow.credit, flow.retained_bytes) == (997, 3)

    def test_a_higher_limit_is_credit(self) -> None:
        """The limit is cumulative."""
        flow = outflow(limit=3)
        flow.push(b"abc")

        assert flow.acknowledge(0, 10)
        assert flow.credit == 7

    @pytest.mark.parametrize(
        ("first_missing", "again"), [(2, [2, 3]), (1, [1, 2, 3]), (3, [3]), (4, []), (9, [])]
    )
    def test_a_nack_brings_all_from_the_first_missing_frame(
        self, first_missing: int, again: list[int]
    ) -> None:
        """Go-back-N, and nothing for what was never sent."""
        flow = outflow()
        for _ in range(3):
            flow.push(b"abc")

        assert [seq for seq, _ in numbers(flow.resend(first_missing))] == again

    def test_an_old_nack_brings_nothing(self) -> None:
        """A NACK that was overtaken by an acknowledgement is not answered."""
        flow = outflow()
        flow.push(b"abc")
        flow.acknowledge(1, 0)

        assert flow.resend(1) == []

    def test_a_sender_without_an_answer_probes_ever_more_rarely(self) -> None:
        """After 2 s an empty frame shows the receiver what it misses, then after 4 s and 8 s more."""
        flow = outflow()
        flow.push(b"abc")

        probes = {now: numbers(flow.tick(now, has_more=True)) for now in range(20)}

        assert {now: probe for now, probe in probes.items() if probe} == {
            2: [(2, 3)],
            6: [(3, 3)],
            14: [(4, 3)],
        }

    def test_progress_starts_the_wait_again(self) -> None:
        """Who is answered does not probe."""
        flow = outflow()
        flow.push(b"abc")
        flow.push(b"def")
        flow.tick(0.0, has_more=True)
        flow.acknowledge(1, 0)

        assert flow.tick(2.0, has_more=True) == []
        assert flow.tick(3.9, has_more=True) == []
        assert flow.tick(4.0, has_more=True) != []

    def test_the_probe_of_a_sender_that_is_done_is_its_newest_frame(self) -> None:
        """Nothing may follow END."""
        flow = outflow()
        flow.push_control(End(tail=b"", total_bytes=0))
        flow.tick(0.0, has_more=False)

        assert numbers(flow.tick(2.0, has_more=False)) == [(1, 0)]

    def test_a_sender_without_credit_asks_for_it(self) -> None:
        """A lost CREDIT cannot stop a stream for ever, though all was acknowledged."""
        flow = outflow(limit=3)
        flow.push(b"abc")
        flow.acknowledge(1, 3)
        flow.tick(0.0, has_more=True)

        assert numbers(flow.tick(2.0, has_more=True)) == [(2, 3)]
        flow.acknowledge(2, 3)
        assert flow.tick(9.0, has_more=False) == []

    def test_what_is_abandoned_is_not_sent_again(self) -> None:
        """Numbers go on after it."""
        flow = outflow()
        flow.push(b"abc")
        flow.abandon()

        frame = flow.push_control(End(tail=b"", total_bytes=3))

        assert numbers([frame]) == [(2, 3)]
        assert numbers(flow.resend_all()) == [(2, 3)]

    def test_a_source_is_sent_in_parts_under_credit(self) -> None:
        """Each part is at most 256 KiB, and none goes beyond the limit."""
        flow = Outflow(FrameType.BODY, attempt=1, callee=1, limit=600_000, offset=100)
        source = bytes(700_000)

        first = flow.push_from(source)
        flow.acknowledge(0, 10**6)
        rest = flow.push_from(source)

        assert [offset for _, offset in numbers(first + rest)] == [100, 262_244, 524_388, 600_000]
        assert flow.offset == 700_000


class TestInflow:
    """The receiving side."""

    def test_frames_are_taken_once_and_in_order(self) -> None:
        """A repeated frame and a later one are dropped."""
        flow = inflow()

        taken = [flow.receive(data(seq, 10 * (seq - 1), 10), 10, 0.0) for seq in (1, 1, 3, 2, 2, 3)]

        assert taken == [True, False, False, True, False, True]
        assert (flow.seq, flow.offset) == (3, 30)

    def test_a_gap_is_reported_once_per_interval(self) -> None:
        """A NACK at once, and again each half second."""
        flow = inflow()
        flow.receive(data(2, 10, 10), 10, 0.0)

        said = [flow.due(now) for now in (0.0, 0.4, 0.5, 0.9, 1.0)]

        assert said == [
            Nack(first_missing_seq=1),
            None,
            Nack(first_missing_seq=1),
            None,
            Nack(first_missing_seq=1),
        ]

    def test_a_gap_that_stays_breaks_the_stream(self) -> None:
        """Five seconds after it was seen."""
        flow = inflow()
        flow.receive(data(2, 10, 10), 10, 1.0)

        assert not flow.is_broken(5.9)
        assert flow.is_broken(6.0)

    def test_a_gap_that_closes_is_forgotten(self) -> None:
        """Each missing frame has its own five seconds."""
        flow = inflow()
        flow.receive(data(3, 20, 10), 10, 0.0)
        flow.receive(data(1, 0, 10), 10, 4.0)
        assert not flow.is_broken(8.0)
        flow.receive(data(2, 10, 10), 10, 8.0)
        flow.receive(data(3, 20, 10), 10, 8.0)

        assert not flow.is_broken(99.0)

    @pytest.mark.parametrize("wrong", [data(1, 5, 10), data(1, 0, 1001)])
    def test_a_frame_that_contradicts_counts_as_missing(self, wrong: Frame) -> None:
        """A wrong offset, or more than was granted, is asked for again and not delivered."""
        flow = inflow()
        assert isinstance(wrong.content, Data)

        assert not flow.receive(wrong, len(wrong.content.payload), 0.0)
        assert flow.due(0.0) == Nack(first_missing_seq=1)
        assert flow.is_broken(5.0)

    def test_credit_follows_the_consumption_of_half_a_window(self) -> None:
        """Not each small read is a message, and what is unread is not granted again."""
        flow = inflow()
        flow.receive(data(1, 0, 800), 800, 0.0)

        assert flow.consume(499, 0.0) is None
        assert flow.consume(1, 0.0) == Credit(limit=1500, received_seq=1)
        assert flow.consume(300, 0.0) is None

    def test_a_smaller_window_takes_nothing_back(self) -> None:
        """The limit stays until what was granted is used, then follows the new window."""
        flow = inflow()
        flow.window = 100
        flow.receive(data(1, 0, 1000), 1000, 0.0)

        assert flow.consume(900, 0.0) is None
        assert flow.limit == 1000
        assert flow.consume(100, 0.0) == Credit(limit=1100, received_seq=1)

    def test_what_was_received_is_acknowledged_within_a_second(self) -> None:
        """Also the first second of silence is, so that the sender knows that somebody listens; then nothing is said twice."""
        flow = inflow()
        assert flow.due(0.9) is None
        assert flow.due(1.0) == Credit(limit=1000, received_seq=0)
        flow.receive(data(1, 0, 10), 10, 1.5)

        assert flow.due(1.9) is None
        assert flow.due(2.0) == Credit(limit=1000, received_seq=1)
        assert flow.due(9.0) is None

    def test_a_repeated_frame_is_acknowledged_again(self) -> None:
        """Its sender has not heard the first acknowledgement."""
        flow = inflow()
        flow.receive(data(1, 0, 10), 10, 0.0)
        flow.grant(0.0)
        flow.receive(data(1, 0, 10), 10, 0.5)

        assert flow.due(1.0) == Credit(limit=1000, received_seq=1)
