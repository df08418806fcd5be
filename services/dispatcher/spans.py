"""The span of one attempt at an upstream, by OpenTelemetry's conventions for generative AI (semantic-conventions-genai).

They are still in development. The span says which channel and model, how many tokens and what came of it; nothing of what was
asked or answered.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from services.dispatcher.evidence import Evidence
from services.dispatcher.routing import Route
from services.dispatcher.upstream import AttemptFailed
from shared import tracing


def chat_span(route: Route, model: str, evidence: Evidence) -> AbstractContextManager[None]:
    """Return the block in which an upstream is called for our `model`."""
    return _chat_span(route, model, evidence) if tracing.is_on() else tracing.OFF


@contextmanager
def _chat_span(route: Route, model: str, evidence: Evidence) -> Iterator[None]:
    theirs = route.models[model]
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",  # the format that is spoken: whose the host is, nobody has told us
        "gen_ai.request.model": theirs,
        "relay.model": model,
        "relay.channel": route.name,
    }
    with tracing.span(f"chat {theirs}", "client", attributes=attributes):
        try:
            yield
        except AttemptFailed as failed:
            tracing.note({"relay.fault": failed.kind})
            raise
        finally:
            if evidence.usage is not None:
                tracing.note(
                    {
                        "gen_ai.usage.input_tokens": evidence.usage.input_tokens,
                        "gen_ai.usage.output_tokens": evidence.usage.output_tokens,
                    }
                )
