-- Second factors, sign-in by others, management keys, and API keys that their owners manage.
--
-- What is secret here. The secret of an authenticator is sealed (shared.sealing) under a key that is not in the database, for its
-- person's row alone. Recovery codes and management keys are kept as keyed hashes, as API keys are. A passkey's row holds its
-- public key, which is no secret.
--
-- What is used once. A code of an authenticator names a step of 30 seconds, and last_step only rises. A recovery code is deleted
-- by its use. A challenge for a passkey and the state of a sign-in elsewhere are tickets (0002_people.sql).
SET LOCAL lock_timeout = '2s';

CREATE TABLE auth.totp (
    user_id uuid PRIMARY KEY REFERENCES auth.app_user (id),
    sealed bytea NOT NULL,
    last_step bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN auth.totp.last_step IS 'The step (RFC 6238: Unix seconds / 30) of the last code that was taken.';

CREATE TABLE auth.recovery_code (
    user_id uuid NOT NULL REFERENCES auth.app_user (id),
    hmac bytea NOT NULL CHECK (octet_length(hmac) = 32),
    PRIMARY KEY (user_id, hmac)
);

CREATE TABLE auth.passkey (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.app_user (id),
    credential_id bytea NOT NULL UNIQUE CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL CHECK (octet_length(public_key) <= 2048),
    sign_count bigint NOT NULL CHECK (sign_count >= 0),
    is_backup_eligible boolean NOT NULL,
    is_backed_up boolean NOT NULL,
    transports text[] NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz
);
CREATE INDEX passkey_of_user ON auth.passkey (user_id, created_at, id);
COMMENT ON COLUMN auth.passkey.credential_id IS 'At most 1023 bytes (Web Authentication Level 3, §4 Credential ID).';
COMMENT ON COLUMN auth.passkey.sign_count IS 'As the authenticator told it last; one that counts never tells a lower or the same number.';

CREATE TABLE auth.identity (
    issuer text NOT NULL CHECK (length(issuer) <= 500),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id uuid NOT NULL REFERENCES auth.app_user (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identity_of_user ON auth.identity (user_id);
COMMENT ON TABLE auth.identity IS 'Who a person is elsewhere. A subject has at most 255 characters (OpenID Connect Core §2).';

CREATE TABLE auth.management_key (
    id text PRIMARY KEY CHECK (length(id) = 12),
    user_id uuid NOT NULL REFERENCES auth.app_user (id),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    secret_hmac bytea NOT NULL CHECK (octet_length(secret_hmac) = 32),
    pepper_version smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    ended_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX management_key_of_user ON auth.management_key (user_id, created_at, id);

ALTER TABLE auth.api_key
    ADD COLUMN kind text NOT NULL DEFAULT 'api' CHECK (kind IN ('api', 'playground')),
    ADD COLUMN last_used_at timestamptz;
CREATE UNIQUE INDEX api_key_of_playground ON auth.api_key (account_id) WHERE kind = 'playground';
COMMENT ON COLUMN auth.api_key.kind IS
    'playground: what an account''s playground spends with. Its secret_hmac is random, so no secret matches it.';

GRANT SELECT, INSERT ON auth.totp, auth.recovery_code, auth.passkey, auth.identity, auth.management_key TO relay_auth;
GRANT DELETE ON auth.totp, auth.recovery_code, auth.passkey, auth.identity TO relay_auth;
GRANT UPDATE (sealed, last_step, created_at) ON auth.totp TO relay_auth;
GRANT UPDATE (sign_count, is_backed_up, used_at) ON auth.passkey TO relay_auth;
GRANT UPDATE (ended_at, last_used_at) ON auth.management_key TO relay_auth;
GRANT UPDATE (name, expires_at, allowed_models, allowed_addresses, last_used_at) ON auth.api_key TO relay_auth;
