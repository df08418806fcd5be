"""Why an answer ended, in the words of the chat API, from the words of any provider."""

from typing import Literal

# Each word in lower case. What is not listed goes on as it came: a new reason of the API, or one nobody has seen.
_MEANINGS: dict[str, str] = {
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "complete", "eos", "eos_token", "pause_turn", "continuation",
         "load", "unload"),
        "stop",
    ),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use"), "tool_calls"),
    "function_call": "function_call",
    **dict.fromkeys(
        ("content_filter", "content_filtered", "refusal", "sensitive", "guardrail_intervened", "error_toxic", "safety",
         "recitation", "blocklist", "prohibited_content", "spii", "language", "image_safety",
         "image_prohibited_content", "image_recitation", "image_other", "model_armor", "other"),
        "content_filter",
    ),
}  # fmt: skip

# The provider broke off, and calls that an end.
_BROKEN: dict[str, Literal["failed", "overloaded"]] = {
    **dict.fromkeys(("error", "network_error", "abort"), "failed"),
    "insufficient_system_resource": "overloaded",
}  # fmt: skip

# The model made a call that its provider could not read: an end when there is other output, and else a failure.
_BAD_CALLS = frozenset(
    ("malformed_function_call", "malformed_model_output", "malformed_tool_use", "malformed_response",
     "missing_thought_signature", "too_many_tool_calls", "unexpected_tool_call")
)  # fmt: skip


class BrokenOff(Exception):
    """An answer gives as its finish reason that it is broken; `kind` says how."""

    def __init__(self, kind: Literal["failed", "overloaded"]) -> None:
        super().__init__(kind)
        self.kind: Literal["failed", "overloaded"] = kind


def meaning_of(reason: str, *, has_output: bool) -> str:
    """Return the finish reason of the chat API for a provider's.

    Raises: BrokenOff when it stands for an answer that was not finished.
    """
    word = reason.lower()
    if word in _BROKEN:
        raise BrokenOff(_BROKEN[word])
    if word in _BAD_CALLS:
        if has_output:
            return "stop"
        raise BrokenOff("failed")
    return _MEANINGS.get(word, reason)
