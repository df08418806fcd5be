"""Prometheus metrics of this process.

Every metric is made here, and `families` knows them all: `docs/metrics.md` lists them, and a test compares. What counts for itself,
in plain integers where things happen, is read when the page is made (`total`, `totals`, `gauges`), so that a message costs no
more than an addition.

Labels take few, known values: never a key, an account, an id or a text from outside. What is named by an operator goes through
`Bounded`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

import msgspec
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "relay_"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
NAMES_MAX = 100
OTHER = "other"

Labelled = Mapping[tuple[str, ...], float]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which no question needs


class Family(msgspec.Struct, frozen=True):
    """One metric as a person reads of it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Bounded:
    """Names as values of a label: the first `most` that come. Every later one is `other`."""

    def __init__(self, most: int = NAMES_MAX) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, name: str) -> str:
        """Return `name`, or `other`."""
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name


class Metrics:
    """The metrics of one process, so that two apps in one test never share a counter."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.families: dict[str, Family] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def counter(self, name: str, help_text: str, *labels: str) -> Counter:
        """Return a new counter `relay_<name>`."""
        return Counter(
            self._note(name, "counter", labels, help_text), help_text, labels, registry=self.registry
        )

    def gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        """Return a new gauge `relay_<name>`."""
        return Gauge(self._note(name, "gauge", labels, help_text), help_text, labels, registry=self.registry)

    def seconds(self, name: str, help_text: str, *labels: str) -> "Timings":
        """Return a new histogram `relay_<name>` with buckets from a millisecond to ten minutes."""
        timings = Timings(self._note(name, "histogram", labels, help_text), help_text, labels)
        self.registry.register(timings)
        return timings

    def total(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Make a counter `relay_<name>` of what `read` returns when the page is made."""
        self.totals(name, help_text, (), lambda: {(): read()})

    def totals(self, name: str, help_text: str, labels: Iterable[str], read: Callable[[], Labelled]) -> None:
        """Make a counter `relay_<name>` of what `read` returns when the page is made: a count for each tuple of label values."""
        names = tuple(labels)
        full = self._note(name, "counter", names, help_text)
        self.registry.register(_Read(lambda: CounterMetricFamily(full, help_text, labels=names), read))

    def gauges(self, name: str, help_text: str, labels: Iterable[str], read: Callable[[], Labelled]) -> None:
        """Make a gauge `relay_<name>` of what `read` returns when the page is made; what it leaves out is not there."""
        names = tuple(labels)
        full = self._note(name, "gauge", names, help_text)
        self.registry.register(_Read(lambda: GaugeMetricFamily(full, help_text, labels=names), read))

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _note(self, name: str, kind: str, labels: tuple[str, ...], meaning: str) -> str:
        full = PREFIX + name
        assert full not in self.families, f"{full} is made twice"
        assert (kind == "counter") == full.endswith("_total"), f"{full} is a {kind}"
        self.families[full] = Family(full, kind, labels, meaning)
        return full


class Seconds:
    """One series of a histogram: how many took how long, and how long all took together."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Timings(Collector):
    """A histogram whose series are plain numbers: the client library's own takes two locks for each observation."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._help_text = help_text
        self._labels = labels
        self._series: dict[tuple[str, ...], Seconds] = {} if labels else {(): Seconds()}

    def labels(self, *values: str) -> Seconds:
        """Return the series of these label values."""
        assert len(values) == len(self._labels)
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Seconds()
        return series

    def observe(self, seconds: float) -> None:
        """Add one to the series without labels."""
        self.labels().observe(seconds)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the histogram as it is now."""
        family = HistogramMetricFamily(self._name, self._help_text, labels=self._labels)
        bounds = [*map(floatToGoString, SECONDS), "+Inf"]
        for values, series in self._series.items():
            buckets = list(zip(bounds, accumulate(series.counts), strict=True))
            family.add_metric(values, buckets, series.total)
        return [family]


class _Read(Collector):
    """A metric whose values are read when the page is made."""

    def __init__(
        self,
        begin: Callable[[], CounterMetricFamily | GaugeMetricFamily],
        read: Callable[[], Labelled],
    ) -> None:
        self._begin = begin
        self._read = read

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Return the metric as it is now."""
        family = self._begin()
        for labels, value in self._read().items():
            family.add_metric(labels, value)
        return [family]
