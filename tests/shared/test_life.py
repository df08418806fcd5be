"""The life of a service within its process."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared import service
from shared.service import Life
from tests.shared.conftest import soon


async def test_work_beside_a_service_ends_though_it_misses_a_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A library that loses one must not keep the process from ending."""
    monkeypatch.setattr(service, "CANCEL_SECONDS", 0.01)
    cancellations = 0

    async def insist() -> None:
        nonlocal cancellations
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations += 1
                if cancellations == 3:
                    raise

    async with AsyncExitStack() as stack:
        Life().run_beside(stack, insist())
        await asyncio.sleep(0)
        await soon(stack.aclose())

    assert cancellations == 3
