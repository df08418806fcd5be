"""Faults in limits, growing holds, codes and receipts."""

from tests.mutants.money import CHARGING, GROWTH_SQL, LAST_SQL, LIMITS_SQL, RECORDS_SQL, TABLE
from tests.mutants.mutant import Mutant

CODES_SQL = "services/billing/migrations/0011_codes.sql"
FUNDING = "services/dispatcher/funding.py"
LIMITS = "tests/billing/test_limits.py::test_"
GROWTH = "tests/billing/test_growth.py::test_"
ACCOUNTS = "tests/billing/test_account_handlers.py::test_"
STREAM = "tests/dispatcher/test_funding.py::test_"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


LEDGER = (
    _mutant(
        "ended request stays in its meter", "I29: a meter counts the live holds", LAST_SQL,
        "CASE WHEN is_late THEN 0 ELSE -1 END,", "0,",
        LIMITS + "concurrent_requests_are_the_live_holds",
    ),
    _mutant(
        "void leaves its tokens counted", "limits: what was not used is given back", RECORDS_SQL,
        "change_meters(hold, -1, -hold.amount_nano_usd, 0, -hold.tokens_counted)",
        "change_meters(hold, -1, -hold.amount_nano_usd, 0, 0)",
        LIMITS + "tokens_are_reserved_and_corrected",
    ),
    _mutant(
        "spending is not counted", "I30: a meter counts what was charged", LIMITS_SQL,
        "meter.total_nano_usd := meter.total_nano_usd + spent;", "meter.total_nano_usd := meter.total_nano_usd;",
        LIMITS + "a_limit_that_comes_later_knows_what_was_before",
    ),
    _mutant(
        "one request too many", "limits: 100 a minute are 100", LIMITS_SQL,
        "ELSIF reading.requests >= limits.requests_per_minute THEN", "ELSIF reading.requests > limits.requests_per_minute THEN",
        LIMITS + "requests_per_minute_are_counted_to_the_last",
    ),
    _mutant(
        "a minute of 55 seconds", "limits: no span of a minute has more than its limit", LIMITS_SQL,
        "    RETURN meter;\nEND $$;\n\nCREATE FUNCTION billing.read_meter",
        "    FOR each_second IN now_second - 60 .. now_second - 55 LOOP\n        meter.requests[each_second % 61 + 1] := 0;\n"
        "    END LOOP;\n    RETURN meter;\nEND $$;\n\nCREATE FUNCTION billing.read_meter",
        LIMITS + "no_minute_ever_has_more_than_its_limit",
    ),
    _mutant(
        "held money is not spent money", "I20: spent and held stay within the limit", LIMITS_SQL,
        "            room.nano_usd := most[place] - spent[place] - meter.held_nano_usd;",
        "            room.nano_usd := most[place] - spent[place];",
        LIMITS + "spend_and_holds_stay_within_a_limit_of_money",
    ),
    _mutant(
        "group is not asked", "limits: an account has those of its group", LIMITS_SQL,
        "coalesce((meter.limits).requests_per_minute, (group_limits).requests_per_minute)", "(meter.limits).requests_per_minute",
        LIMITS + "a_group_gives_limits_models_and_a_price",
    ),
    _mutant(
        "extension without a look at the wallet", "I3: a hold grows within what is available", GROWTH_SQL,
        "IF amount - hold.amount_nano_usd > room.nano_usd THEN", "IF false THEN",
        GROWTH + "a_hold_grows_until_the_wallet_ends",
    ),
    _mutant(
        "secret thoughts on credit", "growth: what cannot be watched is held whole", RECORDS_SQL,
        "IF command.is_stream AND 'reasoning' <> ALL (price.capabilities) THEN", "IF command.is_stream THEN",
        GROWTH + "what_cannot_be_watched_is_held_whole",
    ),
    _mutant(
        "code claimed twice", "I18: a code is claimed at most once", CODES_SQL,
        "WHERE c.hash = claim_code.hash AND c.claimed_by IS NULL AND", "WHERE c.hash = claim_code.hash AND",
        ACCOUNTS + "a_code_credits_one_account_once",
    ),
    _mutant(
        "receipt for anybody", "receipts: only the key that made the call", "services/billing/account_store.py",
        "AND ($2::text IS NULL OR key_id = $2)", "AND ($2::text IS NULL OR true)",
        ACCOUNTS + "a_receipt_tells_everything_from_which_the_charge_follows",
    ),
    _mutant(
        "receipt that checks nothing", "I12: every charge can be computed again", "services/billing/receipts.py",
        "    if cost != charge.cost_nano_usd:", "    if False:",
        "tests/billing/test_receipts.py::test_a_wrong_figure_is_named",
    ),
    _mutant(
        "unpaid answer is free", "C10: what came until the wallet was empty is charged", CHARGING,
        "return _charged(Rule.C10, units, is_estimated=is_estimated)",
        "return _free(Rule.C10, units, evidence, is_estimated=is_estimated)",
        TABLE,
    ),
    _mutant(
        "stream runs ahead of its hold", "growth: nothing goes out that is not held", FUNDING,
        "                raise Unfunded(self._refusal)", "                return",
        STREAM + "an_answer_that_cannot_be_paid_ends_and_says_why",
    ),
    _mutant(
        "used up is called held", "growth: used up and held are told apart", FUNDING,
        'return InsufficientFunds("insufficient_balance", wording="balance_used_up")',
        'return RateLimited("balance_held", wording="balance_held_by_others")',
        STREAM + "an_answer_that_cannot_be_paid_ends_and_says_why",
    ),
)  # fmt: skip

MUTANTS = LEDGER
