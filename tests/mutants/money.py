"""Faults in the money: one mutant or more for each invariant of the ledger, and for what stands in front of it."""

from tests.mutants.mutant import Mutant

EXECUTE_SQL = "services/billing/migrations/0002_execute.sql"
ENDS_SQL = "services/billing/migrations/0003_ends.sql"
FUNCTIONS_SQL = "services/billing/migrations/0004_functions.sql"
FENCE_SQL = "services/billing/migrations/0005_fence.sql"
PRICES_SQL = "services/billing/migrations/0007_prices.sql"
LIMITS_SQL = "services/billing/migrations/0008_limits.sql"
GROWTH_SQL = "services/billing/migrations/0009_growth.sql"
LAST_SQL = "services/billing/migrations/0010_ends.sql"
RECORDS_SQL = "services/billing/migrations/0012_records.sql"
TRAFFIC_SQL = "services/billing/migrations/0013_traffic.sql"
CHARGING = "services/billing/charging.py"
EXECUTE = "tests/billing/test_execute.py::test_"
FUNCTIONS = "tests/billing/test_functions.py::test_"
TABLE = "tests/billing/test_charging.py::test_table"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


LEDGER = (
    _mutant(
        "late charge is not taken", "I1: what is posted is what was transferred", LAST_SQL,
        "is_changed OR answer.posted_nano_usd <> standing.posted_nano_usd\n"
        "                OR answer.held_nano_usd <> standing.held_nano_usd;",
        "is_changed OR answer.held_nano_usd <> standing.held_nano_usd;",
        EXECUTE + "expired_hold_is_settled_late_once",
    ),
    _mutant(
        "void keeps the money held", "I2: what is held is the sum of the live holds", RECORDS_SQL,
        "        answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;\n        IF hold.is_metered THEN\n"
        "            PERFORM billing.change_meters(hold, -1,",
        "        IF hold.is_metered THEN\n            PERFORM billing.change_meters(hold, -1,",
        EXECUTE + "void_frees_the_hold",
    ),
    _mutant(
        "reserve ignores other holds", "I3: available is never negative", RECORDS_SQL,
        "IF hold.amount_nano_usd > room.nano_usd OR (", "IF hold.amount_nano_usd > room.ceiling_nano_usd OR (",
        EXECUTE + "refusal_tells_whether_waiting_helps",
    ),
    _mutant(
        "charge beyond what is available", "I3: available is never negative", RECORDS_SQL,
        "'over', hold, least(due - settled, room.nano_usd)", "'over', hold, due - settled",
        EXECUTE + "cost_above_the_hold_takes_what_is_available_and_writes_off_the_rest",
    ),
    _mutant(
        "late charge beyond what is available", "I3: available is never negative", RECORDS_SQL,
        "'late', hold, least(due, room.nano_usd)", "'late', hold, due",
        EXECUTE + "expired_hold_is_settled_late_once",
    ),
    _mutant(
        "account without a lock", "I3: two replicas spend the same money", LIMITS_SQL,
        "WHERE a.id = account_id FOR UPDATE SKIP LOCKED;", "WHERE a.id = account_id;",
        "tests/billing/test_races.py::test_locked_account_is_busy_and_delays_nobody",
    ),
    _mutant(
        "settle without a state check", "I4: a hold ends once", RECORDS_SQL,
        "ELSIF hold.state IN ('SETTLED', 'VOIDED') THEN", "ELSIF hold.state = 'VOIDED' THEN",
        EXECUTE + "settle_again_returns_the_stored_outcome",
    ),
    _mutant(
        "settle after void", "I4: a hold ends once", RECORDS_SQL,
        "ELSIF hold.state IN ('SETTLED', 'VOIDED') THEN", "ELSIF hold.state = 'SETTLED' THEN",
        EXECUTE + "void_frees_the_hold",
    ),
    _mutant(
        "void after settle", "I4: a hold ends once", RECORDS_SQL,
        "ELSIF hold.state <> 'HELD' THEN", "ELSIF hold.state NOT IN ('HELD', 'SETTLED') THEN",
        EXECUTE + "settle_again_returns_the_stored_outcome",
    ),
    _mutant(
        "no tombstone", "I4: a reserve after its void does not revive the request", RECORDS_SQL,
        "        INSERT INTO billing.hold (id, account_id, amount_nano_usd, attempt, state, outcome, attempts, closed_at)\n"
        "            VALUES (command.id, command.account_id, 0, command.attempt, 'VOIDED', command.reason, command.attempts,\n"
        "                    clock_timestamp())\n"
        "            ON CONFLICT (id) DO NOTHING;\n        IF NOT FOUND THEN",
        "        IF false THEN",
        EXECUTE + "void_before_reserve_leaves_a_tombstone",
        "tests/billing/test_handlers.py::test_a_void_before_its_reserve_is_final",
    ),
    _mutant(
        "settle above the hold", "I5: a hold settles within its amount", RECORDS_SQL,
        "settled := least(due, hold.amount_nano_usd);", "settled := due;",
        EXECUTE + "cost_above_the_hold_takes_what_is_available_and_writes_off_the_rest",
    ),
    _mutant(
        "charge without its usage transfer", "I6: a settled hold has one usage transfer", RECORDS_SQL,
        "billing.take(answer, 'usage', hold, settled)", "billing.take(answer, 'over', hold, settled)",
        EXECUTE + "cost_above_the_hold_takes_what_is_available_and_writes_off_the_rest",
    ),
    _mutant(
        "another request under the same id", "I7: the same id with other arguments is an error", RECORDS_SQL,
        "            WHEN hold.fingerprint <> command.fingerprint THEN 'conflict'\n", "",
        EXECUTE + "reserve_with_other_arguments_is_a_conflict",
    ),
    _mutant(
        "credit counts twice", "I7: a repeat changes nothing", RECORDS_SQL,
        "WHERE t.idempotency_key = credit.idempotency_key);", "WHERE false);",
        FUNCTIONS + "credit_counts_once_for_each_key",
    ),
    _mutant(
        "ended lease comes back", "I9: holds live as long as their lease", FENCE_SQL,
        "\n            WHERE NOT l.is_ended\n        RETURNING", "\n        RETURNING",
        FUNCTIONS + "lease_is_renewed_until_it_is_ended",
    ),
    _mutant(
        "reserve under a dead lease", "I9: holds live as long as their lease", GROWTH_SQL,
        " AND NOT l.is_ended AND l.expires_at > moment;", ";",
        "tests/billing/test_functions.py::test_a_lapsed_lease_takes_no_reserve_until_it_is_renewed",
    ),
    _mutant(
        "nothing ever expires", "I9: no hold outlives its lease", FENCE_SQL,
        "AND (h.deadline <= limit_moment OR l.is_ended AND l.expires_at <= limit_moment)", "AND false",
        FUNCTIONS + "reaper_expires_what_is_due_after_the_grace",
    ),
    _mutant(
        "live lease expires", "I9: a hold lives as long as its lease", ENDS_SQL,
        " AND (l.is_ended OR hold.deadline <= clock_timestamp());", ";",
        EXECUTE + "expired_hold_is_settled_late_once",
    ),
    _mutant(
        "no grace", "I9: a hold is given a time of grace", FENCE_SQL,
        "timestamptz := moment - make_interval(secs => grace_seconds);", "timestamptz := moment;",
        FUNCTIONS + "reaper_expires_what_is_due_after_the_grace",
    ),
    _mutant(
        "expiry right after a restart", "I9: edges get one lease of time after PostgreSQL was away", FENCE_SQL,
        "ELSIF moment < pg_postmaster_start_time() + make_interval(secs => uptime_seconds) THEN", "ELSIF false THEN",
        FUNCTIONS + "reaper_expires_what_is_due_after_the_grace",
    ),
    _mutant(
        "expiry without a usage row", "I10: an expired hold has one usage row", ENDS_SQL,
        "RETURN billing.record_usage(answer, command, hold, 0, false);", "RETURN answer;",
        FUNCTIONS + "reapers_in_parallel_expire_each_hold_once",
    ),
    _mutant(
        "late settlement twice", "I10: an expired hold has at most one late row", RECORDS_SQL,
        "IF FOUND OR cost = 0 THEN", "IF cost = 0 THEN",
        EXECUTE + "expired_hold_is_settled_late_once",
    ),
    _mutant(
        "charge without acceptance in the ledger", "I11: nothing is charged that no upstream accepted", LAST_SQL,
        "        AND (command.is_upstream_accepted OR NOT command.is_charged)\n", "",
        EXECUTE + "value_out_of_range_is_invalid_and_harms_nobody",
    ),
    _mutant(
        "round down", "I12: one rounding, upwards", PRICES_SQL,
        "pg_catalog.div(pico * multiplier_ppm + 999999999, 1000000000)",
        "pg_catalog.div(pico * multiplier_ppm, 1000000000)",
        "tests/billing/test_pricing.py::test_sql_and_python_compute_the_same",
    ),
    _mutant(
        "round down in the audit", "I12: one rounding, upwards", "services/billing/pricing.py",
        "-(-amount_pico_usd * multiplier_ppm // (PICO_PER_NANO * ONE_PPM))",
        "amount_pico_usd * multiplier_ppm // (PICO_PER_NANO * ONE_PPM)",
        "tests/billing/test_pricing.py::test_sql_and_python_compute_the_same",
    ),
    _mutant(
        "today's price", "I12: a request is charged by the price of its hold", RECORDS_SQL,
        "(SELECT p FROM billing.price AS p WHERE p.id = hold.price_id)",
        "(SELECT p FROM billing.price AS p WHERE p.model = hold.model ORDER BY p.id DESC LIMIT 1)",
        EXECUTE + "settle_uses_the_price_of_the_hold",
    ),
    _mutant(
        "reasoning beyond the output", "I13: reasoning tokens are part of the output", LAST_SQL,
        "\n        AND command.reasoning_tokens BETWEEN 0 AND command.output_tokens,", ",",
        EXECUTE + "value_out_of_range_is_invalid_and_harms_nobody",
    ),
    _mutant(
        "lost write-off", "I15: a cost is charged or written off to the last nano-USD", LAST_SQL,
        "    IF writeoff > 0 THEN\n        INSERT", "    IF false THEN\n        INSERT",
        EXECUTE + "free_settlement_writes_the_cost_off",
        EXECUTE + "cost_above_the_hold_takes_what_is_available_and_writes_off_the_rest",
    ),
    _mutant(
        "version stands still", "I21: the transfers of an account count its versions", ENDS_SQL,
        "answer.version := answer.version + 1;", "answer.version := answer.version + 0;",
        EXECUTE + "cost_above_the_hold_takes_what_is_available_and_writes_off_the_rest",
    ),
    _mutant(
        "missing outbox row", "I22: every money change is told", LAST_SQL,
        "VALUES ('billing.event.usage_recorded', hold.id, is_late);",
        "SELECT 'billing.event.usage_recorded', hold.id, is_late WHERE false;",
        EXECUTE + "settle_returns_the_unused_part_of_the_hold",
    ),
    _mutant(
        "credit without an outbox row", "I22: every money change is told", RECORDS_SQL,
        "    INSERT INTO billing.outbox (subject, transfer_id) VALUES ('billing.event.credited', answer.transfer_id);\n",
        "",
        EXECUTE + "settle_returns_the_unused_part_of_the_hold",
    ),
    _mutant(
        "write-off without a cause", "I28: every write-off has a cause", LAST_SQL,
        "CASE WHEN command.is_charged THEN 'uncollectable' ELSE command.writeoff_cause END END", "NULL END",
        EXECUTE + "free_settlement_writes_the_cost_off",
    ),
    _mutant(
        "stale claim accepted", "attempt: the claim of an old attempt is refused", RECORDS_SQL,
        "    ELSIF command.attempt < hold.attempt THEN\n        answer := billing.with_hold(answer, hold);\n"
        "        answer.result := 'stale_attempt';\n        RETURN answer;\n    END IF;\n\n    command :=",
        "    END IF;\n\n    command :=",
        EXECUTE + "higher_attempt_fences_off_lower_ones",
    ),
    _mutant(
        "stale void accepted", "attempt: an old attempt cannot void the hold", RECORDS_SQL,
        "    ELSIF command.attempt < hold.attempt THEN\n        answer := billing.with_hold(answer, hold);\n"
        "        answer.result := 'stale_attempt';\n        RETURN answer;\n    ELSIF hold.id IS NULL THEN\n        INSERT",
        "    ELSIF hold.id IS NULL THEN\n        INSERT",
        EXECUTE + "fence_shuts_lower_attempts_out_and_moves_no_money",
    ),
    _mutant(
        "stale extension accepted", "attempt: an old attempt cannot extend the hold", GROWTH_SQL,
        "        WHEN command.attempt < hold.attempt THEN 'stale_attempt'\n", "",
        EXECUTE + "higher_attempt_fences_off_lower_ones",
    ),
    _mutant(
        "estimate without a limit", "C2: no guess costs more than was held", LAST_SQL,
        "IF command.is_estimated THEN", "IF false THEN",
        EXECUTE + "estimate_never_costs_more_than_the_hold",
    ),
    _mutant(
        "hold at the cheap price", "hold: it covers every cost within its bounds", PRICES_SQL,
        "        input_tokens::numeric * greatest(price.input_pico_usd, price.cache_read_pico_usd, price.cache_write_pico_usd)\n"
        "        + output_tokens",
        "        input_tokens::numeric * price.input_pico_usd\n        + output_tokens",
        EXECUTE + "reserve_holds_input_at_its_dearest_and_all_output",
    ),
    _mutant(
        "revoked key spends", "admission: a revoked key spends nothing more", GROWTH_SQL,
        "        WHEN key.status <> 'active' THEN 'key_revoked'\n", "",
        EXECUTE + "reserve_names_the_first_reason_for_a_refusal",
        FUNCTIONS + "revoking_waits_for_the_batch_that_did_not_see_it",
    ),
    _mutant(
        "revocation overtakes a reserve", "admission: a revocation that has returned is seen by all", FUNCTIONS_SQL,
        "PERFORM 1 FROM billing.account AS a WHERE a.id = put_key.account_id FOR UPDATE;",
        "PERFORM 1 FROM billing.account AS a WHERE a.id = put_key.account_id;",
        FUNCTIONS + "revoking_waits_for_the_batch_that_did_not_see_it",
    ),
    _mutant(
        "suspended account spends", "admission: a suspended account spends nothing more", GROWTH_SQL,
        "        WHEN account.status <> 'active' THEN 'account_suspended'\n", "",
        EXECUTE + "reserve_names_the_first_reason_for_a_refusal",
    ),
    _mutant(
        "old status replaces a new one", "admission: the highest version counts", FUNCTIONS_SQL,
        "\n            WHERE a.status_version < excluded.status_version;", ";",
        FUNCTIONS + "older_version_never_replaces_a_newer_one",
    ),
)  # fmt: skip

BILLING = (
    _mutant(
        "charge without acceptance", "I11: nothing is charged that no upstream accepted", CHARGING,
        "if not evidence.is_upstream_accepted or evidence.outcome is Outcome.REFUSED:",
        "if evidence.outcome is Outcome.REFUSED:",
        TABLE,
    ),
    _mutant(
        "broken upstream is charged", "C7: what broke upstream is free", CHARGING,
        "return _free(Rule.C7, units, evidence, is_estimated=is_estimated)",
        "return _charged(Rule.C7, units, is_estimated=is_estimated)",
        TABLE,
    ),
    _mutant(
        "broken relay is charged", "C8: what broke here is free", CHARGING,
        "return _free(Rule.C8, units, evidence, is_estimated=is_estimated)",
        "return _charged(Rule.C8, units, is_estimated=is_estimated)",
        TABLE,
    ),
    _mutant(
        "policy of the channel is ignored", "C6: a channel that does not bill aborts charges none", CHARGING,
        "if evidence.abort_policy is AbortPolicy.ESTIMATE:", "if True:",
        TABLE,
    ),
    _mutant(
        "zero becomes an estimate", "C3: a true zero is not replaced by an estimate", CHARGING,
        "    if evidence.reported is None:\n        return _clamped",
        "    if evidence.reported in (None, Units()):\n        return _clamped",
        TABLE,
    ),
    _mutant(
        "negative usage believed", "C4: implausible usage is clamped", CHARGING,
        "min(units.cache_read_tokens, units.cache_write_tokens, units.reasoning_tokens) >= 0\n        and ", "",
        TABLE,
    ),
    _mutant(
        "any usage believed", "C4: implausible usage is clamped", CHARGING,
        "\n        and units.output_tokens <= min(IMPLAUSIBLE_FACTOR * output_tokens_bound, TOKENS_MAX)", "",
        "tests/billing/test_charging.py::test_usage_above_the_hold_is_believed_up_to_ten_times",
    ),
    _mutant(
        "answer before the commit", "lane: an answer is given after the commit", "services/billing/lane.py",
        "        with watched(self._connection):\n            records",
        '        with watched(self._connection):\n            await self._connection.execute("COMMIT; BEGIN")\n'
        "            records",
        "tests/billing/test_lane.py::test_what_queues_up_while_a_call_runs_is_one_batch",
    ),
    _mutant(
        "answer before PostgreSQL", "lane: an answer is given after the commit", "services/billing/lane.py",
        "            try:\n                answers = await wire.execute(",
        '            for item in batch if batch and batch[0].command.op == "settle" else []:\n'
        '                item.future.set_result(Answer(0, "ok", "SETTLED"))\n'
        "            try:\n                answers = await wire.execute(",
        "tests/billing/test_handlers.py::test_a_settlement_waits_for_its_account",
    ),
    _mutant(
        "locked accounts wait for each other", "lane: a locked account delays its own commands alone", "services/billing/lane.py",
        "self._patient = Wire(connect, lock_seconds=TURN_SECONDS)", "self._patient = Wire(connect, lock_seconds=60)",
        "tests/billing/test_lane.py::test_a_lock_that_stays_delays_other_locked_accounts_for_a_moment_only",
    ),
    _mutant(
        "unknown outcome is a refusal", "lane: what has no known outcome is sent again by id", "services/billing/lane.py",
        "                await asyncio.sleep(RECONNECT_SECONDS)\n                continue", "                break",
        "tests/billing/test_lane.py::test_a_commit_whose_answer_was_lost_is_not_made_twice",
        "tests/billing/test_lane.py::test_a_killed_backend_is_repeated_without_double_effect",
    ),
    _mutant(
        "event forgotten before it is told", "I22: every event is told at least once", "services/billing/outbox.py",
        "            if events:\n                rows",
        "            if events:\n                await store.outbox_published(connection, [event.id for event in events])\n"
        "                rows",
        "tests/billing/test_outbox.py::test_a_bus_that_is_away_is_waited_for",
    ),
)  # fmt: skip

MUTANTS = LEDGER + BILLING
