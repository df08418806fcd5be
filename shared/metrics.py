"""Prometheus metrics of this process. Labels take few, known values: never a key, an account, an id or a text from outside."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one process, so that two apps in one test never share a counter."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def counter(self, name: str, help_text: str, *labels: str) -> Counter:
        """Return a new counter `relay_<name>`."""
        return Counter("relay_" + name, help_text, labels, registry=self.registry)

    def gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        """Return a new gauge `relay_<name>`."""
        return Gauge("relay_" + name, help_text, labels, registry=self.registry)

    def seconds(self, name: str, help_text: str, *labels: str) -> Histogram:
        """Return a new histogram `relay_<name>` with buckets from a millisecond to ten minutes."""
        return Histogram("relay_" + name, help_text, labels, registry=self.registry, buckets=SECONDS)

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)
