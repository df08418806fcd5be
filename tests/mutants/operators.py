"""Faults in what operators do: their log, its secrets, and how they find and change accounts and channels."""

from tests.mutants.mutant import Mutant

TRAIL = "services/edge/api/trail.py"
RULES = "shared/trail.py"
COMMANDS = "services/cli/trail.py"
ACCOUNTS = "services/edge/api/accounts.py"
IN_TRAIL = "tests/edge/api/test_trail.py::test_"
IN_RULES = "tests/shared/test_trail.py::test_"
IN_COMMANDS = "tests/cli/test_trail.py::test_"
IN_CHANNELS = "tests/edge/api/test_channels.py::test_"
IN_ACCOUNTS = "tests/edge/api/test_accounts.py::test_"
OVER_HTTP = "tests/edge/api/test_operator_http.py::test_"
IN_DIRECTORY = "tests/auth/test_directory.py::test_"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


LOG = (
    _mutant(
        "unsafe route that the log forgot", "log: what an operator does is written down", TRAIL,
        '    table.DELETE_CHANNEL: ActionKind("delete_channel", "channel {name}"),\n', "",
        IN_TRAIL + "every_unsafe_route_of_operators_is_in_the_log",
    ),
    _mutant(
        "action that nobody wrote down", "log: what an operator does is written down", "services/edge/api/frame.py",
        "begun = await trail.begin(context, endpoint, ask)", "begun = None",
        OVER_HTTP + "what_an_operator_does_is_in_the_log",
    ),
    _mutant(
        "done though it could not be written down", "log: nothing is done that could not be written down", TRAIL,
        "    begun = await context.bus.call(\n        site.BEGIN_ACTION,",
        "    import contextlib\n    begun = Begun(0)\n    with contextlib.suppress(Unavailable):\n"
        "      begun = await context.bus.call(\n        site.BEGIN_ACTION,",
        IN_TRAIL + "what_cannot_be_written_down_is_not_done",
    ),
    _mutant(
        "outcome made up", "log: what nobody knows is unknown", TRAIL,
        "if begun is None or isinstance(error, Unavailable):", "if begun is None:",
        IN_TRAIL + "an_outcome_that_nobody_knows_is_told_so",
    ),
    _mutant(
        "credential in the log", "log: no secret is in it", RULES,
        "_hidden(given) if field.name in secret else _plain(given)", "_plain(given)",
        IN_RULES + "no_secret_is_left_and_everything_else_is",
        IN_CHANNELS + "no_credential_is_readable_anywhere",
    ),
    _mutant(
        "values of headers in the log", "log: no secret is in it", RULES,
        "return {_plain(name): HIDDEN for name in value} if isinstance(value, Mapping) else HIDDEN",
        "return value if isinstance(value, Mapping) else HIDDEN",
        IN_RULES + "no_secret_is_left_and_everything_else_is",
    ),
    _mutant(
        "password that nobody declared", "log: what sounds like a secret is declared", "services/edge/api/shapes/operator.py",
        "    password: SecretText\n", "    password: str\n",
        IN_TRAIL + "what_sounds_like_a_secret_is_declared_as_one",
    ),
    _mutant(
        "command that the log forgot", "log: what a command changes is written down", COMMANDS,
        "if call.action is None:", "if True:",
        IN_COMMANDS + "what_a_command_changes_is_in_the_log",
    ),
)  # fmt: skip

CHANGES = (
    _mutant(
        "copy that is live at once", "channels: a copy is off until somebody has looked at it", "services/edge/api/channels.py",
        'state="off", **same', 'state="on", **same',
        IN_CHANNELS + "a_copy_has_everything_but_the_credential",
    ),
    _mutant(
        "copy without headers", "channels: a copy has everything but the credential", "services/edge/api/channels.py",
        'NOT_COPIED = ("name", "credential", "state")', 'NOT_COPIED = ("name", "credential", "state", "headers")',
        IN_CHANNELS + "a_copy_has_everything_but_the_credential",
    ),
    _mutant(
        "role of one's own", "operators: nobody changes their own role", ACCOUNTS,
        "if user_id == context.person.user_id:", "if False:",
        IN_ACCOUNTS + "roles_are_given_by_others",
    ),
    _mutant(
        "account of one's own", "operators: nobody suspends their own account", ACCOUNTS,
        "if account_id == context.person.account_id:", "if False:",
        IN_ACCOUNTS + "an_account_is_suspended_by_others",
    ),
    _mutant(
        "nobody left", "operators: one is always left", "services/auth/directory_handlers.py",
        "await directory.lock_operators(connection) == [user_id]", "await directory.lock_operators(connection) == []",
        IN_DIRECTORY + "one_operator_is_always_left",
    ),
    _mutant(
        "search as a pattern", "accounts: what is looked for is a text", "services/auth/directory.py",
        "WHERE a.id < $1 AND strpos(lower(a.name), lower($3)) > 0",
        "WHERE a.id < $1 AND lower(a.name) LIKE '%' || lower($3) || '%'",
        IN_ACCOUNTS + "accounts_are_found_by_parts_and_by_ids",
    ),
    _mutant(
        "taken back is spent", "accounts: what was spent is what requests were charged", "services/billing/account_store.py",
        "THEN t.amount_nano_usd ELSE -t.amount_nano_usd END) AS amount",
        "THEN t.amount_nano_usd ELSE 0 END) AS amount",
        "tests/billing/test_account_handlers.py::test_accounts_are_told_at_a_glance",
    ),
)  # fmt: skip

MUTANTS = LOG + CHANGES
