"""The judge finds each way in which a request can have gone wrong, and nothing wrong with what is right."""

import msgspec
import pytest

from services.simulator.journal import JournalEntry
from shared.contracts.billing import Price, Usage
from tests.e2e.tenants import Tenant
from tests.faults.client import End, Transcript
from tests.faults.verdict import Allowance, Evidence, Hold, UsageRow, expected_body, expected_events, problems

UPSTREAM_BODY = (
    b'{"model":"m","messages":[{"role":"user","content":"x hi [[sim out=3]]"}],"stream":true,'
    b'"stream_options":{"include_usage":true}}'
)
PLAIN_BODY = b'{"model":"m","messages":[{"role":"user","content":"x hi [[sim out=3]]"}]}'
KEY = "sk-sim-openai-x"
EVENTS = expected_events(UPSTREAM_BODY, KEY)
ERROR = (
    b'{"error":{"message":"Broken.","type":"service_unavailable","param":null,"code":"stream_interrupted"}}'
)
TENANT = Tenant(
    account_id="a",
    key_id="k",
    key="s",
    model="m",
    channel="c",
    credential=KEY,
    price=Price(
        id=1,
        model="m",
        input_pico_usd=1,
        output_pico_usd=1,
        cache_read_pico_usd=1,
        cache_write_pico_usd=1,
        max_output_tokens=1,
        effective_unix=0.0,
    ),
)


def _transcript(data: bytes, *, end: End = "fin", is_stream: bool = True) -> Transcript:
    return Transcript(
        tenant=TENANT,
        edge="edge-0",
        marker="x",
        body=b"{}",
        is_stream=is_stream,
        data=data,
        end=end,
        started_at=0.0,
        ended_at=1.0,
        event_seconds=(),
    )


def _stream(events: list[bytes], *, is_whole: bool) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-request-id: id\r\n\r\n"
    chunks = [b"data: " + event + b"\n\n" for event in events]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + body + (b"0\r\n\r\n" if is_whole else b"")


def _plain(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nx-request-id: id\r\n\r\n".encode() + body


def _call(body: bytes, outcome: str = "completed") -> JournalEntry:
    return msgspec.convert(
        {
            "number": 1, "method": "POST", "path": "/v1/chat/completions", "headers": [], "body": body.decode(),
            "body_bytes": len(body), "api_key": KEY, "model": "m", "status": 200, "received_at": 0.0,
            "first_byte_at": None, "ended_at": None, "bytes_sent": 0, "tokens_planned": 3, "tokens_emitted": 3,
            "outcome": outcome, "is_closed_early": False,
        },
        JournalEntry,
    )  # fmt: skip


def _usage(rule: str, charged: int) -> UsageRow:
    return UsageRow(
        request_id="id",
        is_late=False,
        rule=rule,
        usage=Usage(),
        charged_nano_usd=charged,
        witness="dispatcher",
    )


def _evidence(
    transcript: Transcript,
    *,
    state: str | None = "SETTLED",
    rule: str | None = "C1",
    charged: int = 5,
    calls: int = 1,
    outcome: str = "completed",
) -> Evidence:
    body = UPSTREAM_BODY if transcript.is_stream else PLAIN_BODY
    return Evidence(
        transcript=transcript,
        holds=() if state is None else (msgspec.convert({"id": "id", "state": state}, Hold),),
        usage=() if rule is None else (_usage(rule, charged),),
        calls=(_call(body, outcome),) * calls,
        bills=(),
    )


COMPLETE = _transcript(_stream(EVENTS, is_whole=True))
BROKEN = _transcript(_stream([*EVENTS[:2], ERROR], is_whole=False))
TORN = _transcript(_stream(EVENTS[:2], is_whole=False), end="rst")
REFUSED = _transcript(_plain(503, ERROR))
NOTHING = _transcript(b"", end="refused")
LEFT = _transcript(_stream(EVENTS[:2], is_whole=False), end="left")
PLAIN = _transcript(_plain(200, expected_body(PLAIN_BODY, KEY)), is_stream=False)
HALF_PLAIN = _transcript(PLAIN.data[:-5], is_stream=False)


def test_a_transcript_says_what_a_program_would_make_of_it() -> None:
    """Complete, broken, refused, nothing, or left: by the rules of HTTP and of the API."""
    verdicts = [each.verdict for each in (COMPLETE, BROKEN, TORN, REFUSED, NOTHING, LEFT, PLAIN, HALF_PLAIN)]

    assert verdicts == ["complete", "broken", "broken", "refused", "nothing", "left", "complete", "broken"]
    assert (BROKEN.error and BROKEN.error.code, REFUSED.status) == ("stream_interrupted", 503)


@pytest.mark.parametrize(
    "evidence",
    [
        _evidence(COMPLETE),
        _evidence(PLAIN),
        _evidence(COMPLETE, rule="C2"),
        _evidence(BROKEN, rule="C7", charged=0),
        _evidence(BROKEN, rule="C9", charged=0, state="EXPIRED"),
        _evidence(BROKEN, rule=None, state="VOIDED"),
        _evidence(TORN, rule="C8", charged=0),
        _evidence(REFUSED, rule=None, state=None, calls=0),
        _evidence(REFUSED, rule=None, state="VOIDED", calls=0),
        _evidence(NOTHING, rule=None, state=None, calls=0),
        _evidence(LEFT, rule="C6"),
        _evidence(LEFT, rule="C1"),
        _evidence(LEFT, rule=None, state="VOIDED"),
    ],
)
def test_what_is_right_is_found_right(evidence: Evidence) -> None:
    """Each way in which a request may end by the table has no problem."""
    assert problems(evidence, Allowance()) == []


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (_evidence(_transcript(_stream(EVENTS[:2], is_whole=True)), rule="C8", charged=0), "cut in silence"),
        (_evidence(_transcript(_stream([*EVENTS[:1], ERROR, b"[DONE]"], is_whole=True))), "after an error"),
        (_evidence(_transcript(_stream([*EVENTS, b"[DONE]"], is_whole=True))), "went on after [DONE]"),
        (_evidence(_transcript(_stream([*EVENTS[1:]], is_whole=True))), "not what the upstream sent"),
        (
            _evidence(_transcript(_stream([EVENTS[1], ERROR], is_whole=False)), rule="C7", charged=0),
            "event 0",
        ),
        (_evidence(_transcript(_plain(200, b"{}"), is_stream=False)), "not what the upstream sent"),
        (_evidence(COMPLETE, state=None, rule=None), "without a hold"),
        (_evidence(COMPLETE, state="HELD", rule=None), "still held"),
        (_evidence(COMPLETE, state="EXPIRED", rule="C9", charged=0), "EXPIRED by ['C9']"),
        (_evidence(COMPLETE, state="VOIDED", rule=None), "VOIDED by []"),
        (_evidence(COMPLETE, rule="C8", charged=0), "SETTLED by ['C8']"),
        (_evidence(COMPLETE, calls=0), "knows nothing of it"),
        (_evidence(COMPLETE, calls=2), "reached the upstream 2 times"),
        (_evidence(BROKEN, rule="C1"), "decided by ['C1']"),
        (_evidence(BROKEN, rule="C6"), "decided by ['C6']"),
        (_evidence(BROKEN, rule="C7", charged=1), "costs 1 nano-USD"),
        (_evidence(NOTHING, rule="C1"), "decided by ['C1']"),
        (_evidence(REFUSED, rule="C8", charged=7), "costs 7 nano-USD"),
        (_evidence(LEFT, rule="C8", charged=7), "costs 7 nano-USD"),
        (_evidence(BROKEN, rule="C8", charged=0, outcome="running"), "still runs at the upstream"),
    ],
)
def test_what_is_wrong_is_said(evidence: Evidence, words: str) -> None:
    """Each fault of stream, ledger or upstream becomes a sentence that names it."""
    assert words in " ".join(problems(evidence, Allowance()))


def test_an_allowance_widens_the_table_and_nothing_else() -> None:
    """A scenario can expect a rule for a broken stream, a lost settlement, or a second call of the upstream."""
    lost = _evidence(COMPLETE, state="EXPIRED", rule="C9", charged=0)
    charged = _evidence(BROKEN, rule="C1")
    twice = _evidence(COMPLETE, calls=2)
    given = _evidence(COMPLETE, rule="C8", charged=0)

    assert problems(lost, Allowance(may_be_lost=True)) == []
    assert problems(charged, Allowance(rules=frozenset({"C1"}))) == []
    assert problems(twice, Allowance(calls_max=2)) == []
    assert problems(given, Allowance(may_be_free=True)) == []
    assert problems(given, Allowance(may_be_lost=True)) != []
    assert problems(charged, Allowance(may_be_lost=True, calls_max=2)) != []


def test_an_id_of_another_hold_is_found() -> None:
    """What the client was told must be the id that the ledger knows."""
    other = msgspec.structs.replace(_evidence(COMPLETE), holds=(Hold(id="other", state="SETTLED"),))

    assert "was told the id" in " ".join(problems(other, Allowance()))
