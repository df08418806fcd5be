-- The log of actions calls what was done to something by a better name, when the end of the action knows one.
SET LOCAL lock_timeout = '2s';

ALTER TABLE auth.action_result ADD COLUMN object text CHECK (length(object) <= 500);
COMMENT ON COLUMN auth.action_result.object IS 'What it was done to: an account by its name, say, where its route has but an id.';
