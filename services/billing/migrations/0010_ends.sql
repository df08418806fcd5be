-- The ledger of Relay: how a hold with a multiplier, meters and evidence ends. Replaces what 0003, 0005 and 0006 say of it.

CREATE OR REPLACE FUNCTION billing.record_usage(
    answer billing.answer, command billing.command, hold billing.hold, cost bigint, is_late boolean
) RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    writeoff bigint := cost - answer.charged_nano_usd;
BEGIN
    IF writeoff > 0 THEN
        INSERT INTO billing.transfer (kind, debit_account, credit_account, amount_nano_usd, hold_id)
            VALUES ('write_off', '00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001',
                    writeoff, hold.id);
    END IF;
    INSERT INTO billing.usage (
        request_id, is_late, account_id, key_id, model, price_id, rule, outcome, is_estimated, is_upstream_accepted,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
        cost_nano_usd, charged_nano_usd, writeoff_nano_usd, writeoff_cause, channel, attempt, witness, source
    ) VALUES (
        hold.id, is_late, hold.account_id, hold.key_id, hold.model, hold.price_id,
        command.rule::billing.rule, command.outcome::billing.outcome, command.is_estimated, command.is_upstream_accepted,
        command.input_tokens, command.cache_read_tokens, command.cache_write_tokens, command.output_tokens,
        command.reasoning_tokens, cost, answer.charged_nano_usd, writeoff,
        CASE WHEN writeoff > 0 THEN CASE WHEN command.is_charged THEN 'uncollectable' ELSE command.writeoff_cause END END,
        command.channel, command.attempt, command.witness::billing.witness, coalesce(command.source, '')
    );
    INSERT INTO billing.outbox (subject, request_id, is_late) VALUES ('billing.event.usage_recorded', hold.id, is_late);
    IF hold.is_metered THEN
        -- A hold that has expired has left the meters already; what comes late is money only.
        PERFORM billing.change_meters(
            hold,
            CASE WHEN is_late THEN 0 ELSE -1 END,
            CASE WHEN is_late THEN 0 ELSE -hold.amount_nano_usd END,
            answer.charged_nano_usd,
            CASE WHEN is_late THEN 0 ELSE command.input_tokens + command.output_tokens - hold.tokens_counted END
        );
    END IF;
    RETURN answer;
END $$;

CREATE OR REPLACE FUNCTION billing.is_valid_settlement(command billing.command) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN coalesce(
        command.attempt >= 0
        AND command.rule IN ('C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C8', 'C10')
        AND command.outcome IN ('completed', 'client_gone', 'upstream_failed', 'refused', 'platform_failed', 'unfunded')
        AND command.witness IN ('dispatcher', 'edge')
        AND command.is_estimated IS NOT NULL AND command.is_upstream_accepted IS NOT NULL
        AND (command.is_charged OR command.writeoff_cause IS NOT NULL)
        AND (command.is_upstream_accepted OR NOT command.is_charged)
        AND command.input_tokens <= 2000000000 AND command.output_tokens <= 2000000000
        AND command.cache_read_tokens BETWEEN 0 AND command.input_tokens
        AND command.cache_write_tokens BETWEEN 0 AND command.input_tokens - command.cache_read_tokens
        AND command.reasoning_tokens BETWEEN 0 AND command.output_tokens,
        false
    );
END $$;

CREATE FUNCTION billing.within_bounds(command billing.command, hold billing.hold) RETURNS billing.command
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF command.is_estimated THEN
        -- No guess, ours or that of a confused upstream, costs more than was held for it.
        command.input_tokens := least(command.input_tokens, hold.input_tokens_bound);
        command.cache_read_tokens := least(command.cache_read_tokens, command.input_tokens);
        command.cache_write_tokens := least(
            command.cache_write_tokens, command.input_tokens - command.cache_read_tokens
        );
        command.output_tokens := least(command.output_tokens, hold.output_tokens_bound);
        command.reasoning_tokens := least(command.reasoning_tokens, command.output_tokens);
    END IF;
    RETURN command;
END $$;

CREATE FUNCTION billing.settle_one(
    command billing.command, hold billing.hold, answer billing.answer, account billing.account
) RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    cost bigint;
    due bigint;
    settled bigint;
    room billing.room;
BEGIN
    IF NOT billing.is_valid_settlement(command) THEN
        answer.result := 'invalid';
        RETURN answer;
    ELSIF hold.id IS NULL THEN
        answer.result := 'unknown';
        RETURN answer;
    ELSIF hold.state IN ('SETTLED', 'VOIDED') THEN
        RETURN billing.with_stored_outcome(answer, hold);
    ELSIF command.attempt < hold.attempt THEN
        answer := billing.with_hold(answer, hold);
        answer.result := 'stale_attempt';
        RETURN answer;
    END IF;

    command := billing.within_bounds(command, hold);
    cost := billing.cost_nano_usd(
        command, (SELECT p FROM billing.price AS p WHERE p.id = hold.price_id), hold.multiplier_ppm
    );
    due := CASE WHEN command.is_charged THEN cost ELSE 0 END;
    IF hold.state = 'EXPIRED' THEN
        PERFORM 1 FROM billing.usage AS u WHERE u.request_id = hold.id AND u.is_late;
        IF FOUND OR cost = 0 THEN
            RETURN billing.with_stored_outcome(answer, hold);
        END IF;
        room := billing.room_of(hold, answer, account);
        answer.result := 'late';
        answer.state := 'EXPIRED';
        answer.charged_nano_usd := 0;
        answer := billing.take(answer, 'late', hold, least(due, room.nano_usd));
        RETURN billing.record_usage(answer, command, hold, cost, true);
    END IF;

    settled := least(due, hold.amount_nano_usd);
    IF due > settled THEN
        room := billing.room_of(hold, answer, account);
    END IF;
    UPDATE billing.hold AS h
        SET state = 'SETTLED', settled_nano_usd = settled, attempt = command.attempt, outcome = command.outcome,
            attempts = command.attempts, closed_at = clock_timestamp()
        WHERE h.id = command.id;
    answer.result := 'ok';
    answer.state := 'SETTLED';
    answer.charged_nano_usd := 0;
    answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
    answer := billing.take(answer, 'usage', hold, settled);
    answer := billing.take(answer, 'over', hold, least(due - settled, room.nano_usd));
    RETURN billing.record_usage(answer, command, hold, cost, false);
END $$;

CREATE OR REPLACE FUNCTION billing.void_one(command billing.command, hold billing.hold, answer billing.answer)
RETURNS billing.answer LANGUAGE plpgsql AS $$
BEGIN
    command.attempt := coalesce(command.attempt, 0);
    IF command.attempt < 0 THEN
        answer.result := 'invalid';
        RETURN answer;
    ELSIF hold.state <> 'HELD' THEN
        RETURN billing.with_stored_outcome(answer, hold);
    ELSIF command.attempt < hold.attempt THEN
        answer := billing.with_hold(answer, hold);
        answer.result := 'stale_attempt';
        RETURN answer;
    ELSIF hold.id IS NULL THEN
        INSERT INTO billing.hold (id, account_id, amount_nano_usd, attempt, state, outcome, attempts, closed_at)
            VALUES (command.id, command.account_id, 0, command.attempt, 'VOIDED', command.reason, command.attempts,
                    clock_timestamp())
            ON CONFLICT (id) DO NOTHING;
        IF NOT FOUND THEN
            -- As in reserve_one; without an account row there is no lock, so it can also be the same void again.
            answer.result := 'busy';
            RETURN answer;
        END IF;
    ELSE
        UPDATE billing.hold AS h
            SET state = 'VOIDED', attempt = command.attempt, outcome = command.reason, attempts = command.attempts,
                closed_at = clock_timestamp()
            WHERE h.id = command.id;
        answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
        IF hold.is_metered THEN
            PERFORM billing.change_meters(hold, -1, -hold.amount_nano_usd, 0, -hold.tokens_counted);
        END IF;
    END IF;
    answer.result := 'ok';
    answer.state := 'VOIDED';
    answer.charged_nano_usd := 0;
    RETURN answer;
END $$;

CREATE FUNCTION billing.execute_one(command billing.command, answer billing.answer, account billing.account)
RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    hold billing.hold := (SELECT h FROM billing.hold AS h WHERE h.id = command.id);
BEGIN
    IF hold.account_id <> command.account_id THEN
        answer.result := 'conflict';
        RETURN answer;
    END IF;
    CASE command.op
        WHEN 'reserve' THEN
            -- A hold that exists already is the same reserve again, by an edge that has missed the answer.
            IF command.idempotency_key IS NULL OR hold.id IS NOT NULL THEN
                RETURN billing.reserve_one(command, hold, answer, account);
            END IF;
            RETURN billing.reserve_once(command, hold, answer, account);
        WHEN 'settle' THEN RETURN billing.settle_one(command, hold, answer, account);
        WHEN 'extend' THEN RETURN billing.extend_one(command, hold, answer, account);
        WHEN 'void' THEN RETURN billing.void_one(command, hold, answer);
        WHEN 'expire' THEN RETURN billing.expire_one(command, hold, answer);
        ELSE
            answer.result := 'invalid';
            RETURN answer;
    END CASE;
END $$;

CREATE OR REPLACE FUNCTION billing.execute(commands jsonb, is_blocking boolean DEFAULT false) RETURNS SETOF billing.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    command billing.command;
    account_id uuid;            -- of the command before
    account billing.account;    -- as it was locked
    standing billing.answer;    -- where the account stands now, an answer that has no result yet
    answer billing.answer;
    is_busy boolean := false;
    is_changed boolean := false;
BEGIN
    IF jsonb_array_length(commands) > 256 THEN
        RAISE EXCEPTION 'a batch has at most 256 commands, not %', jsonb_array_length(commands)
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    FOR command IN
        SELECT (c).* FROM jsonb_populate_recordset(NULL::billing.command, commands) AS c ORDER BY c.account_id, c.ord
    LOOP
        IF command.account_id IS DISTINCT FROM account_id THEN
            IF is_changed THEN
                UPDATE billing.account AS a
                    SET posted_nano_usd = standing.posted_nano_usd, held_nano_usd = standing.held_nano_usd,
                        version = standing.version
                    WHERE a.id = account_id;
            END IF;
            is_changed := false;
            account_id := command.account_id;
            account := billing.lock_account(account_id, is_blocking);
            standing.posted_nano_usd := account.posted_nano_usd;
            standing.held_nano_usd := account.held_nano_usd;
            standing.version := account.version;
            is_busy := account.id IS NULL AND EXISTS (SELECT FROM billing.account AS a WHERE a.id = account_id);
        END IF;
        standing.ord := command.ord;
        answer := standing;
        IF command.id IS NULL OR account_id IS NULL THEN
            answer.result := 'invalid';
        ELSIF is_busy THEN
            answer.result := 'busy';
        ELSE
            answer := billing.execute_one(command, answer, account);
            is_changed := is_changed OR answer.posted_nano_usd <> standing.posted_nano_usd
                OR answer.held_nano_usd <> standing.held_nano_usd;
            standing.posted_nano_usd := answer.posted_nano_usd;
            standing.held_nano_usd := answer.held_nano_usd;
            standing.version := answer.version;
        END IF;
        RETURN NEXT answer;
    END LOOP;
    IF is_changed THEN
        UPDATE billing.account AS a
            SET posted_nano_usd = standing.posted_nano_usd, held_nano_usd = standing.held_nano_usd,
                version = standing.version
            WHERE a.id = account_id;
    END IF;
END $$;

DROP FUNCTION billing.refused(billing.answer, billing.price, bigint, bigint);
DROP FUNCTION billing.admission(billing.command, billing.account_status, timestamptz);
DROP FUNCTION billing.reserve_once(billing.command, billing.hold, billing.answer, billing.account_status);
DROP FUNCTION billing.reserve_one(billing.command, billing.hold, billing.answer, billing.account_status);
DROP FUNCTION billing.extend_one(billing.command, billing.hold, billing.answer);
DROP FUNCTION billing.execute_one(billing.command, billing.answer, billing.account_status);
DROP FUNCTION billing.hold_nano_usd(billing.price, bigint, bigint);
DROP FUNCTION billing.affordable_output_tokens(billing.price, bigint, bigint);
DROP FUNCTION billing.settle_one(billing.command, billing.hold, billing.answer);
DROP FUNCTION billing.cost_nano_usd(billing.command, billing.price);
DROP FUNCTION billing.nano_from_pico(numeric);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION billing.execute(jsonb, boolean) TO relay_billing;
