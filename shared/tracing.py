"""Traces across the bus, as an optional extra: the packages of `relay[otel]`, and a collector named by RELAY_TRACE_ENDPOINT.

A span is begun where work begins (`span`), and travels as W3C Trace Context (`traceparent`) in the header of a message. Off, all of
this is one comparison: OpenTelemetry is not even imported. Only what is sampled travels, so that whoever hears no header does
nothing. Names and attributes hold no text from outside.

Who samples is the edge: RELAY_TRACE_RATIO of the requests, also of those that come with a trace of the client's, or a client could
make us trace everything. Everybody else follows what the edge has decided.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

from shared.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

Kind = Literal["server", "client", "internal"]
Attributes = Mapping[str, str | int | float | bool]

HEADER = "traceparent"
EXPORT_SECONDS = 5.0
OFF = nullcontext()
"""The block that is no span."""
_provider: "TracerProvider | None" = None


def enable(service: str, settings: Settings, *, decides: bool) -> None:
    """Trace this process if a collector is named; `decides` says whether it samples, or follows.

    Raises: SettingsError when the packages for it are not installed.
    """
    global _provider
    if not settings.trace_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise SettingsError(
            "RELAY_TRACE_ENDPOINT is set, but the packages for traces are not installed. Install relay[otel]."
        ) from error
    ratio = TraceIdRatioBased(settings.trace_ratio)
    sampler = ParentBased(ratio, remote_parent_sampled=ratio) if decides else ParentBased(ALWAYS_OFF)
    _provider = TracerProvider(
        sampler=sampler,
        resource=Resource.create({"service.name": f"relay-{service}"}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=settings.trace_endpoint, timeout=EXPORT_SECONDS)
    _provider.add_span_processor(BatchSpanProcessor(exporter))


def disable() -> None:
    """Send what is left, and trace no more."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


def is_on() -> bool:
    """Whether this process traces."""
    return _provider is not None


def span(
    name: str, kind: Kind = "internal", *, parent: str | None = None, attributes: Attributes | None = None
) -> AbstractContextManager[None]:
    """Return a block that is a span. `parent` is a `traceparent` from outside, empty for none; None is the span that we are in."""
    if _provider is None:
        return OFF
    return _span(_provider, name, kind, parent, attributes)


def note(attributes: Attributes) -> None:
    """Add to the span that we are in."""
    if _provider is not None:
        _current().set_attributes(attributes)


def failed(kind: str) -> None:
    """Say that the span that we are in failed, and how."""
    if _provider is not None:
        from opentelemetry.trace import Status, StatusCode

        _current().set_attribute("error.type", kind)
        _current().set_status(Status(StatusCode.ERROR))


def traceparent() -> str:
    """Return the header for what is sent now, empty when nobody samples it."""
    if _provider is None:
        return ""
    context = _current().get_span_context()
    if not context.trace_flags.sampled:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


@contextmanager
def _span(
    provider: "TracerProvider", name: str, kind: Kind, parent: str | None, attributes: Attributes | None
) -> Iterator[None]:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None
    if parent is not None:
        context = TraceContextTextMapPropagator().extract({HEADER: parent}, Context())
    tracer = provider.get_tracer("relay")
    # An exception's words may quote a prompt: its type is enough.
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=SpanKind[kind.upper()],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ):
        try:
            yield
        except Exception as error:
            failed(type(error).__name__)
            raise


def _current() -> "Span":
    from opentelemetry.trace import get_current_span

    return get_current_span()
