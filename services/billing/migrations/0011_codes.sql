-- The ledger of Relay: codes that credit an account once, and what receipts and overviews read.
--
-- A code is known by a keyed hash, so neither a reader of the database nor a guesser has one. One conditional UPDATE claims it,
-- in the transaction that credits; its row count decides.
SET LOCAL lock_timeout = '2s';

CREATE TABLE billing.code_batch (
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    amount_nano_usd bigint NOT NULL CHECK (amount_nano_usd BETWEEN 1 AND 1000000000000000000),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE billing.code (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    batch text NOT NULL REFERENCES billing.code_batch (name),
    claimed_by uuid,
    claimed_at timestamptz,
    CONSTRAINT code_is_claimed_at_a_time CHECK ((claimed_by IS NULL) = (claimed_at IS NULL))
);
CREATE INDEX code_of_batch ON billing.code (batch);

CREATE FUNCTION billing.make_codes(name text, amount_nano_usd bigint, lifetime_seconds double precision, hashes bytea[])
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO billing.code_batch (name, amount_nano_usd, expires_at)
        VALUES (make_codes.name, make_codes.amount_nano_usd,
                clock_timestamp() + make_interval(secs => make_codes.lifetime_seconds))
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'exists';
    END IF;
    INSERT INTO billing.code (hash, batch) SELECT h, make_codes.name FROM unnest(hashes) AS h;
    RETURN 'ok';
END $$;
COMMENT ON FUNCTION billing.make_codes IS 'ok, or exists: there is a batch of this name.';

CREATE TYPE billing.claim_answer AS (result text, amount_nano_usd bigint);

CREATE FUNCTION billing.claim_code(account_id uuid, hash bytea) RETURNS billing.claim_answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    batch billing.code_batch;
    claimed_by uuid;
    answer billing.claim_answer;
BEGIN
    PERFORM billing.lock_account(claim_code.account_id, true);
    batch := (
        SELECT b FROM billing.code AS c JOIN billing.code_batch AS b ON b.name = c.batch WHERE c.hash = claim_code.hash
    );
    UPDATE billing.code AS c SET claimed_by = claim_code.account_id, claimed_at = clock_timestamp()
        WHERE c.hash = claim_code.hash AND c.claimed_by IS NULL AND batch.revoked_at IS NULL
            AND coalesce(batch.expires_at > clock_timestamp(), true)
            AND EXISTS (SELECT FROM billing.account AS a WHERE a.id = claim_code.account_id);
    answer.amount_nano_usd := batch.amount_nano_usd;
    IF FOUND THEN
        answer.result := (billing.credit(
            claim_code.account_id, batch.amount_nano_usd, 'code:' || encode(claim_code.hash, 'hex'), 'code of ' || batch.name
        )).result;
        IF answer.result <> 'ok' THEN
            RAISE EXCEPTION 'the balance would be out of range' USING ERRCODE = 'numeric_value_out_of_range';
        END IF;
        RETURN answer;
    END IF;
    claimed_by := (SELECT c.claimed_by FROM billing.code AS c WHERE c.hash = claim_code.hash);
    answer.result := CASE
        WHEN batch.name IS NULL THEN 'unknown'
        WHEN claimed_by = claim_code.account_id THEN 'already'
        WHEN claimed_by IS NOT NULL THEN 'claimed'
        WHEN batch.revoked_at IS NOT NULL THEN 'revoked'
        WHEN batch.expires_at <= clock_timestamp() THEN 'expired'
        ELSE 'account_unknown'
    END;
    RETURN answer;
END $$;
COMMENT ON FUNCTION billing.claim_code IS
    'Credits a code to an account: ok, already (this account has claimed it), claimed (another has), unknown, expired, revoked '
    'or account_unknown.';

CREATE FUNCTION billing.revoke_codes(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE billing.code_batch AS b SET revoked_at = coalesce(b.revoked_at, clock_timestamp()) WHERE b.name = revoke_codes.name;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION billing.revoke_codes IS 'Ends the codes of a batch that nobody has claimed; false when there is no such batch.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT SELECT ON billing.code_batch, billing.code TO relay_billing;
GRANT EXECUTE ON FUNCTION
    billing.make_codes(text, bigint, double precision, bytea[]),
    billing.claim_code(uuid, bytea),
    billing.revoke_codes(text)
TO relay_billing;
