"""Waiting for tasks for as long as somebody has patience."""

import asyncio
from collections.abc import Awaitable


async def until_done(tasks: "set[asyncio.Task[None]]", patience: Awaitable[None]) -> None:
    """Return when `tasks` is empty, or as soon as `patience` ends. A task leaves the set when it is done, and more may join it."""
    waiting = asyncio.ensure_future(patience)
    try:
        while tasks and not waiting.done():
            done = asyncio.ensure_future(asyncio.wait(set(tasks)))
            await asyncio.wait({waiting, done}, return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
    finally:
        waiting.cancel()
