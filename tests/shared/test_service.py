"""The skeleton of a service as a real process: how it starts, says that it is ready, and ends."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.devstack.nats import EmbeddedNats
from shared.settings import environment
from tests.shared.conftest import PATIENCE_SECONDS

# A service that has one route, one check, one part that can fail, and a line for each step of its life.
SERVICE = """
import asyncio
import sys
from contextlib import asynccontextmanager

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from shared.bus import Bus, link
from shared.errors import Unavailable
from shared.service import build, run
from shared.settings import Settings, load

link.OPEN_SECONDS = 0.3
missing = set()
entered = 0
broken = asyncio.Event()


def say(word):
    print(word, flush=True)


def create_app(settings, bus):
    @asynccontextmanager
    async def opened(life, metrics):
        global entered
        entered += 1
        metrics.gauge("entered", "How often the lifespan was entered").set(entered)
        if entered < {entries}:
            raise Unavailable("service_unavailable", part="PostgreSQL")
        say(f"opened {{bus.is_connected}}")
        part = life.guard(asyncio.create_task(fail()))
        yield {{"word": "state"}}
        if missing:
            say("waits")
            await life.patience(3600)
        say(f"closing {{life.stopping.is_set()}} {{life.is_ready}} {{bus.is_connected}}")
        part.cancel()

    async def fail():
        await broken.wait()
        raise ZeroDivisionError

    async def hello(request):
        return PlainTextResponse(request.state.word)

    async def slow(request):
        say("slow")
        await asyncio.sleep(1.0)
        return PlainTextResponse("finished")

    async def lack(request):
        missing.add("something")
        return PlainTextResponse("")

    async def broke(request):
        broken.set()
        return PlainTextResponse("")

    async def cut(request):
        # The server counts the header too, and ends the connection for good.
        await bus.control.publish("somewhere", b"x" * 1020, error=True)
        return PlainTextResponse("")

    return build(
        bus,
        opened,
        routes=[Route("/" + each.__name__, each) for each in (hello, slow, lack, broke, cut)],
        checks=[lambda: next(iter(missing), None)],
    )


run("auth", create_app, load(Settings))
"""


class Process:
    """One service as a child process, and an HTTP client to it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS)

    async def until_ready(self) -> None:
        """Return when the service says that it is ready."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    if (await self.http.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.02)

    async def until_not_ready(self) -> list[str]:
        """Return what is missing once the service says that it is not ready."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await self.http.get("/readyz")
                if answer.status_code == 503:
                    missing: list[str] = answer.json()["missing"]
                    return missing
                await asyncio.sleep(0.02)

    async def said(self) -> str:
        """Return the next line that the service prints."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_SECONDS)
        return line.decode().strip()

    async def logged(self, word: str) -> dict[str, object]:
        """Return the next log event whose message contains `word`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := await self.process.stderr.readline():
                event: dict[str, object] = json.loads(line)
                if word in str(event["message"]):
                    return event
        raise AssertionError(f"the service never logged {word!r}")

    async def status(self) -> int:
        """Return the exit status once the process has ended."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def started(
    tmp_path: Path, nats_url: str, *, entries: int = 1, drain_seconds: float = 10.0
) -> AsyncIterator[Process]:
    """Start the service; whatever happens, it has ended afterwards."""
    program = tmp_path / "service.py"
    program.write_text(SERVICE.format(entries=entries))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            program,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env=environment(
                RELAY_NATS_URL=nats_url,
                RELAY_LISTEN_FD=str(listener.fileno()),
                RELAY_DRAIN_SECONDS=str(drain_seconds),
                PYTHONPATH=str(Path(__file__).parent.parent.parent),
            ),
        )
        service = Process(process, listener.getsockname()[1])
    try:
        yield service
    finally:
        await service.http.aclose()
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_service_starts_serves_and_ends_in_order(tmp_path: Path, nats_url: str) -> None:
    """Its lifespan is entered with the bus, sees the stop before the bus closes, and the exit status is 0."""
    async with started(tmp_path, nats_url) as service:
        await service.until_ready()
        assert await service.said() == "opened True"

        assert (await service.http.get("/healthz")).json() == {"alive": True}
        assert (await service.http.get("/readyz")).json() == {"ready": True, "missing": []}
        assert (await service.http.get("/hello")).text == "state"
        metrics = await service.http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain")
        assert "relay_entered 1.0" in metrics.text
        assert "process_resident_memory_bytes" in metrics.text
        assert "\nrelay_tasks " in metrics.text
        assert "\nrelay_loop_lag_seconds " in metrics.text
        for answer in (metrics, await service.http.get("/nowhere")):
            assert "server" not in answer.headers

        service.process.send_signal(signal.SIGTERM)

        assert await service.said() == "closing True False True"
        assert await service.status() == 0


async def test_ctrl_c_ends_it_in_the_same_order(tmp_path: Path, nats_url: str) -> None:
    """Without a traceback."""
    async with started(tmp_path, nats_url) as service:
        await service.until_ready()
        assert await service.said() == "opened True"
        service.process.send_signal(signal.SIGINT)

        assert await service.said() == "closing True False True"
        assert await service.status() == 0
        assert service.process.stderr is not None
        assert b"Traceback" not in await service.process.stderr.read()


async def test_an_open_answer_is_finished(tmp_path: Path, nats_url: str) -> None:
    """The signal comes while a request is at work."""
    async with started(tmp_path, nats_url) as service:
        await service.until_ready()
        assert await service.said() == "opened True"
        answer = asyncio.create_task(service.http.get("/slow"))
        assert await service.said() == "slow"
        service.process.send_signal(signal.SIGTERM)

        assert (await answer).text == "finished"
        assert await service.status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_patience_and_not_the_order(
    tmp_path: Path, nats_url: str, number: signal.Signals
) -> None:
    """What the lifespan does in the end is still done."""
    async with started(tmp_path, nats_url) as service:
        await service.until_ready()
        assert await service.said() == "opened True"
        await service.http.get("/lack")
        service.process.send_signal(signal.SIGTERM)
        assert await service.said() == "waits"
        service.process.send_signal(number)

        assert await service.said() == "closing True False True"
        assert await service.status() == 0


async def test_a_check_decides_about_readiness(tmp_path: Path, nats_url: str) -> None:
    """It names what is missing; the process is alive all the same."""
    async with started(tmp_path, nats_url) as service:
        await service.until_ready()
        await service.http.get("/lack")

        answer = await service.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "missing": ["something"]}
        assert (await service.http.get("/healthz")).status_code == 200


async def test_what_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """The bus, and then what the lifespan needs: it is entered again, with metrics of its own."""
    server = EmbeddedNats(tmp_path / "nats", "")
    server.start()
    server.stop()
    try:
        async with started(tmp_path, server.url, entries=3) as service:
            assert "NATS" in str((await service.logged("waiting at the start"))["message"])
            server.start()
            assert "PostgreSQL" in str((await service.logged("(PostgreSQL)"))["message"])
            assert await service.said() == "opened True"
            await service.until_ready()
            assert "relay_entered 3.0" in (await service.http.get("/metrics")).text
    finally:
        server.stop()


async def test_a_signal_ends_the_wait_at_the_start(tmp_path: Path) -> None:
    """Nobody waits half a minute for a service that has never started; the status says that it did not."""
    server = EmbeddedNats(tmp_path / "nats", "")
    server.start()
    server.stop()
    async with started(tmp_path, server.url) as service:
        await service.logged("waiting at the start")
        service.process.send_signal(signal.SIGTERM)

        assert await service.status() == 1


async def test_a_bus_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """Readiness says NATS; afterwards all is well again."""
    server = EmbeddedNats(tmp_path / "nats", "")
    server.start()
    try:
        async with started(tmp_path, server.url) as service:
            await service.until_ready()
            server.stop()
            assert await service.until_not_ready() == ["NATS"]
            server.start()
            await service.until_ready()
    finally:
        server.stop()


@pytest.mark.parametrize("route", ["/cut", "/broke"])
async def test_a_service_that_has_lost_what_it_needs_ends(tmp_path: Path, route: str) -> None:
    """A bus that is closed for good, or a part that failed: it stops in order, with status 1, and says why."""
    with EmbeddedNats(tmp_path / "nats", "max_payload: 1024\n") as server:
        async with started(tmp_path, server.url) as service:
            await service.until_ready()
            assert await service.said() == "opened True"
            await service.http.get(route)

            event = await service.logged("is lost; ending" if route == "/cut" else "a part of the service")
            assert event["level"] == "critical"
            assert await service.status() == 1
            assert (await service.said()).startswith("closing True False")
