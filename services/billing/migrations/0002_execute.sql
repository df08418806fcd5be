-- The ledger of Relay: the one function that moves the money of requests.
--
-- billing.execute takes a batch of commands of any kind and is one transaction: its answers are true once it
-- has returned.
--
-- Order and locks. Commands are sorted by account, then by `ord`. The first command of an account locks that
-- account's row, and the lock lasts until commit. A hold, its transfers and its usage row are touched only
-- under the lock of their account, so this one lock decides every race about money: two replicas, a repeat, a
-- reaper, a change of status or key.
--   * Without `is_blocking`, an account that another transaction has locked is not waited for (SKIP LOCKED): its commands are
--     answered `busy`, its neighbours are not delayed, and there is no waiting that could become a deadlock.
--   * With `is_blocking`, accounts are waited for in the order of their ids, which is the same in every transaction. The
--     caller uses this for an account that was busy several times, with a lock_timeout.
-- An id that callers name together with two different accounts at one moment can make transactions wait for
-- each other on the hold's primary key. That is a caller's fault; PostgreSQL ends one of them (40P01), and
-- the batch can be repeated.
--
-- Speed. The running figures of the account (posted, held, version) travel in the answer from command to
-- command, and the row is written once when its last command is done, so that a hot account costs no more
-- than many cold ones. Statements are small and planned once for each session; plans are
-- generic and use indexes even of an empty table, since a session keeps its plans when the table grows. No
-- EXCEPTION blocks: each would be a subtransaction.
--
-- Snapshots. At READ COMMITTED every statement sees what was committed when it began. A statement that
-- follows the lock therefore sees all that the lock's previous owner wrote.
--
-- Bad commands. A value out of range is answered `invalid` and changes nothing. What does not fit the type of
-- its field (a malformed UUID, an integer beyond BIGINT, a NUL character) fails the whole batch, and so does
-- a violated constraint, which is our own bug: the transaction is undone, and the caller repeats the commands
-- one by one to find the culprit.
--
-- Answers by command (`invalid`, `busy` and `conflict`, an id that belongs to another account or request, can
-- come to each):
--   reserve  ok | settled voided expired (the stored outcome of this id) | lease_ended | account_unknown | account_suspended |
--            key_unknown | key_revoked | key_expired | model_unpriced | insufficient (even with nothing held) | held (by others)
--   extend   ok | insufficient | held | closed | unknown | stale_attempt. Bounds are cumulative, so a repeat changes nothing; a
--            higher attempt fences off the lower ones, and an extend without bounds is nothing but this fence
--   settle   ok | late (after expiry) | already | unknown | stale_attempt
--   void     ok | already
--   expire   ok | live | already | unknown. Used by billing.expire; checks for itself that lease or deadline has passed

CREATE TYPE billing.command AS (
    ord integer,
    op text,
    id uuid,
    account_id uuid,
    -- reserve
    key_id text,
    lease_id text,
    model text,
    fingerprint text,
    deadline_seconds integer,
    choices integer,
    output_tokens_wanted bigint,   -- for one choice; null when the client named no limit
    -- reserve, extend
    input_tokens_bound bigint,
    output_tokens_bound bigint,    -- extend only; over all choices
    -- extend, settle
    attempt integer,
    -- settle
    rule text,
    outcome text,
    is_estimated boolean,          -- lowered to the bounds of the hold
    is_upstream_accepted boolean,
    is_charged boolean,            -- false: the cost is written off
    writeoff_cause text,           -- required unless is_charged
    input_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    channel text,
    witness text,
    -- void
    reason text
);

CREATE TYPE billing.answer AS (
    ord integer,
    result text,
    -- the hold
    state text,
    amount_nano_usd bigint,
    input_tokens_bound bigint,
    output_tokens_bound bigint,        -- over all choices, a multiple of their number unless the client named its limit
    price_id bigint,
    attempt integer,
    deadline_seconds double precision, -- from now
    charged_nano_usd bigint,           -- in all, for settle and void
    -- a refusal
    needed_nano_usd bigint,
    affordable_output_tokens bigint,   -- over all choices, with what is available now; 0 if not even the input is
    -- the account after this command; null if there is none
    posted_nano_usd bigint,
    held_nano_usd bigint,
    version bigint
);

CREATE FUNCTION billing.nano_from_pico(pico numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The one rounding, upwards. div() is exact where `/` would round a long quotient.
    SELECT pg_catalog.div(pico + 999, 1000)::bigint
$$;

CREATE FUNCTION billing.hold_nano_usd(price billing.price, input_tokens bigint, output_tokens bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    -- Nobody knows before the call what the cache will do, so the input is held at its dearest.
    RETURN billing.nano_from_pico(
        input_tokens::numeric * greatest(price.input_pico_usd, price.cache_read_pico_usd, price.cache_write_pico_usd)
        + output_tokens::numeric * price.output_pico_usd
    );
END $$;

CREATE FUNCTION billing.affordable_output_tokens(price billing.price, input_tokens bigint, available bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rest_pico numeric := available::numeric * 1000
        - input_tokens::numeric * greatest(price.input_pico_usd, price.cache_read_pico_usd, price.cache_write_pico_usd);
BEGIN
    IF rest_pico < 0 THEN
        RETURN 0;
    ELSIF price.output_pico_usd = 0 THEN
        RETURN 2000000000;
    END IF;
    RETURN least(div(rest_pico, price.output_pico_usd), 2000000000);
END $$;

CREATE FUNCTION billing.with_hold(answer billing.answer, hold billing.hold) RETURNS billing.answer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    answer.state := hold.state;
    answer.amount_nano_usd := hold.amount_nano_usd;
    answer.input_tokens_bound := hold.input_tokens_bound;
    answer.output_tokens_bound := hold.output_tokens_bound;
    answer.price_id := hold.price_id;
    answer.attempt := hold.attempt;
    answer.deadline_seconds := extract(epoch FROM hold.deadline - clock_timestamp());
    RETURN answer;
END $$;

CREATE FUNCTION billing.with_stored_outcome(answer billing.answer, hold billing.hold) RETURNS billing.answer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    answer := billing.with_hold(answer, hold);
    answer.result := 'already';
    answer.charged_nano_usd := (
        SELECT coalesce(sum(u.charged_nano_usd), 0) FROM billing.usage AS u WHERE u.request_id = hold.id
    );
    RETURN answer;
END $$;

CREATE FUNCTION billing.refused(answer billing.answer, price billing.price, input_tokens bigint, needed bigint)
RETURNS billing.answer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    answer.result := CASE WHEN answer.posted_nano_usd < needed THEN 'insufficient' ELSE 'held' END;
    answer.needed_nano_usd := needed;
    answer.affordable_output_tokens := billing.affordable_output_tokens(
        price, input_tokens, answer.posted_nano_usd - answer.held_nano_usd
    );
    RETURN answer;
END $$;

CREATE FUNCTION billing.admission(
    command billing.command, account_status billing.account_status, moment timestamptz
) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    key billing.api_key;
BEGIN
    PERFORM 1 FROM billing.lease AS l
        WHERE l.id = command.lease_id AND NOT l.is_ended AND l.expires_at > moment;
    IF NOT FOUND THEN
        RETURN 'lease_ended';
    ELSIF account_status IS NULL THEN
        RETURN 'account_unknown';
    ELSIF account_status <> 'active' THEN
        RETURN 'account_suspended';
    END IF;
    key := (SELECT k FROM billing.api_key AS k WHERE k.id = command.key_id);
    RETURN CASE
        WHEN key.account_id IS DISTINCT FROM command.account_id THEN 'key_unknown'
        WHEN key.status <> 'active' THEN 'key_revoked'
        WHEN key.expires_at <= moment THEN 'key_expired'
        ELSE 'ok'
    END;
END $$;

CREATE FUNCTION billing.reserve_one(
    command billing.command, hold billing.hold, answer billing.answer, account_status billing.account_status
) RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    available bigint := answer.posted_nano_usd - answer.held_nano_usd;
    price billing.price;
    least_tokens bigint;
BEGIN
    IF num_nulls(command.key_id, command.lease_id, command.model, command.fingerprint) > 0
        OR (command.input_tokens_bound BETWEEN 0 AND 2000000000) IS NOT TRUE
        OR (command.deadline_seconds BETWEEN 1 AND 86400) IS NOT TRUE
        OR (command.choices BETWEEN 1 AND 128) IS NOT TRUE
        OR command.output_tokens_wanted NOT BETWEEN 0 AND 2000000000 / greatest(command.choices, 1)
    THEN
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

    answer.result := billing.admission(command, account_status, moment);
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

    hold.output_tokens_bound := coalesce(command.output_tokens_wanted, price.max_output_tokens) * command.choices;
    least_tokens := hold.output_tokens_bound;
    IF command.output_tokens_wanted IS NULL THEN
        -- The client leaves the limit to us: grant what the balance affords, but not an answer too short to be of use.
        least_tokens := least(16 * command.choices, hold.output_tokens_bound);
        hold.output_tokens_bound := greatest(least_tokens, least(
            hold.output_tokens_bound,
            billing.affordable_output_tokens(price, command.input_tokens_bound, available)
                / command.choices * command.choices
        ));
    END IF;
    hold.amount_nano_usd := billing.hold_nano_usd(price, command.input_tokens_bound, hold.output_tokens_bound);
    IF hold.amount_nano_usd > available THEN
        RETURN billing.refused(
            answer, price, command.input_tokens_bound,
            billing.hold_nano_usd(price, command.input_tokens_bound, least_tokens)
        );
    END IF;

    hold.deadline := moment + make_interval(secs => command.deadline_seconds);
    INSERT INTO billing.hold (
        id, account_id, key_id, lease_id, model, price_id, fingerprint, deadline,
        input_tokens_bound, output_tokens_bound, amount_nano_usd, state, created_at
    ) VALUES (
        command.id, command.account_id, command.key_id, command.lease_id, command.model, price.id, command.fingerprint,
        hold.deadline, command.input_tokens_bound, hold.output_tokens_bound, hold.amount_nano_usd, 'HELD', moment
    ) ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        -- The same id was committed for another account, whose lock is not ours, after we looked.
        answer.result := 'conflict';
        RETURN answer;
    END IF;
    answer.held_nano_usd := answer.held_nano_usd + hold.amount_nano_usd;
    answer.state := 'HELD';
    answer.amount_nano_usd := hold.amount_nano_usd;
    answer.input_tokens_bound := command.input_tokens_bound;
    answer.output_tokens_bound := hold.output_tokens_bound;
    answer.price_id := price.id;
    answer.attempt := 0;
    answer.deadline_seconds := command.deadline_seconds;
    RETURN answer;
END $$;

CREATE FUNCTION billing.extend_one(command billing.command, hold billing.hold, answer billing.answer)
RETURNS billing.answer LANGUAGE plpgsql AS $$
DECLARE
    price billing.price;
    amount bigint;
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

    hold.input_tokens_bound := greatest(hold.input_tokens_bound, command.input_tokens_bound);
    price := (SELECT p FROM billing.price AS p WHERE p.id = hold.price_id);
    amount := billing.hold_nano_usd(
        price, hold.input_tokens_bound, greatest(hold.output_tokens_bound, command.output_tokens_bound)
    );
    IF amount - hold.amount_nano_usd > answer.posted_nano_usd - answer.held_nano_usd THEN
        -- Seen from here, what this hold has already is available to it.
        answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
        answer := billing.refused(answer, price, hold.input_tokens_bound, amount);
        answer.held_nano_usd := answer.held_nano_usd + hold.amount_nano_usd;
        RETURN answer;
    END IF;
    answer.held_nano_usd := answer.held_nano_usd + amount - hold.amount_nano_usd;
    hold.output_tokens_bound := greatest(hold.output_tokens_bound, command.output_tokens_bound);
    hold.amount_nano_usd := amount;
    hold.attempt := command.attempt;
    UPDATE billing.hold AS h
        SET input_tokens_bound = hold.input_tokens_bound, output_tokens_bound = hold.output_tokens_bound,
            amount_nano_usd = amount, attempt = command.attempt
        WHERE h.id = command.id;
    RETURN billing.with_hold(answer, hold);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
