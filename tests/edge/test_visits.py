"""What came of requests: bounded figures, and a line for each unless nobody wants one."""

import logging

import pytest

from services.edge.visits import Visit, Visits
from shared.errors import InvalidRequest, RateLimited
from shared.metrics import Metrics


def ended(visits: Visits, visit: Visit) -> dict[str, float]:
    """End a visit; return the series of requests that are not 0."""
    metrics = Metrics()
    visits.measure(metrics)
    visits.end(visit)
    lines = [line.rpartition(" ") for line in metrics.render().decode().splitlines()]
    return {
        series.partition("{")[2].rstrip("}"): float(value)
        for series, _, value in lines
        if series.startswith("relay_edge_requests_total") and float(value)
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RateLimited("balance_held", retry_after_seconds=1), "balance_held"),
        (
            InvalidRequest("whatever the upstream says", wording="upstream_rejected", status=400),
            "upstream_rejected",
        ),
        (InvalidRequest("not one of ours"), "other"),
    ],
)
def test_a_code_is_one_of_ours(error: RateLimited | InvalidRequest, code: str) -> None:
    """An upstream's own code is told to the client, and counted under ours."""
    visit = Visit("chat")
    visit.failed("refused", error)

    assert ended(Visits(access_log=False), visit) == {
        f'code="{code}",outcome="refused",route="chat",status="0"': 1.0
    }


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_request_has_a_line_if_that_is_wanted(is_wanted: bool, caplog: pytest.LogCaptureFixture) -> None:
    """RELAY_ACCESS_LOG; figures there are in any case."""
    caplog.set_level(logging.INFO)
    visit = Visit("models")
    visit.status, visit.outcome = 200, "complete"

    assert sum(ended(Visits(access_log=is_wanted), visit).values()) == 1
    assert [record.getMessage() for record in caplog.records] == ["request"] * is_wanted
    assert all(record.__dict__["request_id"] == str(visit.request_id) for record in caplog.records)


def test_no_line_is_made_that_the_level_forbids(caplog: pytest.LogCaptureFixture) -> None:
    """Lines of requests are at the level of information."""
    caplog.set_level(logging.WARNING)

    ended(Visits(access_log=True), Visit("chat"))

    assert not caplog.records


def test_what_nobody_gave_an_outcome_is_cut() -> None:
    """A fault of ours, or the end of the process."""
    assert ended(Visits(access_log=False), Visit("chat")) == {
        'code="",outcome="cut",route="chat",status="0"': 1.0
    }
