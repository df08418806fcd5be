"""Tests of channels: a small real request through the channel, on demand and on schedule, by the way that every request goes.

Keys that are out are tested every `channel_probe_seconds`; all keys every `channel_test_seconds`, if the operator wants that. Which
replica makes a test is decided by its claim in the table: each is made once, and a replica that dies with it leaves it to the next
turn.
"""

import asyncio
import logging
from collections.abc import Callable

import asyncpg
import msgspec

from services.dispatcher import store
from services.dispatcher.channels import Channels
from services.dispatcher.course import Step
from services.dispatcher.evidence import Evidence
from services.dispatcher.health import Health
from services.dispatcher.keys import REFUSED_AS, Keys
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.upstream import AttemptFailed, Upstream
from shared.contracts import dispatcher
from shared.contracts.dispatcher import ChatCall
from shared.db import Pool, transaction
from shared.errors import InvalidRequest, NotFound, Unavailable

OUTPUT_TOKENS = 16
TEST_SECONDS = 30.0
FIRST_OUTPUT_SECONDS = 25.0
CLAIMS_MAX = 16
PAUSES_PER_PROBE = 12  # looks for tests that are due

log = logging.getLogger(__name__)


class Prober:
    """Tests channels; `run` makes the tests that are due."""

    def __init__(
        self,
        pool: Pool,
        channels: Channels,
        upstream: Upstream,
        health: Health,
        keys: Keys,
        settings: DispatcherSettings,
    ) -> None:
        self._pool = pool
        self._channels = channels
        self._upstream = upstream
        self._health = health
        self._keys = keys
        self._settings = settings
        self._now = asyncio.get_running_loop().time
        keys.doubt = self.doubt

    async def on_demand(self, ask: dispatcher.TestChannel) -> dispatcher.ChannelTested:
        """Test a channel with each of its keys, or with one. Raises: NotFound, InvalidRequest."""
        await self._channels.read()  # it may have been made a moment ago, elsewhere
        route = next((route for route in self._channels.known if route.name == ask.name), None)
        if route is None:
            raise NotFound("not_found", what="channel")
        model = ask.model or next(iter(route.models))
        if model not in route.models:
            raise InvalidRequest(
                "invalid_value", param="model", problem="the channel does not serve this model"
            )
        steps = [
            Step(route=route, credential=key) for key in route.credentials if ask.key in (None, key.name)
        ]
        if not steps:
            raise NotFound("not_found", what="key")
        async with transaction(self._pool) as connection:
            await store.note_tests(connection, [step.credential.id for step in steps])
        results = await asyncio.gather(*(self.test(step, model) for step in steps))
        return dispatcher.ChannelTested(name=route.name, model=model, results=tuple(results))

    async def test(self, step: Step, model: str) -> dispatcher.TestResult:
        """Make one test, and act on what comes of it: a key that is refused goes out, one that answers comes in."""
        taker = _Taker(self._now)
        began_at = self._now()
        result, status, wait_seconds = "completed", 200, None
        try:
            async with asyncio.timeout(TEST_SECONDS):
                await self._upstream.answer(
                    step, taker, _call(model), _body(model), Evidence(), FIRST_OUTPUT_SECONDS
                )
        except AttemptFailed as failed:
            result, status, wait_seconds = failed.kind, failed.status or 0, failed.error.retry_after_seconds
        except TimeoutError:
            result, status = "timeout", 0
        now = self._now()
        await self._act(step, model, result, wait_seconds)
        output_at = taker.output_at
        return dispatcher.TestResult(
            key=step.credential.name,
            result=result,
            status=status or None,
            first_output_ms=None if output_at is None else round((output_at - began_at) * 1000),
            took_ms=round((now - began_at) * 1000),
        )

    async def doubt(self, step: Step) -> None:
        """Find out whether a key is refused, or only a request was."""
        await self.test(step, next(iter(step.route.models)))

    async def run(self) -> None:
        """Make the tests that are due, until cancelled."""
        pause = self._settings.channel_probe_seconds
        if self._settings.channel_test_seconds:
            pause = min(pause, self._settings.channel_test_seconds)
        while True:
            await asyncio.sleep(pause / PAUSES_PER_PROBE)
            try:
                await self._make_due()
            except Unavailable as error:
                log.warning("channels are not tested now: %s", error)
            except asyncpg.PostgresError:
                log.exception("channels are not tested now")

    async def _make_due(self) -> None:
        async with transaction(self._pool) as connection:
            due = await store.claim_tests(
                connection,
                refused_seconds=self._settings.channel_probe_seconds,
                all_seconds=self._settings.channel_test_seconds,
                limit=CLAIMS_MAX,
            )
        steps = [
            Step(route=route, credential=credential)
            for route in self._channels.known
            for credential in route.credentials
            if credential.id in due
        ]
        for step in steps:
            tested = await self.test(step, next(iter(step.route.models)))
            if tested.result != "completed":
                details = {"channel": step.route.name, "credential": tested.key, "fault": tested.result}
                log.warning("a channel did not pass its test", extra=details)

    async def _act(self, step: Step, model: str, result: str, wait_seconds: float | None) -> None:
        theirs = step.route.models[model]
        if result == "completed":
            self._health.completed(step.route, step.credential, theirs)
            if step.credential.is_refused or self._health.is_refused(step.credential, self._now()):
                await self._keys.let_in(step)
            return
        self._health.failed(
            step.route, step.credential, theirs, kind=result, wait_seconds=wait_seconds, now=self._now()
        )
        refused_as = REFUSED_AS.get(result)
        if refused_as is not None:
            await self._keys.take_out(step, refused_as)


class _Taker:
    """Takes an answer that nobody reads, and notes when its first output came."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.output_at: float | None = None

    async def send_head(self, head: bytes) -> None:
        """Note that there is output."""
        self.output_at = self._now()

    async def send(self, data: bytes) -> None:
        """Drop it."""


def _call(model: str) -> ChatCall:
    return ChatCall(
        account_id="",
        model=model,
        is_stream=True,
        include_usage=False,
        output_tokens_granted=OUTPUT_TOKENS,
        choices=1,
        input_tokens_bound=1,
        deadline_seconds=TEST_SECONDS,
    )


def _body(model: str) -> bytes:
    return msgspec.json.encode(
        {"model": model, "messages": [{"role": "user", "content": "Say hi."}], "stream": True}
    )
