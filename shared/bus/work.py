"""Work queues on JetStream: what is stored outlives its sender, and is done by one replica of its owner.

JetStream's interface is requests on core NATS that are answered in JSON (its API reference; ADR-13 for pulling), so a link is all
that this needs:

    sender   the message, as a request      → stored, on the disk
    owner    make stream and consumer       → they are there; what an operator has changed of the stream stands
             next, with a time limit        → messages on an inbox, and a status when there are no more
             done, later or dropped         told to the reply subject of the message

A message whose owner dies, or whose word is lost, comes again after ACK_SECONDS: whoever handles it must bear repeats. Deleted
streams, restarted servers and lost links all show as an answer that is missing or wrong; the worker then begins anew.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Generic

import msgspec
from nats.aio.subscription import Subscription

from shared.bus.link import Link, Message
from shared.contracts.call import M, WorkQueue
from shared.errors import RelayError, Unavailable

API_SECONDS = 5.0
WAIT_SECONDS = 5.0  # how long one request for messages stands
GRACE_SECONDS = 5.0  # for the word of the server that the wait is over
PAUSE_SECONDS = 0.1  # after a request that has not brought all that it might
RETRY_SECONDS = 2.0
LATER_SECONDS = 5.0  # until a message comes again whose handler found something away
ACK_SECONDS = 60
BATCH_MAX = 64
UNDONE_MAX = 256  # messages that all replicas together are busy with, or have put off
STREAM_MISSING = 10059  # JetStream's error for a name that no stream has
STREAM_EXISTS = 10058  # JetStream's error for a stream of that name with other settings
PART = "JetStream"

_NANOSECONDS = 1_000_000_000

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    subjects: tuple[str, ...]
    max_bytes: int
    retention: str = "workqueue"
    storage: str = "file"
    discard: str = "new"
    num_replicas: int


class _Consumer(msgspec.Struct, frozen=True, kw_only=True):
    durable_name: str
    ack_policy: str = "explicit"
    ack_wait: int = ACK_SECONDS * _NANOSECONDS
    max_deliver: int = -1
    max_ack_pending: int = UNDONE_MAX


class _ConsumerRequest(msgspec.Struct, frozen=True, kw_only=True):
    stream_name: str
    config: _Consumer


class _Next(msgspec.Struct, frozen=True, kw_only=True):
    batch: int
    expires: int


class _Problem(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    """What the answers of JetStream have in common, also the acknowledgement of a message; the counts are a consumer's."""

    error: _Problem | None = None
    num_pending: int = 0
    num_ack_pending: int = 0


class _InfoState(msgspec.Struct, frozen=True):
    messages: int = 0


class _InfoConfig(msgspec.Struct, frozen=True):
    num_replicas: int = 1


class _Follower(msgspec.Struct, frozen=True):
    current: bool = False
    offline: bool = False


class _Cluster(msgspec.Struct, frozen=True):
    replicas: tuple[_Follower, ...] = ()


class _Info(msgspec.Struct, frozen=True):
    """JetStream's answer to STREAM.INFO: what we read of it."""

    error: _Problem | None = None
    state: _InfoState = _InfoState()
    config: _InfoConfig = _InfoConfig()
    cluster: _Cluster | None = None


async def store(link: Link, queue: WorkQueue[M], payload: bytes) -> None:
    """Return when the message is on JetStream's disk; what is stored twice within two minutes is kept once.

    Raises: Unavailable when JetStream did not say so: it is away, the queue is full, or its owner has never run.
    """
    digest = hashlib.blake2b(payload, digest_size=16).hexdigest()
    problem = (await _ask(link, queue.subject, payload, message_id=digest)).error
    if problem is not None:
        raise _away() from LookupError(problem.description)


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """A work queue as JetStream has it: messages that wait, copies that were asked for, and copies that are up to date now."""

    messages: int
    replicas: int
    current: int


async def look(link: Link, queue: WorkQueue[M]) -> QueueState | None:
    """Return the state of `queue`, None when there is none. For its watchers.

    Raises: Unavailable when JetStream does not answer.
    """
    answer = await link.request(queue.info_subject, b"", timeout_seconds=API_SECONDS, part=PART)
    if answer.is_unanswered:
        raise _away() from LookupError("nobody answers; NATS needs JetStream, see `relay nats-config`")
    try:
        info = msgspec.json.decode(answer.payload, type=_Info)
    except msgspec.MsgspecError as error:
        raise _away() from error
    if info.error is not None and info.error.err_code == STREAM_MISSING:
        return None
    if info.error is not None:
        raise _away() from LookupError(info.error.description)
    followers = info.cluster.replicas if info.cluster is not None else ()
    current = sum(follower.current and not follower.offline for follower in followers)
    return QueueState(messages=info.state.messages, replicas=info.config.num_replicas, current=1 + current)


class Worker(Generic[M]):
    """Does the messages of a queue beside the other replicas, BATCH_MAX at a time; `run` goes on until it is cancelled.

    `handle` returns when a message is done for good. When it raises Unavailable the message comes again, as often as it takes;
    after any other error it is dropped, as is one that cannot be read. A queue that it makes has `replicas` copies.
    """

    def __init__(
        self,
        link: Link,
        queue: WorkQueue[M],
        handle: Callable[[M], Awaitable[object]],
        *,
        replicas: int = 1,
    ) -> None:
        self._link = link
        self._replicas = replicas
        self._queue = queue
        self._handle = handle
        self._decoder = msgspec.msgpack.Decoder(queue.message)
        self._inbox = link.inbox(queue.stream)
        self._left = 0  # messages that were asked for and have not come
        self._answered: asyncio.Future[bool] | None = (
            None  # no more of them will come; False: nobody sends any
        )
        self._running: set[asyncio.Task[None]] = set()
        self.is_ready = False  # the queue is there
        self.done_total = 0
        self.postponed_total = 0
        self.dropped_total = 0

    async def run(self) -> None:
        """Do what there is to do. A queue that cannot be reached is looked for again."""
        has_warned = False
        subscription = await self._link.subscribe(self._inbox, self._on_message)
        try:
            while True:
                try:
                    await self._work()
                except Unavailable as error:
                    if self.is_ready or not has_warned:
                        reason = str(error.__cause__ or "") or str(error)
                        log.warning("the work queue %s is away: %s", self._queue.stream, reason)
                    has_warned = True
                self.is_ready = False
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self.is_ready = False
            await self._stop(subscription)

    async def waiting(self) -> int:
        """Return how many messages are not done, by whichever replica. Raises: Unavailable when JetStream does not say so."""
        answer = await _ask(self._link, self._queue.consumer_info_subject, b"")
        if answer.error is not None:
            raise _away() from LookupError(answer.error.description)
        return answer.num_pending + answer.num_ack_pending

    async def _work(self) -> None:
        await self._make()
        log.info("the work queue %s is here", self._queue.stream)
        self.is_ready = True
        while True:
            await self._do_some()
            if self._left > 0:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _make(self) -> None:
        queue = self._queue
        stream = _Stream(
            name=queue.stream,
            subjects=(queue.subject,),
            max_bytes=queue.bytes_max,
            num_replicas=self._replicas,
        )
        problem = (await _ask(self._link, queue.stream_subject, _encode(stream))).error
        if problem is not None and problem.err_code != STREAM_EXISTS:
            raise _away() from LookupError(problem.description)
        consumer = _Consumer(durable_name=queue.owner)
        wanted = _ConsumerRequest(stream_name=queue.stream, config=consumer)
        problem = (await _ask(self._link, queue.consumer_subject, _encode(wanted))).error
        if problem is not None:
            raise _away() from LookupError(problem.description)

    async def _do_some(self) -> None:
        """Ask for messages once, and do them as they come. Raises: Unavailable when the server does not answer."""
        self._left = BATCH_MAX
        self._answered = asyncio.get_running_loop().create_future()
        wanted = _Next(batch=BATCH_MAX, expires=int(WAIT_SECONDS * _NANOSECONDS))
        await self._link.publish(self._queue.next_subject, _encode(wanted), reply=self._inbox)
        try:
            async with asyncio.timeout(WAIT_SECONDS + GRACE_SECONDS):
                is_there = await self._answered
        except TimeoutError as error:
            raise _away() from error
        if not is_there:
            raise _away() from LookupError("nobody hands out its messages")
        if self._running:
            await asyncio.wait(self._running)

    async def _on_message(self, message: Message) -> None:
        if message.reply:  # the server's own words have none
            task = asyncio.create_task(self._do(message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            self._left -= 1
        is_over = self._left <= 0 or not message.reply
        if is_over and self._answered is not None and not self._answered.done():
            self._answered.set_result(not message.is_unanswered)

    async def _do(self, message: Message) -> None:
        word = b"-NAK"  # another replica may do at once what is cut off here
        try:
            word = await self._outcome(message.payload)
        finally:
            await self._say(message.reply, word)

    async def _say(self, subject: str, word: bytes) -> None:
        try:
            await self._link.publish(subject, word)
        except Unavailable:
            log.debug("how a message of %s ended was not said: it comes again", self._queue.stream)

    async def _outcome(self, payload: bytes) -> bytes:
        """Return the word for JetStream on a message that was handled, put off or dropped."""
        try:
            await self._handle(self._decoder.decode(payload))
        except Unavailable:
            self.postponed_total += 1
            return b'-NAK {"delay": %d}' % (LATER_SECONDS * _NANOSECONDS)
        except RelayError as error:
            log.info("a message of %s was refused: %s", self._queue.stream, error.code)
        except msgspec.MsgspecError:
            log.exception("a message of %s could not be read", self._queue.stream)
        except Exception:  # the handler boundary: what fails here would fail each time it came again
            log.exception("a message of %s could not be handled", self._queue.stream)
        else:
            self.done_total += 1
            return b"+ACK"
        self.dropped_total += 1
        return b"+TERM"

    async def _stop(self, subscription: Subscription) -> None:
        """Leave what is not done to the other replicas, or to the next start."""
        await self._link.end(subscription)
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _ask(link: Link, subject: str, payload: bytes, *, message_id: str = "") -> _Answer:
    answer = await link.request(
        subject, payload, timeout_seconds=API_SECONDS, part=PART, message_id=message_id
    )
    if answer.is_unanswered:
        raise _away() from LookupError("nobody answers; NATS needs JetStream, see `relay nats-config`")
    try:
        return msgspec.json.decode(answer.payload, type=_Answer)
    except msgspec.MsgspecError as error:
        raise _away() from error


def _away() -> Unavailable:
    return Unavailable("service_unavailable", retry_after_seconds=2, part=PART)
