-- How people sign up and in: sessions, tickets, invitations, limits of guessing, mail; the site's settings; what operators did.
--
-- Secrets. Of a session, a ticket or an invitation only the SHA-256 of its token is here; the token has 256 random bits, so no
-- slower hash is needed. A ticket that goes out by mail gets its token when the message is written: until then nobody can show it.
--
-- Sign-up. Nobody who has not proved their address is in app_user: until then a sign-up is a ticket with what was entered, the
-- password as its hash. So an address cannot be taken by somebody else, and what is never confirmed goes away by itself.
--
-- Rights. The role `relay_auth` adds rows and changes the columns that are named below. It deletes nothing itself: auth.sweep()
-- deletes what is long over. In the log of actions it changes nothing at all.

ALTER TABLE auth.app_user
    ALTER COLUMN password_hash DROP NOT NULL,  -- people of another's sign-in have none
    ADD COLUMN language text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'zh')),
    ADD COLUMN email_confirmed_at timestamptz DEFAULT now(),  -- an operator who makes a person vouches for the address
    ADD COLUMN password_changed_at timestamptz;

CREATE TABLE auth.session (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.app_user (id),
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    agent text NOT NULL CHECK (length(agent) <= 100),
    address text NOT NULL CHECK (length(address) <= 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    fresh_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT session_ends_at_the_latest CHECK (expires_at <= ends_at)
);
CREATE INDEX session_of_user ON auth.session (user_id, seen_at);
COMMENT ON COLUMN auth.session.fresh_at IS 'When password or second factor were last shown.';
COMMENT ON COLUMN auth.session.expires_at IS 'When it ends if nobody uses it; every use moves it, never beyond ends_at.';

CREATE TABLE auth.ticket (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN (
        'confirm_email', 'reset_password', 'change_email', 'second_factor', 'oidc', 'passkey', 'totp')),
    token_sha256 bytea UNIQUE CHECK (octet_length(token_sha256) = 32),
    user_id uuid REFERENCES auth.app_user (id),
    email text CHECK (length(email) <= 254),
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX ticket_of_user ON auth.ticket (user_id, kind) WHERE used_at IS NULL;
CREATE INDEX ticket_of_email ON auth.ticket (email, kind) WHERE used_at IS NULL;
COMMENT ON TABLE auth.ticket IS 'Proofs that are good once and not for long.';

CREATE TABLE auth.invitation (
    id uuid PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    email text CHECK (length(email) <= 254),
    created_by uuid REFERENCES auth.app_user (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_by uuid REFERENCES auth.app_user (id),
    revoked_at timestamptz,
    CONSTRAINT invitation_is_used_by_somebody CHECK ((used_at IS NULL) = (used_by IS NULL))
);
CREATE INDEX invitation_newest ON auth.invitation (created_at, id);

-- Tries to sign in and the like. `subject` is the SHA-256 of what they are counted by, so that nothing entered is here to read.
CREATE TABLE auth.attempt (
    subject bytea PRIMARY KEY CHECK (octet_length(subject) = 32),
    tries integer NOT NULL DEFAULT 1 CHECK (tries >= 0),
    tried_at timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz
);
CREATE INDEX attempt_oldest ON auth.attempt (tried_at);

-- Messages on their way. What one says is written when it is sent, and kept only where people read it instead of their mail.
CREATE TABLE auth.mail (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
    to_address text NOT NULL CHECK (length(to_address) <= 254),
    language text NOT NULL CHECK (language IN ('en', 'zh')),
    ticket_id uuid REFERENCES auth.ticket (id) ON DELETE SET NULL,
    invitation_id uuid REFERENCES auth.invitation (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('sent', 'kept', 'needless', 'failed')),
    subject text,
    body text,
    CONSTRAINT mail_ends_with_an_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX mail_due ON auth.mail (due_at) WHERE ended_at IS NULL;
CREATE INDEX mail_of_ticket ON auth.mail (ticket_id);
COMMENT ON COLUMN auth.mail.outcome IS
    'sent: a mail server has it; kept: it can be read here; needless: there was nobody to tell; failed: given up.';

CREATE TABLE auth.site (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version bigint NOT NULL DEFAULT 1,
    name text NOT NULL DEFAULT 'Relay' CHECK (length(name) BETWEEN 1 AND 100),
    sign_up text NOT NULL DEFAULT 'off' CHECK (sign_up IN ('open', 'invitation', 'off')),
    sign_up_credit_nano_usd bigint NOT NULL DEFAULT 0 CHECK (sign_up_credit_nano_usd >= 0),
    notice_en text NOT NULL DEFAULT '' CHECK (length(notice_en) <= 5000),
    notice_zh text NOT NULL DEFAULT '' CHECK (length(notice_zh) <= 5000),
    about_en text NOT NULL DEFAULT '' CHECK (length(about_en) <= 5000),
    about_zh text NOT NULL DEFAULT '' CHECK (length(about_zh) <= 5000),
    contact text NOT NULL DEFAULT '' CHECK (length(contact) <= 254)
);
INSERT INTO auth.site DEFAULT VALUES;

CREATE TABLE auth.action (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid REFERENCES auth.app_user (id),
    email text NOT NULL CHECK (length(email) <= 254),
    through text NOT NULL CHECK (through IN ('console', 'management key', 'command line')),
    address text NOT NULL CHECK (length(address) <= 100),
    action text NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
    object text NOT NULL CHECK (length(object) <= 500),
    asked jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX action_by_name ON auth.action (action, id);

CREATE TABLE auth.action_result (
    action_id bigint PRIMARY KEY REFERENCES auth.action (id),
    result text NOT NULL CHECK (length(result) BETWEEN 1 AND 100),
    before jsonb NOT NULL,
    after jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.action IS 'What operators set out to do; how it ended is in action_result, and unknown while it is not there.';

CREATE FUNCTION auth.sweep() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = auth, pg_temp AS $$
    DELETE FROM auth.mail WHERE ended_at < now() - interval '7 days';
    DELETE FROM auth.ticket WHERE expires_at < now() - interval '7 days';
    DELETE FROM auth.attempt WHERE tried_at < now() - interval '2 days';
    DELETE FROM auth.session WHERE coalesce(ended_at, expires_at) < now() - interval '30 days';
$$;
REVOKE ALL ON FUNCTION auth.sweep() FROM PUBLIC;
COMMENT ON FUNCTION auth.sweep() IS 'Deletes what is over for so long that nobody asks for it, and with it addresses of people.';

GRANT UPDATE (password_hash, password_changed_at, email_confirmed_at, language) ON auth.app_user TO relay_auth;
GRANT SELECT, INSERT ON
    auth.session, auth.ticket, auth.invitation, auth.attempt, auth.mail, auth.action, auth.action_result TO relay_auth;
GRANT UPDATE (token_sha256, agent, address, seen_at, fresh_at, expires_at, ended_at) ON auth.session TO relay_auth;
GRANT UPDATE (token_sha256, user_id, used_at) ON auth.ticket TO relay_auth;
GRANT UPDATE (used_at, used_by, revoked_at) ON auth.invitation TO relay_auth;
GRANT UPDATE (tries, tried_at, blocked_until) ON auth.attempt TO relay_auth;
GRANT UPDATE (due_at, tries, ended_at, outcome, subject, body) ON auth.mail TO relay_auth;
GRANT SELECT ON auth.site TO relay_auth;
GRANT UPDATE (version, name, sign_up, sign_up_credit_nano_usd, notice_en, notice_zh, about_en, about_zh, contact)
    ON auth.site TO relay_auth;
GRANT EXECUTE ON FUNCTION auth.sweep() TO relay_auth;
