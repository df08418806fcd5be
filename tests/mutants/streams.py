"""Faults in the stream protocol: in what numbers, grants, resends, fences and ends; and in the bus that carries it."""

from tests.mutants.mutant import Mutant

FLOW = "shared/stream/flow.py"
CALLER = "shared/stream/caller.py"
CALLEE = "shared/stream/callee.py"
PEERS = "shared/stream/peers.py"
IN_FLOW = "tests/shared/stream/test_flow.py::"
IN_CALLER = "tests/shared/stream/test_caller.py::"
IN_ENDING = "tests/shared/stream/test_caller_ending.py::"
IN_CALLEE = "tests/shared/stream/test_callee.py::"
IN_PEERS = "tests/shared/stream/test_peers.py::"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


MUTANTS = (
    # Numbers, credit, resending
    _mutant(
        "gap skipped", "flow: every byte once and in order", FLOW,
        "if frame.seq == expected and frame.offset == self.offset and", "if frame.seq >= expected and",
        IN_FLOW + "TestInflow::test_a_gap_is_reported_once_per_interval",
    ),
    _mutant(
        "duplicate delivered twice", "flow: every byte once and in order", FLOW,
        "if frame.seq == expected and frame.offset == self.offset and", "if frame.seq <= expected and",
        IN_FLOW + "TestInflow::test_frames_are_taken_once_and_in_order",
    ),
    _mutant(
        "gap stays for ever", "flow: a gap that stays ends the stream", FLOW,
        "self._gap_since is not None and now - self._gap_since >= GAP_SECONDS", "False",
        IN_FLOW + "TestInflow::test_a_gap_that_stays_breaks_the_stream",
        IN_CALLER + "TestFlowing::test_a_gap_is_asked_for_and_fails_after_five_seconds",
    ),
    _mutant(
        "granted limit ignored by the receiver", "flow: nothing beyond the credit is taken", FLOW,
        " and self.offset + size <= self.limit:", ":",
        IN_FLOW + "TestInflow::test_a_frame_that_contradicts_counts_as_missing",
    ),
    _mutant(
        "credit ignored by the sender", "flow: no side sends more than was granted", FLOW,
        "return max(0, self._limit - self.offset)", "return MAX_WINDOW_BYTES",
        IN_CALLEE + "TestAnswering::test_credit_is_used_up_and_comes_back",
    ),
    _mutant(
        "credit before the client took it", "flow: credit follows what the client has taken", FLOW,
        "self.limit = max(self.limit, self._consumed + self.window)", "self.limit = self.offset + self.window",
        IN_FLOW + "TestInflow::test_what_was_received_is_acknowledged_within_a_second",
    ),
    _mutant(
        "credit on receipt", "flow: credit follows what the client has taken", CALLER,
        "return [Received(data=content.payload)] if size else",
        "return [Received(data=content.payload), *self.consumed(size, now)] if size else",
        "tests/shared/stream/test_simulation.py::test_every_promise_holds_in_any_weather",
    ),
    _mutant(
        "credit taken back", "flow: credit is cumulative", FLOW,
        "        if limit <= self._limit:\n            return False\n", "",
        IN_FLOW + "TestOutflow::test_old_and_untrue_words_change_nothing",
    ),
    _mutant(
        "untrue acknowledgement believed", "flow: no frame is forgotten before it has arrived", FLOW,
        "        if received_seq > self.seq:\n            return False\n", "",
        IN_FLOW + "TestOutflow::test_old_and_untrue_words_change_nothing",
    ),
    _mutant(
        "forgotten when sent", "flow: every frame is kept until it is acknowledged", FLOW,
        "        self.offset = end\n        self._retained.append(frame)\n", "        self.offset = end\n",
        IN_CALLEE + "TestAnswering::test_a_nack_and_a_reconnect_bring_what_is_missing",
    ),
    _mutant(
        "nothing acknowledged", "flow: what has arrived is not kept", CALLEE,
        "has_more = self._outflow.acknowledge(content.received_seq, content.limit)",
        "has_more = self._outflow.acknowledge(0, content.limit)",
        IN_CALLEE + "TestAnswering::test_credit_is_used_up_and_comes_back",
    ),
    _mutant(
        "NACK unheard", "resend: what is asked for is sent again", CALLEE,
        "return self._publish_all(self._outflow.resend(content.first_missing_seq))", "return []",
        IN_CALLEE + "TestAnswering::test_a_nack_and_a_reconnect_bring_what_is_missing",
    ),
    _mutant(
        "no resend after a reconnect", "resend: a gap that closes within 5 s is invisible", CALLEE,
        "        actions += self._publish_all(self._outflow.resend_all())\n", "",
        IN_CALLEE + "TestAnswering::test_a_nack_and_a_reconnect_bring_what_is_missing",
    ),
    _mutant(
        "no demand after a reconnect", "resend: a gap that closes within 5 s is invisible", CALLER,
        "            return [self._send(self._inflow.demand(now)), *self._repair(resent)]",
        "            return self._repair(resent)",
        IN_CALLER + "TestFlowing::test_a_reconnect_repairs_both_directions",
    ),
    _mutant(
        "no probe", "resend: what no later frame reveals is found by time", FLOW,
        "if now - self._waits_since < self._probe_after:", "if True:",
        IN_FLOW + "TestOutflow::test_a_sender_without_an_answer_probes_ever_more_rarely",
    ),
    # Fences
    _mutant(
        "frame of an old attempt accepted", "fence: the caller listens to one attempt", CALLER,
        "if frame.attempt != self._attempt or frame.callee != self._tag:", "if frame.callee != self._tag:",
        IN_CALLER + "TestFencing::test_frames_of_an_old_attempt_are_dropped",
    ),
    _mutant(
        "frame of another callee accepted", "fence: the caller listens to one callee", CALLER,
        "if frame.attempt != self._attempt or frame.callee != self._tag:", "if frame.attempt != self._attempt:",
        IN_CALLER + "TestFencing::test_frames_of_an_unknown_callee_are_dropped",
    ),
    _mutant(
        "frame of a foreign attempt accepted", "fence: a callee hears its own attempt only", CALLEE,
        "if frame.attempt != self.attempt or frame.callee != self._tag:", "if frame.callee != self._tag:",
        IN_CALLEE + "TestAccepting::test_frames_of_another_attempt_or_callee_are_dropped",
    ),
    _mutant(
        "second ACCEPT not cancelled", "fence: a second callee is turned away", "shared/stream/strangers.py",
        "        if peer is None or", "        if peer is not None or",
        IN_CALLER + "TestFencing::test_a_second_accept_of_the_current_attempt_is_cancelled",
        IN_CALLER + "TestFencing::test_a_late_accept_of_an_old_attempt_is_cancelled",
    ),
    _mutant(
        "newer attempt ignored", "fence: a newer attempt ends an older one", CALLEE,
        "if frame.attempt > self.attempt:", "if False:",
        IN_CALLEE + "TestAccepting::test_a_newer_attempt_ends_an_older_one",
    ),
    _mutant(
        "expired OPEN taken", "fence: an OPEN that came too late is dropped", CALLEE,
        "return unix_ms > opening.valid_until_unix_ms", "return False",
        IN_CALLEE + "TestAccepting::test_an_expired_open_is_dropped",
    ),
    _mutant(
        "unheard ACCEPT goes on", "fence: an attempt to which nobody listens is given up", CALLEE,
        'return self.abort("unconfirmed")', "return []",
        IN_CALLEE + "TestAccepting::test_an_attempt_to_which_nobody_listens_is_given_up",
    ),
    _mutant(
        "repeated OPEN answered twice", "fence: one call upstream for one attempt", "shared/bus/callees.py",
        "if any(attempt.number >= frame.attempt for attempt in known)",
        "if any(attempt.number > frame.attempt for attempt in known)",
        "tests/shared/test_streams_broken.py::test_an_open_that_comes_twice_is_answered_once",
    ),
    # Ends
    _mutant(
        "END accepted with missing bytes", "end: complete means every byte", CALLER,
        "if end.total_bytes != self._inflow.offset:", "if False:",
        IN_CALLER + "TestFlowing::test_an_end_with_another_total_is_a_failure",
    ),
    _mutant(
        "aborted END is complete", "end: an aborted answer is never complete", CALLER,
        "(self._state is _State.LEAVING or content.is_aborted)", "self._state is _State.LEAVING",
        IN_CALLER + "TestFlowing::test_an_aborted_end_is_a_failure_at_once",
    ),
    _mutant(
        "cancelled attempt ends as complete", "end: a cancelled attempt never ends as complete", CALLEE,
        "is_aborted=reason is not None)", "is_aborted=False)",
        IN_CALLEE + "TestGivingUp::test_after_cancelled_nothing_is_sent_but_an_aborted_end",
    ),
    _mutant(
        "END delivered before it arrived", "end: delivered means that the caller has all of it", CALLEE,
        "if self._delivery_until is not None and self._outflow.is_acknowledged:", "if self._delivery_until is not None:",
        IN_CALLEE + "TestDelivery",
    ),
    _mutant(
        "CANCEL after END counts as delivered", "end: an answer that nobody wants is not delivered", CALLER,
        "        self._closes_at = min(self._closes_at, now + SETTLE_SECONDS)\n        return self._send_cancel(now)",
        "        return [self._send(Credit(limit=self._inflow.limit, received_seq=frame.seq))]",
        IN_ENDING + "TestLeaving::test_an_end_that_nobody_wants_is_acknowledged_by_cancel_alone",
    ),
    _mutant(
        "second outcome", "end: exactly one outcome", CALLER,
        "_State.FLOWING:\n            return self._fail(Failure.PEER_LOST, now, 0.0)",
        "_State.FLOWING or self._state is _State.SETTLING:\n            return self._fail(Failure.PEER_LOST, now, 0.0)",
        IN_ENDING + "TestSettling::test_a_lost_callee_ends_the_wait",
    ),
    _mutant(
        "no second witness after 3 s", "end: without FIN the edge settles", CALLER,
        "        self._closes_at = now + SETTLE_SECONDS\n        self._release_body()\n        ended:",
        '        self._closes_at = float("inf")\n        self._release_body()\n        ended:',
        IN_ENDING + "TestSettling::test_without_fin_the_application_settles_after_three_seconds",
    ),
    _mutant(
        "CANCEL said once", "cancel: it is repeated until END", CALLER,
        "is_unheard = self._cancel is not None and self._end_tail is None", "is_unheard = False",
        IN_ENDING + "TestLeaving::test_cancel_is_repeated_until_ten_seconds_have_passed",
    ),
    _mutant(
        "CANCEL unheard", "cancel: a callee that nobody listens to stops", CALLEE,
        "return self.abort(cancel.reason)", "return []",
        IN_CALLEE + "TestGivingUp::test_a_cancel_is_passed_on_once",
    ),
    _mutant(
        "silence is life", "life: a silent peer is lost after 15 s", PEERS,
        "if now - entry.heard_at >= DEAD_SECONDS]", "if False]",
        IN_PEERS + "test_a_peer_is_lost_after_fifteen_seconds_of_silence",
    ),
    _mutant(
        "sleeper trusts its memory", "life: a process that slept gives all peers up", PEERS,
        "if now - last_tick <= PAUSE_SECONDS:", "if True:",
        IN_PEERS + "test_a_process_that_slept_gives_all_peers_up",
    ),
    _mutant(
        "restarted peer is the old one", "life: what the peer does not know is lost", PEERS,
        "return HeartbeatReply(unknown=[rid for rid in heartbeat.request_ids if rid not in shared])",
        "return HeartbeatReply(unknown=[])",
        IN_PEERS + "test_a_reply_names_what_is_not_shared",
    ),
    # The bus
    _mutant(
        "published while disconnected", "bus: what was refused is never sent later", "shared/bus/link.py",
        "if not self._client.is_connected:\n            raise Unavailable", "if False:\n            raise Unavailable",
        "tests/shared/test_link.py::test_what_was_refused_while_away_is_not_sent_later",
    ),
    _mutant(
        "closed for good unnoticed", "bus: a process without its bus ends", "shared/bus/link.py",
        "            self.closed.set()", "            pass",
        "tests/shared/test_link.py::test_a_connection_closed_for_good_says_so",
    ),
    _mutant(
        "message above the limit", "bus: a message that is too large is refused here", "shared/bus/link.py",
        "if len(payload) > MESSAGE_BYTES_MAX:", "if False:",
        "tests/shared/test_bus.py::test_a_message_that_is_too_large_is_refused_and_the_connection_lives",
    ),
    _mutant(
        "no responders unheard", "bus: nobody there is known at once", "shared/bus/endpoint.py",
        "        if message.is_unanswered:\n            await self.on_unanswered(request_id)\n            return\n", "",
        "tests/shared/test_callers_callees.py::test_nobody_there_is_known_at_once",
    ),
    _mutant(
        "claim given up at the first silence", "claim: it is repeated until billing confirms it", "shared/settlement.py",
        "if loop.time() >= give_up:", "if True:",
        "tests/shared/test_settlement.py::test_a_claim_is_repeated_until_it_is_confirmed",
    ),
)  # fmt: skip
