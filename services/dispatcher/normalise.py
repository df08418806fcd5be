"""An answer made canonical: the chunks of a stream, and the body of a plain answer.

A canonical answer is one that official SDKs read as they read OpenAI's own (docs/decisions/0014-canonical-events.md). What is
canonical is sent as it came, byte for byte; of what is not, only the members that are wrong are written anew. What a client
has seen of an answer decides what may still come: all chunks have one id, one moment and one model, each choice has one role and
one finish reason, and the usage comes once, last and without choices.
"""

from collections.abc import Callable

import msgspec

from services.dispatcher.canonical import NULL, Continuation, Members, mend, raw, value_of
from services.dispatcher.choice import Choice, NotAChoice, rewrite_plain_choice
from services.dispatcher.delivered import DeliveredText
from services.dispatcher.tool_calls import is_index
from services.dispatcher.usage import Json, Usage, merge, tell

MAX_CHOICES = 128  # the largest `n` of the API

_CHUNK = "chat.completion.chunk"
_PLAIN = "chat.completion"
_NULL_USAGE = b',"usage":null'
_NULL_USAGE_AT_END = _NULL_USAGE + b"}"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is called, in all its chunks: three values, and `members` as they are written."""

    id: str
    created: int
    model: str
    members: Members

    def pin(self, members: Members) -> bool:
        """Give `members` this identity; return whether they had another."""
        is_other = any(members.get(name) != value for name, value in self.members.items())
        if is_other:
            members.update(self.members)
        return is_other


_UNKNOWN = Identity(id="", created=0, model="", members={})


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is called where its provider does not say: `model`, a new id, and the moment in Unix seconds."""

    model: str
    new_id: Callable[[], str]
    now: Callable[[], float]

    def identify(self, members: Members, kind: str) -> Identity:
        """Return what an answer of `kind` is called, by its own `members` where they are canonical."""
        given = {name: members.get(name, NULL) for name in ("id", "object", "created", "model")}
        answer_id, model, created = (
            value_of(given["id"]),
            value_of(given["model"]),
            value_of(given["created"]),
        )
        if not (isinstance(answer_id, str) and answer_id):
            answer_id = f"chatcmpl-{self.new_id()}"
            given["id"] = raw(answer_id)
        if not (isinstance(model, str) and model):
            model = self.model
            given["model"] = raw(model)
        if not (is_index(created) and created):
            created = _moment(created) or int(self.now())
            given["created"] = raw(created)
        if given["object"] != (written := raw(kind)):
            given["object"] = written
        return Identity(id=answer_id, created=created, model=model, members=given)


class StreamedAnswer:
    """A stream on its way: what the client has seen of it, and what is known of the whole.

    At any moment, `usage` is what is reported so far, `delivered` the text that was sent, `has_output` whether there was any
    output, and `is_usage_last` whether a usage came after all of it.
    """

    def __init__(self, origin: Origin, *, include_usage: bool) -> None:
        self.usage: Usage | None = None
        self.has_output = False
        self.delivered = DeliveredText()
        self.is_usage_last = False
        self._origin = origin
        self._include_usage = include_usage
        self._choices: dict[int, Choice] = {}  # by the provider's index, in the order of arrival
        self._identity = _UNKNOWN
        self._reported: Json = None
        self._usage_chunk: tuple[bytes, Members] = b"", {}
        self._last_finish = b""

    @property
    def finish_reasons(self) -> dict[int, str]:
        """The finish reasons so far by the number of the choice."""
        return {
            choice.number: choice.finish_reason for choice in self._choices.values() if choice.finish_reason
        }

    @property
    def is_finished(self) -> bool:
        """Whether there are choices, and each has its finish reason."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def take(self, chunk: Continuation, data: bytes) -> bytes | None:
        """Return the `data` to send for a chunk that is canonical here, taken note of; None if it must be looked at closely.

        It is `data` itself unless it was mended. A usage of null stays in it.
        """
        choices, identity = chunk.choices, self._identity
        if len(choices) != 1 or chunk.id != identity.id or chunk.model != identity.model:
            return None
        choice = choices[0]
        known = self._choices.get(choice.index)
        if known is None or known.number != choice.index:
            return None
        sent: bytes | None = data
        if chunk.created != identity.created or choice.delta.reasoning:
            sent = mend(data, chunk, identity.created)
            if sent is None:
                return None
        if not known.take(choice):
            return None
        self.has_output = self.has_output or known.has_output
        self.is_usage_last = False
        if choice.finish_reason is not None:
            self._last_finish = data
        return sent

    def rewrite(self, data: bytes, members: Members, *, is_changed: bool = False) -> bytes:
        """Return the `data` of the event to send for one chunk, empty if nothing; `data` itself if it is canonical.

        `members` are those of `data`, and are used up. `is_changed` says that they are not quite what the provider sent.

        Raises: NotAChoice, BrokenOff or TooManyCalls when the answer cannot go on.
        """
        choices = _choices_in(members)
        is_reported = self._read_usage(members, choices)
        self.is_usage_last = (is_reported or self.is_usage_last) and self.has_output and not choices
        if not choices:
            return self._without_choices(data, members, is_changed)
        if data == self._last_finish:
            return b""  # sent twice
        sent: list[Json] = []
        for given in choices:
            index = _number_of(given, 0)
            known = self._choices.get(index) or Choice(
                len(self._choices), self._origin.new_id, self.delivered
            )
            choice = known.rewrite(given)
            if choice is None:
                continue
            self._choices[index] = known  # numbered by arrival, since SDKs count on no gap
            self._note(known)
            sent.append(choice)
            if choice.get("finish_reason"):
                self._last_finish = data
        if not sent:
            return b""
        if sent != choices:
            members["choices"] = raw(sent)
            is_changed = True
        is_changed = self._pin(members) or is_changed
        return self._with_usage_of_chunk(data, members, is_changed)

    def end(self, *, is_done: bool) -> list[bytes]:
        """Return the `data` of the events that the upstream left out at its end.

        After `[DONE]` (`is_done`) every choice is finished: it is the upstream's word that nothing more comes.
        """
        events = []
        if is_done and not self.is_finished:
            ends: list[Json] = []
            for choice in self._choices.values():
                if choice.finish_reason is None:
                    ends.append(choice.end())
                    self._note(choice)
            if ends:
                events.append(self._written({"choices": raw(ends)}))
        if self._include_usage and self.usage is not None and self._choices:
            events.append(self._last_chunk(self.usage))
        return events

    def _written(self, members: Members) -> bytes:
        self._pin(members)
        return msgspec.json.encode({**self._identity.members, **members})

    def _last_chunk(self, usage: Usage) -> bytes:
        """Return the chunk that tells the usage: the provider's own, if it sent one that is canonical."""
        data, members = self._usage_chunk
        told = raw(tell(self._reported, usage))
        is_changed = raw(value_of(members.get("usage"))) != told or value_of(members.get("choices")) != []
        if is_changed:
            members.update(choices=raw([]), usage=told)
        return self._written(members) if self._pin(members) or is_changed else data

    def _note(self, choice: Choice) -> None:
        """Take note of what was just sent of `choice`."""
        self.has_output = self.has_output or choice.has_output

    def _pin(self, members: Members) -> bool:
        """Give the chunk the identity of the first one; return whether it had another."""
        if self._identity is _UNKNOWN:
            self._identity = self._origin.identify(members, _CHUNK)
        return self._identity.pin(members)

    def _read_usage(self, members: Members, choices: list[dict[str, Json]]) -> bool:
        reported = usage_in(members, choices)
        if reported is None:
            return False
        self.usage = merge(self.usage, reported)
        self._reported = reported
        return True

    def _without_choices(self, data: bytes, members: Members, is_changed: bool) -> bytes:
        """Send the result of a moderation, and keep a usage for the end; nothing else is said without choices."""
        if value_of(members.get("moderation")) is not None:
            is_changed = self._pin(members) or is_changed
            return self._with_usage_of_chunk(data, members, is_changed)
        if members.get("usage", NULL) != NULL:
            self._usage_chunk = data, members
        return b""

    def _with_usage_of_chunk(self, data: bytes, members: Members, is_changed: bool) -> bytes:
        """Return the chunk without a usage: it has none if the client did not ask, and null if it did."""
        usage = members.get("usage")
        if usage is None or (usage == NULL and self._include_usage):
            return msgspec.json.encode(members) if is_changed else data
        if self._include_usage:
            members["usage"] = NULL
            return msgspec.json.encode(members)
        if usage == NULL and not is_changed:
            return without_null_usage(data)
        del members["usage"]
        return msgspec.json.encode(members)


def without_null_usage(data: bytes) -> bytes:
    """Return a JSON object without the member `usage` of its top level, which is null."""
    if data.endswith(_NULL_USAGE_AT_END):
        return data[: -len(_NULL_USAGE_AT_END)] + b"}"
    # Inside a string the quotes would be escaped, so a single occurrence is the member of the top level.
    if data.count(b'"usage"') == 1 and _NULL_USAGE in data:
        return data.replace(_NULL_USAGE, b"")
    members = msgspec.json.decode(data, type=Members)
    del members["usage"]
    return msgspec.json.encode(members)


def rewrite_plain(
    body: bytes, members: Members, origin: Origin, *, is_changed: bool = False
) -> tuple[bytes, list[dict[str, Json]], Usage | None]:
    """Return a plain answer as it is sent, which is `body` itself if it is canonical, with its choices and its usage.

    Raises: NotAChoice without a choice that can be read, BrokenOff when the answer was not finished.
    """
    given = _choices_in(members)
    if not given:
        raise NotAChoice
    choices = [
        rewrite_plain_choice(choice, _number_of(choice, at), origin.new_id) for at, choice in enumerate(given)
    ]
    if choices != given:
        members["choices"] = raw([*choices])
        is_changed = True
    is_changed = origin.identify(members, _PLAIN).pin(members) or is_changed
    reported = usage_in(members, given)
    usage = None if reported is None else merge(None, reported)
    if usage is not None and (told := raw(tell(reported, usage))) != raw(value_of(members.get("usage"))):
        members["usage"] = told
        is_changed = True
    return msgspec.json.encode(members) if is_changed else body, choices, usage


def usage_in(members: Members, choices: list[dict[str, Json]]) -> Json:
    """Return what is reported as usage, wherever it stands: at the top, in Groq's corner, or in a choice."""
    reported = value_of(members.get("usage"))
    if reported is None and "x_groq" in members:
        groq = value_of(members["x_groq"])
        reported = groq.get("usage") if isinstance(groq, dict) else None
    if reported is None:
        reported = next((usage for choice in choices if (usage := choice.get("usage")) is not None), None)
    return reported


def _choices_in(members: Members) -> list[dict[str, Json]]:
    """Return the choices, none for null. Raises: NotAChoice for anything else that is no list of objects."""
    given = value_of(members.get("choices"))
    if given is None:
        return []
    choices = [choice for choice in given if isinstance(choice, dict)] if isinstance(given, list) else None
    if choices is None or not isinstance(given, list) or len(choices) != len(given):
        raise NotAChoice
    return choices


def _number_of(choice: dict[str, Json], otherwise: int) -> int:
    index = choice.get("index")
    return index if is_index(index) and index < MAX_CHOICES else otherwise


def _moment(created: Json) -> int:
    """Return a moment that came as a float or as text in whole seconds, zero if it is none."""
    try:
        return max(int(float(created)), 0) if isinstance(created, float | str) else 0
    except (ValueError, OverflowError):
        return 0
