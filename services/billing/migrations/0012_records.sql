-- The ledger of Relay: what the console shows of calls and money. Replaces credit and prune_tombstones of 0004,
-- reserve_one of 0009, settle_one and void_one of 0010.
--
-- Facts of a call. Its hold keeps what is known of it beside its money: whether it was a stream, how long it took, and the code of the
-- error that the client saw. They stand there and not in the usage row, since a call that was voided has none. `channel` is that of
-- a voided call; a settled one has it in its usage row. Nothing is decided from them.
--
-- Counting. A void writes to the outbox too, under no subject: nobody is told of it, and it waits there to be counted (0013).
--
-- Order. A request id is a UUIDv7 that the edge has made, so calls are listed by it, newest first, and a day begins at an id. That
-- needs no index on time, which every request would have to pay for. The same holds for transfers, whose ids are counted up.
SET LOCAL lock_timeout = '2s';

ALTER TYPE billing.command
    ADD ATTRIBUTE error text,             -- settle, void; null when the client saw none
    ADD ATTRIBUTE first_output_ms integer, -- settle, void; null when there was no output
    ADD ATTRIBUTE took_ms integer;        -- settle, void

ALTER TABLE billing.hold
    ADD COLUMN is_stream boolean NOT NULL DEFAULT false,
    ADD COLUMN channel text,
    ADD COLUMN error text,
    ADD COLUMN first_output_ms integer,
    ADD COLUMN took_ms integer;

-- An index costs every statement that writes to its table, also where it takes no row of it: it is opened, and its predicate or expression
-- is read again, which is dearer than the entry. So there is one more, a plain one, that each charge is written to; one finds voided calls
-- by account and tombstones, in place of hold_tombstone; and what is done by hand, which is little, is listed in a table of its own.
-- docs/decisions/0021-records.md has what they cost.
CREATE INDEX transfer_of_debtor ON billing.transfer (debit_account, id);
CREATE INDEX hold_voided ON billing.hold (num_nulls(price_id), account_id, id) WHERE state = 'VOIDED';
DROP INDEX billing.hold_tombstone;

CREATE TABLE billing.by_hand (
    account_id uuid NOT NULL,
    transfer_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, transfer_id)
);
CREATE INDEX by_hand_at ON billing.by_hand (created_at);
COMMENT ON TABLE billing.by_hand IS 'Which transfers of an account are credits and adjustments.';
LOCK TABLE billing.transfer IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO billing.by_hand (account_id, transfer_id, created_at)
    SELECT CASE WHEN t.kind = 'credit' THEN t.credit_account ELSE t.debit_account END, t.id, t.created_at
    FROM billing.transfer AS t WHERE t.idempotency_key IS NOT NULL;

CREATE OR REPLACE FUNCTION billing.credit(account_id uuid, amount_nano_usd bigint, idempotency_key text, reason text)
RETURNS billing.credit_answer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    operator_credit CONSTANT uuid := '00000000-0000-0000-0000-000000000002';
    largest CONSTANT bigint := 1000000000000000000;
    is_credit boolean := credit.amount_nano_usd > 0;
    account billing.account;
    known billing.transfer;
    answer billing.credit_answer;
BEGIN
    IF (credit.amount_nano_usd BETWEEN -largest AND largest AND credit.amount_nano_usd <> 0
        AND length(credit.idempotency_key) BETWEEN 1 AND 255) IS NOT TRUE
    THEN
        answer.result := 'invalid';
        RETURN answer;
    END IF;
    account := billing.lock_account(credit.account_id, true);
    answer.posted_nano_usd := account.posted_nano_usd;
    answer.held_nano_usd := account.held_nano_usd;
    known := (SELECT t FROM billing.transfer AS t WHERE t.idempotency_key = credit.idempotency_key);
    answer.transfer_id := known.id;
    answer.result := CASE
        WHEN known.id IS NOT NULL AND known.amount_nano_usd = abs(credit.amount_nano_usd)
            AND CASE WHEN is_credit THEN known.credit_account ELSE known.debit_account END = credit.account_id
            THEN 'already'
        WHEN known.id IS NOT NULL THEN 'conflict'
        WHEN account.id IS NULL THEN 'account_unknown'
        WHEN account.posted_nano_usd - account.held_nano_usd < -credit.amount_nano_usd THEN 'insufficient'
        WHEN account.posted_nano_usd + credit.amount_nano_usd > largest THEN 'too_large'
        ELSE 'ok'
    END;
    IF answer.result <> 'ok' THEN
        RETURN answer;
    END IF;
    answer.posted_nano_usd := account.posted_nano_usd + credit.amount_nano_usd;
    INSERT INTO billing.transfer (
        kind, debit_account, credit_account, amount_nano_usd, idempotency_key, reason,
        account_version_after, posted_after_nano_usd
    ) VALUES (
        CASE WHEN is_credit THEN 'credit' ELSE 'adjustment' END::billing.transfer_kind,
        CASE WHEN is_credit THEN operator_credit ELSE account.id END,
        CASE WHEN is_credit THEN account.id ELSE operator_credit END,
        abs(credit.amount_nano_usd), credit.idempotency_key, credit.reason,
        account.version + 1, answer.posted_nano_usd
    ) RETURNING id INTO answer.transfer_id;
    INSERT INTO billing.by_hand (account_id, transfer_id) VALUES (account.id, answer.transfer_id);
    INSERT INTO billing.outbox (subject, transfer_id) VALUES ('billing.event.credited', answer.transfer_id);
    UPDATE billing.account AS a SET posted_nano_usd = answer.posted_nano_usd, version = account.version + 1
        WHERE a.id = account.id;
    RETURN answer;
END $$;

CREATE OR REPLACE FUNCTION billing.prune_tombstones(age_seconds integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned integer;
BEGIN
    DELETE FROM billing.hold AS h
        WHERE h.state = 'VOIDED' AND num_nulls(h.price_id) = 1
            AND h.created_at < clock_timestamp() - make_interval(secs => greatest(age_seconds, 3600));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END $$;

CREATE OR REPLACE FUNCTION billing.reserve_one(
    command billing.command, hold billing.hold, answer billing.answer, account billing.account
) RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    key billing.api_key;
    of_group billing.account_group;
    price billing.price;
    readings billing.reading[];
    reading billing.reading;
    room billing.room;
    least_tokens bigint;
BEGIN
    IF NOT billing.is_valid_reserve(command) THEN
        answer.result := 'invalid';
        RETURN answer;
    END IF;
    IF hold.id IS NOT NULL THEN
        answer := billing.with_hold(answer, hold);
        answer.result := CASE
            WHEN hold.fingerprint <> command.fingerprint THEN 'conflict'
            WHEN hold.state = 'HELD' THEN 'ok'
            ELSE lower(hold.state::text)
        END;
        RETURN answer;
    END IF;

    key := (SELECT k FROM billing.api_key AS k WHERE k.id = command.key_id);
    IF account.group_name IS NOT NULL THEN
        of_group := (SELECT g FROM billing.account_group AS g WHERE g.name = account.group_name);
    END IF;
    answer.result := billing.admission(command, account, key, of_group.allowed_models, moment);
    IF answer.result <> 'ok' THEN
        RETURN answer;
    END IF;
    price := (
        SELECT p FROM billing.price AS p WHERE p.model = command.model AND p.effective_at <= moment
        ORDER BY p.effective_at DESC, p.id DESC LIMIT 1
    );
    IF price.id IS NULL THEN
        answer.result := 'model_unpriced';
        RETURN answer;
    END IF;

    readings := billing.readings(command.key_id, key.is_metered, account, of_group.limits, moment);
    room.nano_usd := answer.posted_nano_usd - answer.held_nano_usd;
    room.ceiling_nano_usd := answer.posted_nano_usd;
    FOREACH reading IN ARRAY readings LOOP
        room := billing.narrowed(room, reading);
    END LOOP;

    hold.multiplier_ppm := coalesce(of_group.multiplier_ppm, 1000000);
    hold.output_tokens_granted := coalesce(command.output_tokens_wanted, price.max_output_tokens) * command.choices;
    least_tokens := hold.output_tokens_granted;
    IF command.output_tokens_wanted IS NULL THEN
        -- The client leaves the limit to us: grant what the balance affords, but not an answer too short to be of use.
        least_tokens := least(16 * command.choices, hold.output_tokens_granted);
        hold.output_tokens_granted := greatest(least_tokens, least(
            hold.output_tokens_granted,
            billing.affordable_output_tokens(price, command.input_tokens_bound, room.nano_usd, hold.multiplier_ppm)
                / command.choices * command.choices
        ));
    END IF;
    hold.output_tokens_bound := hold.output_tokens_granted;
    IF command.is_stream AND 'reasoning' <> ALL (price.capabilities) THEN
        hold.output_tokens_bound := least(hold.output_tokens_granted, command.slice_tokens * command.choices);
    END IF;

    hold.tokens_counted := command.input_tokens_bound + CASE
        WHEN command.output_tokens_wanted IS NULL
            THEN least(hold.output_tokens_bound, command.slice_tokens * command.choices)
        ELSE hold.output_tokens_bound
    END;
    FOREACH reading IN ARRAY readings LOOP
        answer.limits := billing.limit_reached(reading, hold.tokens_counted, moment);
        IF answer.limits IS NOT NULL THEN
            answer.result := 'limited';
            RETURN answer;
        END IF;
    END LOOP;

    hold.amount_nano_usd := billing.hold_nano_usd(
        price, command.input_tokens_bound, hold.output_tokens_bound, hold.multiplier_ppm
    );
    IF hold.amount_nano_usd > room.nano_usd OR (
        hold.output_tokens_bound < hold.output_tokens_granted AND room.ceiling_nano_usd < billing.hold_nano_usd(
            price, command.input_tokens_bound, hold.output_tokens_granted, hold.multiplier_ppm
        )
    ) THEN
        RETURN billing.refused(
            answer, room, billing.hold_nano_usd(price, command.input_tokens_bound, least_tokens, hold.multiplier_ppm),
            billing.affordable_output_tokens(price, command.input_tokens_bound, room.nano_usd, hold.multiplier_ppm)
        );
    END IF;

    hold.is_metered := cardinality(readings) > 0;
    hold.deadline := moment + make_interval(secs => command.deadline_seconds);
    INSERT INTO billing.hold (
        id, account_id, key_id, lease_id, model, price_id, fingerprint, deadline,
        input_tokens_bound, output_tokens_bound, output_tokens_granted, amount_nano_usd, first_nano_usd, multiplier_ppm,
        is_metered, tokens_counted, is_stream, state, created_at
    ) VALUES (
        command.id, command.account_id, command.key_id, command.lease_id, command.model, price.id, command.fingerprint,
        hold.deadline, command.input_tokens_bound, hold.output_tokens_bound, hold.output_tokens_granted,
        hold.amount_nano_usd, hold.amount_nano_usd, hold.multiplier_ppm, hold.is_metered, hold.tokens_counted,
        coalesce(command.is_stream, false), 'HELD', moment
    ) ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        -- The same id was committed for another account, whose lock is not ours, after we looked.
        answer.result := 'conflict';
        RETURN answer;
    END IF;
    IF hold.is_metered THEN
        answer.limits := billing.count_request(readings, hold.amount_nano_usd, hold.tokens_counted);
    END IF;
    answer.held_nano_usd := answer.held_nano_usd + hold.amount_nano_usd;
    answer.state := 'HELD';
    answer.amount_nano_usd := hold.amount_nano_usd;
    answer.input_tokens_bound := command.input_tokens_bound;
    answer.output_tokens_bound := hold.output_tokens_bound;
    answer.output_tokens_granted := hold.output_tokens_granted;
    answer.price_id := price.id;
    answer.attempt := 0;
    answer.deadline_seconds := command.deadline_seconds;
    RETURN answer;
END $$;

CREATE OR REPLACE FUNCTION billing.settle_one(
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
            attempts = command.attempts, error = command.error, first_output_ms = command.first_output_ms,
            took_ms = command.took_ms, closed_at = clock_timestamp()
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
                channel = command.channel, error = command.error, first_output_ms = command.first_output_ms,
                took_ms = command.took_ms, closed_at = clock_timestamp()
            WHERE h.id = command.id;
        answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
        IF hold.is_metered THEN
            PERFORM billing.change_meters(hold, -1, -hold.amount_nano_usd, 0, -hold.tokens_counted);
        END IF;
        INSERT INTO billing.outbox (subject, request_id, is_late) VALUES ('', hold.id, false); -- to be counted, told to nobody
    END IF;
    answer.result := 'ok';
    answer.state := 'VOIDED';
    answer.charged_nano_usd := 0;
    RETURN answer;
END $$;

CREATE VIEW billing.call AS
    SELECT h.id, h.account_id, h.key_id, h.model, s.state,
        CASE WHEN s.state <> 'failed' THEN '' ELSE coalesce(h.error, h.outcome) END AS error,
        h.outcome, s.state = 'failed' AND h.outcome NOT IN ('refused', 'unfunded') AS is_fault,
        h.is_stream, h.channel, h.first_output_ms, h.took_ms, h.created_at, h.closed_at
    FROM billing.hold AS h CROSS JOIN LATERAL (
        SELECT CASE
            WHEN h.state = 'HELD' THEN 'running'
            WHEN h.outcome = 'completed' THEN 'complete'
            WHEN h.outcome = 'client_gone' THEN 'left'
            ELSE 'failed'
        END AS state
    ) AS s
    WHERE h.price_id IS NOT NULL;
COMMENT ON VIEW billing.call IS
    'Every request that was admitted, as people speak of it: running, complete, failed, or left by its client. is_fault: the failure was '
    'ours or an upstream''s, and no word of the client or of its wallet. A call that nobody reported on is failed, whatever is settled late.';

CREATE FUNCTION billing.transfer_id_at(moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    low bigint := (SELECT min(t.id) FROM billing.transfer AS t);
    high bigint := (SELECT max(t.id) + 1 FROM billing.transfer AS t);
    middle bigint;
    found_id bigint;
    found_at timestamptz;
BEGIN
    WHILE low < high LOOP
        middle := low + (high - low) / 2;
        SELECT t.id, t.created_at INTO found_id, found_at FROM billing.transfer AS t
            WHERE t.id >= middle ORDER BY t.id LIMIT 1;
        IF found_at >= moment THEN
            high := middle;
        ELSE
            low := found_id + 1;
        END IF;
    END LOOP;
    RETURN coalesce(low, 0);
END $$;
COMMENT ON FUNCTION billing.transfer_id_at IS
    'An id before which no transfer is as late as this moment, give or take the length of a transaction: ids are counted up as time goes on.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT SELECT ON billing.call, billing.by_hand TO relay_billing;
GRANT EXECUTE ON FUNCTION
    billing.credit(uuid, bigint, text, text),
    billing.prune_tombstones(integer),
    billing.transfer_id_at(timestamptz)
TO relay_billing;
