"""Faults of what an operator imports, and of what is counted before a request is refused."""

from tests.mutants.mutant import Mutant

DIFFERENCE = "shared/catalogue/difference.py"
IN_DIFFERENCE = "tests/shared/catalogue/test_difference.py::test_"
IN_IMPORT = "tests/cli/test_price_import.py::test_"


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


MUTANTS = (
    _mutant(
        "tenfold price believed", "import: a price that changes too much is stopped", DIFFERENCE,
        "if max(old, new) >= TENFOLD * min(old, new):", "if False:",
        IN_DIFFERENCE + "a_tenfold_rise_is_always_stopped",
    ),
    _mutant(
        "any rise believed", "import: a price that changes too much is stopped", DIFFERENCE,
        "if abs(new - old) * 100 > max_change_percent * old", "if abs(new - old) * 100 < 0",
        IN_DIFFERENCE + "what_changes_too_much_is_stopped",
    ),
    _mutant(
        "free model believed", "import: no model is free by mistake", DIFFERENCE,
        'is_free = not pico_usd and name in ("input", "output")', "is_free = False",
        IN_DIFFERENCE + "a_new_model_shows_all_its_prices_and_is_stopped_if_it_is_free",
    ),
    _mutant(
        "stopped import goes on", "import: nothing of a stopped import is set", "services/cli/price_import.py",
        "is_imported = approve and not stopped", "is_imported = approve",
        IN_IMPORT + "an_import_that_raises_one_price_tenfold_is_stopped_and_shown",
    ),
    _mutant(
        "import without an approval", "import: nothing is set without an approval", "services/cli/price_import.py",
        "is_imported = approve and not stopped", "is_imported = not stopped",
        IN_IMPORT + "an_import_shows_and_changes_nothing_until_it_is_approved",
    ),
    _mutant(
        "four bytes a token as a bound", "hold: the counted bound is above what is charged", "services/edge/prompt.py",
        "tokenizer.count(prompt.everything())", "len(prompt.everything()) // 4",
        "tests/edge/test_prompt.py::test_the_bound_of_a_long_text_is_far_below_its_bytes",
    ),
    _mutant(
        "estimate as a bound", "hold: an estimate is no bound", "services/edge/prompt.py",
        "or not tokenizer.is_known or", "or",
        "tests/edge/test_relay.py::test_a_model_of_an_unknown_tokenizer_is_asked_for_once",
    ),
    _mutant(
        "missing usage not counted", "C2: a missing usage is counted from what was delivered",
        "services/dispatcher/answering.py",
        "if evidence.is_accepted and evidence.usage is None and", "if evidence.usage is not None and",
        "tests/dispatcher/test_answering.py::test_a_missing_usage_is_not_invented_here",
    ),
)  # fmt: skip
