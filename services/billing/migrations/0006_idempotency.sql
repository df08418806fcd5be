-- The ledger of Relay: idempotency keys of clients (draft-ietf-httpapi-idempotency-key-header).
--
-- A client that names a key says: this is one request, however often you hear of it. The key belongs to one account and one
-- body. While its request runs, and after it was answered or charged, a second one is refused; nothing of an answer is kept, so it
-- cannot be given again. A request that failed without a charge frees its key, which is what a client repeats for.
--
-- The account is locked while this is decided, like all that happens in billing.execute.

ALTER TYPE billing.command ADD ATTRIBUTE idempotency_key text; -- reserve; null when the client named none
ALTER TYPE billing.answer ADD ATTRIBUTE former_id uuid;        -- reserve; of the request that has the key

CREATE TABLE billing.idempotency (
    account_id uuid NOT NULL,
    key text NOT NULL,
    request_id uuid NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key),
    CONSTRAINT key_has_a_length CHECK (length(key) BETWEEN 1 AND 255)
);
CREATE INDEX idempotency_age ON billing.idempotency (created_at);
COMMENT ON TABLE billing.idempotency IS 'The request that each key of a client stands for, kept for a day.';

CREATE FUNCTION billing.reserve_once(
    command billing.command, hold billing.hold, answer billing.answer, account_status billing.account_status
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
        WHEN former.state = 'HELD' OR former.state = 'SETTLED' AND former.outcome IN ('completed', 'client_gone')
            THEN 'repeated'
    END;
    IF answer.result IS NOT NULL THEN
        answer.former_id := known.request_id;
        RETURN answer;
    END IF;
    answer := billing.reserve_one(command, hold, answer, account_status);
    IF answer.result = 'ok' THEN
        INSERT INTO billing.idempotency AS i (account_id, key, request_id, fingerprint)
            VALUES (command.account_id, command.idempotency_key, command.id, command.fingerprint)
            ON CONFLICT (account_id, key) DO UPDATE
                SET request_id = excluded.request_id, created_at = excluded.created_at;
    END IF;
    RETURN answer;
END $$;

CREATE OR REPLACE FUNCTION billing.execute_one(
    command billing.command, answer billing.answer, account_status billing.account_status
) RETURNS billing.answer LANGUAGE plpgsql AS $$
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
                RETURN billing.reserve_one(command, hold, answer, account_status);
            END IF;
            RETURN billing.reserve_once(command, hold, answer, account_status);
        WHEN 'settle' THEN RETURN billing.settle_one(command, hold, answer);
        WHEN 'extend' THEN RETURN billing.extend_one(command, hold, answer);
        WHEN 'void' THEN RETURN billing.void_one(command, hold, answer);
        WHEN 'expire' THEN RETURN billing.expire_one(command, hold, answer);
        ELSE
            answer.result := 'invalid';
            RETURN answer;
    END CASE;
END $$;

CREATE FUNCTION billing.prune_idempotency(age_seconds integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned integer;
BEGIN
    DELETE FROM billing.idempotency AS i
        WHERE i.created_at < clock_timestamp() - make_interval(secs => greatest(age_seconds, 3600));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END $$;
COMMENT ON FUNCTION billing.prune_idempotency IS
    'Forgets idempotency keys older than age_seconds, at least an hour; how many.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT SELECT ON billing.idempotency TO relay_billing;
GRANT EXECUTE ON FUNCTION billing.prune_idempotency(integer) TO relay_billing;
