"""`relay price import`, against running services."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.cli.price_import import Report
from shared.contracts import billing
from tests.cli.conftest import Relay

Model = dict[str, object]
Write = Callable[..., str]

_numbers = itertools.count()
FUTURE = "2090-01-01"


@pytest.fixture
def names(running: Relay) -> list[str]:
    """Three models that a new channel offers, of which nobody else knows."""
    prefix = f"import-{next(_numbers)}"
    made = [f"{prefix}-{letter}" for letter in "abc"]
    offered = [argument for name in made for argument in ("--model", name)]
    running.text(
        "channel", "create", prefix, "--base-url", "https://upstream.example/v1", *offered,
        "--credential-stdin", given="sk-x",
    )  # fmt: skip
    return made


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a catalogue of models and returns its path."""

    def written(**models: Model) -> str:
        path = tmp_path / f"prices-{next(_numbers)}.json"
        source = {"version": "2", "licence": "CC0", "date": "2026-11-01"}
        named = {name.replace("_", "-"): {"source": "list", **model} for name, model in models.items()}
        path.write_text(json.dumps({"format": 1, "sources": {"list": source}, "models": named}))
        return str(path)

    return written


def _model(given: str = "1", produced: str = "2", **members: object) -> Model:
    return {"input": given, "output": produced, **members}


def _report(running: Relay, *arguments: str) -> Report:
    return msgspec.json.decode(running.text("price", "import", *arguments, "--json"), type=Report)


def _price(running: Relay, name: str) -> billing.Price | None:
    text = running.text("price", "list", "--model", name, "--json")
    items = msgspec.json.decode(text, type=billing.Prices).items
    return items[0] if items else None


def test_an_import_shows_and_changes_nothing_until_it_is_approved(
    running: Relay, names: list[str], write: Write
) -> None:
    """New, changed and unchanged ones; then it sets what differs, and the next one finds nothing."""
    a, b, _ = names
    tiers = [{"above_input_tokens": 1000, "input": "7", "output": "8"}]
    first = write(
        **{a: _model(), b: _model("5", "6", context_tokens=8000, capabilities=["vision"], tiers=tiers)}
    )
    running.text("price", "set", a, "--input", "1", "--output", "1.6")
    before = _price(running, a)

    shown = _report(running, "--from", first, "--model", "import-*")
    assert _price(running, a) == before
    assert _price(running, b) is None
    done = _report(running, "--from", first, "--model", f"{a[:-1]}*", "--approve")
    again = _report(running, "--from", first, "--model", f"{a[:-1]}*", "--approve")

    assert not shown.is_imported
    assert [each.model for each in shown.new if each.model in names] == [b]
    (changed,) = (each for each in shown.changed if each.model == a)
    assert [(each.name, each.before, each.after, each.change_percent) for each in changed.figures] == [
        ("output", "1.60", "2.00", "+25.0")
    ]
    assert (done.is_imported, len(done.new), len(done.changed)) == (True, 1, 1)
    assert (again.new, again.changed, again.unchanged) == ((), (), 2)
    price = _price(running, b)
    assert price is not None
    assert (price.input_pico_usd, price.tiers[0].output_pico_usd, price.context_tokens) == (
        5_000_000,
        8_000_000,
        8000,
    )
    assert (price.capabilities, price.source) == (("vision",), "list 2 (CC0, 2026-11-01)")


def test_an_import_that_raises_one_price_tenfold_is_stopped_and_shown(
    running: Relay, names: list[str], write: Write
) -> None:
    """Nothing at all is imported, also not what is right beside it; the exit status says so, and the figure is named."""
    a, b, c = names
    running.text(
        "price", "import", "--from", write(**{a: _model(), b: _model()}), "--model", f"{a[:-1]}*", "--approve"
    )
    before = [_price(running, name) for name in names]
    file = write(**{a: _model("1.1", "2"), b: _model("1", "20"), c: _model()})
    arguments = ("price", "import", "--from", file, "--model", f"{a[:-1]}*", "--max-change", "100000")

    shown = running.text(*arguments)
    stopped = running.run(*arguments, "--approve")

    for text in (shown, stopped.stdout):
        (row,) = (line.split() for line in text.splitlines() if line.startswith(b))
        assert row == [b, "output", "2.00", "20.00", "+900.0", "%", "tenfold"]
        assert f"STOPPED: {b}." in text
    assert stopped.exit_code == 1
    assert stopped.stderr.startswith(
        f"Error: Nothing was imported, because the prices of {b} change too much."
    )
    assert [_price(running, name) for name in names] == before


def test_a_stopped_model_is_imported_when_it_is_accepted_by_name(
    running: Relay, names: list[str], write: Write
) -> None:
    """Each of them: one that is not named still stops all."""
    a, b, _ = names
    scope = ("--model", f"{a[:-1]}*", "--approve")
    running.text("price", "import", "--from", write(**{a: _model(), b: _model()}), *scope)
    file = write(**{a: _model("10", "20"), b: _model("0.1", "2")})

    one = running.run("price", "import", "--from", file, *scope, "--accept", a, "--json")
    both = _report(running, "--from", file, *scope, "--accept", a, "--accept", b)

    assert one.exit_code == 1
    assert msgspec.json.decode(one.stdout, type=Report).stopped == (b,)
    assert both.is_imported
    price = _price(running, a)
    assert price is not None
    assert price.input_pico_usd == 10_000_000


def test_a_model_that_becomes_free_is_stopped(running: Relay, names: list[str], write: Write) -> None:
    """A new one as well."""
    a, b, _ = names
    running.text("price", "set", a, "--input", "1", "--output", "2")

    report = _report(
        running, "--from", write(**{a: _model("0", "2"), b: _model("1", "0")}), "--model", f"{a[:-1]}*"
    )

    assert report.stopped == (a, b)


def test_a_change_beyond_the_limit_is_stopped(running: Relay, names: list[str], write: Write) -> None:
    """Half as much again by default; another limit can be named."""
    a, *_ = names
    running.text("price", "set", a, "--input", "1", "--output", "2")
    file = write(**{a: _model("1.6", "2")})

    assert _report(running, "--from", file, "--model", a).stopped == (a,)
    assert _report(running, "--from", file, "--model", a, "--max-change", "60").stopped == ()
    assert _report(running, "--from", file, "--model", a, "--max-change", "59").stopped == (a,)


def test_what_the_catalogue_does_not_know_is_named_and_left(
    running: Relay, names: list[str], write: Write
) -> None:
    """A price stays as it is; a model without one is refused until it has one, never free."""
    a, b, c = names
    running.text("price", "set", b, "--input", "1", "--output", "2")
    file = write(**{a: _model(), f"host/{c}": _model()})

    report = _report(running, "--from", file, "--model", f"{a[:-1]}*")
    text = running.text("price", "import", "--from", file, "--model", f"{a[:-1]}*")

    assert (report.gone, report.unpriced) == ((b,), (c,))
    assert f"Not in the catalogue, and left as they are: {b}." in text
    assert f"refused until they have one: {c}. The catalogue has host/{c}." in text


def test_a_model_can_be_priced_as_another_one(running: Relay, names: list[str], write: Write) -> None:
    """Under the name by which it is offered here."""
    a, *_ = names
    file = write(**{"theirs": _model("3", "4")})

    running.text("price", "import", "--from", file, "--as", f"{a}=theirs", "--model", a, "--approve")

    price = _price(running, a)
    assert price is not None
    assert price.input_pico_usd == 3_000_000
    assert "'nobody' is not in the catalogue" in running.refusal(
        "price", "import", "--from", file, "--as", f"{a}=nobody", status=2
    )


def test_an_import_can_be_for_later(running: Relay, names: list[str], write: Write) -> None:
    """It is compared with what holds then, takes the catalogue's prices of that day, and changes nothing before."""
    a, *_ = names
    file = write(**{a: _model(later=[{"since": FUTURE, "input": "1.2", "output": "2"}])})
    running.text("price", "import", "--from", file, "--model", a, "--approve")
    now = _price(running, a)

    text = running.text("price", "import", "--from", file, "--model", a)
    later = _report(running, "--from", file, "--model", a, "--effective", FUTURE, "--approve")
    again = _report(running, "--from", file, "--model", a, "--effective", FUTURE, "--approve")

    assert f"From {FUTURE} on other prices hold for {a}: schedule them with --effective {FUTURE}." in text
    assert len(later.changed) == 1
    assert again.changed == ()
    (scheduled,) = msgspec.json.decode(
        running.text("price", "list", "--scheduled", "--model", a, "--json"), type=billing.Prices
    ).items
    assert scheduled.input_pico_usd == 1_200_000
    (row,) = (line for line in running.text("price", "list").splitlines() if line.startswith(f"{a} "))
    assert row.split()[1] == "1.00"
    assert now is not None
    assert scheduled.id != now.id


def test_the_shipped_catalogue_is_the_default(running: Relay) -> None:
    """Only what a channel offers is looked at, unless it is said."""
    running.text(
        "channel", "create", "shipped", "--base-url", "https://upstream.example/v1", "--model", "gemini-2.5-pro",
        "--credential-stdin", given="sk-x",
    )  # fmt: skip

    offered = _report(running, "--model", "gemini-*")
    everything = _report(running, "--model", "gemini-*", "--all")
    running.text("price", "import", "--model", "gemini-*", "--approve")

    assert [each.model for each in offered.new] == ["gemini-2.5-pro"]
    assert len(everything.new) > 5
    rows = running.text("price", "list").splitlines()
    place = next(number for number, row in enumerate(rows) if row.startswith("gemini-2.5-pro"))
    assert rows[place].split()[1:5] == ["1.25", "10.00", "0.125", "1.25"]
    assert rows[place + 1].split() == ["above", "200000", "2.50", "15.00", "0.25", "2.50"]
    shown = running.text("price", "show", "gemini-2.5-pro")
    assert re.search(r"output above 200000 +15\.00 USD per million tokens", shown)
    assert re.search(r"context tokens +1048576 ", shown)
    assert re.search(r"capabilities .*tools, .*vision", shown)
    assert re.search(r"source +genai-prices .* \(MIT, ", shown)
    assert running.refusal("price", "show", "nobody") == "There is no such price."


def test_what_cannot_be_imported_says_why(running: Relay, write: Write, tmp_path: Path) -> None:
    """In one sentence, and with a status of failure."""
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": 1, "models": {"m": {"input": 1, "output": "2"}}}')
    file = write(m=_model())

    assert "no catalogue of prices" in running.refusal("price", "import", "--from", str(broken))
    assert "No such file" in running.refusal("price", "import", "--from", str(tmp_path / "nothing.json"))
    assert "No channel offers such a model" in running.refusal("price", "import", "--model", "nobody-*")
    assert "in the past" in running.refusal(
        "price", "import", "--from", file, "--all", "--model", "m", "--effective", "2026-01-01", "--approve"
    )
