-- The ledger of Relay: what was done, counted by the hour. Replaces outbox_batch and outbox_published of 0004.
--
-- A fact is the end of a request, or a charge that came late: a usage row, or a voided hold. Each fact waits in the outbox until it is
-- published, and in the transaction that takes it out there it is added to the counts. So a fact stands in the outbox or in the counts,
-- never in both and never in neither, whoever dies when: the outbox is the watermark. What has been done is the counts and the
-- facts that still wait, in one snapshot (`traffic_now`, `timing_now`). There is no job to catch up, nothing is passed over that commits
-- late, and invariant I31 of the audit says that the counts are what the rows say.
--
-- A fact counts where it ended, by PostgreSQL's clock: a charge stands in the hour of its transfer. What comes late adds its
-- money and tokens in the hour in which it came, and is no further request.
--
-- Three scopes, so that no look adds up more than it shows: `account` by key and model, in hours; `site` by channel and model, in hours;
-- `status` by model, in slices of five minutes. The last two belong to the account 0.
--
-- Times are kept in buckets, eight for each doubling, so a percentile is right to within 4.5 %. A speed is that of a whole stream of
-- at least ten tokens, from its first output on.
SET LOCAL lock_timeout = '5s';

CREATE TYPE billing.traffic_scope AS ENUM ('account', 'site', 'status');
CREATE TYPE billing.timing_measure AS ENUM ('first_output_ms', 'tokens_per_second');

CREATE TABLE billing.traffic (
    scope billing.traffic_scope NOT NULL,
    account_id uuid NOT NULL,
    began timestamptz NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL,
    channel text NOT NULL,
    error text NOT NULL,
    requests bigint NOT NULL,
    failed bigint NOT NULL,
    faults bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano_usd bigint NOT NULL,
    charged_nano_usd bigint NOT NULL,
    writeoff_nano_usd bigint NOT NULL,
    PRIMARY KEY (scope, account_id, began, key_id, model, channel, error)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE billing.traffic IS
    'What ended in one slice of time. `failed` are requests with an error, `faults` those of them that were ours or an upstream''s.';

CREATE TABLE billing.timing (
    scope billing.traffic_scope NOT NULL,
    account_id uuid NOT NULL,
    began timestamptz NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL,
    measure billing.timing_measure NOT NULL,
    bucket smallint NOT NULL,
    calls bigint NOT NULL,
    PRIMARY KEY (scope, account_id, began, key_id, model, measure, bucket)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE billing.timing IS 'How many streams had a measure from 2^(bucket/8) to 2^((bucket+1)/8); bucket 0 has what is below, too.';

CREATE VIEW billing.fact AS
    SELECT c.id AS request_id, w.is_late, w.ended_at, c.account_id, c.key_id, c.model, coalesce(u.channel, c.channel, '') AS channel,
        CASE WHEN w.is_late THEN '' ELSE c.error END AS error,
        (NOT w.is_late)::integer AS requests,
        (NOT w.is_late AND c.state = 'failed')::integer AS failed,
        (NOT w.is_late AND c.is_fault)::integer AS faults,
        coalesce(u.input_tokens, 0) AS input_tokens,
        coalesce(u.cache_read_tokens, 0) AS cached_tokens,
        coalesce(u.output_tokens, 0) AS output_tokens,
        coalesce(u.cost_nano_usd, 0) AS cost_nano_usd,
        coalesce(u.charged_nano_usd, 0) AS charged_nano_usd,
        coalesce(u.writeoff_nano_usd, 0) AS writeoff_nano_usd,
        CASE WHEN c.is_stream AND NOT w.is_late AND c.first_output_ms IS NOT NULL THEN
            floor(8 * ln(greatest(c.first_output_ms, 1)) / ln(2))::smallint
        END AS first_output_bucket,
        CASE WHEN c.state = 'complete' AND c.is_stream AND c.took_ms >= c.first_output_ms AND u.output_tokens >= 10 THEN
            floor(8 * ln(greatest(u.output_tokens * 1000.0 / greatest(c.took_ms - c.first_output_ms, 1), 1)) / ln(2))::smallint
        END AS speed_bucket
    FROM billing.call AS c LEFT JOIN billing.usage AS u ON u.request_id = c.id
    CROSS JOIN LATERAL (SELECT coalesce(u.is_late, false) AS is_late, coalesce(u.created_at, c.closed_at) AS ended_at) AS w
    WHERE c.closed_at IS NOT NULL;
COMMENT ON VIEW billing.fact IS 'Each end of a request, and each charge that came late, as it is counted. This is the one definition of that.';

CREATE VIEW billing.tally AS
    SELECT f.request_id, f.is_late, s.scope, s.account_id, s.began, s.key_id, f.model, s.channel, s.error,
        f.requests, f.failed, f.faults, f.input_tokens, f.cached_tokens, f.output_tokens,
        f.cost_nano_usd, f.charged_nano_usd, f.writeoff_nano_usd, f.first_output_bucket, f.speed_bucket
    FROM billing.fact AS f CROSS JOIN LATERAL (VALUES
        ('account'::billing.traffic_scope, f.account_id, date_trunc('hour', f.ended_at, 'UTC'), f.key_id, '', f.error),
        ('site', '00000000-0000-0000-0000-000000000000', date_trunc('hour', f.ended_at, 'UTC'), '', f.channel, f.error),
        ('status', '00000000-0000-0000-0000-000000000000', date_bin('5 minutes', f.ended_at, '2000-01-01 00:00Z'), '', '', '')
    ) AS s (scope, account_id, began, key_id, channel, error);
COMMENT ON VIEW billing.tally IS 'Each fact once for each scope, with the row that it is counted in.';

CREATE VIEW billing.timed AS
    SELECT t.request_id, t.is_late, t.scope, t.account_id, t.began, t.key_id, t.model, m.measure, m.bucket
    FROM billing.tally AS t CROSS JOIN LATERAL (VALUES
        ('first_output_ms'::billing.timing_measure, t.first_output_bucket), ('tokens_per_second', t.speed_bucket)
    ) AS m (measure, bucket)
    WHERE m.bucket IS NOT NULL;

CREATE VIEW billing.traffic_now AS
    SELECT scope, account_id, began, key_id, model, channel, error, requests, failed, faults,
        input_tokens, cached_tokens, output_tokens, cost_nano_usd, charged_nano_usd, writeoff_nano_usd
    FROM billing.traffic
    UNION ALL
    SELECT t.scope, t.account_id, t.began, t.key_id, t.model, t.channel, t.error, t.requests, t.failed, t.faults,
        t.input_tokens, t.cached_tokens, t.output_tokens, t.cost_nano_usd, t.charged_nano_usd, t.writeoff_nano_usd
    FROM billing.outbox AS o JOIN billing.tally AS t ON t.request_id = o.request_id AND t.is_late = o.is_late;

CREATE VIEW billing.timing_now AS
    SELECT scope, account_id, began, key_id, model, measure, bucket, calls FROM billing.timing
    UNION ALL
    SELECT t.scope, t.account_id, t.began, t.key_id, t.model, t.measure, t.bucket, 1
    FROM billing.outbox AS o JOIN billing.timed AS t ON t.request_id = o.request_id AND t.is_late = o.is_late;

CREATE FUNCTION billing.count_facts(request_ids uuid[], lates boolean[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- In the order of the keys, so that two who count at once wait for each other and do not lock each other up.
    INSERT INTO billing.traffic AS known (
        scope, account_id, began, key_id, model, channel, error, requests, failed, faults,
        input_tokens, cached_tokens, output_tokens, cost_nano_usd, charged_nano_usd, writeoff_nano_usd
    )
    SELECT t.scope, t.account_id, t.began, t.key_id, t.model, t.channel, t.error,
        sum(t.requests), sum(t.failed), sum(t.faults), sum(t.input_tokens), sum(t.cached_tokens), sum(t.output_tokens),
        sum(t.cost_nano_usd), sum(t.charged_nano_usd), sum(t.writeoff_nano_usd)
    FROM unnest(request_ids, lates) AS n (request_id, is_late)
    JOIN billing.tally AS t ON t.request_id = n.request_id AND t.is_late = n.is_late
    GROUP BY t.scope, t.account_id, t.began, t.key_id, t.model, t.channel, t.error
    ORDER BY t.scope, t.account_id, t.began, t.key_id, t.model, t.channel, t.error
    ON CONFLICT (scope, account_id, began, key_id, model, channel, error) DO UPDATE SET
        requests = known.requests + excluded.requests,
        failed = known.failed + excluded.failed,
        faults = known.faults + excluded.faults,
        input_tokens = known.input_tokens + excluded.input_tokens,
        cached_tokens = known.cached_tokens + excluded.cached_tokens,
        output_tokens = known.output_tokens + excluded.output_tokens,
        cost_nano_usd = known.cost_nano_usd + excluded.cost_nano_usd,
        charged_nano_usd = known.charged_nano_usd + excluded.charged_nano_usd,
        writeoff_nano_usd = known.writeoff_nano_usd + excluded.writeoff_nano_usd;
    INSERT INTO billing.timing AS known (scope, account_id, began, key_id, model, measure, bucket, calls)
    SELECT t.scope, t.account_id, t.began, t.key_id, t.model, t.measure, t.bucket, count(*)
    FROM unnest(request_ids, lates) AS n (request_id, is_late)
    JOIN billing.timed AS t ON t.request_id = n.request_id AND t.is_late = n.is_late
    GROUP BY t.scope, t.account_id, t.began, t.key_id, t.model, t.measure, t.bucket
    ORDER BY t.scope, t.account_id, t.began, t.key_id, t.model, t.measure, t.bucket
    ON CONFLICT (scope, account_id, began, key_id, model, measure, bucket) DO UPDATE SET calls = known.calls + excluded.calls;
END $$;

CREATE OR REPLACE FUNCTION billing.outbox_published(ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    deleted integer;
    request_ids uuid[];
    lates boolean[];
BEGIN
    WITH gone AS (
        DELETE FROM billing.outbox AS o WHERE o.id = ANY (ids) RETURNING o.request_id, o.is_late
    )
    SELECT count(*), array_agg(g.request_id) FILTER (WHERE g.request_id IS NOT NULL),
        array_agg(g.is_late) FILTER (WHERE g.request_id IS NOT NULL)
        INTO deleted, request_ids, lates FROM gone AS g;
    PERFORM billing.count_facts(request_ids, lates);
    RETURN deleted;
END $$;
COMMENT ON FUNCTION billing.outbox_published IS
    'Takes events that were published out of the outbox, and adds their facts to the counts; how many there were.';

CREATE FUNCTION billing.count_untold(batch_size integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Only among the oldest, so that a long outbox is not read whole: what stands further back has its turn later.
    RETURN billing.outbox_published(ARRAY(
        SELECT o.id FROM (
            SELECT w.id, w.subject FROM billing.outbox AS w ORDER BY w.id LIMIT least(batch_size, 1000)
        ) AS o WHERE o.subject = ''
    ));
END $$;
COMMENT ON FUNCTION billing.count_untold IS
    'Counts what nobody is told of, such as voids, among the oldest batch_size rows of the outbox; how many there were.';

CREATE OR REPLACE FUNCTION billing.outbox_batch(batch_size integer)
RETURNS TABLE (id bigint, subject text, body jsonb, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.id, o.subject, coalesce(to_jsonb(u), to_jsonb(t)), o.created_at
    FROM billing.outbox AS o
    LEFT JOIN billing.usage AS u ON u.request_id = o.request_id AND u.is_late = o.is_late
    LEFT JOIN billing.transfer AS t ON t.id = o.transfer_id
    WHERE o.subject <> ''
    ORDER BY o.id LIMIT least(batch_size, 1000)
$$;

-- The last audit ----------------------------------------------------------------------------------------------

CREATE TABLE billing.audit_result (
    is_last boolean PRIMARY KEY DEFAULT true CHECK (is_last),
    ran_at timestamptz NOT NULL,
    took_ms integer NOT NULL,
    invariants integer NOT NULL,
    findings integer NOT NULL
);
COMMENT ON TABLE billing.audit_result IS 'One row: when the last audit ended that came to its end, and how many invariants it found broken.';

CREATE FUNCTION billing.note_audit(took_ms integer, invariants integer, findings integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO billing.audit_result AS r (ran_at, took_ms, invariants, findings)
        VALUES (clock_timestamp(), note_audit.took_ms, note_audit.invariants, note_audit.findings)
        ON CONFLICT (is_last) DO UPDATE SET ran_at = excluded.ran_at, took_ms = excluded.took_ms,
            invariants = excluded.invariants, findings = excluded.findings
$$;
COMMENT ON FUNCTION billing.note_audit IS 'Keeps what the last audit found, in place of the one before.';

-- What was before this file -------------------------------------------------------------------------------------
--
-- Nobody adds to the outbox or takes from it until this is committed. Whatever is not in it now was published, and is counted here.
LOCK TABLE billing.outbox IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO billing.traffic (
    scope, account_id, began, key_id, model, channel, error, requests, failed, faults,
    input_tokens, cached_tokens, output_tokens, cost_nano_usd, charged_nano_usd, writeoff_nano_usd
)
SELECT t.scope, t.account_id, t.began, t.key_id, t.model, t.channel, t.error,
    sum(t.requests), sum(t.failed), sum(t.faults), sum(t.input_tokens), sum(t.cached_tokens), sum(t.output_tokens),
    sum(t.cost_nano_usd), sum(t.charged_nano_usd), sum(t.writeoff_nano_usd)
FROM billing.tally AS t
WHERE NOT EXISTS (SELECT FROM billing.outbox AS o WHERE o.request_id = t.request_id AND o.is_late = t.is_late)
GROUP BY t.scope, t.account_id, t.began, t.key_id, t.model, t.channel, t.error;
INSERT INTO billing.timing (scope, account_id, began, key_id, model, measure, bucket, calls)
SELECT t.scope, t.account_id, t.began, t.key_id, t.model, t.measure, t.bucket, count(*)
FROM billing.timed AS t
WHERE NOT EXISTS (SELECT FROM billing.outbox AS o WHERE o.request_id = t.request_id AND o.is_late = t.is_late)
GROUP BY t.scope, t.account_id, t.began, t.key_id, t.model, t.measure, t.bucket;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT SELECT ON billing.traffic, billing.timing, billing.fact, billing.tally, billing.timed, billing.traffic_now, billing.timing_now,
    billing.audit_result TO relay_billing;
GRANT EXECUTE ON FUNCTION
    billing.outbox_batch(integer),
    billing.outbox_published(bigint[]),
    billing.count_untold(integer),
    billing.note_audit(integer, integer, integer)
TO relay_billing;
