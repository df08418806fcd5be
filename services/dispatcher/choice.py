"""One choice of an answer, made canonical: what was sent of it decides what may still be sent.

A role stands in its first delta and nowhere else, a finish reason in one delta, and the reason agrees with whether tools were
called. Texts are strings, and nothing is null that SDKs take for an object.
"""

from collections.abc import Callable

from services.dispatcher.canonical import Choice as CanonicalChoice
from services.dispatcher.delivered import DeliveredText
from services.dispatcher.finish_reason import meaning_of
from services.dispatcher.output import flatten, measure
from services.dispatcher.tool_calls import ToolCalls, complete
from services.dispatcher.usage import Json

_CUMULATIVE = ("content", "reasoning_content", "reasoning", "thinking", "refusal")

Members = dict[str, Json]


class NotAChoice(ValueError):
    """What stands in the place of a choice is none that can be read."""


class Choice:
    """A choice of a stream, known to the client as `number`, with what was sent of it; its text goes to `delivered`."""

    def __init__(self, number: int, new_id: Callable[[], str], delivered: DeliveredText) -> None:
        self.number = number
        self.finish_reason: str | None = None
        self.has_output = False
        self._delivered = delivered
        self._calls = ToolCalls(new_id)
        self._is_open = False  # its role is sent
        self._has_delta = False  # some output came as a delta, so that a whole message repeats it
        self._has_function_call = False
        self._told: dict[str, str] = {}  # of messages that repeat the whole text, what was sent

    def take(self, choice: CanonicalChoice) -> bool:
        """Return whether a canonical choice can go on as it came; it is taken note of then."""
        delta, reason = choice.delta, choice.finish_reason
        if self.finish_reason is not None or (reason is not None and not self._agrees(reason)):
            return False
        called = ""
        if delta.tool_calls:
            text = self._calls.take(delta.tool_calls)
            if text is None or reason is not None:
                return False
            called = text
        for text in (delta.content, delta.reasoning_content, delta.refusal, called):
            if text:
                self._delivered.add(text)
                self.has_output = self._has_delta = True
        self.finish_reason = reason
        return True

    def rewrite(self, given: Members) -> Members | None:
        """Return the choice to send for one of a chunk, an equal one if it is canonical; None if it says nothing more.

        Raises: NotAChoice, BrokenOff or TooManyCalls when the answer cannot go on.
        """
        choice = {name: value for name, value in given.items() if name != "message"}
        delta = self._delta_of(given)
        flatten(delta)
        finish_reason = self._finish_reason_of(given)
        self._rewrite_calls(delta, finish_reason)
        choice["index"] = self.number
        choice["delta"] = self._with_role(delta)
        if finish_reason or "finish_reason" in choice:
            choice["finish_reason"] = self._agreeing(finish_reason)
        if not _are_logprobs(choice.get("logprobs")):
            choice["logprobs"] = None
        if self._says_nothing(choice, given):
            return None
        self._note(choice)
        return choice

    def end(self) -> Members:
        """Return the choice to send for an upstream that ended without a word on why."""
        ended = self.rewrite({"index": self.number, "delta": {}, "logprobs": None, "finish_reason": "stop"})
        assert ended is not None
        return ended

    def _delta_of(self, given: Members) -> Members:
        delta, message = given.get("delta"), given.get("message")
        if isinstance(delta, dict):
            self._has_function_call = self._has_function_call or bool(delta.get("function_call"))
            return dict(delta)
        if delta is not None or not (message is None or isinstance(message, dict)):
            raise NotAChoice
        if message is None:
            return {}
        if not self._has_delta:
            return self._beyond(dict(message))
        calls = message.get("tool_calls")
        return {"tool_calls": calls} if calls and not self._calls else {}

    def _beyond(self, message: Members) -> Members:
        """Return what a message that repeats the whole answer so far says beyond what was sent of it."""
        flatten(message)
        for name in _CUMULATIVE:
            text, told = message.get(name), self._told.get(name, "")
            if isinstance(text, str) and text:
                is_repeat = text.startswith(told)
                self._told[name] = text if is_repeat else told + text
                message[name] = text[len(told) :] if is_repeat else text
        if self._calls:
            message.pop("tool_calls", None)
        return message

    def _finish_reason_of(self, given: Members) -> str | None:
        reason = given.get("finish_reason")
        if not reason or not isinstance(reason, str) or self.finish_reason is not None:
            return None
        return meaning_of(reason, has_output=self.has_output)

    def _rewrite_calls(self, delta: Members, finish_reason: str | None) -> None:
        calls = delta.get("tool_calls")
        rewritten = self._calls.rewrite(calls) if calls else []
        if finish_reason is not None:
            rewritten += self._calls.close(is_whole=finish_reason not in ("length", "content_filter"))
        if rewritten:
            delta["tool_calls"] = rewritten
        elif calls:
            del delta["tool_calls"]

    def _with_role(self, delta: Members) -> Members:
        if self._is_open:
            return {name: value for name, value in delta.items() if name != "role" or value is None}
        opening = {"role": "assistant", **delta}
        opening["role"] = "assistant"
        if "content" not in opening:
            opening["content"] = None if opening.get("tool_calls") else ""
        return opening

    def _agrees(self, reason: str) -> bool:
        return self._agreeing(reason) == reason and self._calls.are_whole

    def _agreeing(self, reason: str | None) -> str | None:
        """Return the reason that agrees with whether tools were called: readers act on either of them."""
        if reason == "stop" and self._calls:
            return "tool_calls"
        if reason == "tool_calls" and not self._calls:
            return "function_call" if self._has_function_call else "stop"
        return reason

    def _says_nothing(self, choice: Members, given: Members) -> bool:
        """Whether nothing is left of the choice, although it was more than a canonical delta without text."""
        if choice.get("finish_reason") or choice.get("logprobs"):
            return False
        delta = choice["delta"]
        assert isinstance(delta, dict)
        if not self._is_open:
            return given.get("delta") is None and not given.get("message")
        is_empty = not any(value for value in delta.values())
        return is_empty and (self.finish_reason is not None or choice != given)

    def _note(self, choice: Members) -> None:
        delta, reason = choice["delta"], choice.get("finish_reason")
        assert isinstance(delta, dict)
        has_output = measure(delta, self._delivered)
        self._is_open = True
        if has_output:
            self.has_output = True
            self._has_delta = not self._told
        if isinstance(reason, str):
            self.finish_reason = reason


def rewrite_plain_choice(given: Members, number: int, new_id: Callable[[], str]) -> Members:
    """Return a choice of a plain answer in its canonical form, an equal one if it had it.

    Raises: NotAChoice without a message, BrokenOff when the answer was not finished.
    """
    message = given.get("message")
    if not isinstance(message, dict):
        raise NotAChoice
    message = dict(message)
    flatten(message)
    message["role"] = "assistant"
    message.setdefault("content", None)
    calls = message.get("tool_calls")
    if calls:
        calls = message["tool_calls"] = complete(calls, new_id)
    has_output = measure(message, DeliveredText())
    reason = given.get("finish_reason")
    meaning = meaning_of(reason, has_output=has_output) if isinstance(reason, str) and reason else "stop"
    if meaning == "stop" and calls:
        meaning = "tool_calls"
    elif meaning == "tool_calls" and not calls:
        meaning = "function_call" if message.get("function_call") else "stop"
    choice = {**given, "index": number, "message": message, "finish_reason": meaning}
    if not _are_logprobs(choice.get("logprobs")):
        choice["logprobs"] = None
    return choice


def _are_logprobs(value: Json) -> bool:
    """Whether `value` is null or has the form of the chat API; the completions API has another."""
    if value is None:
        return True
    lists = (
        [value[name] for name in ("content", "refusal") if name in value] if isinstance(value, dict) else []
    )
    return bool(lists) and all(part is None or isinstance(part, list) for part in lists)
