"""Work queues on a real JetStream: stored once, done once, put off, dropped, lost with their store and made again."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from services.devstack.nats import EmbeddedNats
from shared.bus import Bus, Link, Message, Worker, work
from shared.contracts.call import AUTH, EDGE, WorkQueue
from shared.errors import Conflict, Unavailable
from shared.ids import uuid7
from shared.settings import Settings
from tests.shared.conftest import JETSTREAM, PATIENCE_SECONDS, Text, soon, until

Handle = Callable[[Text], Awaitable[object]]
Start = Callable[[Handle], "contextlib.AbstractAsyncContextManager[Worker[Text]]"]


@pytest.fixture
def queue() -> WorkQueue[Text]:
    """A queue of this test alone."""
    return queue_of(1024 * 1024)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is repeated is repeated after a moment."""
    monkeypatch.setattr(work, "LATER_SECONDS", 0.02)
    monkeypatch.setattr(work, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(work, "PAUSE_SECONDS", 0.01)


@pytest.fixture
async def sender(jetstream_url: str) -> AsyncIterator[Bus]:
    """Whoever leaves messages."""
    async with connected(jetstream_url, EDGE) as bus:
        yield bus


@pytest.fixture
async def owner(jetstream_url: str) -> AsyncIterator[Bus]:
    """Whoever does them."""
    async with connected(jetstream_url, AUTH) as bus:
        yield bus


async def test_what_was_left_is_done_once_by_one_replica(
    sender: Bus, owner: Bus, jetstream_url: str, queue: WorkQueue[Text]
) -> None:
    """More messages than one request brings, two replicas, and no message twice."""
    done: list[str] = []
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(connected(jetstream_url, AUTH))
        workers = [
            await stack.enter_async_context(working(bus, queue, noting(done))) for bus in (owner, other)
        ]
        texts = [str(number) for number in range(300)]
        await soon(asyncio.gather(*(sender.store(queue, Text(text=text)) for text in texts)))

        await until(lambda: sum(worker.done_total for worker in workers) == len(texts))

    assert sorted(done) == sorted(texts)
    await until_empty(sender.control, queue)


async def test_what_is_left_while_its_owner_is_away_is_done_when_it_is_back(
    sender: Bus, owner: Bus, queue: WorkQueue[Text]
) -> None:
    """The message outlives the process that left it and the one that would have done it."""
    done: list[str] = []
    async with working(owner, queue, noting(done)):
        pass
    await sender.store(queue, Text(text="patient"))
    assert not done

    async with working(owner, queue, noting(done)) as worker:
        await until(lambda: worker.done_total == 1)
    assert done == ["patient"]


async def test_an_exact_repeat_is_kept_once(sender: Bus, owner: Bus, queue: WorkQueue[Text]) -> None:
    """A sender that did not hear that its message was stored may say it again."""
    async with working(owner, queue, noting([])):
        pass
    for text in ("same", "same", "other", "same"):
        await sender.store(queue, Text(text=text))

    assert await waiting(sender.control, queue) == 2


async def test_a_message_that_cannot_be_done_yet_comes_again(
    sender: Bus, owner: Bus, queue: WorkQueue[Text]
) -> None:
    """As often as it takes."""
    tries: list[str] = []

    async def handle(message: Text) -> None:
        tries.append(message.text)
        if len(tries) < 5:
            raise Unavailable("service_unavailable", part="PostgreSQL")

    async with working(owner, queue, handle) as worker:
        await sender.store(queue, Text(text="again"))
        await until(lambda: worker.done_total == 1)
        assert (len(tries), worker.postponed_total) == (5, 4)


@pytest.mark.parametrize("fault", [Conflict("id_conflict", id="x"), RuntimeError("a bug")])
async def test_a_message_that_is_refused_is_dropped(
    sender: Bus, owner: Bus, queue: WorkQueue[Text], fault: Exception
) -> None:
    """It holds up nothing behind it, and does not come again."""
    done: list[str] = []

    async def handle(message: Text) -> None:
        if message.text == "bad":
            raise fault
        done.append(message.text)

    async with working(owner, queue, handle) as worker:
        for text in ("bad", "good"):
            await sender.store(queue, Text(text=text))
        await until(lambda: worker.done_total == worker.dropped_total == 1)
    assert done == ["good"]
    await until_empty(sender.control, queue)


async def test_a_message_that_cannot_be_read_is_dropped(
    sender: Bus, owner: Bus, queue: WorkQueue[Text], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log, without what it contained."""
    async with working(owner, queue, noting([])) as worker:
        await work.store(sender.control, queue, b"\xc1 poison")
        await until(lambda: worker.dropped_total == 1)
    assert "could not be read" in caplog.text
    assert "poison" not in caplog.text
    await until_empty(sender.control, queue)


async def test_a_message_whose_handler_was_cut_off_is_done_by_another(
    sender: Bus, owner: Bus, queue: WorkQueue[Text]
) -> None:
    """The end of a replica in the middle of a message loses nothing, and nobody waits for it."""
    begun = asyncio.Event()

    async def stand_still(message: Text) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with working(owner, queue, stand_still):
        await sender.store(queue, Text(text="x"))
        await soon(begun.wait())
    assert await waiting(sender.control, queue) == 1

    done: list[str] = []
    async with working(owner, queue, noting(done)) as worker:
        await until(lambda: worker.done_total == 1)


async def test_a_queue_that_is_full_takes_no_more(sender: Bus, owner: Bus) -> None:
    """The sender is told, and may keep what it has; what waits is not pushed out."""
    queue = queue_of(2000)
    async with working(owner, queue, noting([])):
        pass
    for number in range(3):
        await sender.store(queue, Text(text=f"{number}".ljust(500)))
    with pytest.raises(Unavailable, match="JetStream"):
        await sender.store(queue, Text(text="one too many".ljust(500)))
    assert await waiting(sender.control, queue) == 3


async def test_nothing_is_left_where_nobody_keeps_it(sender: Bus, queue: WorkQueue[Text]) -> None:
    """Before its owner has ever run there is no queue, and the sender learns it at once."""
    with pytest.raises(Unavailable, match="JetStream"):
        await soon(sender.store(queue, Text(text="x")))


async def test_what_an_operator_has_set_of_the_stream_stands(
    sender: Bus, owner: Bus, queue: WorkQueue[Text]
) -> None:
    """Its copies or its size, say: the owner does not change it back, and works."""
    wanted = b'{"name": "%s", "subjects": ["%s"], "retention": "workqueue", "max_bytes": 4096}'
    names = (queue.stream.encode(), queue.subject.encode())
    await request(sender.control, queue.stream_subject, wanted % names)

    async with working(owner, queue, noting([])) as worker:
        await sender.store(queue, Text(text="x"))
        await until(lambda: worker.done_total == 1)
    assert b'"max_bytes":4096' in await request(sender.control, f"$JS.API.STREAM.INFO.{queue.stream}", b"")


async def test_a_server_without_jetstream_is_a_warning_that_says_what_to_do(
    nats_url: str, queue: WorkQueue[Text], caplog: pytest.LogCaptureFixture
) -> None:
    """Once, however often the worker looks; whoever leaves a message is told at once."""
    async with connected(nats_url, AUTH) as bus, started(Worker(bus.control, queue, noting([]))) as worker:
        await until(lambda: "relay nats-config" in caplog.text)
        with pytest.raises(Unavailable, match="JetStream"):
            await soon(bus.store(queue, Text(text="x")))
        assert not worker.is_ready
        await asyncio.sleep(0.1)  # time for several looks
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1


async def test_a_queue_that_is_deleted_is_made_again(
    tmp_path: Path, queue: WorkQueue[Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is removed under the server, which comes back empty; worker and sender go on."""
    monkeypatch.setattr(work, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(work, "GRACE_SECONDS", 0.5)
    done: list[str] = []
    server = EmbeddedNats(tmp_path, JETSTREAM)
    async with AsyncExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        owner = await stack.enter_async_context(connected(server.url, AUTH))
        sender = await stack.enter_async_context(connected(server.url, EDGE))
        worker = await stack.enter_async_context(working(owner, queue, noting(done)))
        await sender.store(queue, Text(text="before"))
        await until(lambda: done == ["before"])

        server.stop()
        shutil.rmtree(tmp_path / "jetstream")
        await until(lambda: not owner.is_connected)
        server.start()

        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(Unavailable):
                    await sender.store(queue, Text(text="after"))
                    break
                await asyncio.sleep(0.05)
        await until(lambda: done == ["before", "after"])
        await until(lambda: worker.is_ready)


def queue_of(bytes_max: int) -> WorkQueue[Text]:
    """Return a queue with names of its own."""
    name = uuid7().hex
    return WorkQueue(
        f"test.work.{name}", Text, owner=AUTH, senders=(EDGE,), stream=f"TEST_{name}", bytes_max=bytes_max
    )


@asynccontextmanager
async def connected(url: str, party: str) -> AsyncIterator[Bus]:
    """A party on the server at `url`."""
    async with Bus(Settings(nats_url=url), party=party) as bus:
        yield bus


@asynccontextmanager
async def started(worker: Worker[Text]) -> AsyncIterator[Worker[Text]]:
    """Run the worker for a block."""
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def working(bus: Bus, queue: WorkQueue[Text], handle: Handle) -> AsyncIterator[Worker[Text]]:
    """Run a worker that has found its queue."""
    async with started(Worker(bus.control, queue, handle)) as worker:
        await until(lambda: worker.is_ready)
        yield worker


def noting(done: list[str]) -> Handle:
    """Return a handler that notes the text of each message."""

    async def note(message: Text) -> None:
        done.append(message.text)

    return note


async def waiting(link: Link, queue: WorkQueue[Text]) -> int:
    """Return how many messages wait in the queue."""
    answer = await request(link, f"$JS.API.STREAM.INFO.{queue.stream}", b"")
    return int(answer.split(b'"messages":')[1].split(b",")[0])


async def until_empty(link: Link, queue: WorkQueue[Text]) -> None:
    """Return when nothing waits in the queue; JetStream takes the word on a message in its own time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await waiting(link, queue):  # noqa: ASYNC110 - JetStream tells nobody
            await asyncio.sleep(0.01)


async def request(link: Link, subject: str, payload: bytes) -> bytes:
    """Return JetStream's answer."""
    answer: Message = await link.request(subject, payload, timeout_seconds=PATIENCE_SECONDS, part="JetStream")
    assert not answer.is_unanswered
    assert b'"error"' not in answer.payload
    return answer.payload
