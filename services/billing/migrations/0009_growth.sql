-- The ledger of Relay: holds that grow with their streams, limits at the reserve, and what a receipt tells.
-- Replaces the functions of 0002, 0003, 0005 and 0006 that reserve, extend and end.
--
-- The functions that these replace stay until the next file has replaced their callers.
--
-- Growth. A hold covers the input and `output_tokens_bound` of the output, in all. Of a stream that is a first slice of what was
-- granted (`output_tokens_granted`, which the upstream is told as its limit): the dispatcher extends before the slice is used up.
-- A model that thinks in secret (capability `reasoning`) uses output that nobody sees come, so its hold is whole from the start,
-- as that of a plain answer is. The whole must be affordable with nothing else held: a request that could never be
-- paid is refused at once, one that only competes with others may begin.
--
-- Evidence. `attempts` is what the dispatcher has tried, `source` says where the units of a usage row come from, and
-- `first_nano_usd` and `extensions` how the hold grew. They are for receipts; nothing is decided from them.
SET LOCAL lock_timeout = '2s';

ALTER TYPE billing.rule ADD VALUE 'C10';
ALTER TYPE billing.outcome ADD VALUE 'unfunded';

ALTER TYPE billing.command
    ADD ATTRIBUTE is_stream boolean,      -- reserve; null as false
    ADD ATTRIBUTE slice_tokens bigint,    -- reserve: the output to hold first for a stream, for one choice; null for all of it
    ADD ATTRIBUTE is_partial boolean,     -- extend: as far as the money goes; null as false
    ADD ATTRIBUTE attempts jsonb,         -- settle, void
    ADD ATTRIBUTE source text;            -- settle
ALTER TYPE billing.answer
    ADD ATTRIBUTE output_tokens_granted bigint, -- reserve: over all choices
    ADD ATTRIBUTE limits jsonb;           -- the limit that refused, or what limits leave: see limit_reached, count_request, refused

ALTER TABLE billing.hold
    ADD COLUMN output_tokens_granted bigint NOT NULL DEFAULT 0,
    ADD COLUMN first_nano_usd bigint,
    ADD COLUMN extensions integer NOT NULL DEFAULT 0,
    ADD COLUMN attempts jsonb;
ALTER TABLE billing.usage ADD COLUMN source text NOT NULL DEFAULT '';

CREATE OR REPLACE FUNCTION billing.with_hold(answer billing.answer, hold billing.hold) RETURNS billing.answer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    answer.state := hold.state;
    answer.amount_nano_usd := hold.amount_nano_usd;
    answer.input_tokens_bound := hold.input_tokens_bound;
    answer.output_tokens_bound := hold.output_tokens_bound;
    answer.output_tokens_granted := greatest(hold.output_tokens_granted, hold.output_tokens_bound);
    answer.price_id := hold.price_id;
    answer.attempt := hold.attempt;
    answer.deadline_seconds := extract(epoch FROM hold.deadline - clock_timestamp());
    RETURN answer;
END $$;

CREATE FUNCTION billing.refused(answer billing.answer, room billing.room, needed bigint, affordable bigint)
RETURNS billing.answer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    answer.needed_nano_usd := needed;
    answer.affordable_output_tokens := affordable;
    IF room.ceiling_nano_usd < needed THEN
        answer.result := 'insufficient';
        answer.limits := CASE WHEN room.ceiling_limit_name IS NOT NULL THEN jsonb_build_object(
            'name', room.ceiling_limit_name, 'scope', room.ceiling_scope, 'value', room.ceiling_limit_nano_usd,
            'left', greatest(room.ceiling_nano_usd, 0)
        ) END;
    ELSE
        answer.result := 'held';
        answer.limits := CASE WHEN room.limit_name IS NOT NULL THEN jsonb_build_object(
            'name', room.limit_name, 'scope', room.scope
        ) END;
    END IF;
    RETURN answer;
END $$;

CREATE FUNCTION billing.admission(
    command billing.command, account billing.account, key billing.api_key, allowed_models text[], moment timestamptz
) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM 1 FROM billing.lease AS l
        WHERE l.id = command.lease_id AND NOT l.is_ended AND l.expires_at > moment;
    RETURN CASE
        WHEN NOT FOUND THEN 'lease_ended'
        WHEN account.id IS NULL THEN 'account_unknown'
        WHEN account.status <> 'active' THEN 'account_suspended'
        WHEN key.account_id IS DISTINCT FROM command.account_id THEN 'key_unknown'
        WHEN key.status <> 'active' THEN 'key_revoked'
        WHEN key.expires_at <= moment THEN 'key_expired'
        WHEN cardinality(allowed_models) > 0 AND command.model <> ALL (allowed_models) THEN 'model_not_allowed'
        ELSE 'ok'
    END;
END $$;

CREATE FUNCTION billing.is_valid_reserve(command billing.command) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN num_nulls(command.key_id, command.lease_id, command.model, command.fingerprint) = 0
        AND (command.input_tokens_bound BETWEEN 0 AND 2000000000) IS TRUE
        AND (command.deadline_seconds BETWEEN 1 AND 86400) IS TRUE
        AND (command.choices BETWEEN 1 AND 128) IS TRUE
        AND (command.output_tokens_wanted BETWEEN 0 AND 2000000000 / greatest(command.choices, 1)) IS NOT FALSE
        AND (command.slice_tokens BETWEEN 1 AND 10000000) IS NOT FALSE;
END $$;

CREATE FUNCTION billing.reserve_one(
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
        is_metered, tokens_counted, state, created_at
    ) VALUES (
        command.id, command.account_id, command.key_id, command.lease_id, command.model, price.id, command.fingerprint,
        hold.deadline, command.input_tokens_bound, hold.output_tokens_bound, hold.output_tokens_granted,
        hold.amount_nano_usd, hold.amount_nano_usd, hold.multiplier_ppm, hold.is_metered, hold.tokens_counted, 'HELD', moment
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

CREATE FUNCTION billing.reserve_once(
    command billing.command, hold billing.hold, answer billing.answer, account billing.account
) RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    known billing.idempotency;
    former billing.hold;
BEGIN
    known := (
        SELECT i FROM billing.idempotency AS i
        WHERE i.account_id = command.account_id AND i.key = command.idempotency_key
    );
    former := (SELECT h FROM billing.hold AS h WHERE h.id = known.request_id);
    answer.result := CASE
        WHEN known.fingerprint <> command.fingerprint THEN 'key_reused'
        WHEN former.state = 'HELD'
            OR former.state = 'SETTLED' AND former.outcome IN ('completed', 'client_gone', 'unfunded')
            THEN 'repeated'
    END;
    IF answer.result IS NOT NULL THEN
        answer.former_id := known.request_id;
        RETURN answer;
    END IF;
    answer := billing.reserve_one(command, hold, answer, account);
    IF answer.result = 'ok' THEN
        INSERT INTO billing.idempotency AS i (account_id, key, request_id, fingerprint)
            VALUES (command.account_id, command.idempotency_key, command.id, command.fingerprint)
            ON CONFLICT (account_id, key) DO UPDATE
                SET request_id = excluded.request_id, created_at = excluded.created_at;
    END IF;
    RETURN answer;
END $$;

CREATE FUNCTION billing.room_of(hold billing.hold, answer billing.answer, account billing.account) RETURNS billing.room
LANGUAGE plpgsql STABLE AS $$
DECLARE
    room billing.room;
    group_limits billing.limits;
    reading billing.reading;
BEGIN
    room.nano_usd := answer.posted_nano_usd - answer.held_nano_usd;
    room.ceiling_nano_usd := answer.posted_nano_usd;
    IF hold.is_metered THEN
        group_limits := (SELECT g.limits FROM billing.account_group AS g WHERE g.name = account.group_name);
        FOREACH reading IN ARRAY billing.readings(hold.key_id, true, account, group_limits, clock_timestamp()) LOOP
            room := billing.narrowed(room, reading);
        END LOOP;
    END IF;
    RETURN room;
END $$;
COMMENT ON FUNCTION billing.room_of IS 'What may be spent beyond what this hold has.';

CREATE FUNCTION billing.extend_one(command billing.command, hold billing.hold, answer billing.answer, account billing.account)
RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    price billing.price;
    room billing.room;
    amount bigint;
    affordable bigint;
    former_input bigint;
    tokens bigint;
BEGIN
    IF (command.attempt >= 0) IS NOT TRUE
        OR command.input_tokens_bound NOT BETWEEN 0 AND 2000000000
        OR command.output_tokens_bound NOT BETWEEN 0 AND 2000000000
    THEN
        answer.result := 'invalid';
        RETURN answer;
    ELSIF hold.id IS NULL THEN
        answer.result := 'unknown';
        RETURN answer;
    END IF;
    answer.result := CASE
        WHEN hold.state <> 'HELD' THEN 'closed'
        WHEN command.attempt < hold.attempt THEN 'stale_attempt'
        ELSE 'ok'
    END;
    IF answer.result <> 'ok' THEN
        RETURN billing.with_hold(answer, hold);
    END IF;

    former_input := hold.input_tokens_bound;
    hold.input_tokens_bound := greatest(hold.input_tokens_bound, command.input_tokens_bound);
    price := (SELECT p FROM billing.price AS p WHERE p.id = hold.price_id);
    amount := billing.hold_nano_usd(
        price, hold.input_tokens_bound, greatest(hold.output_tokens_bound, command.output_tokens_bound), hold.multiplier_ppm
    );
    IF amount > hold.amount_nano_usd THEN
        room := billing.room_of(hold, answer, account);
        IF amount - hold.amount_nano_usd > room.nano_usd THEN
            -- Seen from here, what this hold has already is available to it.
            affordable := billing.affordable_output_tokens(
                price, hold.input_tokens_bound, room.nano_usd + hold.amount_nano_usd, hold.multiplier_ppm
            );
            IF command.is_partial IS NOT TRUE OR affordable <= hold.output_tokens_bound THEN
                RETURN billing.refused(answer, room, amount, affordable);
            END IF;
            command.output_tokens_bound := affordable;
            amount := billing.hold_nano_usd(price, hold.input_tokens_bound, affordable, hold.multiplier_ppm);
        END IF;
        tokens := hold.input_tokens_bound - former_input
            + greatest(coalesce(command.output_tokens_bound, 0) - hold.output_tokens_bound, 0);
        hold.extensions := hold.extensions + 1;
        hold.tokens_counted := hold.tokens_counted + tokens;
        IF hold.is_metered THEN
            PERFORM billing.change_meters(hold, 0, amount - hold.amount_nano_usd, 0, tokens);
        END IF;
    END IF;
    answer.held_nano_usd := answer.held_nano_usd + amount - hold.amount_nano_usd;
    hold.output_tokens_bound := greatest(hold.output_tokens_bound, command.output_tokens_bound);
    hold.amount_nano_usd := amount;
    hold.attempt := command.attempt;
    UPDATE billing.hold AS h
        SET input_tokens_bound = hold.input_tokens_bound, output_tokens_bound = hold.output_tokens_bound,
            amount_nano_usd = amount, attempt = command.attempt, extensions = hold.extensions,
            tokens_counted = hold.tokens_counted
        WHERE h.id = command.id;
    RETURN billing.with_hold(answer, hold);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
