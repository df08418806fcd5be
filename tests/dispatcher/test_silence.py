"""A limit on silence, as one timer a second."""

import asyncio

import pytest

from services.dispatcher import silence
from services.dispatcher.silence import Silence
from tests.dispatcher.rig import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the clock a hundred times a second."""
    monkeypatch.setattr(silence, "CHECK_SECONDS", 0.01)


async def test_silence_past_the_limit_ends_the_wait() -> None:
    """As TimeoutError, from whatever is awaited inside; the limit that was passed can be read."""
    with pytest.raises(TimeoutError):
        async with Silence(0.05) as quiet:
            await asyncio.sleep(PATIENCE_SECONDS)

    assert quiet.limit_seconds == 0.05


async def test_a_word_in_time_starts_the_count_anew() -> None:
    """Many words, each within the limit, together last longer than it."""
    async with Silence(0.2) as quiet:
        for _ in range(6):
            await asyncio.sleep(0.05)
            quiet.allow(0.2)


async def test_a_new_limit_counts_from_the_last_word() -> None:
    """A shorter one ends the wait although the first had hours left."""
    quiet = Silence(3600)

    async def wait() -> None:
        async with quiet:
            quiet.allow(0.05)
            await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(TimeoutError):
        await wait()
    assert quiet.limit_seconds == 0.05


async def test_a_pause_lifts_the_limit_until_the_next_word() -> None:
    """While we ourselves are slow nobody is silent; after it the limit counts again."""
    steps = []

    async def wait() -> None:
        async with Silence(0.05) as quiet:
            quiet.pause()
            await asyncio.sleep(0.15)
            steps.append("paused")
            quiet.allow(0.05)
            await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(TimeoutError):
        await wait()
    assert steps == ["paused"]


async def test_what_ends_in_time_ends_undisturbed() -> None:
    """No timer is left that could cancel what the task does later."""
    async with Silence(0.05):
        pass
    await asyncio.sleep(0.15)


async def test_an_error_inside_comes_out_as_it_is() -> None:
    """Only silence becomes a TimeoutError."""
    with pytest.raises(ZeroDivisionError):
        async with Silence(0.05):
            raise ZeroDivisionError


async def test_a_cancellation_from_outside_stays_one() -> None:
    """Whoever cancelled the task finds it cancelled, not timed out."""

    async def wait() -> None:
        async with Silence(3600):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
