-- The ledger of Relay: how a hold ends, and the function that runs every command. 0002 explains the machine.

CREATE FUNCTION billing.take(
    answer billing.answer, kind billing.transfer_kind, hold billing.hold, amount bigint
) RETURNS billing.answer LANGUAGE plpgsql AS $$
BEGIN
    IF amount > 0 THEN
        answer.posted_nano_usd := answer.posted_nano_usd - amount;
        answer.version := answer.version + 1;
        answer.charged_nano_usd := answer.charged_nano_usd + amount;
        INSERT INTO billing.transfer (
            kind, debit_account, credit_account, amount_nano_usd, hold_id, account_version_after, posted_after_nano_usd
        ) VALUES (
            kind, hold.account_id, '00000000-0000-0000-0000-000000000001', amount, hold.id,
            answer.version, answer.posted_nano_usd
        );
    END IF;
    RETURN answer;
END $$;

CREATE FUNCTION billing.record_usage(
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
        cost_nano_usd, charged_nano_usd, writeoff_nano_usd, writeoff_cause, channel, attempt, witness
    ) VALUES (
        hold.id, is_late, hold.account_id, hold.key_id, hold.model, hold.price_id,
        command.rule::billing.rule, command.outcome::billing.outcome, command.is_estimated, command.is_upstream_accepted,
        command.input_tokens, command.cache_read_tokens, command.cache_write_tokens, command.output_tokens,
        command.reasoning_tokens, cost, answer.charged_nano_usd, writeoff,
        CASE WHEN writeoff > 0 THEN CASE WHEN command.is_charged THEN 'uncollectable' ELSE command.writeoff_cause END END,
        command.channel, command.attempt, command.witness::billing.witness
    );
    INSERT INTO billing.outbox (subject, request_id, is_late) VALUES ('billing.event.usage_recorded', hold.id, is_late);
    RETURN answer;
END $$;

CREATE FUNCTION billing.is_valid_settlement(command billing.command) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN coalesce(
        command.attempt >= 0
        AND command.rule IN ('C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C8')
        AND command.outcome IN ('completed', 'client_gone', 'upstream_failed', 'refused', 'platform_failed')
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

CREATE FUNCTION billing.cost_nano_usd(command billing.command, price billing.price) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN billing.nano_from_pico(
        (command.input_tokens - command.cache_read_tokens - command.cache_write_tokens)::numeric * price.input_pico_usd
        + command.cache_read_tokens::numeric * price.cache_read_pico_usd
        + command.cache_write_tokens::numeric * price.cache_write_pico_usd
        + command.output_tokens::numeric * price.output_pico_usd
    );
END $$;

CREATE FUNCTION billing.settle_one(command billing.command, hold billing.hold, answer billing.answer)
RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    available bigint := answer.posted_nano_usd - answer.held_nano_usd;
    cost bigint;
    due bigint;
    settled bigint;
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
    cost := billing.cost_nano_usd(command, (SELECT p FROM billing.price AS p WHERE p.id = hold.price_id));
    due := CASE WHEN command.is_charged THEN cost ELSE 0 END;
    IF hold.state = 'EXPIRED' THEN
        PERFORM 1 FROM billing.usage AS u WHERE u.request_id = hold.id AND u.is_late;
        IF FOUND OR cost = 0 THEN
            RETURN billing.with_stored_outcome(answer, hold);
        END IF;
        answer.result := 'late';
        answer.state := 'EXPIRED';
        answer.charged_nano_usd := 0;
        answer := billing.take(answer, 'late', hold, least(due, available));
        RETURN billing.record_usage(answer, command, hold, cost, true);
    END IF;

    settled := least(due, hold.amount_nano_usd);
    UPDATE billing.hold AS h
        SET state = 'SETTLED', settled_nano_usd = settled, attempt = command.attempt, outcome = command.outcome,
            closed_at = clock_timestamp()
        WHERE h.id = command.id;
    answer.result := 'ok';
    answer.state := 'SETTLED';
    answer.charged_nano_usd := 0;
    answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
    answer := billing.take(answer, 'usage', hold, settled);
    answer := billing.take(answer, 'over', hold, least(due - settled, available));
    RETURN billing.record_usage(answer, command, hold, cost, false);
END $$;

CREATE FUNCTION billing.void_one(command billing.command, hold billing.hold, answer billing.answer)
RETURNS billing.answer LANGUAGE plpgsql AS $$
BEGIN
    IF hold.state <> 'HELD' THEN
        RETURN billing.with_stored_outcome(answer, hold);
    ELSIF hold.id IS NULL THEN
        INSERT INTO billing.hold (id, account_id, amount_nano_usd, state, outcome, closed_at)
            VALUES (command.id, command.account_id, 0, 'VOIDED', command.reason, clock_timestamp())
            ON CONFLICT (id) DO NOTHING;
        IF NOT FOUND THEN
            -- As in reserve_one; without an account row there is no lock, so it can also be the same void again.
            answer.result := 'busy';
            RETURN answer;
        END IF;
    ELSE
        UPDATE billing.hold AS h SET state = 'VOIDED', outcome = command.reason, closed_at = clock_timestamp()
            WHERE h.id = command.id;
        answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
    END IF;
    answer.result := 'ok';
    answer.state := 'VOIDED';
    answer.charged_nano_usd := 0;
    RETURN answer;
END $$;

CREATE FUNCTION billing.expire_one(command billing.command, hold billing.hold, answer billing.answer)
RETURNS billing.answer LANGUAGE plpgsql AS $$
BEGIN
    IF hold.id IS NULL THEN
        answer.result := 'unknown';
        RETURN answer;
    ELSIF hold.state <> 'HELD' THEN
        RETURN billing.with_stored_outcome(answer, hold);
    END IF;
    PERFORM 1 FROM billing.lease AS l
        WHERE l.id = hold.lease_id AND (l.is_ended OR hold.deadline <= clock_timestamp());
    IF NOT FOUND THEN
        answer.result := 'live';
        RETURN answer;
    END IF;
    UPDATE billing.hold AS h SET state = 'EXPIRED', outcome = 'lost', closed_at = clock_timestamp()
        WHERE h.id = command.id;
    answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
    command.rule := 'C9';
    command.outcome := 'lost';
    command.witness := 'reaper';
    command.attempt := hold.attempt;
    command.is_estimated := false;
    command.is_upstream_accepted := false;
    command.input_tokens := 0;
    command.cache_read_tokens := 0;
    command.cache_write_tokens := 0;
    command.output_tokens := 0;
    command.reasoning_tokens := 0;
    answer.result := 'ok';
    answer.state := 'EXPIRED';
    answer.charged_nano_usd := 0;
    RETURN billing.record_usage(answer, command, hold, 0, false);
END $$;

CREATE FUNCTION billing.execute_one(command billing.command, answer billing.answer, account_status billing.account_status)
RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    hold billing.hold := (SELECT h FROM billing.hold AS h WHERE h.id = command.id);
BEGIN
    IF hold.account_id <> command.account_id THEN
        answer.result := 'conflict';
        RETURN answer;
    END IF;
    CASE command.op
        WHEN 'reserve' THEN RETURN billing.reserve_one(command, hold, answer, account_status);
        WHEN 'settle' THEN RETURN billing.settle_one(command, hold, answer);
        WHEN 'extend' THEN RETURN billing.extend_one(command, hold, answer);
        WHEN 'void' THEN RETURN billing.void_one(command, hold, answer);
        WHEN 'expire' THEN RETURN billing.expire_one(command, hold, answer);
        ELSE
            answer.result := 'invalid';
            RETURN answer;
    END CASE;
END $$;

CREATE FUNCTION billing.lock_account(account_id uuid, is_blocking boolean) RETURNS billing.account
LANGUAGE plpgsql AS $$
DECLARE
    account billing.account;
BEGIN
    IF is_blocking THEN
        SELECT a.id, a.status, a.posted_nano_usd, a.held_nano_usd, a.version
            INTO account.id, account.status, account.posted_nano_usd, account.held_nano_usd, account.version
            FROM billing.account AS a WHERE a.id = account_id FOR UPDATE;
    ELSE
        SELECT a.id, a.status, a.posted_nano_usd, a.held_nano_usd, a.version
            INTO account.id, account.status, account.posted_nano_usd, account.held_nano_usd, account.version
            FROM billing.account AS a WHERE a.id = account_id FOR UPDATE SKIP LOCKED;
    END IF;
    RETURN account;
END $$;

CREATE FUNCTION billing.execute(commands jsonb, is_blocking boolean DEFAULT false) RETURNS SETOF billing.answer
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
            answer := billing.execute_one(command, answer, account.status);
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION billing.execute(jsonb, boolean) TO relay_billing;
