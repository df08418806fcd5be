"""Passwords as Argon2id hashes, made in a few threads with a bounded queue.

A password has few random bits, so its hash is made slow and large (the second recommended parameters of RFC 9106 §4, the defaults
of argon2-cffi): 64 MiB and some 100 ms of a processor each. Without a bound, a crowd at the door would take all memory.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Self, TypeVar

import argon2

from shared.errors import Unavailable

WAITING_MAX = 64  # with two threads, who comes last has waited for three seconds
T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords in `threads` threads, while it is entered."""

    def __init__(self, threads: int) -> None:
        self._hasher = argon2.PasswordHasher()
        self._threads = threads
        self._unmatched = _unmatched()
        self._pool: ThreadPoolExecutor
        self.running = 0

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Return the hash in its text form. Raises: Unavailable when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def is_match(self, password: str, stored: str | None) -> bool:
        """Tell whether `password` made `stored`; for None (nobody, or without a password) by the same work. Raises: Unavailable."""
        return (
            await self._run(lambda: self._verify(password, stored or self._unmatched)) and stored is not None
        )

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except argon2.exceptions.VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self.running >= self._threads + WAITING_MAX:
            raise Unavailable("overloaded", retry_after_seconds=3)
        self.running += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._on_done)  # a caller that leaves frees no thread
        return await asyncio.shield(future)

    def _on_done(self, future: "asyncio.Future[T]") -> None:
        self.running -= 1
        if not future.cancelled():
            future.exception()  # it is whoever waits who hears of it; that nobody did is no news


@cache
def _unmatched() -> str:
    """A hash that no password has made: whoever is unknown is checked against it, at the same cost."""
    return argon2.PasswordHasher().hash(secrets.token_urlsafe())


def is_common(password: str) -> bool:
    """Tell whether `password` is one of those that leaked most often, in any case of letters."""
    return password.strip().lower() in _common()


@cache
def _common() -> frozenset[str]:
    return frozenset((files("services.auth") / "common_passwords.txt").read_text(encoding="utf-8").split())
