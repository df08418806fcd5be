"""Traces: nothing at all unless they are wanted, and then only what is sampled travels."""

import subprocess
import sys

import pytest

from shared import tracing
from shared.settings import Settings, SettingsError, environment

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"
NOWHERE = "http://127.0.0.1:1/v1/traces"


def enabled(ratio: float, *, decides: bool) -> None:
    """Trace from now on."""
    tracing.enable("edge", Settings(trace_endpoint=NOWHERE, trace_ratio=ratio), decides=decides)


@pytest.fixture(autouse=True)
def _off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and nothing stays on after a test."""
    monkeypatch.setattr(tracing, "_provider", None)
    from opentelemetry.sdk.trace import SpanProcessor, export

    monkeypatch.setattr(export, "BatchSpanProcessor", lambda exporter: SpanProcessor())


def test_by_default_nothing_of_opentelemetry_is_imported() -> None:
    """Not by any service."""
    program = (
        "import sys, services.edge.app, services.auth.app, services.billing.app, services.dispatcher.app;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], env=environment(), check=False).returncode == 0


def test_off_a_span_is_one_object_that_does_nothing() -> None:
    """There is no header, and nothing to note."""
    tracing.enable("edge", Settings(), decides=True)

    with tracing.span("a", "server", parent=SAMPLED):
        tracing.note({"x": 1})
        tracing.failed("fault")
        assert tracing.traceparent() == ""
    assert tracing.span("a") is tracing.span("b") is tracing.OFF
    assert not tracing.is_on()


def test_a_span_goes_on_the_trace_that_it_is_given() -> None:
    """Also a client's."""
    enabled(1.0, decides=True)

    with tracing.span("a", "server", parent=SAMPLED):
        outer = tracing.traceparent()
        with tracing.span("b", "client"):
            inner = tracing.traceparent()
    assert outer.split("-")[1] == inner.split("-")[1] == TRACE
    assert outer != inner
    assert tracing.traceparent() == ""


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\xff" * 500])
def test_a_parent_that_is_none_begins_a_trace(parent: str) -> None:
    """What a client sends is not trusted to be well-formed."""
    enabled(1.0, decides=True)

    with tracing.span("a", "server", parent=parent):
        assert tracing.traceparent().startswith("00-")


def test_a_client_cannot_make_us_trace() -> None:
    """The edge takes its own share, of those that come with a trace as well."""
    enabled(0.0, decides=True)

    for parent in (SAMPLED, ""):
        with tracing.span("a", "server", parent=parent):
            assert tracing.traceparent() == ""


def test_who_does_not_decide_follows() -> None:
    """It traces what the edge has sampled, whatever its own share, and begins nothing."""
    enabled(0.0, decides=False)

    for parent, is_traced in ((SAMPLED, True), (UNSAMPLED, False), ("", False)):
        with tracing.span("a", "server", parent=parent):
            assert bool(tracing.traceparent()) is is_traced
    with tracing.span("a", "client"):
        assert tracing.traceparent() == ""


def test_missing_packages_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence that says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingsError, match=r"relay\[otel\]"):
        enabled(1.0, decides=True)
