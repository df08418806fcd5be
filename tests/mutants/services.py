"""Faults at both ends: what the edge shows and settles, and what the dispatcher believes, passes on and claims."""

from tests.mutants.mutant import Mutant

CHAT = "services/edge/chat.py"
RELAY = "services/edge/relay.py"
PRINCIPALS = "services/edge/principals.py"
ANSWERING = "services/dispatcher/answering.py"
UPSTREAM = "services/dispatcher/upstream.py"
EVIDENCE = "services/dispatcher/evidence.py"
USAGE = "services/dispatcher/usage.py"
DISPATCHER_CHAT = "services/dispatcher/chat.py"
ENDINGS = "tests/edge/test_chat_endings.py::test_"
RELAY_ENDINGS = "tests/edge/test_relay_endings.py::test_"
IN_RELAY = "tests/edge/test_relay.py::test_"
IN_PRINCIPALS = "tests/edge/test_principals.py::test_"
IN_ANSWERING = "tests/dispatcher/test_answering.py::test_"
IN_UPSTREAM = "tests/dispatcher/test_upstream.py::test_"
IN_STREAM = "tests/dispatcher/test_chat_stream.py::test_"
IN_USAGE = "tests/dispatcher/test_usage.py::test_"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


EDGE = (
    _mutant(
        "[DONE] after an error", "client: a broken stream looks broken", CHAT,
        "event(error, self._language)\n", "event(error, self._language) + DONE\n",
        ENDINGS + "a_broken_stream_looks_broken",
    ),
    _mutant(
        "clean close after an error", "client: a broken stream looks broken", CHAT,
        "event(error, self._language)\n        await self._send_body(data, more=True)",
        "event(error, self._language)\n        await self._send_body(data, more=False)",
        ENDINGS + "a_broken_stream_looks_broken",
    ),
    _mutant(
        "silent cut", "client: a broken stream looks broken", CHAT,
        "+ event(error, self._language)\n", '+ b""\n',
        ENDINGS + "a_broken_stream_looks_broken",
    ),
    _mutant(
        "no [DONE]", "client: a whole stream ends with [DONE]", CHAT,
        "data + self._torn + DONE if self._is_stream else data", "data",
        "tests/edge/test_chat.py::test_a_stream_ends_with_done_when_it_is_whole",
    ),
    _mutant(
        "half an event before an error", "client: a break tears no event", CHAT,
        "if len(data) - end <= TORN_BYTES_MAX:", "if False:",
        "tests/edge/test_torn_events.py::test_an_error_never_stands_inside_an_event",
    ),
    _mutant(
        "rest of an answer kept for ever", "client: a slow reader slows its upstream", "services/edge/connection.py",
        "        if unread_bytes and unread_bytes == self._unread_bytes:\n", "        if False:\n",
        "tests/edge/test_unread_answers.py::test_a_connection_that_takes_nothing_of_its_last_bytes_is_reset",
    ),
    _mutant(
        "door shut in the face", "drain: what was sent before the end is answered", "services/edge/connection.py",
        "min(self._due, self.loop.time() + LEAVING_SECONDS)", "self.loop.time()",
        "tests/edge/test_leaving.py::test_a_request_that_is_on_its_way_is_answered",
    ),
    _mutant(
        "cancellation taken for an outage", "drain: what is told to end ends", "shared/db.py",
        "and task.cancelling():", "and False:",
        "tests/shared/test_db.py::test_whoever_is_cancelled_before_a_silent_server_ends",
    ),
    _mutant(
        "credit before the client has taken the bytes", "client: a slow reader slows its upstream", CHAT,
        "        self._is_between_events = data.endswith(b\"\\n\\n\")\n        await self._send_body(data, more=True)\n",
        "        await self._answer.consumed(len(data))\n        await self._send_body(data, more=True)\n        data = b\"\"\n",
        ENDINGS + "credit_follows_what_the_client_has_taken",
    ),
    _mutant(
        "client gone and upstream not told", "client: one that leaves is passed on upstream", CHAT,
        '                await self._answer.cancel("client_gone")\n', "",
        ENDINGS + "a_client_that_leaves_closes_the_upstream",
    ),
    _mutant(
        "repeat invited after a cost", "client: a repeat is invited only when nothing can have been billed", CHAT,
        "error.retry_after_seconds is not None and not may_be_billed", "error.retry_after_seconds is not None",
        ENDINGS + "a_repeat_is_invited_only_when_nothing_can_have_been_billed",
    ),
    _mutant(
        "billing's refusal is a yes", "money: who is refused is not served", RELAY,
        "            except asyncio.CancelledError:\n",
        "            except RelayError:\n"
        "                return billing.Hold(request_id=question.request_id, amount_nano_usd=0, output_tokens_granted=9,\n"
        "                                    price_id=0), lease_id\n"
        "            except asyncio.CancelledError:\n",
        IN_RELAY + "a_refusal_holds_nothing_and_ends_nothing",
    ),
    _mutant(
        "unanswered reserve left alone", "money: a reserve of unknown outcome is voided", RELAY,
        'self._void(question, "reserve_unanswered", error)', "pass",
        IN_RELAY + "a_reserve_with_an_answer_that_says_nothing_is_voided",
    ),
    _mutant(
        "client gone in the reserve", "money: a client that leaves during the reserve leaves no hold", RELAY,
        'self._void(question, "client_gone")', "pass",
        IN_RELAY + "a_client_that_leaves_during_the_reserve_leaves_no_hold",
    ),
    _mutant(
        "second witness silent", "money: without FIN the edge settles", RELAY,
        "        await self._end(_claim_of_the_lost(exchange) if words is None else _claim_of(exchange, words))",
        "        return",
        RELAY_ENDINGS + "a_missing_confirmation_makes_the_edge_the_second_witness",
    ),
    _mutant(
        "empty FIN counts as settled", "money: an empty FIN leaves the hold to the edge", RELAY,
        "            if settlement.tail:\n                return\n", "            return\n",
        RELAY_ENDINGS + "an_empty_confirmation_leaves_the_hold_to_the_edge",
    ),
    _mutant(
        "call repeated without a fence", "attempt: what may still run is fenced off before another is asked", RELAY,
        "            fenced = await self._bus.call(billing.FENCE, fence)\n"
        "            if not fenced.is_held or exchange.cut is not None:\n                return False\n", "",
        "tests/edge/test_repeat.py::test_a_client_does_not_notice_that_its_dispatcher_was_lost",
    ),
    _mutant(
        "call repeated on an ended hold", "attempt: an ended hold serves no second answer", RELAY,
        "if not fenced.is_held or exchange.cut is not None:", "if exchange.cut is not None:",
        "tests/edge/test_repeat.py::test_a_hold_that_has_ended_is_not_used_again",
    ),
    _mutant(
        "call repeated after it began", "client: what has begun is not begun again", RELAY,
        "failed.reason in REPEATABLE and not self.is_accepted and", "failed.reason in REPEATABLE and",
        "tests/edge/test_repeat.py::test_what_has_begun_is_not_begun_again",
    ),
    _mutant(
        "calls repeated without end", "client: one repeat, not a storm", RELAY,
        " and self.fence == 0 and self.cut is None", " and self.cut is None",
        "tests/edge/test_repeat.py::test_a_second_loss_is_an_error",
    ),
    _mutant(
        "broken answer claimed as complete", "C8: what broke between the two is free", RELAY,
        'claim = msgspec.structs.replace(claim, outcome="platform_failed", error=_code(exchange))', "pass",
        RELAY_ENDINGS + "an_answer_that_broke_on_the_way_is_not_claimed_as_complete",
    ),
    _mutant(
        "lost lease goes on", "money: what runs under a lost lease is cut", RELAY,
        "if exchange.lease_id == lease_id:", "if exchange.lease_id != lease_id:",
        IN_RELAY + "a_lost_lease_cuts_what_runs_under_it",
    ),
    _mutant(
        "user pays for a lost dispatcher", "C8: what broke here is free", RELAY,
        'outcome="platform_failed",\n        is_up', 'outcome="completed",\n        is_up',
        RELAY_ENDINGS + "a_dispatcher_lost_in_its_answer_costs_the_user_nothing",
    ),
    _mutant(
        "revoked key cached", "key: a change drops what is remembered", PRINCIPALS,
        "        for key in [key for key in self._known if key.id == event.key_id]:\n            del self._known[key]\n", "",
        IN_PRINCIPALS + "a_change_drops_what_is_remembered",
    ),
    _mutant(
        "key cached for ever", "key: it is remembered for at most 10 s", PRINCIPALS,
        "if entry is not None and entry[1] > now:", "if entry is not None:",
        IN_PRINCIPALS + "a_remembered_key_is_asked_for_again_after_its_time",
    ),
    _mutant(
        "old answer remembered after a change", "key: no older answer outlives a change", PRINCIPALS,
        "if changes == self._changes:", "if True:",
        IN_PRINCIPALS + "an_answer_that_is_older_than_a_change_is_not_remembered",
    ),
    _mutant(
        "revocation is not billing's", "key: a change is acknowledged after billing holds it", "services/auth/key_handlers.py",
        "            key = await key_store.revoke(connection, ask.key_id)\n            await self._put(key)\n",
        "            key = await key_store.revoke(connection, ask.key_id)\n        await self._put(key)\n",
        "tests/auth/test_changes.py::test_a_change_that_billing_refuses_is_not_made",
    ),
)  # fmt: skip

DISPATCHER = (
    _mutant(
        "error inside a 200 is an answer", "upstream: an error inside a 200 is an error", DISPATCHER_CHAT,
        "self.error = _error_in_event(event, data, members)",
        "self.error = None if members else _error_in_event(event, data, members)",
        IN_STREAM + "nothing_is_forwarded_from_an_error_on",
    ),
    _mutant(
        "error inside a plain 200 is an answer", "upstream: an error inside a 200 is an error", DISPATCHER_CHAT,
        "    if error is not None or members is None:\n        return PlainResult",
        "    if members is None:\n        return PlainResult",
        "tests/dispatcher/test_chat.py::test_an_error_under_a_good_status_is_an_error",
    ),
    _mutant(
        "error under the members of an answer is none", "upstream: an error inside a 200 is an error", DISPATCHER_CHAT,
        'if "error" not in members and "base_resp" not in members:', 'if "error" not in members:',
        "tests/dispatcher/test_quirks_events.py::test_q27_q28_q29_an_error_is_one_in_any_shape_and_place",
    ),
    _mutant(
        "a broken finish is an end", "upstream: an answer without its end is broken", "services/dispatcher/finish_reason.py",
        "    if word in _BROKEN:\n", "    if False:\n",
        "tests/dispatcher/test_quirks_choices.py::test_q06_a_finish_reason_that_means_broken_is_an_error",
    ),
    _mutant(
        "a role on every chunk", "client: an answer is canonical", "services/dispatcher/choice.py",
        "        self._is_open = True\n", "",
        "tests/dispatcher/test_quirks_choices.py::test_q03_a_role_on_every_chunk_is_left_in_the_first",
    ),
    _mutant(
        "calls keep the provider's numbers", "client: an answer is canonical", "services/dispatcher/tool_calls.py",
        '            "index": call.number,\n            "id"', '            "index": call.given_index,\n            "id"',
        "tests/dispatcher/test_quirks_tool_calls.py::test_q10_calls_are_numbered_by_arrival",
    ),
    _mutant(
        "a client's text switches off a channel", "upstream: billing is the operator's trouble",
        "services/dispatcher/upstream_error.py", "if pattern.match(start)", "if pattern.search(start)",
        "tests/dispatcher/test_complaint.py::test_q30_a_client_cannot_switch_off_a_channel_by_what_it_sends",
    ),
    _mutant(
        "cut answer is complete", "upstream: an answer without its end is broken", UPSTREAM,
        "        if not end.is_complete:\n", "        if False:\n",
        IN_UPSTREAM + "a_cut_answer_ends_as_broken",
    ),
    _mutant(
        "failover into a running answer", "upstream: no other channel after the first byte", UPSTREAM,
        "            is_final=evidence.is_committed,\n", "            is_final=False,\n",
        IN_UPSTREAM + "a_cut_answer_ends_as_broken",
    ),
    _mutant(
        "opening goes out at once", "failover: it reaches up to the first output", "services/dispatcher/opening.py",
        "if not has_begun and", "if False and",
        "tests/dispatcher/test_opening.py::test_nothing_is_lost_changed_or_reordered",
    ),
    _mutant(
        "lying [DONE] is believed", "upstream: an answer without its end is broken", DISPATCHER_CHAT,
        "(self.saw_done and self._answer.is_usage_last)", "self.saw_done",
        IN_STREAM + "the_end_tells_a_whole_answer_from_a_cut_one",
    ),
    _mutant(
        "failed channel is asked again", "failover: a channel that failed is not asked again", "services/dispatcher/course.py",
        "if kind not in KEY_FAILURES or", "if False or",
        "tests/dispatcher/test_course.py::test_a_channel_that_failed_is_not_asked_again",
    ),
    _mutant(
        "last channel is ejected", "failover: a model never loses its last channel to ejection", "services/dispatcher/health.py",
        "most = len(routes) // 2", "most = len(routes)",
        "tests/dispatcher/test_health.py::test_half_of_a_models_channels_are_never_ejected",
    ),
    _mutant(
        "Retry-After is not kept to", "failover: what the upstream has told is kept to", "services/dispatcher/health.py",
        "rest.is_told and rest.until > now)", "False)",
        "tests/dispatcher/test_health.py::test_a_limit_that_the_upstream_tells_is_kept_for_that_key_and_model",
    ),
    _mutant(
        "refused key is asked again", "failover: a key that is refused is out until a test succeeds",
        "services/dispatcher/course.py", " and not self._health.is_refused(key, now)", "",
        "tests/dispatcher/test_course.py::test_a_channel_without_a_good_key_is_not_asked",
    ),
    _mutant(
        "refusal is not stored", "failover: a refused key is known to every replica", "services/dispatcher/keys.py",
        "await store.refuse_key(connection, credential.id, credential.version, refused_as)", "False",
        "tests/dispatcher/test_probing.py::test_a_refused_key_is_known_to_every_replica_and_after_a_restart",
    ),
    _mutant(
        "further attempts cost nothing", "failover: an outage does not multiply its own load", "shared/budget.py",
        "        self._left -= 1\n", "",
        "tests/shared/test_budget.py::test_never_more_than_was_earned",
    ),
    _mutant(
        "usage summed twice", "usage: running totals overwrite", USAGE,
        'output_tokens=counts["output"] or known.output_tokens', 'output_tokens=counts["output"] + known.output_tokens',
        IN_USAGE + "running_totals_overwrite_and_are_never_added",
    ),
    _mutant(
        "parts larger than their whole", "I13: cached tokens are part of the input, reasoning ones of the output", USAGE,
        "    if consistent == usage:\n        return usage\n    return msgspec", "    return usage\n    return msgspec",
        IN_USAGE + "whatever_is_reported_the_record_is_consistent",
    ),
    _mutant(
        "cancel not passed upstream", "cancel: upstream is told", ANSWERING,
        "        attempt.cancelled.add_done_callback(stop)\n", "",
        IN_ANSWERING + "a_call_cancelled_before_its_answer_closes_its_upstream_and_is_void",
    ),
    _mutant(
        "fenced attempt ends the hold", "attempt: the hold belongs to the newest", ANSWERING,
        "if reason in FENCED_REASONS:", "if False:",
        IN_ANSWERING + "an_attempt_that_nobody_listens_to_leaves_the_hold_alone",
    ),
    _mutant(
        "undelivered answer is charged", "C8: what Relay lost on the way is free", ANSWERING,
        'return msgspec.structs.replace(claim, outcome="platform_failed", error="stream_interrupted")', "return claim",
        IN_ANSWERING + "a_whole_answer_that_the_edge_never_got_is_not_charged_as_complete",
    ),
    _mutant(
        "claim without acceptance", "I11: nothing is charged that no upstream accepted", EVIDENCE,
        "if not self.is_accepted or self.route is None:", "if self.route is None:",
        IN_ANSWERING + "a_call_cancelled_before_its_answer_closes_its_upstream_and_is_void",
    ),
    _mutant(
        "drain before the claims are confirmed", "drain: what is owed is settled", "shared/bus/callees.py",
        "        if cut:\n            await asyncio.wait(cut, timeout=LAST_WORDS_SECONDS)\n", "",
        "tests/shared/test_callers_callees.py::test_a_drain_waits_for_the_last_words_of_what_it_cut",
    ),
    _mutant(
        "drain does not wait", "drain: what can end in time ends whole", "shared/bus/callees.py",
        "        await until_done(self._serving, patience)\n", "        asyncio.ensure_future(patience).cancel()\n",
        "tests/dispatcher/test_app.py::test_running_answers_end_in_a_drain",
    ),
)  # fmt: skip

MUTANTS = EDGE + DISPATCHER
