"""Metrics of one process, in the format that Prometheus reads."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.metrics import CONTENT_TYPE, OTHER, Bounded, Family, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_a_metric_is_rendered_under_its_name() -> None:
    """Counters, gauges and histograms, with their labels, all as `relay_…`."""
    metrics = Metrics()
    metrics.counter("requests_total", "Requests", "route").labels(route="chat").inc(2)
    metrics.gauge("streams", "Streams").set(7)
    metrics.seconds("first_byte_seconds", "First byte").observe(0.3)

    read = samples(metrics)

    assert read["relay_requests_total", (("route", "chat"),)] == 2
    assert read["relay_streams", ()] == 7
    assert read["relay_first_byte_seconds_bucket", (("le", "0.25"),)] == 0
    assert read["relay_first_byte_seconds_bucket", (("le", "0.5"),)] == 1
    assert read["relay_first_byte_seconds_count", ()] == 1


def test_two_processes_in_one_share_nothing() -> None:
    """Two apps in one test have their own figures under the same names."""
    first, second = Metrics(), Metrics()
    for metrics, value in ((first, 1), (second, 2)):
        metrics.gauge("streams", "Streams").set(value)

    assert samples(first)["relay_streams", ()] == 1
    assert samples(second)["relay_streams", ()] == 2


def test_what_counts_for_itself_is_read_when_the_page_is_made() -> None:
    """With labels or without; what a gauge leaves out is not there."""
    metrics = Metrics()
    counts: dict[tuple[str, ...], float] = {("a", "x"): 1}
    known: dict[tuple[str, ...], float] = {}
    metrics.totals("calls_total", "Calls", ("name", "result"), lambda: counts)
    metrics.total("lost_total", "Lost", lambda: len(counts))
    metrics.gauges("age_seconds", "Age", (), lambda: known)
    before = samples(metrics)
    counts["a", "x"] += 1
    known[()] = 3.0

    read = samples(metrics)

    assert before["relay_calls_total", (("name", "a"), ("result", "x"))] == 1
    assert read["relay_calls_total", (("name", "a"), ("result", "x"))] == 2
    assert read["relay_lost_total", ()] == 1
    assert ("relay_age_seconds", ()) not in before
    assert read["relay_age_seconds", ()] == 3


def test_a_counter_has_no_series_for_its_birth() -> None:
    """One series for each count."""
    metrics = Metrics()
    metrics.counter("requests_total", "Requests").inc()

    assert [name for name, _ in samples(metrics) if "requests" in name] == ["relay_requests_total"]


def test_every_metric_is_known_with_its_labels() -> None:
    """For the document, and once."""
    metrics = Metrics()
    metrics.seconds("call_seconds", "Calls", "subject")

    assert metrics.families == {
        "relay_call_seconds": Family("relay_call_seconds", "histogram", ("subject",), "Calls")
    }
    with pytest.raises(AssertionError, match="twice"):
        metrics.gauge("call_seconds", "Calls")
    with pytest.raises(AssertionError, match="is a counter"):
        metrics.counter("calls", "Calls")


def test_names_beyond_the_bound_are_other() -> None:
    """Those that came first keep theirs."""
    names = Bounded(2)

    assert [names.of(name) for name in ("a", "b", "c", "a", "d", "b")] == ["a", "b", OTHER, "a", OTHER, "b"]


def test_the_process_itself_is_measured() -> None:
    """Its memory, its processor time and its collector."""
    read = {name for name, _ in samples(Metrics())}

    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= read
    assert "version=" in CONTENT_TYPE
