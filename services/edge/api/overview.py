"""What was done: by an account, by the whole site, and how each model does, which anybody may see."""

import asyncio
import time
from weakref import WeakKeyDictionary

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.fields import seconds_of
from services.edge.api.names import names_of
from services.edge.api.shapes import operator, site, wallet
from shared.bus import Bus
from shared.contracts import records
from shared.errors import RelayError
from shared.money import usd_from_nano

STATUS_SECONDS = 10.0  # for which an answer is good for everybody
FAULT_SECONDS = 2.0  # for which nobody asks again after one that has failed
ERRORS_SHOWN = 20

Told = tuple[float, records.Status | RelayError]


class Board:
    """The status as billing told it last, for each span. However many look, billing is asked once at a time."""

    def __init__(self, bus: Bus) -> None:
        self._ask = bus.call
        self._told: dict[records.Hours, Told] = {}
        self._turns: dict[records.Hours, asyncio.Lock] = {}

    async def status(self, hours: records.Hours) -> records.Status:
        """Return the status of these hours, at most STATUS_SECONDS old. Raises: what billing, or the bus, has raised."""
        async with self._turns.setdefault(hours, asyncio.Lock()):
            until, told = self._told.get(hours, (0.0, None))
            if told is None or time.monotonic() >= until:
                try:
                    told = await self._ask(records.GET_STATUS, records.GetStatus(hours=hours))
                    self._told[hours] = (time.monotonic() + STATUS_SECONDS, told)
                except RelayError as error:
                    told = error
                    self._told[hours] = (time.monotonic() + FAULT_SECONDS, told)
        if isinstance(told, RelayError):
            raise told
        return told


_boards: WeakKeyDictionary[Bus, Board] = WeakKeyDictionary()  # of each running edge


async def get_overview(context: Context, ask: Nothing, query: wallet.OverviewQuery) -> wallet.Overview:
    """Return what the account did."""
    account_id = context.person.account_id
    question = records.GetOverview(
        account_id=account_id, days=query.days, key_id=query.key_id, model=query.model
    )
    found = await context.bus.call(records.GET_OVERVIEW, question)
    names = await names_of(context, keys=(each.id for each in found.keys), owner=account_id)
    return wallet.Overview(
        days=query.days,
        step_seconds=found.course.step_seconds,
        totals=_totals(found.course.totals),
        before=_totals(found.course.before),
        points=_points(found.course),
        models=tuple(_slice(each, each.id) for each in found.models),
        keys=tuple(_slice(each, names.keys.get(each.id, "")) for each in found.keys),
        series=tuple(
            wallet.Series(model=each.model, charged_usd=tuple(map(usd_from_nano, each.charged_nano_usd)))
            for each in found.series
        ),
    )


async def get_traffic(context: Context, ask: Nothing, query: operator.TrafficQuery) -> operator.Traffic:
    """Return what the whole site does."""
    found = await context.bus.call(records.GET_TRAFFIC, records.GetTraffic(days=query.days))
    audit = found.audit
    return operator.Traffic(
        days=query.days,
        step_seconds=found.course.step_seconds,
        totals=_totals(found.course.totals),
        before=_totals(found.course.before),
        points=_points(found.course),
        errors=tuple(
            operator.ErrorCount(code=each.id, requests=each.figures.requests)
            for each in found.errors[:ERRORS_SHOWN]
        ),
        channels=tuple(
            operator.ChannelShare(
                channel=each.id,
                requests=each.figures.requests,
                failed=each.figures.failed,
                charged_usd=usd_from_nano(each.figures.charged_nano_usd),
            )
            for each in found.channels
        ),
        credited_usd=usd_from_nano(found.credited_nano_usd),
        written_off_usd=usd_from_nano(found.course.totals.writeoff_nano_usd),
        owed_usd=usd_from_nano(found.owed_nano_usd),
        held_usd=usd_from_nano(found.held_nano_usd),
        running=found.running,
        accounts=found.accounts,
        audit=operator.AuditResult(
            ran=None if audit is None else seconds_of(audit.ran_unix),
            took_ms=None if audit is None else audit.took_ms,
            invariants=None if audit is None else audit.invariants,
            findings=None if audit is None else audit.findings,
        ),
    )


async def get_status(context: Context, ask: Nothing, query: site.StatusQuery) -> site.Status:
    """Return how each model does. No channel is named."""
    board = _boards.get(context.bus)
    if board is None:
        board = _boards[context.bus] = Board(context.bus)
    found = await board.status(query.hours)
    return site.Status(
        hours=query.hours, bucket_seconds=found.slice_seconds, items=tuple(map(_model, found.items))
    )


def _model(status: records.ModelStatus) -> site.ModelStatus:
    return site.ModelStatus(
        model=status.model,
        requests=status.requests,
        success=None if status.requests == 0 else 1 - status.faults / status.requests,
        first_output_ms=status.first_output_ms,
        first_output_p95_ms=status.first_output_p95_ms,
        tokens_per_second=status.tokens_per_second,
        buckets=tuple(
            site.StatusBucket(began=each.began_unix, requests=each.requests, failed=each.faults)
            for each in status.slices
        ),
    )


def _totals(figures: records.Figures) -> wallet.Totals:
    return wallet.Totals(
        requests=figures.requests,
        failed=figures.failed,
        input_tokens=figures.input_tokens,
        cached_tokens=figures.cached_tokens,
        output_tokens=figures.output_tokens,
        charged_usd=usd_from_nano(figures.charged_nano_usd),
        first_output_ms=figures.first_output_ms,
    )


def _points(course: records.Course) -> tuple[wallet.Point, ...]:
    return tuple(
        wallet.Point(
            began=step.began_unix,
            requests=step.figures.requests,
            failed=step.figures.failed,
            input_tokens=step.figures.input_tokens,
            cached_tokens=step.figures.cached_tokens,
            output_tokens=step.figures.output_tokens,
            charged_usd=usd_from_nano(step.figures.charged_nano_usd),
            first_output_ms=step.figures.first_output_ms,
        )
        for step in course.steps
    )


def _slice(part: records.Part, name: str) -> wallet.Slice:
    figures = part.figures
    return wallet.Slice(
        id=part.id,
        name=name,
        requests=figures.requests,
        failed=figures.failed,
        input_tokens=figures.input_tokens,
        cached_tokens=figures.cached_tokens,
        output_tokens=figures.output_tokens,
        charged_usd=usd_from_nano(figures.charged_nano_usd),
        first_output_ms=figures.first_output_ms,
    )


HANDLERS: dict[Endpoint, Handler] = {
    table.OVERVIEW: get_overview,
    table.TRAFFIC: get_traffic,
    table.STATUS: get_status,
}
