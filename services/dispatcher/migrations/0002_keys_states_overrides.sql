-- Several keys for a channel, its state, and what it changes in a request.
--
-- The release before this one may still run: it knows one key (channel.sealed_credential) and is_enabled. What it writes there comes
-- here by triggers, and this release writes both. A key's first row takes its channel's id, since it was sealed for that.
SET LOCAL lock_timeout = '2s';

ALTER TABLE dispatcher.channel
    ADD COLUMN state text NOT NULL DEFAULT 'on' CHECK (state IN ('on', 'draining', 'off')),
    ADD COLUMN auth_header text NOT NULL DEFAULT 'authorization'
        CHECK (auth_header IN ('authorization', 'api-key', 'x-api-key')),
    ADD COLUMN headers jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(headers) = 'object'),
    ADD COLUMN set_parameters jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(set_parameters) = 'object'),
    ADD COLUMN default_parameters jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(default_parameters) = 'object'),
    ADD COLUMN drop_parameters jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(drop_parameters) = 'array'),
    ADD COLUMN slow_seconds double precision CHECK (slow_seconds > 0);

UPDATE dispatcher.channel SET state = 'off' WHERE NOT is_enabled;

-- refused_as says why a key is out (credential: 401, 403; billing: 402 and the like) until a test of it succeeds; tested_at is when
-- the last test began, which is also the claim of the replica that makes it; version counts the keys that stood under this name.
CREATE TABLE dispatcher.credential (
    id uuid PRIMARY KEY,
    channel_id uuid NOT NULL REFERENCES dispatcher.channel ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    sealed bytea NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    refused_as text CHECK (refused_as IN ('credential', 'billing')),
    refused_at timestamptz,
    tested_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (channel_id, name),
    CHECK ((refused_as IS NULL) = (refused_at IS NULL))
);

INSERT INTO dispatcher.credential (id, channel_id, name, sealed)
SELECT id, id, 'default', sealed_credential FROM dispatcher.channel;

CREATE FUNCTION dispatcher.follow_is_enabled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT NEW.is_enabled AND NEW.state = 'on' THEN
            NEW.state := 'off';
        END IF;
    ELSIF NEW.is_enabled IS DISTINCT FROM OLD.is_enabled AND NEW.state = OLD.state THEN
        NEW.state := CASE WHEN NEW.is_enabled THEN 'on' ELSE 'off' END;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER follow_is_enabled BEFORE INSERT OR UPDATE ON dispatcher.channel
    FOR EACH ROW EXECUTE FUNCTION dispatcher.follow_is_enabled();

-- A key of no bytes is one that was removed.
CREATE FUNCTION dispatcher.follow_sealed_credential() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sealed_credential = ''::bytea
        OR (TG_OP = 'UPDATE' AND NEW.sealed_credential IS NOT DISTINCT FROM OLD.sealed_credential) THEN
        RETURN NULL;
    END IF;
    INSERT INTO dispatcher.credential AS k (id, channel_id, name, sealed)
    VALUES (NEW.id, NEW.id, 'default', NEW.sealed_credential)
    ON CONFLICT (channel_id, name) DO UPDATE
    SET sealed = excluded.sealed, version = k.version + 1, refused_as = NULL, refused_at = NULL, tested_at = NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER follow_sealed_credential AFTER INSERT OR UPDATE ON dispatcher.channel
    FOR EACH ROW EXECUTE FUNCTION dispatcher.follow_sealed_credential();

GRANT SELECT, INSERT, UPDATE, DELETE ON dispatcher.credential TO relay_dispatcher;
