"""How an answer's usage is told in JSON: OpenAI's members, and what providers make of them."""

import msgspec

from services.simulator.answer import Usage
from services.simulator.behaviour import Behaviour

JsonUsage = dict[str, "int | str | dict[str, int | str]"]

# The modes that tell it along with other things of a stream, not in a chunk of its own.
ON_EVERY_CHUNK = ("every", "placeholder_zero")
ON_FINISH = ("finish_chunk", "x_groq", "in_choice")


def tell(usage: Usage, behaviour: Behaviour) -> JsonUsage:
    """Return the usage as the behaviour wants it told."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    told: JsonUsage = {
        "prompt_tokens": prompt - (usage.cached_tokens if behaviour.cached_excluded else 0),
        "completion_tokens": completion - (usage.reasoning_tokens if behaviour.reasoning_excluded else 0),
        "total_tokens": prompt + completion + (1 if behaviour.usage == "wrong_total" else 0),
    }
    if behaviour.usage != "header":
        details: dict[str, int | str] = {"cached_tokens": usage.cached_tokens, "audio_tokens": 0}
        if usage.cache_write_tokens:
            details["cache_write_tokens"] = usage.cache_write_tokens
        told["prompt_tokens_details"] = details
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0}
    if usage.web_searches:
        told["server_tool_use"] = {"web_search_requests": usage.web_searches}
    return _as_strings(told) if behaviour.usage == "strings" else told


def placeholder(usage: Usage, behaviour: Behaviour) -> JsonUsage:
    """Return the usage of a provider that does not know yet, and says zero."""
    return tell(Usage(prompt_tokens=0, completion_tokens=0, service_tier=usage.service_tier), behaviour)


def so_far(usage: Usage, emitted: int) -> Usage:
    """Return the usage after `emitted` of its tokens; reasoning is generated first."""
    return msgspec.structs.replace(
        usage, completion_tokens=emitted, reasoning_tokens=min(emitted, usage.reasoning_tokens)
    )


def headers(usage: Usage, behaviour: Behaviour) -> list[tuple[str, str]]:
    """Return the usage that is told in the head of the response, as Fireworks does for cached tokens."""
    if behaviour.usage != "header":
        return []
    return [("fireworks-cached-prompt-tokens", str(usage.cached_tokens))]


def _as_strings(told: JsonUsage) -> JsonUsage:
    return {
        key: {inner: str(number) for inner, number in value.items()}
        if isinstance(value, dict)
        else str(value)
        for key, value in told.items()
    }
