-- The ledger of Relay: limits of keys, accounts and groups, decided in the transaction that reserves.
--
-- A limit is a number or null, which is none. Those of a key count what the key does, those of an account what all its keys do. A
-- group has values for each account in it, where the account has none of its own, and the price multiplier and the models of
-- those accounts.
--
-- Meters. Who has a limit has a meter, and only they: everybody else costs nothing here. A meter is read and written under the lock
-- of its account, like the balance, so what it says is exact on any number of replicas.
--   * A minute is any 60 seconds, not one of the clock: a ring of 61 seconds, the current one and the 60 before, is never less than
--     a minute. What a request may use (tokens) is counted when it is reserved, at the second of its reserve, and corrected to
--     what it did use when it ends.
--   * Days and months are those of UTC. A limit of money bounds what is spent and what is held, so that nothing in flight passes it.
--   * `running` and `held_nano_usd` are the live holds in number and money (invariant I29), `total_nano_usd` is what was charged
--     since the beginning (invariant I30): a meter that is made later counts from the usage records.
SET LOCAL lock_timeout = '2s';

CREATE TYPE billing.limits AS (
    requests_per_minute integer,
    tokens_per_minute bigint,
    concurrent_requests integer,
    spend_day_nano_usd bigint,
    spend_month_nano_usd bigint,
    spend_total_nano_usd bigint
);

CREATE TABLE billing.account_group (
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    limits billing.limits NOT NULL,
    allowed_models text[] NOT NULL, -- empty allows all
    multiplier_ppm integer NOT NULL CHECK (multiplier_ppm BETWEEN 0 AND 10000000)
);

CREATE TABLE billing.meter (
    id text PRIMARY KEY,
    account_id uuid NOT NULL,
    limits billing.limits NOT NULL,
    second bigint NOT NULL,
    requests integer[] NOT NULL,
    tokens bigint[] NOT NULL,
    running integer NOT NULL CHECK (running >= 0),
    held_nano_usd bigint NOT NULL CHECK (held_nano_usd >= 0),
    day date NOT NULL,
    day_nano_usd bigint NOT NULL,
    month date NOT NULL,
    month_nano_usd bigint NOT NULL,
    total_nano_usd bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
COMMENT ON TABLE billing.meter IS 'What a key (id: the key''s) or an account (id: the account''s as text) has done of what it may do.';
COMMENT ON COLUMN billing.meter.second IS
    'The last second, of the Unix epoch, that the rings know; second s stands at place s % 61 + 1.';
COMMENT ON COLUMN billing.meter.month IS 'The first day of the month.';

ALTER TABLE billing.account
    ADD COLUMN group_name text REFERENCES billing.account_group (name),
    ADD COLUMN is_metered boolean NOT NULL DEFAULT false;
ALTER TABLE billing.api_key ADD COLUMN is_metered boolean NOT NULL DEFAULT false;
ALTER TABLE billing.hold
    ADD COLUMN is_metered boolean NOT NULL DEFAULT false,
    ADD COLUMN tokens_counted bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN billing.hold.tokens_counted IS 'What the meters count for it, until it ends.';

-- A meter with the limits that apply to it, and how much of its minute is used.
CREATE TYPE billing.reading AS (
    scope text, -- key or account
    meter billing.meter,
    limits billing.limits,
    requests bigint,
    tokens bigint
);

-- What may still be spent now, and what might be if nothing were held; each with the limit that says so, null for the balance.
CREATE TYPE billing.room AS (
    nano_usd bigint,
    limit_name text,
    scope text,
    ceiling_nano_usd bigint,
    ceiling_limit_name text,
    ceiling_scope text,
    ceiling_limit_nano_usd bigint
);

CREATE FUNCTION billing.at_moment(meter billing.meter, moment timestamptz) RETURNS billing.meter
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    today date := (moment AT TIME ZONE 'UTC')::date;
    now_second bigint := greatest(floor(extract(epoch FROM moment)), meter.second); -- a clock may step back
BEGIN
    IF now_second - meter.second > 60 THEN
        meter.requests := array_fill(0, ARRAY[61]);
        meter.tokens := array_fill(0::bigint, ARRAY[61]);
    ELSE
        FOR each_second IN meter.second + 1 .. now_second LOOP
            meter.requests[each_second % 61 + 1] := 0;
            meter.tokens[each_second % 61 + 1] := 0;
        END LOOP;
    END IF;
    meter.second := now_second;
    IF today > meter.day THEN
        meter.day := today;
        meter.day_nano_usd := 0;
    END IF;
    IF date_trunc('month', today)::date > meter.month THEN
        meter.month := date_trunc('month', today);
        meter.month_nano_usd := 0;
    END IF;
    RETURN meter;
END $$;

CREATE FUNCTION billing.read_meter(scope text, id text, group_limits billing.limits, moment timestamptz)
RETURNS billing.reading LANGUAGE plpgsql STABLE AS $$
DECLARE
    reading billing.reading;
    meter billing.meter := (SELECT m FROM billing.meter AS m WHERE m.id = read_meter.id);
BEGIN
    IF meter.id IS NULL THEN
        RETURN NULL;
    END IF;
    reading.scope := scope;
    reading.meter := billing.at_moment(meter, moment);
    reading.limits := ROW(
        coalesce((meter.limits).requests_per_minute, (group_limits).requests_per_minute),
        coalesce((meter.limits).tokens_per_minute, (group_limits).tokens_per_minute),
        coalesce((meter.limits).concurrent_requests, (group_limits).concurrent_requests),
        coalesce((meter.limits).spend_day_nano_usd, (group_limits).spend_day_nano_usd),
        coalesce((meter.limits).spend_month_nano_usd, (group_limits).spend_month_nano_usd),
        coalesce((meter.limits).spend_total_nano_usd, (group_limits).spend_total_nano_usd)
    )::billing.limits;
    SELECT sum(r.requests), sum(r.tokens) INTO reading.requests, reading.tokens
        FROM unnest((reading.meter).requests, (reading.meter).tokens) AS r (requests, tokens);
    RETURN reading;
END $$;
COMMENT ON FUNCTION billing.read_meter IS 'The meter at this moment, null if there is none.';

CREATE FUNCTION billing.readings(
    key_id text, is_key_metered boolean, account billing.account, group_limits billing.limits, moment timestamptz
) RETURNS billing.reading[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    readings billing.reading[] := '{}';
    reading billing.reading;
BEGIN
    IF is_key_metered THEN
        reading := billing.read_meter('key', key_id, NULL, moment);
        readings := CASE WHEN reading.scope IS NULL THEN readings ELSE array_append(readings, reading) END;
    END IF;
    IF account.is_metered THEN
        readings := array_append(readings, billing.read_meter('account', account.id::text, group_limits, moment));
    END IF;
    RETURN readings;
END $$;

CREATE FUNCTION billing.seconds_until_free(ring bigint[], second bigint, needed bigint, moment timestamptz)
RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    freed bigint := 0;
BEGIN
    FOR each_second IN second - 60 .. second LOOP
        freed := freed + ring[each_second % 61 + 1];
        IF freed >= needed THEN
            RETURN each_second + 61 - extract(epoch FROM moment);
        END IF;
    END LOOP;
    RETURN NULL; -- more than is counted would have to go: waiting does not help
END $$;

CREATE FUNCTION billing.limit_reached(reading billing.reading, tokens bigint, moment timestamptz) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    limits billing.limits := reading.limits;
    meter billing.meter := reading.meter;
    limit_name text;
    value bigint;
    spare bigint := 0;
    seconds double precision;
BEGIN
    IF meter.running >= limits.concurrent_requests THEN
        limit_name := 'concurrent_requests';
        value := limits.concurrent_requests;
        seconds := 1; -- when one ends nobody knows
    ELSIF reading.requests >= limits.requests_per_minute THEN
        limit_name := 'requests_per_minute';
        value := limits.requests_per_minute;
        seconds := billing.seconds_until_free(meter.requests::bigint[], meter.second, reading.requests + 1 - value, moment);
    ELSIF reading.tokens + tokens > limits.tokens_per_minute THEN
        limit_name := 'tokens_per_minute';
        value := limits.tokens_per_minute;
        spare := greatest(value - reading.tokens, 0);
        seconds := billing.seconds_until_free(meter.tokens, meter.second, reading.tokens + tokens - value, moment);
    ELSE
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object(
        'name', limit_name, 'scope', reading.scope, 'value', value, 'left', spare, 'retry_seconds', seconds, 'needed', tokens
    );
END $$;
COMMENT ON FUNCTION billing.limit_reached IS
    'Which limit keeps one more request of so many tokens out, and when it will not any more (null: never); null if none does.';

CREATE FUNCTION billing.narrowed(room billing.room, reading billing.reading) RETURNS billing.room
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    meter billing.meter := reading.meter;
    names CONSTANT text[] := ARRAY['spend_day', 'spend_month', 'spend_total'];
    most CONSTANT bigint[] := ARRAY[(reading.limits).spend_day_nano_usd, (reading.limits).spend_month_nano_usd,
                                    (reading.limits).spend_total_nano_usd];
    spent CONSTANT bigint[] := ARRAY[meter.day_nano_usd, meter.month_nano_usd, meter.total_nano_usd];
BEGIN
    FOR place IN 1 .. 3 LOOP
        IF most[place] - spent[place] - meter.held_nano_usd < room.nano_usd THEN
            room.nano_usd := most[place] - spent[place] - meter.held_nano_usd;
            room.limit_name := names[place];
            room.scope := reading.scope;
        END IF;
        IF most[place] - spent[place] < room.ceiling_nano_usd THEN
            room.ceiling_nano_usd := most[place] - spent[place];
            room.ceiling_limit_name := names[place];
            room.ceiling_scope := reading.scope;
            room.ceiling_limit_nano_usd := most[place];
        END IF;
    END LOOP;
    RETURN room;
END $$;
COMMENT ON FUNCTION billing.narrowed IS 'The room that is left when the limits of money of this reading are heeded as well.';

CREATE FUNCTION billing.write_meter(meter billing.meter) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing.meter AS m
        SET second = meter.second, requests = meter.requests, tokens = meter.tokens, running = meter.running,
            held_nano_usd = meter.held_nano_usd, day = meter.day, day_nano_usd = meter.day_nano_usd, month = meter.month,
            month_nano_usd = meter.month_nano_usd, total_nano_usd = meter.total_nano_usd
        WHERE m.id = meter.id;
END $$;

CREATE FUNCTION billing.count_request(readings billing.reading[], amount bigint, tokens bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    reading billing.reading;
    meter billing.meter;
    place integer;
    standing jsonb := '{}';
BEGIN
    FOREACH reading IN ARRAY readings LOOP
        meter := reading.meter;
        place := meter.second % 61 + 1;
        meter.requests[place] := meter.requests[place] + 1;
        meter.tokens[place] := meter.tokens[place] + tokens;
        meter.running := meter.running + 1;
        meter.held_nano_usd := meter.held_nano_usd + amount;
        PERFORM billing.write_meter(meter);
        standing := billing.with_standing(standing, 'requests', (reading.limits).requests_per_minute, reading.requests + 1);
        standing := billing.with_standing(standing, 'tokens', (reading.limits).tokens_per_minute, reading.tokens + tokens);
    END LOOP;
    RETURN nullif(standing, '{}');
END $$;
COMMENT ON FUNCTION billing.count_request IS
    'Counts an admitted request, and tells what its tightest limits leave: {"requests": [limit, remaining], "tokens": …}.';

CREATE FUNCTION billing.with_standing(standing jsonb, name text, most bigint, used bigint) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF most IS NULL OR (standing -> name ->> 1)::bigint <= most - used THEN
        RETURN standing;
    END IF;
    RETURN standing || jsonb_build_object(name, jsonb_build_array(most, greatest(most - used, 0)));
END $$;

CREATE FUNCTION billing.change_meters(
    hold billing.hold, running_change integer, held_change bigint, spent bigint, tokens_change bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    meter billing.meter;
    made bigint := floor(extract(epoch FROM hold.created_at));
    place integer;
BEGIN
    FOR meter IN SELECT m.* FROM billing.meter AS m WHERE m.id IN (hold.key_id, hold.account_id::text) ORDER BY m.id LOOP
        meter := billing.at_moment(meter, clock_timestamp());
        meter.running := meter.running + running_change;
        meter.held_nano_usd := meter.held_nano_usd + held_change;
        meter.day_nano_usd := meter.day_nano_usd + spent;
        meter.month_nano_usd := meter.month_nano_usd + spent;
        meter.total_nano_usd := meter.total_nano_usd + spent;
        -- What was counted too much goes where it was counted, what is new counts now.
        place := CASE WHEN tokens_change < 0 THEN made ELSE meter.second END % 61 + 1;
        IF tokens_change > 0 OR meter.second - made <= 60 THEN
            meter.tokens[place] := greatest(meter.tokens[place] + tokens_change, 0);
        END IF;
        PERFORM billing.write_meter(meter);
    END LOOP;
END $$;
COMMENT ON FUNCTION billing.change_meters IS 'Writes down at the meters of a hold what it does after its reserve.';

CREATE OR REPLACE FUNCTION billing.lock_account(account_id uuid, is_blocking boolean) RETURNS billing.account
LANGUAGE plpgsql AS $$
DECLARE
    account billing.account;
BEGIN
    IF is_blocking THEN
        SELECT a.id, a.status, a.posted_nano_usd, a.held_nano_usd, a.version, a.group_name, a.is_metered
            INTO account.id, account.status, account.posted_nano_usd, account.held_nano_usd, account.version,
                account.group_name, account.is_metered
            FROM billing.account AS a WHERE a.id = account_id FOR UPDATE;
    ELSE
        SELECT a.id, a.status, a.posted_nano_usd, a.held_nano_usd, a.version, a.group_name, a.is_metered
            INTO account.id, account.status, account.posted_nano_usd, account.held_nano_usd, account.version,
                account.group_name, account.is_metered
            FROM billing.account AS a WHERE a.id = account_id FOR UPDATE SKIP LOCKED;
    END IF;
    RETURN account;
END $$;

-- What operators set ----------------------------------------------------------------------------------------

CREATE FUNCTION billing.make_meter(meter_id text, account billing.account, key_id text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    today date := (moment AT TIME ZONE 'UTC')::date;
BEGIN
    INSERT INTO billing.meter (
        id, account_id, limits, second, requests, tokens, running, held_nano_usd,
        day, day_nano_usd, month, month_nano_usd, total_nano_usd
    )
    SELECT meter_id, account.id, ROW(NULL, NULL, NULL, NULL, NULL, NULL)::billing.limits, floor(extract(epoch FROM moment)),
        array_fill(0, ARRAY[61]), array_fill(0::bigint, ARRAY[61]), live.holds, live.amount,
        today, spent.day, date_trunc('month', today), spent.month, spent.total
    FROM (
        SELECT count(*) AS holds, coalesce(sum(h.amount_nano_usd), 0) AS amount FROM billing.hold AS h
        WHERE h.state = 'HELD' AND h.account_id = account.id AND (make_meter.key_id IS NULL OR h.key_id = make_meter.key_id)
    ) AS live, (
        SELECT coalesce(sum(u.charged_nano_usd), 0) AS total,
            coalesce(sum(u.charged_nano_usd) FILTER (WHERE (u.created_at AT TIME ZONE 'UTC')::date = today), 0) AS day,
            coalesce(sum(u.charged_nano_usd) FILTER (
                WHERE date_trunc('month', u.created_at AT TIME ZONE 'UTC') = date_trunc('month', today)
            ), 0) AS month
        FROM billing.usage AS u
        WHERE u.account_id = account.id AND (make_meter.key_id IS NULL OR u.key_id = make_meter.key_id)
    ) AS spent
    ON CONFLICT (id) DO NOTHING;
    UPDATE billing.hold AS h SET is_metered = true
        WHERE h.state = 'HELD' AND h.account_id = account.id AND (make_meter.key_id IS NULL OR h.key_id = make_meter.key_id);
END $$;

CREATE FUNCTION billing.set_limits(account_id uuid, key_id text, limits jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account billing.account;
    given billing.limits := jsonb_populate_record(NULL::billing.limits, limits);
    meter_id text := coalesce(key_id, account_id::text);
    is_needed boolean := num_nonnulls(given.requests_per_minute, given.tokens_per_minute, given.concurrent_requests,
        given.spend_day_nano_usd, given.spend_month_nano_usd, given.spend_total_nano_usd) > 0;
BEGIN
    account := billing.lock_account(set_limits.account_id, true);
    IF account.id IS NULL THEN
        RETURN 'account_unknown';
    ELSIF set_limits.key_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM billing.api_key AS k WHERE k.id = set_limits.key_id AND k.account_id = set_limits.account_id
    ) THEN
        RETURN 'key_unknown';
    END IF;
    is_needed := is_needed OR set_limits.key_id IS NULL AND account.group_name IS NOT NULL;
    IF is_needed THEN
        PERFORM billing.make_meter(meter_id, account, set_limits.key_id);
        UPDATE billing.meter AS m SET limits = given WHERE m.id = meter_id;
    ELSE
        DELETE FROM billing.meter AS m WHERE m.id = meter_id;
    END IF;
    UPDATE billing.api_key AS k SET is_metered = is_needed WHERE k.id = set_limits.key_id;
    UPDATE billing.account AS a SET is_metered = is_needed WHERE a.id = set_limits.account_id AND set_limits.key_id IS NULL;
    RETURN 'ok';
END $$;
COMMENT ON FUNCTION billing.set_limits IS
    'Gives a key, or without one its account, these limits in place of all it had: ok, account_unknown or key_unknown.';

CREATE FUNCTION billing.put_group(name text, limits jsonb, allowed_models text[], multiplier_ppm integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO billing.account_group AS g (name, limits, allowed_models, multiplier_ppm)
        VALUES (put_group.name, jsonb_populate_record(NULL::billing.limits, put_group.limits), put_group.allowed_models,
                put_group.multiplier_ppm)
        ON CONFLICT (name) DO UPDATE SET limits = excluded.limits, allowed_models = excluded.allowed_models,
            multiplier_ppm = excluded.multiplier_ppm
$$;
COMMENT ON FUNCTION billing.put_group IS 'Makes a group, or replaces what it says; requests that are reserved later follow it.';

CREATE FUNCTION billing.delete_group(name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.account AS a WHERE a.group_name = delete_group.name) THEN
        RETURN 'in_use';
    END IF;
    DELETE FROM billing.account_group AS g WHERE g.name = delete_group.name;
    RETURN CASE WHEN FOUND THEN 'ok' ELSE 'unknown' END;
END $$;
COMMENT ON FUNCTION billing.delete_group IS 'ok, unknown, or in_use: accounts are in it.';

CREATE FUNCTION billing.set_group(account_id uuid, group_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account billing.account;
    own jsonb;
BEGIN
    account := billing.lock_account(set_group.account_id, true);
    IF account.id IS NULL THEN
        RETURN 'account_unknown';
    ELSIF set_group.group_name IS NOT NULL AND NOT EXISTS (
        SELECT FROM billing.account_group AS g WHERE g.name = set_group.group_name FOR SHARE
    ) THEN
        RETURN 'group_unknown';
    END IF;
    UPDATE billing.account AS a SET group_name = set_group.group_name WHERE a.id = set_group.account_id;
    own := (SELECT to_jsonb(m.limits) FROM billing.meter AS m WHERE m.id = set_group.account_id::text);
    RETURN billing.set_limits(set_group.account_id, NULL, coalesce(own, '{}')); -- a meter if there is a limit now, else none
END $$;
COMMENT ON FUNCTION billing.set_group IS 'Puts an account into a group, or with null into none: ok, account_unknown or group_unknown.';

CREATE FUNCTION billing.limits_of(account_id uuid, key_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account billing.account := (SELECT a FROM billing.account AS a WHERE a.id = limits_of.account_id);
    of_group billing.account_group := (SELECT g FROM billing.account_group AS g WHERE g.name = account.group_name);
    reading billing.reading;
BEGIN
    IF account.id IS NULL THEN
        RETURN NULL;
    ELSIF limits_of.key_id IS NULL THEN
        reading := billing.read_meter('account', account.id::text, of_group.limits, clock_timestamp());
    ELSE
        reading := billing.read_meter('key', limits_of.key_id, NULL, clock_timestamp());
    END IF;
    RETURN jsonb_build_object(
        'group_name', account.group_name,
        'multiplier_ppm', coalesce(of_group.multiplier_ppm, 1000000),
        'allowed_models', coalesce(to_jsonb(of_group.allowed_models), '[]'),
        'limits', jsonb_strip_nulls(coalesce(to_jsonb(reading.limits), '{}')),
        'own_limits', jsonb_strip_nulls(coalesce(to_jsonb((reading.meter).limits), '{}')),
        'requests', coalesce(reading.requests, 0), 'tokens', coalesce(reading.tokens, 0),
        'running', coalesce((reading.meter).running, 0), 'held_nano_usd', coalesce((reading.meter).held_nano_usd, 0),
        'day_nano_usd', coalesce((reading.meter).day_nano_usd, 0), 'month_nano_usd', coalesce((reading.meter).month_nano_usd, 0),
        'total_nano_usd', coalesce((reading.meter).total_nano_usd, 0)
    );
END $$;
COMMENT ON FUNCTION billing.limits_of IS
    'The limits that apply to a key, or without one to its account, and how much of each is used; null for an unknown account.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT SELECT ON billing.account_group, billing.meter TO relay_billing;
GRANT EXECUTE ON FUNCTION
    billing.set_limits(uuid, text, jsonb),
    billing.put_group(text, jsonb, text[], integer),
    billing.delete_group(text),
    billing.set_group(uuid, text),
    billing.limits_of(uuid, text)
TO relay_billing;
