"""What is counted of the ledger's rows."""

from prometheus_client.parser import text_string_to_metric_families

from services.billing.takings import Row, Takings
from shared.metrics import NAMES_MAX, Metrics


def read(takings: Takings) -> dict[tuple[str, ...], float]:
    """Return the figures by name and label values."""
    metrics = Metrics()
    takings.measure(metrics)
    return {
        (sample.name.removeprefix("relay_billing_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name.startswith("relay_")
    }


def usage(**fields: object) -> Row:
    """Return a usage row that is charged 7."""
    given: dict[str, object] = {"model": "m", "rule": "C1", "witness": "dispatcher", "charged_nano_usd": 7}
    return Row(**(given | fields))  # type: ignore[arg-type]


def test_a_usage_row_counts_once_in_each_figure() -> None:
    """By model, rule, witness and kind of token."""
    takings = Takings()
    takings.add(
        [usage(input_tokens=3, cache_read_tokens=1, output_tokens=2), usage(rule="C2", is_estimated=True)]
    )

    figures = read(takings)
    assert figures["requests_total", "C1"] == figures["requests_total", "C2"] == 1
    assert figures["charged_nano_usd_total", "m"] == 14
    assert figures["model_requests_total", "m"] == 2
    assert figures["tokens_total", "input", "m"] == 3
    assert figures["tokens_total", "cache_read", "m"] == 1
    assert figures["tokens_total", "output", "m"] == 2
    assert figures["settled_total", "dispatcher"] == 2
    assert figures[("estimated_total",)] == 1
    assert figures[("late_total",)] == 0


def test_write_offs_and_late_settlements_are_counted_by_cause() -> None:
    """A cause that is new to us is `other`."""
    takings = Takings()
    takings.add(
        [
            usage(rule="C7", writeoff_nano_usd=5, writeoff_cause="upstream_failed"),
            usage(is_late=True, writeoff_nano_usd=3, writeoff_cause="uncollectable"),
            usage(writeoff_nano_usd=1, writeoff_cause="of tomorrow"),
        ]
    )

    figures = read(takings)
    assert figures["written_off_nano_usd_total", "upstream_failed"] == 5
    assert figures["written_off_nano_usd_total", "uncollectable"] == 3
    assert figures["written_off_nano_usd_total", "other"] == 1
    assert figures["written_off_nano_usd_total", "client_gone"] == 0
    assert figures[("late_total",)] == 1


def test_credits_are_counted_by_kind() -> None:
    """What is added, and what is taken back; a row of neither kind is passed over."""
    takings = Takings()
    takings.add([Row(kind="credit", amount_nano_usd=9), Row(kind="adjustment", amount_nano_usd=4), Row()])

    figures = read(takings)
    assert figures["credited_nano_usd_total", "credit"] == 9
    assert figures["credited_nano_usd_total", "adjustment"] == 4


def test_models_are_bounded() -> None:
    """A hundred are told apart; what the others cost is not lost."""
    takings = Takings()
    takings.add([usage(model=f"m{number}") for number in range(3 * NAMES_MAX)])

    figures = read(takings)
    charged = [value for key, value in figures.items() if key[0] == "charged_nano_usd_total"]
    assert len(charged) == NAMES_MAX + 1
    assert sum(charged) == 7 * 3 * NAMES_MAX
    assert figures["charged_nano_usd_total", "other"] == 7 * 2 * NAMES_MAX
