-- Accounts, the people who belong to them, and API keys.
--
-- Versions. Every change of an account or a key takes the next number of one sequence, and billing's copy follows the highest.
-- A sequence is not turned back by a rollback: a change whose outcome at billing is unknown can never have the number of a
-- later one.
--
-- Rights. The role `relay_auth` adds rows and changes the status of an account and the end of a key. It deletes nothing.

CREATE SEQUENCE auth.version AS bigint;

CREATE TABLE auth.account (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 254),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    version bigint NOT NULL DEFAULT nextval('auth.version'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE auth.app_user (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES auth.account (id),
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'member')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT app_user_has_an_email_of_its_own UNIQUE (email)
);
CREATE INDEX app_user_of_account ON auth.app_user (account_id, created_at, id);

CREATE TABLE auth.api_key (
    id text PRIMARY KEY CHECK (length(id) = 12),
    account_id uuid NOT NULL REFERENCES auth.account (id),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    secret_hmac bytea NOT NULL CHECK (octet_length(secret_hmac) = 32),
    pepper_version smallint NOT NULL,
    -- empty lists allow everything
    allowed_models text[] NOT NULL,
    allowed_addresses text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    version bigint NOT NULL DEFAULT nextval('auth.version')
);
CREATE INDEX api_key_of_account ON auth.api_key (account_id, created_at, id);
COMMENT ON COLUMN auth.api_key.secret_hmac IS 'HMAC-SHA256 of the secret under a pepper that is not in the database.';

GRANT USAGE ON SEQUENCE auth.version TO relay_auth;
GRANT SELECT, INSERT ON auth.account, auth.app_user, auth.api_key TO relay_auth;
GRANT UPDATE (status, version) ON auth.account TO relay_auth;
GRANT UPDATE (revoked_at, version) ON auth.api_key TO relay_auth;
