"""From channel to channel until one answers: `docs/failover.md` is the contract, this is its loop.

Three limits stand over it: ATTEMPTS_MAX for one call, `failover_seconds` from when the call came, after which nothing new is begun,
and a budget over all calls, so that an outage does not multiply its own load.
"""

import asyncio
import logging
import random

from services.dispatcher.channels import Channels
from services.dispatcher.course import Course, Step
from services.dispatcher.evidence import Evidence
from services.dispatcher.funding import Unfunded
from services.dispatcher.health import Health
from services.dispatcher.keys import REFUSED_AS, Keys
from services.dispatcher.measures import Measures
from services.dispatcher.routing import Route, order
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.spans import chat_span
from services.dispatcher.upstream import AttemptFailed, Sink, Upstream
from shared.budget import Budget
from shared.contracts.billing import UpstreamAttempt
from shared.contracts.dispatcher import ChatCall
from shared.errors import RelayError, Unavailable, UpstreamFailed
from shared.metrics import Metrics

ATTEMPTS_MAX = 3
BUDGET_SECONDS = 10.0  # of further attempts can be saved up
FAILOVER_RETRY_SECONDS = 1.0
NO_CHANNEL_SECONDS = 5.0

log = logging.getLogger(__name__)


class Failover:
    """Carries each call over the channels of its model."""

    def __init__(
        self,
        channels: Channels,
        upstream: Upstream,
        health: Health,
        keys: Keys,
        settings: DispatcherSettings,
        metrics: Metrics,
    ) -> None:
        self._channels = channels
        self._upstream = upstream
        self._health = health
        self._keys = keys
        self._settings = settings
        self._now = asyncio.get_running_loop().time
        per_second = settings.failover_per_second
        self._budget = Budget(
            share=settings.failover_share,
            per_second=per_second,
            burst=per_second * BUDGET_SECONDS,
            now=self._now(),
        )
        self._measures = Measures(metrics)

    async def answer(
        self, sink: Sink, call: ChatCall, body: bytes, evidence: Evidence, request_id: str
    ) -> None:
        """Send the answer of the first channel that has one.

        Raises: the RelayError that the client is to get when none has, or when the answer breaks; Unfunded.
        """
        run = _Run(call, evidence, self._now(), request_id)
        self._budget.earn(run.began_at)
        routes = order(self._channels.routes, call.model, random.random)
        course = Course(routes, call.model, self._health, random.random, run.began_at)
        while True:
            now = self._now()
            step = course.next(now)
            for route, standing in course.passed_over(step, now):
                self._skip(run, route, standing, now)
            if step is None or not self._may_try(run, step, now):
                break
            failed = await self._try(run, course, step, sink, body)
            if failed is None:
                return
            run.failures.append(failed)
            evidence.may_be_billed = any(each.may_be_billed for each in run.failures)
            if failed.is_final:
                break
        if run.failures:
            raise _for_client(run.failures)
        wait_seconds = course.wait_seconds(self._now()) or NO_CHANNEL_SECONDS
        raise Unavailable("no_channel_available", retry_after_seconds=wait_seconds, model=call.model)

    def _may_try(self, run: "_Run", step: Step, now: float) -> bool:
        """Return whether a further attempt may begin, and take it from the budget; the first one always may."""
        if not run.failures:
            return True
        if len(run.failures) >= ATTEMPTS_MAX:
            return False
        if now - run.began_at >= self._settings.failover_seconds:
            self._skip(run, step.route, "time_budget", now)
            return False
        if not self._budget.take(now):
            self._skip(run, step.route, "retry_budget", now)
            return False
        return True

    async def _try(
        self, run: "_Run", course: Course, step: Step, sink: Sink, body: bytes
    ) -> AttemptFailed | None:
        """Make one attempt, and take note of what came of it; return why it failed, if it did."""
        began_at = self._now()
        evidence = run.evidence
        course.asked(step)
        evidence.begin(step.route)
        limit_seconds = self._limit_seconds(run, course, step, began_at)
        result, status, may_be_billed = "cancelled", None, True
        try:
            with chat_span(step.route, run.call.model, evidence):
                await self._upstream.answer(step, sink, run.call, body, evidence, limit_seconds)
            result, status = "completed", 200
        except AttemptFailed as failed:
            result, status, may_be_billed = failed.kind, failed.status, failed.may_be_billed
            evidence.is_accepted = evidence.is_committed
            self._failed(run, course, step, failed)
            return failed
        except Unfunded:
            result, status = "unfunded", 200
            raise
        except RelayError:
            result, may_be_billed = "invalid_request", False
            raise
        finally:
            committed_at = evidence.committed_at
            first_output_seconds = None if committed_at is None else committed_at - began_at
            self._measures.attempt(step.route.name, result, first_output_seconds)
            evidence.note(
                UpstreamAttempt(
                    channel=step.route.name,
                    result=result,
                    credential=step.credential.name,
                    status=status,
                    began_ms=_ms(began_at - run.began_at),
                    took_ms=_ms(self._now() - began_at),
                    may_be_billed=may_be_billed,
                )
            )
        self._health.completed(step.route, step.credential, step.route.models[run.call.model])
        return None

    def _failed(self, run: "_Run", course: Course, step: Step, failed: AttemptFailed) -> None:
        self._health.failed(
            step.route,
            step.credential,
            step.route.models[run.call.model],
            kind=failed.kind,
            wait_seconds=failed.error.retry_after_seconds,
            now=self._now(),
        )
        course.failed(step, failed.kind)
        refused_as = REFUSED_AS.get(failed.kind)
        if refused_as is not None:
            self._keys.refused(step, refused_as, failed.status)
        log.info(
            "a channel could not answer",
            extra={"request_id": run.request_id, "channel": step.route.name, "fault": failed.kind},
        )

    def _limit_seconds(self, run: "_Run", course: Course, step: Step, now: float) -> float:
        """Return how long the first output may take: shorter when another channel could still be asked after it.

        A plain answer comes all at once, and a long one takes long: it has the whole time.
        """
        longest = self._settings.first_output_seconds
        slow = step.route.slow_seconds or self._settings.slow_seconds
        is_in_time = now + slow - run.began_at < self._settings.failover_seconds
        has_another = (
            run.call.is_stream
            and slow < longest
            and is_in_time
            and len(run.failures) + 1 < ATTEMPTS_MAX
            and course.has_other(step, now)
            and self._budget.has_some(now)
        )
        return slow if has_another else longest

    def _skip(self, run: "_Run", route: Route, reason: str, now: float) -> None:
        """Note that a channel was not asked, and why."""
        skipped = UpstreamAttempt(
            channel=route.name, result=f"skipped_{reason}", began_ms=_ms(now - run.began_at)
        )
        run.evidence.note(skipped)
        self._measures.skip(route.name, reason)


class _Run:
    """One call on its way over the channels."""

    def __init__(self, call: ChatCall, evidence: Evidence, began_at: float, request_id: str) -> None:
        self.call = call
        self.request_id = request_id
        self.evidence = evidence
        self.began_at = began_at
        self.failures: list[AttemptFailed] = []


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _for_client(failures: list[AttemptFailed]) -> RelayError:
    """Return the last error, with an invitation to repeat if no attempt can have cost anything."""
    error = failures[-1].error
    if isinstance(error, UpstreamFailed):
        waits = [each.error.retry_after_seconds or FAILOVER_RETRY_SECONDS for each in failures]
        is_free = not any(each.may_be_billed for each in failures)
        error.retry_after_seconds = min(waits) if is_free else None
    return error
