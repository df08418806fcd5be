"""Metrics of one process, in the format that Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from shared.metrics import CONTENT_TYPE, Metrics


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


def test_the_process_itself_is_measured() -> None:
    """Its memory, its processor time and its collector."""
    read = {name for name, _ in samples(Metrics())}

    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= read
    assert "version=" in CONTENT_TYPE
