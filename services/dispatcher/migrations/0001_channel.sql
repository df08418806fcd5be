-- Channels: upstream accounts and the models they serve. Credentials are sealed before they come here.
SET LOCAL lock_timeout = '2s';

CREATE TABLE dispatcher.channel (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    base_url text NOT NULL,
    sealed_credential bytea NOT NULL,
    models jsonb NOT NULL CHECK (jsonb_typeof(models) = 'object'),
    priority integer NOT NULL,
    weight integer NOT NULL CHECK (weight BETWEEN 1 AND 10000),
    abort_policy text NOT NULL CHECK (abort_policy IN ('estimate', 'no_bill')),
    output_parameter text NOT NULL CHECK (output_parameter IN ('max_tokens', 'max_completion_tokens')),
    is_enabled boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON dispatcher.channel TO relay_dispatcher;
