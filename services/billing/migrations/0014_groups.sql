-- The ledger of Relay: the accounts of a group, newest first, for whoever looks through them page by page.
--
-- No request changes the group of its account, so that its row is still rewritten in place (HOT).
SET LOCAL lock_timeout = '2s';

CREATE INDEX account_of_group ON billing.account (group_name, id) WHERE group_name IS NOT NULL;
