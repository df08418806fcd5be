-- The ledger of Relay: fences and lapsed leases. Replaces void_one of 0003, and renew_lease and expire of 0004.
--
-- Fences. `hold.attempt` is the lowest attempt that may still extend, settle or void a live hold. An extend
-- raises it, and one without bounds does nothing else: once that has returned, no claim of an older attempt
-- can end the hold. A closed hold answers every attempt with its stored outcome. A void without an attempt
-- is one of attempt 0; `stale_attempt` is among its answers.
--
-- Leases. A lease is live until its time passes, then lapsed, and ended once end_lease or expire has said so.
-- Only a live lease takes a reserve. Renewing makes a lapsed lease live again, so that an edge that could
-- reach nobody for a while keeps its holds; an ended lease never comes back, and its edge takes a new id.
--   * Renewing and ending update the same row. The first to lock it decides: an UPDATE that has waited checks its WHERE
--     again, on the row as it is then.
--   * A reserve reads its lease without a lock, so a hold can be committed just after its lease has ended. It is expired
--     like all others: every call of expire looks for live holds under ended leases.

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
        INSERT INTO billing.hold (id, account_id, amount_nano_usd, attempt, state, outcome, closed_at)
            VALUES (command.id, command.account_id, 0, command.attempt, 'VOIDED', command.reason, clock_timestamp())
            ON CONFLICT (id) DO NOTHING;
        IF NOT FOUND THEN
            -- As in reserve_one; without an account row there is no lock, so it can also be the same void again.
            answer.result := 'busy';
            RETURN answer;
        END IF;
    ELSE
        UPDATE billing.hold AS h
            SET state = 'VOIDED', attempt = command.attempt, outcome = command.reason, closed_at = clock_timestamp()
            WHERE h.id = command.id;
        answer.held_nano_usd := answer.held_nano_usd - hold.amount_nano_usd;
    END IF;
    answer.result := 'ok';
    answer.state := 'VOIDED';
    answer.charged_nano_usd := 0;
    RETURN answer;
END $$;

CREATE OR REPLACE FUNCTION billing.renew_lease(lease_id text, ttl_seconds integer) RETURNS double precision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    remaining double precision;
BEGIN
    IF (length(lease_id) BETWEEN 1 AND 64 AND ttl_seconds BETWEEN 1 AND 3600) IS NOT TRUE THEN
        RAISE EXCEPTION 'a lease has an id of 1 to 64 characters and lasts 1 to 3600 seconds'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO billing.lease AS l (id, expires_at)
        VALUES (lease_id, clock_timestamp() + make_interval(secs => ttl_seconds))
        ON CONFLICT (id) DO UPDATE SET expires_at = greatest(l.expires_at, excluded.expires_at)
            WHERE NOT l.is_ended
        RETURNING extract(epoch FROM l.expires_at - clock_timestamp()) INTO remaining;
    RETURN remaining;
END $$;
COMMENT ON FUNCTION billing.renew_lease IS
    'Starts or renews a lease, also one that has lapsed; its remaining seconds, or null when it has ended.';

CREATE OR REPLACE FUNCTION billing.expire(batch_size integer, grace_seconds integer, uptime_seconds integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The caller has looked at this same time before it decided to expire. If it was stopped in between, what has
    -- lapsed since is not yet known to be silent.
    moment timestamptz := transaction_timestamp();
    limit_moment timestamptz := moment - make_interval(secs => grace_seconds);
    expired integer;
BEGIN
    IF (batch_size BETWEEN 1 AND 256 AND grace_seconds >= 0 AND uptime_seconds >= 0) IS NOT TRUE THEN
        RAISE EXCEPTION 'expire takes a batch of 1 to 256 and seconds that are not negative'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF moment < pg_postmaster_start_time() + make_interval(secs => uptime_seconds) THEN
        -- While PostgreSQL was away nobody could renew; the edges get one full lease of time to do it.
        RETURN 0;
    END IF;
    UPDATE billing.lease AS l SET is_ended = true
        WHERE NOT l.is_ended AND l.expires_at <= limit_moment;
    SELECT count(*) FILTER (WHERE e.result = 'ok') INTO expired
        FROM (
            SELECT jsonb_agg(jsonb_build_object('op', 'expire', 'id', d.id, 'account_id', d.account_id)) AS commands
            FROM (
                SELECT h.id, h.account_id
                FROM billing.hold AS h JOIN billing.lease AS l ON l.id = h.lease_id
                WHERE h.state = 'HELD'
                    AND (h.deadline <= limit_moment OR l.is_ended AND l.expires_at <= limit_moment)
                LIMIT batch_size
            ) AS d
        ) AS due
        CROSS JOIN LATERAL billing.execute(coalesce(due.commands, '[]'), false) AS e;
    RETURN expired;
END $$;
COMMENT ON FUNCTION billing.expire IS
    'Expires holds whose deadline or lease had passed grace_seconds before this transaction began, in an account that is not '
    'busy; how many. Does nothing before PostgreSQL is up for uptime_seconds (one lease). Any replica may call it; whether it '
    'should is for the caller to know, who alone knows whether the edges could reach it.';
