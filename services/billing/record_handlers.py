"""What billing answers about the past: each function is one call of `shared.contracts.records`.

They have a pool of their own, so that no look at a million rows keeps a connection from a lease or a credit.
"""

import datetime

from services.billing import call_store, traffic_store
from services.billing.fields import check_moment, check_text, identify
from services.billing.percentiles import MEDIAN, P95, percentile, rounded
from services.billing.traffic_store import BY_CHANNEL, BY_ERROR, BY_KEY, BY_MODEL, BY_STEP, Counts, Span
from shared.bus import Bus
from shared.contracts import records
from shared.db import Connection, Pool, transaction
from shared.errors import InvalidRequest, NotFound

TEXT_CHARACTERS_MAX = 256
KEYS_MAX = 1000
SERIES_MAX = 12
SLICE_SECONDS = {1: 300, 24: 3_600, 168: 21_600}


class RecordHandlers:
    """Billing's calls about the past."""

    def __init__(self, bus: Bus, pool: Pool) -> None:
        self._bus = bus
        self._pool = pool

    async def serve(self) -> None:
        """Answer every call of the contract from now on."""
        serve = self._bus.serve
        await serve(records.LIST_CALLS, self.list_calls)
        await serve(records.LIST_TRANSFERS, self.list_transfers)
        await serve(records.LIST_CLAIMS, self.list_claims)
        await serve(records.GET_OVERVIEW, self.get_overview)
        await serve(records.GET_TRAFFIC, self.get_traffic)
        await serve(records.GET_STATUS, self.get_status)
        await serve(records.GET_KEY_SPENDING, self.get_key_spending)

    async def list_calls(self, request: records.ListCalls) -> records.CallPage:
        """Return a page of calls."""
        for name in ("account_id", "request_id", "before"):
            if (text := getattr(request, name)) is not None:
                identify(name, text)
        for name in ("model", "key_id", "channel", "error"):
            if (text := getattr(request, name)) is not None:
                check_text(name, text, most=TEXT_CHARACTERS_MAX)
        check_moment("first_day", request.first_unix)
        check_moment("end_day", request.end_unix)
        _check_limit(request.limit)
        async with transaction(self._pool) as connection:
            return await call_store.calls(connection, request)

    async def list_transfers(self, request: records.ListTransfers) -> records.TransferPage:
        """Return a page of an account's transfers."""
        identify("account_id", request.account_id)
        check_moment("first_day", request.first_unix)
        check_moment("end_day", request.end_unix)
        _check_limit(request.limit)
        if request.before is not None and not 0 <= request.before < 2**63:
            raise InvalidRequest("invalid_value", param="cursor", problem="there is no such page")
        async with transaction(self._pool) as connection:
            return await call_store.transfers(connection, request)

    async def list_claims(self, request: records.ListClaims) -> records.ClaimPage:
        """Return a page of a batch's claims. Raises: NotFound for a batch that does not exist."""
        check_text("batch", request.batch, most=TEXT_CHARACTERS_MAX)
        _check_limit(request.limit)
        before = None if request.before is None else _claim_of(request.before)
        async with transaction(self._pool) as connection:
            if not await call_store.has_batch(connection, request.batch):
                raise NotFound("not_found", what="batch")
            found = await call_store.claims(connection, request.batch, before, request.limit + 1)
        page = found[: request.limit]
        return records.ClaimPage(
            items=tuple(records.ClaimRecord(account_id=by, claimed_unix=at.timestamp()) for at, by in page),
            next_before=None if len(found) <= request.limit else _name_of(page[-1]),
        )

    async def get_overview(self, request: records.GetOverview) -> records.Overview:
        """Tell what an account did."""
        identify("account_id", request.account_id)
        for name, text in (("key_id", request.key_id), ("model", request.model)):
            if text is not None:
                check_text(name, text, most=TEXT_CHARACTERS_MAX)
        async with transaction(self._pool) as connection:
            span = traffic_store.span_of(await traffic_store.bound(connection), request.days)
            asked = (request.account_id, span, request.key_id, request.model)
            counts = await traffic_store.counts(connection, *asked)
            former = await traffic_store.counts(
                connection, request.account_id, span.former, request.key_id, request.model
            )
        return records.Overview(
            course=_course(span, counts, former),
            models=counts.parts(BY_MODEL),
            keys=counts.parts(BY_KEY),
            series=_series(span, counts),
        )

    async def get_traffic(self, request: records.GetTraffic) -> records.Traffic:
        """Tell what the whole site did, and how it stands."""
        async with transaction(self._pool) as connection:
            span = traffic_store.span_of(await traffic_store.bound(connection), request.days)
            counts = await traffic_store.counts(connection, None, span)
            former = await traffic_store.counts(connection, None, span.former)
            return await _traffic(connection, span, counts, former)

    async def get_status(self, request: records.GetStatus) -> records.Status:
        """Tell how each model did."""
        seconds = SLICE_SECONDS[request.hours]
        async with transaction(self._pool) as connection:
            now = await traffic_store.bound(connection)
            last = now.timestamp() // seconds * seconds
            steps = request.hours * 3_600 // seconds
            first = datetime.datetime.fromtimestamp(last - (steps - 1) * seconds, datetime.UTC)
            span = Span(first=first, steps=steps, step_seconds=seconds)
            by_model, timed = await traffic_store.slices(connection, span)
        items = []
        for model, known in sorted(by_model.items()):
            slices = [(began, *known.get(began, (0, 0))) for began in span.begins]
            first_output = timed.get((model, "first_output_ms"), {})
            speed = percentile(timed.get((model, "tokens_per_second"), {}), MEDIAN)
            items.append(
                records.ModelStatus(
                    model=model,
                    requests=sum(requests for _, requests, _ in slices),
                    faults=sum(faults for _, _, faults in slices),
                    first_output_ms=rounded(percentile(first_output, MEDIAN)),
                    first_output_p95_ms=rounded(percentile(first_output, P95)),
                    tokens_per_second=None if speed is None else round(speed, 1),
                    slices=tuple(
                        records.ModelSlice(
                            began_unix=int(began.timestamp()), requests=requests, faults=faults
                        )
                        for began, requests, faults in slices
                    ),
                )
            )
        return records.Status(slice_seconds=seconds, items=tuple(items))

    async def get_key_spending(self, request: records.GetKeySpending) -> records.KeySpending:
        """Tell what keys of an account were charged."""
        identify("account_id", request.account_id)
        if len(request.key_ids) > KEYS_MAX:
            raise InvalidRequest(
                "invalid_value", param="key_ids", problem=f"at most {KEYS_MAX} keys are asked for"
            )
        for key_id in request.key_ids:
            check_text("key_ids", key_id, most=TEXT_CHARACTERS_MAX)
        async with transaction(self._pool) as connection:
            await traffic_store.bound(connection)
            spent = await traffic_store.spending(connection, request.account_id, request.key_ids)
        return records.KeySpending(charged_nano_usd=spent)


async def _traffic(connection: Connection, span: Span, counts: Counts, former: Counts) -> records.Traffic:
    return records.Traffic(
        course=_course(span, counts, former),
        models=counts.parts(BY_MODEL),
        channels=tuple(each for each in counts.parts(BY_CHANNEL) if each.id),
        errors=tuple(
            sorted(
                (each for each in counts.parts(BY_ERROR) if each.id), key=lambda each: -each.figures.requests
            )
        ),
        credited_nano_usd=await traffic_store.credited(connection, span),
        audit=await traffic_store.audited(connection),
        **await traffic_store.standing(connection),
    )


def _course(span: Span, counts: Counts, former: Counts) -> records.Course:
    return records.Course(
        step_seconds=span.step_seconds,
        totals=counts.of(traffic_store.ALL),
        before=former.of(traffic_store.ALL),
        steps=tuple(
            records.Step(began_unix=int(began.timestamp()), figures=counts.of(BY_STEP, began))
            for began in span.begins
        ),
    )


def _series(span: Span, counts: Counts) -> tuple[records.Series, ...]:
    """Return what the dearest models cost in each step; those beyond SERIES_MAX are left out, the parts have them."""
    return tuple(
        records.Series(
            model=part.id,
            charged_nano_usd=tuple(counts.charged[part.id].get(began, 0) for began in span.begins),
        )
        for part in counts.parts(BY_MODEL)[:SERIES_MAX]
        if part.figures.charged_nano_usd
    )


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= records.PAGE_ROWS_MAX:
        raise InvalidRequest(
            "invalid_value", param="limit", problem=f"a page has 1 to {records.PAGE_ROWS_MAX} rows"
        )


def _name_of(claim: tuple[datetime.datetime, str]) -> str:
    at, by = claim
    return f"{at.isoformat()}_{by}"


def _claim_of(name: str) -> tuple[datetime.datetime, str]:
    at, _, by = name.partition("_")
    identify("cursor", by)
    try:
        moment = datetime.datetime.fromisoformat(at)
    except ValueError as error:
        raise InvalidRequest("invalid_value", param="cursor", problem="there is no such page") from error
    if moment.tzinfo is None:
        raise InvalidRequest("invalid_value", param="cursor", problem="there is no such page")
    return moment, by
