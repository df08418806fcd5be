"""What an upstream does wrong (F53–F72): the client sees a true status or a visible break, and pays for whole answers only."""

import asyncio

import msgspec
import pytest

from shared.contracts import dispatcher
from shared.contracts.billing import Usage
from tests.dispatcher.raw_server import RawServer, Reader, Writer, serving
from tests.e2e.tenants import cost
from tests.faults.client import Caller
from tests.faults.stage import Stage
from tests.faults.verdict import Allowance, Evidence

STREAMS = 10
EACH = 5  # requests with each fault, plain and streamed in turn where it can be both
BOUND = 100  # the output tokens that a request with a bound may use


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream does by a directive of the simulator, and what must come of it; no `rule` when nothing was accepted.

    `retry` is what the client is told in `x-should-retry`.
    """

    directive: str
    status: int = 200
    rule: str | None
    retry: str | None = None
    is_stream: bool | None = None  # None for both


FAULTS = (
    Fault(directive="status=429", status=502, rule=None, retry="true"),  # F54
    Fault(directive="status=400 echo_secret=1", status=400, rule=None, retry="false"),  # F56
    Fault(directive="status=500", status=502, rule=None, retry="true"),  # F57
    Fault(directive="status=503 err_shape=html", status=502, rule=None, retry="true"),  # F57
    Fault(
        directive="status=504", status=502, rule=None, retry="false"
    ),  # F57: a gateway's; the work may go on behind it
    Fault(directive="cut=first cut_mode=rst", status=502, rule=None, retry="false"),  # F57
    Fault(directive="tps=100 cut=tok:5 cut_mode=rst", rule="C7", is_stream=True),  # F60
    Fault(directive="tps=100 cut=tok:5 cut_mode=bad_chunk", rule="C7", is_stream=True),  # F60
    Fault(directive="tps=100 cut=tok:5 cut_mode=fin", rule="C7", is_stream=True),  # F61
    Fault(
        directive="tps=100 cut=before_done cut_mode=fin", rule="C1", is_stream=True
    ),  # F61: all but the word itself
    Fault(directive="usage=never", rule="C2"),  # F62
    Fault(directive="usage=every", rule="C1"),  # F63
    Fault(directive="usage=last", rule="C1", is_stream=True),  # F63
    Fault(directive="usage=placeholder_zero", rule="C1", is_stream=True),  # F63
    Fault(directive="tps=100 err_in=mid:5", rule="C7", is_stream=True),  # F69
    Fault(directive="err_in=first_event", status=502, rule=None, retry="true", is_stream=True),  # F69
    Fault(directive="reply='data: [DONE] and more'", rule="C1"),  # F104
)

USAGES = (
    ("null", "C2"),
    ('{"prompt_tokens":0,"completion_tokens":0}', "C3"),
    ('{"prompt_tokens":-5,"completion_tokens":2}', "C4"),
    ('{"prompt_tokens":5,"completion_tokens":"many"}', "C4"),
    ('{"prompt_tokens":5,"completion_tokens":9223372036854775808}', "C4"),
    ('{"prompt_tokens":5,"completion_tokens":1e308}', "C4"),
    ('{"prompt_tokens":5.5,"completion_tokens":2}', "C4"),
    ('{"prompt_tokens":[5],"completion_tokens":true}', "C4"),
    ('{"prompt_tokens":5,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":-1}}', "C4"),
    # Some providers count the cached part beside the prompt.
    ('{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}', "C1"),
)


def _is_as_expected(fault: Fault, evidence: Evidence) -> bool:
    transcript = evidence.transcript
    if transcript.status != 200:
        seen = (transcript.status, transcript.headers["x-should-retry"], evidence.holds[0].state)
        return seen == (fault.status, fault.retry, "VOIDED")
    is_whole = fault.rule != "C7"
    return (fault.status, {fault.rule}, is_whole) == (200, evidence.rules, transcript.verdict == "complete")


async def test_f54_f56_f57_f60_f61_f62_f63_f69_every_fault_ends_as_its_row_says(stage: Stage) -> None:
    """Many faults at once: refusals are a status that says whether to repeat, and free; breaks are visible, and free."""
    faults = [fault for fault in FAULTS for _ in range(EACH)]
    for number, fault in enumerate(faults):
        is_stream = number % 2 == 0 if fault.is_stream is None else fault.is_stream
        stage.caller.send(f"hi [[sim out=30 {fault.directive}]]", is_stream=is_stream)

    evidence = await stage.audit()

    wrong = [
        (fault.directive, one.transcript.data, one.rules)
        for fault, one in zip(faults, evidence, strict=True)
        if not _is_as_expected(fault, one)
    ]
    assert wrong == []
    answers = b"".join(one.transcript.data for one in evidence)
    assert stage.tenant.credential.encode() not in answers
    assert b"Simulated" not in answers  # the upstream's own words
    assert all(one.calls for one in evidence)


async def test_f53_an_upstream_that_refuses_connections_is_passed_over_and_costs_nothing(
    stage: Stage,
) -> None:
    """The next channel answers; when there is none, a status that invites a repeat, and nothing is held or charged."""
    first = stage.cluster.network.proxy(stage.cluster.simulator_url)
    first.refuse()
    await stage.operator.add_channel(stage.tenant, first.url, priority=1)
    passed_over = [stage.caller.send(is_stream=number % 2 == 0) for number in range(STREAMS)]
    served = [await call.transcript() for call in passed_over]

    stage.cluster.upstream.refuse()
    alone = [stage.caller.send(is_stream=number % 2 == 0) for number in range(STREAMS)]
    refused = [await call.transcript() for call in alone]

    evidence = await stage.audit()
    assert {one.verdict for one in served} == {"complete"}
    assert {(one.status, one.headers["x-should-retry"]) for one in refused} == {(502, "true")}
    assert {row.charged_nano_usd for one in evidence[STREAMS:] for row in one.usage} == set()
    assert not any(one.calls for one in evidence[STREAMS:])


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_f55_a_key_that_is_refused_is_out_until_a_test_succeeds(stage: Stage, status: int) -> None:
    """502 to whoever met it, then 503 on every replica, and nobody is charged; once a test succeeds everything is as before."""
    tenant = await stage.operator.make_tenant(upstream_url=stage.cluster.upstream.url)
    caller = Caller(stage.cluster, tenant)
    asked = 1 if status == 401 else 2  # a doubtful key is tested first
    await stage.queue(f"status={status} echo_secret=1", key=tenant.credential, times=asked)

    met = await caller.send().transcript()
    await stage.operator.refused(tenant)
    later = [caller.send(is_stream=number % 2 == 0) for number in range(STREAMS)]
    refused = [await call.transcript() for call in later]
    tested = await stage.operator.bus.call(
        dispatcher.TEST_CHANNEL, dispatcher.TestChannel(name=tenant.channel)
    )
    await asyncio.sleep(1)
    again = await caller.send().transcript()

    assert (met.status, met.headers["x-should-retry"]) == (502, "true")
    assert {(one.status, one.headers["x-should-retry"]) for one in refused} == {(503, "true")}
    assert tenant.credential.encode() not in b"".join(one.data for one in [met, *refused])
    assert [each.result for each in tested.results] == ["completed"]
    assert again.verdict == "complete"
    assert len(await stage.operator.settled(tenant, 1)) == 1
    await stage.audit()


async def test_f57_an_upstream_that_fails_every_second_time_is_made_up_for_by_the_next(stage: Stage) -> None:
    """Each request is answered whole by whichever channel can, and charged once, though upstream it was asked twice."""
    await stage.operator.add_channel(stage.tenant, stage.cluster.upstream.url, priority=1)
    stage.caller.send_many(2 * STREAMS, "hi [[sim out=20 fail_first=1 status=500]]")

    evidence = await stage.audit(Allowance(calls_max=2))

    assert {one.transcript.verdict for one in evidence} == {"complete"}
    assert {len(one.calls) for one in evidence} == {2}
    assert all(len(one.usage) == 1 and one.rules == {"C1"} for one in evidence)


async def test_f60_a_connection_that_is_reset_breaks_its_streams_visibly_and_for_free(stage: Stage) -> None:
    """An error event, no `[DONE]`, an unfinished body, rule C7; the next request is served."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=400 tps=20]]")
    for call in calls:
        await call.has_events(5)

    stage.cluster.upstream.reset()

    evidence = await stage.audit()
    assert {one.transcript.verdict for one in evidence} == {"broken"}
    assert {one.transcript.error.code for one in evidence if one.transcript.error} == {
        "upstream_disconnected"
    }
    assert {rule for one in evidence for rule in one.rules} == {"C7"}


async def test_f61_a_connection_that_is_closed_in_order_is_a_break_all_the_same(stage: Stage) -> None:
    """Without `[DONE]` or a finish reason the end of the connection is no end of the answer."""
    calls = stage.caller.send_many(STREAMS, "hi [[sim out=400 tps=20 te=close]]")
    for call in calls:
        await call.has_events(5)

    stage.cluster.upstream.cut()

    evidence = await stage.audit()
    assert {one.transcript.verdict for one in evidence} == {"broken"}
    assert {rule for one in evidence for rule in one.rules} == {"C7"}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_f64_a_usage_that_is_none_costs_no_more_than_the_hold(stage: Stage, is_stream: bool) -> None:
    """Whatever stands in it: the answer is whole, the figures are counts, and what was put in order says so as rule C4."""
    async with serving(_answer_with_the_usage_that_is_asked_for) as upstream:
        tenant = await stage.operator.make_tenant(
            upstream_url=upstream.url.removesuffix("/v1/chat/completions")
        )
        caller = Caller(stage.cluster, tenant)
        for usage, _ in USAGES:
            caller.send(usage, is_stream=is_stream, max_tokens=BOUND)
        answers = await caller.transcripts()
        await stage.audit()

    records = {record.request_id: record for record in await stage.operator.records(tenant)}
    assert {answer.verdict for answer in answers} == {"complete"}
    assert [records[answer.request_id or ""].rule for answer in answers] == [rule for _, rule in USAGES]
    doubtful = [record for record in records.values() if record.rule == "C4"]
    assert all(record.is_estimated and record.usage.output_tokens <= BOUND for record in doubtful)


async def test_f70_streams_of_single_bytes_are_whole_and_delay_nobody(stage: Stage) -> None:
    """However a stream is cut into packets its client gets the same events; the streams beside it are whole as well."""
    torn = stage.caller.send_many(STREAMS, "hi [[sim out=60 tps=20 split=1]]")
    await asyncio.gather(*(call.has_events(2) for call in torn))
    stage.caller.send_many(STREAMS, "hi [[sim out=20 tps=20]]")

    evidence = await stage.audit()

    assert {one.transcript.verdict for one in evidence} == {"complete"}
    assert {rule for one in evidence for rule in one.rules} == {"C1"}


async def test_f72_more_output_than_was_allowed_is_charged_as_far_as_the_money_goes(stage: Stage) -> None:
    """An upstream that answers three times over bills for it: the hold pays, then what is available; the rest is a write-off."""
    text = f"hi [[sim out={BOUND} n=3]]"
    for number in range(STREAMS):
        stage.caller.send(text, is_stream=number % 2 == 0, max_tokens=BOUND)
    usage = Usage(input_tokens=0, output_tokens=BOUND)
    poor = await stage.operator.make_tenant(
        balance_nano_usd=cost(usage, stage.tenant.price),
        input_pico_usd=0,
        upstream_url=stage.cluster.upstream.url,
    )
    overdrawn = await Caller(stage.cluster, poor).send(text, max_tokens=BOUND).transcript()

    evidence = await stage.audit()

    rows = [row for one in evidence for row in one.usage]
    assert {(row.rule, row.usage.output_tokens) for row in rows} == {("C1", 3 * BOUND)}
    assert all(row.charged_nano_usd == cost(row.usage, stage.tenant.price) for row in rows)
    assert overdrawn.verdict == "complete"
    (record,) = await stage.operator.records(poor)
    assert (record.charged_nano_usd, record.writeoff_nano_usd) == (
        cost(usage, poor.price),
        2 * cost(usage, poor.price),
    )
    assert (await stage.operator.balance(poor)).posted_nano_usd == 0


class _Message(msgspec.Struct, frozen=True):
    content: str


class _Question(msgspec.Struct, frozen=True):
    messages: tuple[_Message, ...]
    stream: bool


async def _answer_with_the_usage_that_is_asked_for(server: RawServer, reader: Reader, writer: Writer) -> None:
    """Answer each request with the JSON behind the marker of its text as the usage."""
    while request := await server.read_request(reader):
        question = msgspec.json.decode(request.partition(b"\r\n\r\n")[2], type=_Question)
        usage = question.messages[-1].content.partition(" ")[2]
        if question.stream:
            delta = '"delta":{"content":"hi"},"finish_reason":"stop"'
            events = [f'{{"choices":[{{"index":0,{delta}}}]}}', f'{{"choices":[],"usage":{usage}}}', "[DONE]"]
            kind, body = "text/event-stream", "".join(f"data: {event}\n\n" for event in events)
        else:
            message = '"message":{"content":"hi"},"finish_reason":"stop"'
            kind, body = "application/json", f'{{"choices":[{{"index":0,{message}}}],"usage":{usage}}}'
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
