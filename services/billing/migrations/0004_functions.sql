-- The ledger of Relay: everything but the money of requests.
--
-- Whatever decides about an account takes the same row lock as billing.execute. A change of status or key
-- that has returned is therefore seen by every later reserve, and every reserve that did not see it was
-- committed before.

-- Leases ----------------------------------------------------------------------------------------------------
-- -----------------
--
-- A lease ends when its time passes, when its edge ends it, or when the reaper closes it. It never comes
-- back: an edge that is told so takes a new id. Renewing and closing update the same row, so the reaper
-- cannot expire what was renewed in time.

CREATE FUNCTION billing.renew_lease(lease_id text, ttl_seconds integer) RETURNS double precision
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
            WHERE NOT l.is_ended AND l.expires_at > clock_timestamp()
        RETURNING extract(epoch FROM l.expires_at - clock_timestamp()) INTO remaining;
    RETURN remaining;
END $$;
COMMENT ON FUNCTION billing.renew_lease IS 'Starts or renews a lease; its remaining seconds, or null when it has ended.';

CREATE FUNCTION billing.end_lease(lease_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE billing.lease AS l SET is_ended = true, expires_at = least(l.expires_at, clock_timestamp())
        WHERE l.id = lease_id AND NOT l.is_ended;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION billing.end_lease IS 'Ends a lease at once; false when there was none to end.';

CREATE FUNCTION billing.expire(batch_size integer, grace_seconds integer, uptime_seconds integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp();
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
    'Expires holds whose deadline or lease passed grace_seconds ago, in an account that is not busy; how many. Does nothing '
    'before PostgreSQL is up for uptime_seconds (one lease). Any replica may call it at any time.';

CREATE FUNCTION billing.prune_tombstones(age_seconds integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned integer;
BEGIN
    DELETE FROM billing.hold AS h
        WHERE h.price_id IS NULL AND h.created_at < clock_timestamp() - make_interval(secs => greatest(age_seconds, 3600));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END $$;
COMMENT ON FUNCTION billing.prune_tombstones IS
    'Forgets tombstones older than age_seconds, at least an hour, which no reserve in flight outlives; how many.';

-- What auth decides
-- ----------------------------------------------------------------------------------------------------------

CREATE FUNCTION billing.put_account(account_id uuid, status text, version bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.platform_account AS p WHERE p.id = put_account.account_id) THEN
        RAISE EXCEPTION '% is an account of the platform', account_id USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO billing.account AS a (id, status, status_version)
        VALUES (put_account.account_id, put_account.status::billing.account_status, put_account.version)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, status_version = excluded.status_version
            WHERE a.status_version < excluded.status_version;
    RETURN CASE WHEN FOUND THEN 'stored' ELSE 'kept' END;
END $$;
COMMENT ON FUNCTION billing.put_account IS 'stored, or kept: what billing has is as new or newer.';

CREATE FUNCTION billing.put_key(key_id text, account_id uuid, status text, expires_at timestamptz, version bigint)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key billing.api_key;
BEGIN
    PERFORM 1 FROM billing.account AS a WHERE a.id = put_key.account_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'account_unknown';
    END IF;
    INSERT INTO billing.api_key AS k (id, account_id, status, expires_at, version)
        VALUES (put_key.key_id, put_key.account_id, put_key.status::billing.key_status, put_key.expires_at, put_key.version)
        ON CONFLICT (id) DO UPDATE
            SET status = excluded.status, expires_at = excluded.expires_at, version = excluded.version
            WHERE k.account_id = excluded.account_id AND k.version < excluded.version;
    IF FOUND THEN
        RETURN 'stored';
    END IF;
    key := (SELECT k FROM billing.api_key AS k WHERE k.id = put_key.key_id);
    RETURN CASE WHEN key.account_id = put_key.account_id THEN 'kept' ELSE 'conflict' END;
END $$;
COMMENT ON FUNCTION billing.put_key IS
    'stored, kept (what billing has is as new or newer), account_unknown, or conflict: a key never moves to another account.';

-- Money by hand, prices
-- ------------------------------------------------------------------------------------------------------

CREATE TYPE billing.credit_answer AS (
    result text,
    transfer_id bigint,
    posted_nano_usd bigint,
    held_nano_usd bigint
);

CREATE FUNCTION billing.credit(account_id uuid, amount_nano_usd bigint, idempotency_key text, reason text)
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
    INSERT INTO billing.outbox (subject, transfer_id) VALUES ('billing.event.credited', answer.transfer_id);
    UPDATE billing.account AS a SET posted_nano_usd = answer.posted_nano_usd, version = account.version + 1
        WHERE a.id = account.id;
    RETURN answer;
END $$;
COMMENT ON FUNCTION billing.credit IS
    'Adds to an account, or takes at most what is available when the amount is negative: ok, already (same key and arguments), '
    'conflict (same key, other arguments), account_unknown, insufficient, too_large or invalid. Two accounts that are credited '
    'under one key at one moment: one of them gets a unique_violation.';

CREATE FUNCTION billing.set_price(
    model text, input_pico_usd bigint, output_pico_usd bigint, cache_read_pico_usd bigint, cache_write_pico_usd bigint,
    max_output_tokens integer, effective_at timestamptz DEFAULT NULL
) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO billing.price (
        model, input_pico_usd, output_pico_usd, cache_read_pico_usd, cache_write_pico_usd, max_output_tokens, effective_at
    ) VALUES (
        set_price.model, set_price.input_pico_usd, set_price.output_pico_usd, set_price.cache_read_pico_usd,
        set_price.cache_write_pico_usd, set_price.max_output_tokens,
        coalesce(set_price.effective_at, clock_timestamp())
    ) RETURNING id
$$;
COMMENT ON FUNCTION billing.set_price IS
    'Adds a price version, effective now unless told otherwise, and returns its id. A value out of range is a check_violation.';

-- Outbox ----------------------------------------------------------------------------------------------------
-- -----------------
--
-- One replica publishes at a time, and when it dies another takes over: the lead is a session's advisory
-- lock. It keeps the events in order and saves work; were two to publish, consumers would see events twice,
-- which they expect. Rows are deleted by id and only after they are published, so a transaction that commits
-- late with a low id is not passed over.

CREATE FUNCTION billing.lead_outbox() RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_try_advisory_lock(hashtextextended('relay billing outbox', 0))
$$;
COMMENT ON FUNCTION billing.lead_outbox IS
    'Whether this session is the publisher, from now until it ends. Ask again while it is not.';

CREATE FUNCTION billing.outbox_batch(batch_size integer)
RETURNS TABLE (id bigint, subject text, body jsonb, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.id, o.subject, coalesce(to_jsonb(u), to_jsonb(t)), o.created_at
    FROM billing.outbox AS o
    LEFT JOIN billing.usage AS u ON u.request_id = o.request_id AND u.is_late = o.is_late
    LEFT JOIN billing.transfer AS t ON t.id = o.transfer_id
    ORDER BY o.id LIMIT least(batch_size, 1000)
$$;
COMMENT ON FUNCTION billing.outbox_batch IS
    'The oldest events that are not yet published; the body is the usage or transfer row.';

CREATE FUNCTION billing.outbox_published(ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    deleted integer;
BEGIN
    DELETE FROM billing.outbox AS o WHERE o.id = ANY (ids);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;
COMMENT ON FUNCTION billing.outbox_published IS 'Forgets events that were published; how many there were.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    billing.renew_lease(text, integer),
    billing.end_lease(text),
    billing.expire(integer, integer, integer),
    billing.prune_tombstones(integer),
    billing.put_account(uuid, text, bigint),
    billing.put_key(text, uuid, text, timestamptz, bigint),
    billing.credit(uuid, bigint, text, text),
    billing.set_price(text, bigint, bigint, bigint, bigint, integer, timestamptz),
    billing.lead_outbox(),
    billing.outbox_batch(integer),
    billing.outbox_published(bigint[])
TO relay_billing;
