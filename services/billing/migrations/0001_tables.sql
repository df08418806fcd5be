-- The ledger of Relay: what is stored.
--
-- Units. Amounts are nano-USD in BIGINT, prices pico-USD for one token. 10^18 nano-USD (a billion dollars)
-- bounds every balance, 10^11 pico-USD every price and 2·10^9 every count of tokens; a cost is then at most
-- 4·10^17 and cannot overflow.
--
-- Balances. An account has two figures: `posted` is what transfers have left in it, `held` is what its live
-- holds keep back. `posted - held` is available, and a CHECK says that it is never negative, whatever the
-- code does. Platform accounts have no balance row, so no row is shared by all customers; their balance is
-- the sum over the transfers.
--
-- Rows that never change. A transfer, a usage row and a price are written once. Triggers refuse UPDATE,
-- DELETE and TRUNCATE even to the owner; a correction is a new transfer. A hold changes until it is closed,
-- then never again. An account is never deleted.
--
-- References. Hold, transfer and usage have no foreign keys. Only the functions of the next files write them,
-- they hold the account's row lock while they do, and what they point at is never deleted;
-- `services.billing.audit` proves it.
--
-- Constraints. PostgreSQL parses a table's CHECKs again for every statement that writes to it, and in the hot
-- path that is the largest single cost. So the CHECKs say what must hold about money, each in the fewest
-- terms, enumerations are types, and mere limits of size are checked where a value comes in.
--
-- Rights. The role `relay_billing` reads, and changes rows through functions alone.

CREATE TYPE billing.account_status AS ENUM ('active', 'suspended');
CREATE TYPE billing.key_status AS ENUM ('active', 'revoked');
CREATE TYPE billing.hold_state AS ENUM ('HELD', 'SETTLED', 'VOIDED', 'EXPIRED');
CREATE TYPE billing.transfer_kind AS ENUM ('credit', 'adjustment', 'usage', 'over', 'late', 'write_off');
CREATE TYPE billing.rule AS ENUM ('C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C8', 'C9');
CREATE TYPE billing.outcome AS ENUM (
    'completed', 'client_gone', 'upstream_failed', 'refused', 'platform_failed', 'lost'
);
CREATE TYPE billing.witness AS ENUM ('dispatcher', 'edge', 'reaper');

CREATE TABLE billing.account (
    id uuid PRIMARY KEY,
    status billing.account_status NOT NULL,
    status_version bigint NOT NULL,
    posted_nano_usd bigint NOT NULL DEFAULT 0,
    held_nano_usd bigint NOT NULL DEFAULT 0,
    -- the number of this account's transfers
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_held_is_not_negative CHECK (held_nano_usd >= 0),
    CONSTRAINT account_available_is_not_negative CHECK (posted_nano_usd - held_nano_usd >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 1);
COMMENT ON TABLE billing.account IS
    'Every commit rewrites a row here: half-full pages and no further index keep that in place (HOT).';

CREATE TABLE billing.platform_account (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE
);
INSERT INTO billing.platform_account (id, name) VALUES
    ('00000000-0000-0000-0000-000000000001', 'revenue'),
    ('00000000-0000-0000-0000-000000000002', 'operator_credit'),
    ('00000000-0000-0000-0000-000000000003', 'write_off');

CREATE TABLE billing.api_key (
    id text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES billing.account (id),
    status billing.key_status NOT NULL,
    expires_at timestamptz,
    version bigint NOT NULL
);
COMMENT ON TABLE billing.api_key IS 'Billing''s own copy of what auth decided; an older version never replaces a newer one.';

CREATE TABLE billing.lease (
    id text PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    is_ended boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE billing.lease IS 'One row for each edge process that ever lived. Rows stay, so that an id is never used twice.';

CREATE TABLE billing.price (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL CHECK (length(model) BETWEEN 1 AND 256),
    input_pico_usd bigint NOT NULL CHECK (input_pico_usd BETWEEN 0 AND 100000000000),
    output_pico_usd bigint NOT NULL CHECK (output_pico_usd BETWEEN 0 AND 100000000000),
    cache_read_pico_usd bigint NOT NULL CHECK (cache_read_pico_usd BETWEEN 0 AND 100000000000),
    cache_write_pico_usd bigint NOT NULL CHECK (cache_write_pico_usd BETWEEN 0 AND 100000000000),
    max_output_tokens integer NOT NULL CHECK (max_output_tokens BETWEEN 1 AND 10000000),
    effective_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX price_of_model ON billing.price (model, effective_at, id);
COMMENT ON TABLE billing.price IS 'Versions. The current one of a model is the last by (effective_at, id) that is effective.';

CREATE TABLE billing.hold (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    key_id text,
    lease_id text,
    model text,
    price_id bigint,
    fingerprint text,
    deadline timestamptz,
    input_tokens_bound bigint NOT NULL DEFAULT 0,
    output_tokens_bound bigint NOT NULL DEFAULT 0,
    amount_nano_usd bigint NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    state billing.hold_state NOT NULL,
    settled_nano_usd bigint,
    outcome text,
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    CONSTRAINT hold_is_not_negative CHECK (amount_nano_usd >= 0),
    CONSTRAINT hold_settles_within_its_amount CHECK (settled_nano_usd BETWEEN 0 AND amount_nano_usd),
    CONSTRAINT hold_is_settled_with_an_amount CHECK ((state = 'SETTLED') = (settled_nano_usd IS NOT NULL)),
    CONSTRAINT hold_is_closed_with_a_time CHECK ((state = 'HELD') = (closed_at IS NULL)),
    CONSTRAINT hold_without_price_is_a_tombstone CHECK (price_id IS NOT NULL OR state = 'VOIDED' AND amount_nano_usd = 0)
) WITH (autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX hold_live ON billing.hold (lease_id, deadline) WHERE state = 'HELD';
CREATE INDEX hold_tombstone ON billing.hold (created_at) WHERE price_id IS NULL;
COMMENT ON TABLE billing.hold IS
    'One for each request, id = request id. A void of an unknown id leaves a tombstone: VOIDED, no price.';

CREATE TABLE billing.transfer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind billing.transfer_kind NOT NULL,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount_nano_usd bigint NOT NULL,
    hold_id uuid,
    idempotency_key text,
    reason text,
    -- of the customer's account; a write-off moves money between platform accounts only
    account_version_after bigint,
    posted_after_nano_usd bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transfer_is_positive CHECK (amount_nano_usd > 0),
    CONSTRAINT transfer_has_two_sides CHECK (debit_account <> credit_account),
    CONSTRAINT transfer_is_of_a_hold_or_by_hand CHECK (num_nulls(hold_id, idempotency_key) = 1),
    CONSTRAINT transfer_tells_the_balance CHECK ((kind = 'write_off') = (posted_after_nano_usd IS NULL)),
    CONSTRAINT transfer_leaves_no_debt CHECK (posted_after_nano_usd >= 0),
    CONSTRAINT transfer_once_for_each_hold_and_kind UNIQUE (hold_id, kind)
);
CREATE UNIQUE INDEX transfer_idempotency_key ON billing.transfer (idempotency_key) WHERE idempotency_key IS NOT NULL;
COMMENT ON TABLE billing.transfer IS
    'usage: out of the hold; over: cost above the hold; late: settled after expiry; write_off: not collected.';

CREATE TABLE billing.usage (
    request_id uuid NOT NULL,
    is_late boolean NOT NULL DEFAULT false,
    account_id uuid NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL,
    price_id bigint NOT NULL,
    rule billing.rule NOT NULL,
    outcome billing.outcome NOT NULL,
    is_estimated boolean NOT NULL,
    is_upstream_accepted boolean NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nano_usd bigint NOT NULL,
    charged_nano_usd bigint NOT NULL,
    writeoff_nano_usd bigint NOT NULL,
    writeoff_cause text,
    channel text,
    attempt integer NOT NULL,
    witness billing.witness NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (request_id, is_late),
    CONSTRAINT usage_units_are_not_negative CHECK (least(cache_read_tokens, cache_write_tokens, reasoning_tokens) >= 0),
    CONSTRAINT usage_cached_is_part_of_input CHECK (cache_read_tokens + cache_write_tokens <= input_tokens),
    CONSTRAINT usage_reasoning_is_part_of_output CHECK (reasoning_tokens <= output_tokens),
    CONSTRAINT usage_amounts_are_not_negative CHECK (least(charged_nano_usd, writeoff_nano_usd) >= 0),
    CONSTRAINT usage_cost_is_charged_or_written_off CHECK (charged_nano_usd + writeoff_nano_usd = cost_nano_usd),
    CONSTRAINT usage_is_charged_after_acceptance_only CHECK (charged_nano_usd = 0 OR is_upstream_accepted),
    CONSTRAINT usage_writeoff_has_a_cause CHECK ((writeoff_nano_usd > 0) = (writeoff_cause IS NOT NULL))
);
CREATE INDEX usage_of_account ON billing.usage (account_id, request_id);
COMMENT ON TABLE billing.usage IS
    'One row for each request that was not voided; its sum of charged_nano_usd is what the customer paid for requests. '
    'A settlement that comes after expiry finds the row `lost` written, and adds one row with is_late beside it.';
COMMENT ON COLUMN billing.usage.input_tokens IS 'The whole prompt, tokens read from and written to the cache included.';

CREATE TABLE billing.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    request_id uuid,
    is_late boolean,
    transfer_id bigint,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.01);
COMMENT ON TABLE billing.outbox IS
    'Committed money changes that are not yet published. A row names the usage or transfer row that happened; since those '
    'never change, the event is read from them when it is published, and the hot path need not write it twice.';

CREATE FUNCTION billing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% are not changed by %', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'A correction is a new row.';
END $$;

CREATE TRIGGER transfer_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER usage_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER price_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.price
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER platform_account_is_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.platform_account
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON billing.account
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER hold_stays_closed BEFORE UPDATE ON billing.hold
    FOR EACH ROW WHEN (OLD.state <> 'HELD') EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER hold_stays BEFORE DELETE ON billing.hold
    FOR EACH ROW WHEN (OLD.price_id IS NOT NULL) EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER hold_is_not_truncated BEFORE TRUNCATE ON billing.hold
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();

REVOKE ALL ON FUNCTION billing.refuse_change() FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA billing TO relay_billing;
