"""Faults in what is shown of the past: somebody else's rows, pages with holes, and counts that are not what the rows say."""

from tests.mutants.money import RECORDS_SQL, TRAFFIC_SQL
from tests.mutants.mutant import Mutant

CALLS = "services/billing/call_store.py"
STATS = "services/billing/traffic_store.py"
API_WALLET = "services/edge/api/wallet.py"
API_CALLS = "services/edge/api/calls.py"
API_PAGES = "services/edge/api/pages.py"
ACCOUNTS = "services/billing/account_store.py"
IN_CALLS = "tests/billing/test_calls.py::test_"
IN_TRAFFIC = "tests/billing/test_traffic.py::test_"
IN_API_CALLS = "tests/edge/api/test_calls.py::test_"
IN_API_WALLET = "tests/edge/api/test_wallet.py::test_"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


MUTANTS = (
    _mutant(
        "answered calls of anybody", "records: nobody sees another's calls", CALLS,
        "WHERE u.account_id BETWEEN $1::uuid AND $1::uuid AND u.request_id", "WHERE u.request_id",
        IN_CALLS + "pages_are_whole_and_nobody_elses",
    ),
    _mutant(
        "running calls of anybody", "records: nobody sees another's calls", CALLS,
        "WHERE h.state = 'HELD' AND h.account_id = $1::uuid OFFSET 0", "WHERE h.state = 'HELD' OFFSET 0",
        IN_CALLS + "pages_are_whole_and_nobody_elses",
    ),
    _mutant(
        "cursor decides whose calls", "records: a cursor is a place and no right", API_CALLS,
        "request = _asked(query, pages.limit_of(query), account_id=context.person.account_id)",
        "whose = None if query.cursor else context.person.account_id\n"
        "    request = _asked(query, pages.limit_of(query), account_id=whose)",
        IN_API_CALLS + "a_person_sees_their_calls",
    ),
    _mutant(
        "receipt of another account", "records: nobody sees another's receipt", ACCOUNTS,
        "AND ($3::uuid IS NULL OR account_id = $3::uuid)", "AND ($3::uuid IS NULL OR account_id IS NOT NULL)",
        IN_API_CALLS + "a_person_sees_their_calls",
    ),
    _mutant(
        "transfers of anybody", "records: nobody sees another's transfers", CALLS,
        "WHERE t.debit_account BETWEEN $1::uuid AND $1::uuid", "WHERE $1::uuid IS NOT NULL",
        IN_CALLS + "transfers_chain_and_name_their_reason",
    ),
    _mutant(
        "page begins with the last one", "records: each row is on one page", CALLS,
        "m.transfer_id < $2", "m.transfer_id <= $2",
        IN_CALLS + "transfers_chain_and_name_their_reason",
    ),
    _mutant(
        "search ends where it found nothing", "records: a search goes on", CALLS,
        "if next_before is None and is_filtered:", "if False:",
        IN_CALLS + "filters_must_all_hold",
    ),
    _mutant(
        "late charge is another request", "I31: a late charge is no request", TRAFFIC_SQL,
        "(NOT w.is_late)::integer AS requests,", "1 AS requests,",
        IN_TRAFFIC + "each_end_counts_once_and_late_money_is_no_request",
    ),
    _mutant(
        "forgotten before it is counted", "I31: what leaves the outbox is counted", TRAFFIC_SQL,
        "    PERFORM billing.count_facts(request_ids, lates);\n", "",
        IN_TRAFFIC + "each_end_counts_once_and_late_money_is_no_request",
    ),
    _mutant(
        "counted and kept", "I31: what is counted leaves the outbox", TRAFFIC_SQL,
        "        DELETE FROM billing.outbox AS o WHERE o.id = ANY (ids) RETURNING o.request_id, o.is_late\n",
        "        SELECT o.request_id, o.is_late FROM billing.outbox AS o WHERE o.id = ANY (ids)\n",
        IN_TRAFFIC + "two_who_publish_count_once",
    ),
    _mutant(
        "waiting rows are not shown", "records: what is shown is not behind", TRAFFIC_SQL,
        "FROM billing.outbox AS o JOIN billing.tally AS t ON t.request_id = o.request_id AND t.is_late = o.is_late;",
        "FROM billing.outbox AS o JOIN billing.tally AS t ON t.request_id = o.request_id AND t.is_late <> o.is_late;",
        IN_TRAFFIC + "each_end_counts_once_and_late_money_is_no_request",
    ),
    _mutant(
        "void is never counted", "I31: a void waits to be counted", RECORDS_SQL,
        "        INSERT INTO billing.outbox (subject, request_id, is_late) VALUES ('', hold.id, false);", "        ",
        IN_TRAFFIC + "parts_add_up_to_the_whole",
    ),
    _mutant(
        "refusal is a fault", "records: a client's fault is none of ours", RECORDS_SQL,
        "h.outcome NOT IN ('refused', 'unfunded')", "true",
        IN_TRAFFIC + "status_counts_faults_and_no_refusals",
    ),
    _mutant(
        "traffic of anybody", "records: nobody sees another's figures", STATS,
        "billing.traffic_scope AND account_id = $2::uuid AND", "billing.traffic_scope AND $2::uuid IS NOT NULL AND",
        IN_TRAFFIC + "an_account_hears_of_itself",
    ),
    _mutant(
        "formula in a table", "records: no cell is a formula", API_PAGES,
        "return f\"'{text}\" if text.startswith(_FORMULA) else text", "return text",
        IN_API_CALLS + "calls_are_saved_as_a_table",
        IN_API_WALLET + "transfers_are_listed_saved_and_nobody_elses",
    ),
    _mutant(
        "codes guessed at will", "codes: guessing is slowed down", API_WALLET,
        "            wrong.add(account_id, address, now)\n        raise", "            pass\n        raise",
        IN_API_WALLET + "guessing_codes_is_slowed_down",
    ),
)  # fmt: skip
