"""What each party may do on the bus, as the server enforces it: everything its contracts say, and nothing else."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import msgspec
import pytest
from nats.aio.client import Client

from services.devstack.nats import EmbeddedNats
from shared.bus import Link, Message, Worker
from shared.bus import link as link_module
from shared.bus.work import store
from shared.contracts.call import (
    AUTH,
    BILLING,
    DISPATCHER,
    EDGE,
    OPERATOR,
    PARTIES,
    Call,
    Channel,
    Event,
    WorkQueue,
    inbox_of,
)
from shared.contracts.nats_config import nats_config
from shared.contracts.permissions import Contract, declarations
from shared.errors import Unavailable

PASSWORDS = {party: f"password of {party}" for party in PARTIES}
TOKEN = "0123456789abcdef"
VIOLATION = re.compile(r'permissions violation for (?:publish|subscription) to "([^"]+)"', re.IGNORECASE)
STRANGE = (
    ">", "*", "*.>", "_INBOX.>", "_INBOX.x", "$SYS.>", "$SYS.REQ.SERVER.PING", "$JS.API.>", "$JS.API.INFO", "$G.x",
    "inbox.>", "inbox.*.x.1", "auth.>", "auth.*", "billing.>", "billing.*", "dispatch.>", "dispatch.*",
    "channel.>", "channel.*", "stream.>", "stream.caller.>", "stream.caller.x", "stream.caller.x.y.z", "elsewhere",
    "$JS.>", "$JS.ACK.>", "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.INFO.RELAY_SPILL", "$JS.API.STREAM.UPDATE.RELAY_SPILL",
    "$JS.API.STREAM.DELETE.RELAY_SPILL", "$JS.API.STREAM.PURGE.RELAY_SPILL", "$JS.API.STREAM.MSG.GET.RELAY_SPILL",
    "$JS.API.STREAM.MSG.DELETE.RELAY_SPILL", "$JS.API.CONSUMER.CREATE.RELAY_SPILL", "$JS.API.CONSUMER.CREATE.RELAY_SPILL.x",
    "$JS.API.CONSUMER.DELETE.RELAY_SPILL.billing", "$JS.API.CONSUMER.MSG.NEXT.RELAY_SPILL.x", "$JS.ACK.RELAY_SPILL.x.1",
)  # fmt: skip


class Observed:
    """A connection of one party, and the subjects that the server has refused it."""

    def __init__(self) -> None:
        self.client = Client()
        self.refused: set[str] = set()

    async def on_error(self, error: Exception) -> None:
        """Note a refused subject, which nats-py turns to lower case; anything else is a fault of the test."""
        match = VIOLATION.search(str(error))
        assert match is not None, error
        self.refused.add(match[1])

    async def published(self, subjects: set[str]) -> set[str]:
        """Return the ones of `subjects` that may be published to."""
        self.refused.clear()
        for subject in subjects:
            await self.client.publish(subject, b"")
        await self._round_trips()
        return {subject for subject in subjects if subject.lower() not in self.refused}

    async def subscribed(self, subjects: set[str], queue: str = "") -> set[str]:
        """Return the ones of `subjects` that may be subscribed to."""
        self.refused.clear()
        subscriptions = [await self.client.subscribe(subject, queue, cb=_ignore) for subject in subjects]
        await self._round_trips()
        for subscription in subscriptions:
            await subscription.unsubscribe()
        return {subject for subject in subjects if subject.lower() not in self.refused}

    async def _round_trips(self) -> None:
        await self.client.flush()
        await self.client.flush()


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the configuration of a deployment."""
    with EmbeddedNats(tmp_path_factory.mktemp("nats"), nats_config(PASSWORDS)) as server:
        yield server.url


@pytest.fixture(params=PARTIES)
async def party(request: pytest.FixtureRequest) -> str:
    """Each party in turn."""
    return str(request.param)


@pytest.fixture
async def observed(guarded_url: str, party: str) -> AsyncIterator[Observed]:
    """A connection of the party."""
    connection = Observed()
    await connection.client.connect(
        guarded_url,
        user=party,
        password=PASSWORDS[party],
        error_cb=connection.on_error,
        allow_reconnect=False,
    )
    yield connection
    await connection.client.close()


@pytest.mark.parametrize(
    ("user", "password"), [("", ""), (EDGE, ""), (EDGE, "wrong"), (EDGE, PASSWORDS[AUTH]), ("root", "x")]
)
async def test_nobody_connects_without_its_password(
    guarded_url: str, user: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even to listen."""
    monkeypatch.setattr(link_module, "OPEN_SECONDS", 0.2)
    stranger = Link((guarded_url,), party=EDGE, user=user, password=password, name="stranger")
    with pytest.raises(Unavailable):
        await stranger.open()
    assert not stranger.is_connected


def test_a_party_without_a_password_is_not_configured() -> None:
    """There is no default."""
    with pytest.raises(KeyError):
        nats_config({EDGE: "x"})


async def test_a_party_publishes_what_its_contracts_say_and_nothing_else(
    observed: Observed, party: str
) -> None:
    """Every subject of every contract is tried, every inbox, and much that is in no contract."""
    every = {subject_of(each) for each in declarations()} | {inbox(each) for each in PARTIES}
    every |= {word for each in declarations() if isinstance(each, WorkQueue) for word in words_of(each)}
    strange = {subject for subject in STRANGE if "*" not in subject and ">" not in subject}
    assert await observed.published(every | strange) == may_publish(party)


async def test_a_party_hears_what_its_contracts_say_and_nothing_else(observed: Observed, party: str) -> None:
    """With and without a queue, concrete or by wildcard."""
    every = {subject_of(each) for each in declarations()} | {inbox(each) for each in PARTIES}
    patterns = {inbox_of(each) for each in PARTIES}
    patterns |= {each.pattern for each in declarations() if isinstance(each, Channel)}
    allowed = may_hear(party)

    assert await observed.subscribed(every | patterns | set(STRANGE)) == allowed
    assert (
        await observed.subscribed(every | set(STRANGE), queue="thieves")
        == allowed - patterns | allowed & every
    )


@pytest.mark.parametrize(
    ("party", "subject"),
    [
        (EDGE, "billing.account.put"),
        (EDGE, "billing.key.put"),
        (EDGE, "auth.event.key_changed"),
        (EDGE, "auth.account.create"),
        (EDGE, "auth.user.set_password"),
        (DISPATCHER, "billing.reserve"),
        (DISPATCHER, "auth.key.create"),
        (DISPATCHER, "channel.create"),
        (BILLING, "channel.create"),
        (DISPATCHER, "billing.credit"),
        (DISPATCHER, "auth.verify"),
        (AUTH, "billing.settle"),
        (AUTH, "channel.create"),
        (BILLING, "auth.key.create"),
        (BILLING, "stream.caller.x.y"),
        (OPERATOR, "billing.settle"),
        (OPERATOR, "auth.verify"),
        (OPERATOR, "dispatch.open"),
        (OPERATOR, "billing.spill"),
        (AUTH, "billing.spill"),
        (EDGE, "$JS.API.CONSUMER.MSG.NEXT.RELAY_SPILL.billing"),
        (DISPATCHER, "$JS.ACK.RELAY_SPILL.billing.1.1.1.1.1"),
    ],
)
async def test_what_would_be_worst_is_refused(observed: Observed, party: str, subject: str) -> None:
    """Spelled out, so that a slip in a contract shows here: who may make money, keys and streams."""
    assert await observed.published({subject}) == set()


@pytest.mark.parametrize(
    "call", [each for each in declarations() if isinstance(each, Call)], ids=lambda c: c.subject
)
async def test_each_call_works_for_each_of_its_callers(guarded_url: str, call: Contract) -> None:
    """Question and answer pass with the rights of both."""
    assert isinstance(call, Call)
    async with AsyncExitStack() as stack:
        owner = await opened(stack, guarded_url, call.owner)
        await _answer_all(owner, call.subject, queue=call.owner)
        for caller in call.callers:
            link = await opened(stack, guarded_url, caller)
            answer = await link.request(call.subject, b"question", timeout_seconds=30.0, part=call.owner)
            assert answer.payload == b"question"


@pytest.mark.parametrize(
    "event", [each for each in declarations() if isinstance(each, Event)], ids=lambda e: e.subject
)
async def test_each_event_reaches_each_of_its_listeners(guarded_url: str, event: Contract) -> None:
    """From its owner."""
    assert isinstance(event, Event)
    async with AsyncExitStack() as stack:
        owner = await opened(stack, guarded_url, event.owner)
        for party in event.listeners:
            await assert_heard(await opened(stack, guarded_url, party), event.subject, owner, event.subject)


@pytest.mark.parametrize(
    "channel", [each for each in declarations() if isinstance(each, Channel)], ids=lambda c: c.prefix
)
async def test_each_channel_carries_frames_and_answers(guarded_url: str, channel: Contract) -> None:
    """A receiver listens under its own id, and can answer the sender's inbox."""
    assert isinstance(channel, Channel)
    async with AsyncExitStack() as stack:
        receiver = await opened(stack, guarded_url, channel.receiver)
        own = channel.of(*[TOKEN][: channel.tokens])
        for party in channel.senders:
            sender = await opened(stack, guarded_url, party)
            subject = channel.subject(*[TOKEN] * channel.tokens)
            await assert_heard(receiver, own, sender, subject)
            await _answer_all(receiver, own)
            answer = await sender.request(subject, b"heartbeat", timeout_seconds=30.0, part=channel.receiver)
            assert answer.payload == b"heartbeat"


@pytest.mark.parametrize(
    "queue", [each for each in declarations() if isinstance(each, WorkQueue)], ids=lambda q: q.subject
)
async def test_each_work_queue_brings_its_messages_from_each_sender_to_its_owner(
    guarded_url: str, queue: Contract
) -> None:
    """The owner makes it, and what was done does not come again; here all of it is unreadable, and dropped."""
    assert isinstance(queue, WorkQueue)
    async with AsyncExitStack() as stack:
        worker = Worker(await opened(stack, guarded_url, queue.owner), queue, _ignore)
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(30):
            while not worker.is_ready:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            for party in queue.senders:
                await store(await opened(stack, guarded_url, party), queue, party.encode())
            while worker.dropped_total < len(queue.senders):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


async def opened(stack: AsyncExitStack, url: str, party: str) -> Link:
    """Return an open connection of `party`, which `stack` closes."""
    link = Link((url,), party=party, user=party, password=PASSWORDS[party], name="test")
    await link.open()
    stack.push_async_callback(link.close)
    return link


async def assert_heard(listener: Link, pattern: str, sender: Link, subject: str) -> None:
    """Assert that what `sender` publishes to `subject` reaches `listener` on `pattern`."""
    heard: asyncio.Queue[Message] = asyncio.Queue()
    subscription = await listener.subscribe(pattern, heard.put)
    await listener.flush()
    await sender.publish(subject, b"frame")
    assert (await asyncio.wait_for(heard.get(), 30)).payload == b"frame"
    await listener.end(subscription)


def subject_of(contract: Contract) -> str:
    """Return one concrete subject of a contract."""
    if isinstance(contract, Channel):
        return contract.subject(*[TOKEN] * contract.tokens)
    return contract.subject


def inbox(party: str) -> str:
    """Return one inbox of a party."""
    return f"inbox.{party}.{TOKEN}.1"


def may_publish(party: str) -> set[str]:
    """Return what the words of the contracts come to: questions, own events, frames, and answers to those who ask."""
    allowed = set()
    for each in declarations():
        match each:
            case Call(callers=senders, owner=answering) | Channel(senders=senders, receiver=answering):
                if party in senders:
                    allowed.add(subject_of(each))
                if party == answering:
                    allowed |= {inbox(other) for other in senders}
            case Event() if party == each.owner:
                allowed.add(subject_of(each))
            case WorkQueue():
                allowed |= {subject_of(each)} if party in each.senders else set()
                allowed |= words_of(each) if party == each.owner else set()
                allowed |= {f"$JS.API.STREAM.INFO.{each.stream}"} if party in each.watchers else set()
    return allowed


def words_of(queue: WorkQueue[msgspec.Struct]) -> set[str]:
    """Return what the owner of a work queue says to JetStream: make it, hand out messages, and how one of them ended."""
    name = f"{queue.stream}.{queue.owner}"
    return {
        f"$JS.API.STREAM.CREATE.{queue.stream}", f"$JS.API.CONSUMER.CREATE.{name}", f"$JS.API.CONSUMER.MSG.NEXT.{name}",
        f"$JS.ACK.{name}.1.2.3.4.5", f"$JS.ACK._.account.{name}.1.2.3.4.5.6",
    }  # fmt: skip


def may_hear(party: str) -> set[str]:
    """Return what the words of the contracts come to: questions to it, events for it, frames to it, its own inboxes."""
    allowed = {inbox(party), inbox_of(party)}
    for each in declarations():
        match each:
            case Call():
                hearers: tuple[str, ...] = (each.owner,)
            case Event():
                hearers = each.listeners
            case Channel():
                hearers = (each.receiver,)
            case WorkQueue():
                hearers = ()
        if party in hearers:
            allowed.add(subject_of(each))
            if isinstance(each, Channel):
                allowed.add(each.pattern)
    return allowed


async def _answer_all(link: Link, subject: str, queue: str = "") -> None:
    async def answer(message: Message) -> None:
        if message.reply:
            await link.publish(message.reply, message.payload)

    await link.subscribe(subject, answer, queue=queue)
    await link.flush()


async def _ignore(message: object) -> None:
    """Do nothing with it."""
