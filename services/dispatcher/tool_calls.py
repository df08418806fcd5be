"""The tool calls of one choice: fragments as SDKs add them up, from fragments as providers send them.

SDKs take the `index` of a fragment for its place in a list that grows without gaps, and add up every text, the id and the
name included. So each call gets its number when its name is known; its first fragment has id, type, name and arguments, and
each later one the number and more arguments, nothing else.

Which call a fragment belongs to: its id says so when it is known; else its index, or for want of one the call before it.
A fragment with a name that cannot be a repeat begins a call, whatever its index is.
"""

from collections.abc import Callable
from typing import Literal, TypeGuard

import msgspec

from services.dispatcher.canonical import ToolCall
from services.dispatcher.usage import Json

MOST_CALLS = 1024
LARGEST_NAMELESS_CHARACTERS = 65_536  # of arguments that wait for the name of their call
NO_ARGUMENTS = "{}"

_TEXT_OF: dict[str, str] = {"function": "arguments", "custom": "input"}

Fragment = dict[str, Json]
Kind = Literal["function", "custom"]


class TooManyCalls(ValueError):
    """A choice has more tool calls, or more of one that nobody can name, than a model ever makes."""


class _Call:
    """One call. `given_index` and `given_id` are the provider's words on it; until it `is_open`, it has no number.

    `waiting` is text that came before the name.
    """

    def __init__(self, kind: Kind, given_index: int | None, given_id: str) -> None:
        self.number = -1
        self.kind = kind
        self.given_index = given_index
        self.given_id = given_id
        self.name = ""
        self.waiting = ""
        self.is_open = False
        self.has_text = False


class ToolCalls:
    """The calls so far, by arrival. `new_id` makes the id of a call that came without one."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}  # the latest call of each index that the provider gave

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def are_whole(self) -> bool:
        """Whether each call has its name, and arguments that can be read as JSON."""
        return all(call.is_open and (call.has_text or call.kind != "function") for call in self._calls)

    def take(self, fragments: list[ToolCall]) -> str | None:
        """Return the text of the only fragment, taken note of, if it can go on as it came; None if it cannot."""
        if len(fragments) != 1:
            return None
        fragment = fragments[0]
        function = fragment.function
        call = self._by_index.get(fragment.index)
        if (
            call is None
            or call.number != fragment.index
            or not call.is_open
            or function is None
            or function.name is not None
            or fragment.id is not None
            or fragment.type is not None
        ):
            return None
        if function.arguments:
            call.has_text = True
        return function.arguments

    def rewrite(self, fragments: Json) -> list[Json]:
        """Return the fragments to send for those of one delta, without those that wait for the name of their call.

        Raises: TooManyCalls.
        """
        if isinstance(fragments, dict):
            fragments = [fragments]
        sent = [
            self._rewrite(fragment)
            for fragment in (fragments if isinstance(fragments, list) else [])
            if isinstance(fragment, dict)
        ]
        return [fragment for fragment in sent if fragment is not None]

    def close(self, *, is_whole: bool) -> list[Json]:
        """Return what is still missing at the end of the choice: calls that wait for a name, and arguments.

        A call of an answer that `is_whole` has arguments, if only none, so that they can be read as JSON.
        """
        missing = NO_ARGUMENTS if is_whole else ""
        closing: list[Json] = []
        for call in self._calls:
            if not call.is_open:
                closing.append(self._opening(call, {}, {}, call.waiting or missing))
            elif not call.has_text and missing and call.kind == "function":
                call.has_text = True
                closing.append({"index": call.number, "function": {"arguments": missing}})
        return closing

    def _rewrite(self, fragment: Fragment) -> Fragment | None:
        kind = _kind_of(fragment)
        body = _body_of(fragment, kind)
        call = self._call_of(fragment, kind, body)
        text = _text_of(body.get(_TEXT_OF[kind]))
        call.name = call.name or _word(body.get("name"))
        if call.is_open:
            call.has_text = call.has_text or bool(text)
            return _continuing(call, fragment, body, text)
        call.waiting += text
        if call.name:
            return self._opening(call, fragment, body, call.waiting)
        if len(call.waiting) > LARGEST_NAMELESS_CHARACTERS:
            raise TooManyCalls
        return None

    def _opening(self, call: _Call, fragment: Fragment, body: Fragment, text: str) -> Fragment:
        call.number = sum(each.is_open for each in self._calls)
        call.is_open = True
        call.has_text = bool(text)
        call.waiting = ""
        return {
            **fragment,
            "index": call.number,
            "id": call.given_id or f"call_{self._new_id()}",
            "type": call.kind,
            call.kind: {**body, "name": call.name, _TEXT_OF[call.kind]: text},
        }

    def _call_of(self, fragment: Fragment, kind: Kind, body: Fragment) -> _Call:
        """Return the call that a fragment belongs to, made if it begins one."""
        index = fragment.get("index")
        given_index = index if is_index(index) else None
        given_id, name = _word(fragment.get("id")), _word(body.get("name"))
        call = self._known(given_index, given_id, name, body)
        if call is None:
            return self._begin(kind, given_index, given_id)
        if given_id and not call.is_open:
            call.given_id = given_id
        return call

    def _known(self, given_index: int | None, given_id: str, name: str, body: Fragment) -> _Call | None:
        if given_id:
            same = next((call for call in reversed(self._calls) if call.given_id == given_id), None)
            if same is not None and (not name or given_index in (None, same.given_index)):
                return same
            if same is not None:
                return None  # one id for two calls
        last = self._calls[-1] if self._calls else None
        call = last if given_index is None else self._by_index.get(given_index)
        if call is None:
            return None
        if not call.name:
            return None if given_id and call.given_id else call
        if not name:
            return call  # whatever its id is called now
        is_repeat = not given_id and given_index is not None and name == call.name
        return call if is_repeat and not (call.has_text and _is_whole(body)) else None

    def _begin(self, kind: Kind, given_index: int | None, given_id: str) -> _Call:
        if len(self._calls) >= MOST_CALLS:
            raise TooManyCalls
        if any(call.given_id == given_id for call in self._calls):
            given_id = ""
        call = _Call(kind, given_index, given_id)
        self._calls.append(call)
        if given_index is not None:
            self._by_index[given_index] = call
        return call


def complete(calls: Json, new_id: Callable[[], str]) -> list[Json]:
    """Return the whole calls of a plain answer with everything that a call has; what is no call is left out."""
    if isinstance(calls, dict):
        calls = [calls]
    known: set[str] = set()
    completed: list[Json] = []
    for call in calls if isinstance(calls, list) else []:
        if not isinstance(call, dict):
            continue
        kind = _kind_of(call)
        body = _body_of(call, kind)
        text = _text_of(body.get(_TEXT_OF[kind])) or (NO_ARGUMENTS if kind == "function" else "")
        call_id = _word(call.get("id"))
        if not call_id or call_id in known:
            call_id = f"call_{new_id()}"
        known.add(call_id)
        completed.append(
            {
                **call,
                "id": call_id,
                "type": kind,
                kind: {**body, "name": _word(body.get("name")), _TEXT_OF[kind]: text},
            }
        )
    return completed


def is_index(value: Json) -> TypeGuard[int]:
    """Whether `value` is a whole number from zero on, and no truth value."""
    return type(value) is int and value >= 0


def _continuing(call: _Call, fragment: Fragment, body: Fragment, text: str) -> Fragment:
    """Return a later fragment of a call; an id, a type or a name that is null does no harm, and stays."""
    rest = {key: value for key, value in fragment.items() if value is None or key not in ("id", "type")}
    member = _TEXT_OF[call.kind]
    body = {key: value for key, value in body.items() if value is None or key != "name"}
    if text or member in body or not body:
        body[member] = text
    return {**rest, "index": call.number, call.kind: body}


def _kind_of(fragment: Fragment) -> Kind:
    is_custom = isinstance(fragment.get("custom"), dict) or fragment.get("type") == "custom"
    return "custom" if is_custom else "function"


def _body_of(fragment: Fragment, kind: Kind) -> Fragment:
    body = fragment.get(kind)
    return body if isinstance(body, dict) else {}


def _text_of(value: Json) -> str:
    """Return arguments as text; a provider that parsed them gets them back as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _word(value: Json) -> str:
    if is_index(value):
        return str(value)
    return value if isinstance(value, str) else ""


def _is_whole(body: Fragment) -> bool:
    """Whether a fragment holds all arguments of a call, so that it does not continue one."""
    arguments = body.get("arguments")
    if not isinstance(arguments, str):
        return isinstance(arguments, dict)
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
