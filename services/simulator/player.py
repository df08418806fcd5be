"""Sends a plan: writes each step when it is due, as fast as the peer reads, and notes what went out.

There is no task per stream. A timer of the loop calls `play`, which writes rendered bytes straight to the transport and
sets the next timer, so a paced stream costs one timer and one system call for each step.
"""

import asyncio
import time
from collections.abc import Callable

from services.simulator.journal import Exchange
from services.simulator.plan import Plan

TIMER_SECONDS = 0.001  # uvloop's timers count whole milliseconds; less than one is due now


class Player:
    """The sender of one plan. The transport's write buffer is to be limited to nothing, so that every unsent byte pauses."""

    def __init__(
        self, transport: asyncio.Transport, plan: Plan, exchange: Exchange | None, ended: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._plan = plan
        self._exchange = exchange
        self._ended = ended
        self._started_at = self._loop.time()
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._is_done = False

    def play(self) -> None:
        """Write what is due, then wait for the next step, for the peer to read, or report that all is sent."""
        self._timer = None
        steps = self._plan.steps
        while self._next < len(steps) and not self._is_paused:
            step = steps[self._next]
            due = self._started_at + step.at
            if due - self._loop.time() > TIMER_SECONDS:
                self._timer = self._loop.call_at(due, self.play)
                return
            self._next += 1
            self._write(step.data, step.tokens)
        if self._next == len(steps) and not self._is_paused and not self._is_done:
            self._is_done = True
            if self._exchange is not None:
                self._exchange.end("cut" if self._plan.is_cut else "completed")
            self._ended()

    def pause(self) -> None:
        """Write nothing until `resume`, because the peer does not read."""
        self._is_paused = True

    def resume(self) -> None:
        """Go on."""
        self._is_paused = False
        if self._timer is None:
            self.play()

    def leave(self) -> None:
        """Stop, because the peer has gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        is_early = not self._is_done or self._plan.ending == "hang"
        self._is_done = True
        self._next = len(self._plan.steps)
        if self._exchange is not None and is_early:
            self._exchange.is_closed_early = True
            self._exchange.end("aborted")

    def _write(self, data: bytes, tokens: int) -> None:
        exchange = self._exchange
        if exchange is not None:
            exchange.tokens_emitted = tokens
            exchange.bytes_sent += len(data)
            if data and exchange.first_byte_at is None:
                exchange.first_byte_at = time.time()
        if data:
            self._transport.write(data)
