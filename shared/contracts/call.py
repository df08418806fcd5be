"""What binds a subject to its message types, and to who may use it.

A `Call` is a question with one answer, an `Event` is told to whoever listens, a `Channel` carries raw frames, a `WorkQueue` keeps
messages on disk until they are done. The NATS permissions of every service are derived from these declarations
(`shared.contracts.permissions`), so a right exists only where a contract states it.
"""

from typing import Generic, TypeVar

import msgspec

from shared.trail import ActionKind

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)
M = TypeVar("M", bound=msgspec.Struct)

EDGE = "edge"
AUTH = "auth"
BILLING = "billing"
DISPATCHER = "dispatcher"
OPERATOR = "operator"  # the command line of the person who runs Relay
PARTIES = (EDGE, AUTH, BILLING, DISPATCHER, OPERATOR)
INBOX_PREFIX = "inbox"  # replies to party P come on inbox.P.<process>.<number>; nobody hears another party's


def inbox_of(party: str) -> str:
    """Return the subject pattern of every reply to `party`."""
    return f"{INBOX_PREFIX}.{party}.>"


class Empty(msgspec.Struct, frozen=True, kw_only=True):
    """A message that says no more than its subject."""


class Call(Generic[Q, R]):
    """A question on `subject` that one replica of `owner` answers within `timeout_seconds`.

    `action` is what the operator does by it, for the log of actions; None for a question that changes nothing.
    """

    def __init__(
        self,
        subject: str,
        request: type[Q],
        reply: type[R],
        *,
        owner: str,
        callers: tuple[str, ...],
        timeout_seconds: float = 5.0,
        action: ActionKind | None = None,
    ) -> None:
        self.subject = subject
        self.request = request
        self.reply = reply
        self.owner = owner
        self.callers = callers
        self.timeout_seconds = timeout_seconds
        self.action = action

    def publishes(self, party: str) -> set[str]:
        """Return what this contract lets `party` publish: the question, or the answers."""
        asked = {self.subject} if party in self.callers else set()
        answered = {inbox_of(caller) for caller in self.callers} if party == self.owner else set()
        return asked | answered

    def subscribes(self, party: str) -> set[str]:
        """Return what this contract lets `party` hear."""
        return {self.subject} if party == self.owner else set()


class Event(Generic[M]):
    """Something that happened in `owner`, told on `subject` to every replica of `listeners`."""

    def __init__(self, subject: str, message: type[M], *, owner: str, listeners: tuple[str, ...]) -> None:
        self.subject = subject
        self.message = message
        self.owner = owner
        self.listeners = listeners

    def publishes(self, party: str) -> set[str]:
        """Return what this contract lets `party` publish."""
        return {self.subject} if party == self.owner else set()

    def subscribes(self, party: str) -> set[str]:
        """Return what this contract lets `party` hear."""
        return {self.subject} if party in self.listeners else set()


class Channel:
    """Raw frames from `senders` to `receiver`, on `prefix` followed by the tokens that `subject()` is given."""

    def __init__(self, prefix: str, *, receiver: str, senders: tuple[str, ...], tokens: int) -> None:
        self.prefix = prefix
        self.receiver = receiver
        self.senders = senders
        self.tokens = tokens

    def subject(self, *tokens: str) -> str:
        """Return the full subject for `tokens`, which are ids made by Relay and never text from a user."""
        assert len(tokens) == self.tokens
        return ".".join((self.prefix, *tokens))

    def of(self, *tokens: str) -> str:
        """Return the subscription to everything that begins with `tokens`."""
        return ".".join((self.prefix, *tokens, *("*" for _ in range(self.tokens - len(tokens)))))

    @property
    def pattern(self) -> str:
        """The subject with a `*` for each token: what a sender is permitted to publish."""
        return ".".join((self.prefix, *("*" for _ in range(self.tokens))))

    def publishes(self, party: str) -> set[str]:
        """Return what this contract lets `party` publish: frames, or answers to the sender's heartbeats."""
        sent = {self.pattern} if party in self.senders else set()
        answered = {inbox_of(sender) for sender in self.senders} if party == self.receiver else set()
        return sent | answered

    def subscribes(self, party: str) -> set[str]:
        """Return what this contract lets `party` hear."""
        return {self.pattern} if party == self.receiver else set()


class WorkQueue(Generic[M]):
    """Messages from `senders` on `subject`, kept in JetStream's stream `stream` until one replica of `owner` is done with each.

    At most `bytes_max` bytes wait; what comes beyond them is not taken. The owner's rights name this stream and its one consumer
    alone: no other party can read, remove or change what waits. `watchers` may ask how much that is and how many copies it has.
    """

    def __init__(
        self,
        subject: str,
        message: type[M],
        *,
        owner: str,
        senders: tuple[str, ...],
        stream: str,
        bytes_max: int,
        watchers: tuple[str, ...] = (),
    ) -> None:
        self.subject = subject
        self.message = message
        self.owner = owner
        self.senders = senders
        self.watchers = watchers
        self.stream = stream
        self.bytes_max = bytes_max
        self.stream_subject = f"$JS.API.STREAM.CREATE.{stream}"
        self.info_subject = f"$JS.API.STREAM.INFO.{stream}"
        self.consumer_subject = f"$JS.API.CONSUMER.CREATE.{stream}.{owner}"
        self.next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{owner}"
        self.consumer_info_subject = f"$JS.API.CONSUMER.INFO.{stream}.{owner}"

    def publishes(self, party: str) -> set[str]:
        """Return what this contract lets `party` publish: messages, questions, or the owner's requests and words to JetStream."""
        sent = {self.subject} if party in self.senders else set()
        sent |= {self.info_subject} if party in self.watchers else set()
        if party != self.owner:
            return sent
        # A message is acknowledged on the first of these; the second is the form that names domain and account as well (ADR-15).
        acknowledged = {f"$JS.ACK.{self.stream}.{self.owner}.>", f"$JS.ACK.*.*.{self.stream}.{self.owner}.>"}
        asked = {self.stream_subject, self.consumer_subject, self.next_subject, self.consumer_info_subject}
        return sent | acknowledged | asked

    def subscribes(self, party: str) -> set[str]:
        """Return what this contract lets `party` hear: nothing, since JetStream answers to an inbox."""
        return set()
