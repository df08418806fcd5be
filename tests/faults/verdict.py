"""What is wrong with one request, judged from all that is known of it. Pure: the auditor gathers, this module decides.

The client's transcript, the ledger and the simulator's own journal must tell one story:

    the client saw          the ledger says
    complete                SETTLED by C1…C4, for the units that the upstream counts
    broken, or nothing      VOIDED, or no charge by C5, C7, C8 or C9
    refused                 the same, or no hold at all
    left by itself          any end; a charge by C1…C4 or C6 only

and no stream may be cut in silence, no byte may differ from what the upstream sent, and no upstream be called too often.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from services.simulator import chat
from services.simulator.answer import Answer, compose
from services.simulator.behaviour import Behaviour
from services.simulator.desk import understand
from services.simulator.journal import JournalEntry, LedgerEntry
from services.simulator.prompt import ChatRequest, decode
from shared.contracts.billing import Usage
from tests.e2e.tenants import billed
from tests.faults.client import Transcript

COMPLETE = frozenset({"C1", "C2", "C3", "C4"})
SEED = 0  # of the simulator in a cluster
FREE = frozenset({"C5", "C7", "C8", "C9"})


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The hold of a request as the ledger has it."""

    id: str
    state: Literal["HELD", "SETTLED", "VOIDED", "EXPIRED"]


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A usage row of a request; `is_late` is the one beside an expired hold's."""

    request_id: str
    is_late: bool
    rule: str
    usage: Usage
    charged_nano_usd: int
    witness: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one request: the client's side, the ledger's, and the upstream's."""

    transcript: Transcript
    holds: tuple[Hold, ...]
    usage: tuple[UsageRow, ...]
    calls: tuple[JournalEntry, ...]
    bills: tuple[LedgerEntry, ...]

    @property
    def charged_nano_usd(self) -> int:
        """What the customer paid."""
        return sum(row.charged_nano_usd for row in self.usage)

    @property
    def rules(self) -> set[str]:
        """The rows of the charging table that decided."""
        return {row.rule for row in self.usage}


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario takes for right beyond the common table.

    `rules` may decide about requests that the client did not see complete. With `may_be_lost` a complete answer may have
    EXPIRED uncharged: every witness died. With `may_be_free` it may have been given away by C8: its dispatcher was told that the
    edge is gone before it could hear that the edge has all of it. `calls_max` is how often one request may reach an upstream. With
    `may_end` a process may have ended by itself.
    """

    rules: frozenset[str] = frozenset()
    may_be_lost: bool = False
    may_be_free: bool = False
    calls_max: int = 1
    may_end: bool = False


def problems(evidence: Evidence, allowance: Allowance) -> list[str]:
    """Return what is wrong with the request, as sentences; nothing if all is right."""
    found = [*_of_transcript(evidence), *_of_ledger(evidence, allowance), *_of_upstream(evidence, allowance)]
    name = f"{evidence.transcript.edge} {evidence.transcript.marker} ({evidence.transcript.verdict})"
    return [f"{name}: {problem}" for problem in found]


def expected_events(upstream_body: bytes, api_key: str) -> list[bytes]:
    """Return the data of the events that the simulator answers a streaming request with, were it never to fail.

    `upstream_body` is the request as the simulator got it. What was queued as a scenario is not known here.
    """
    request, behaviour, answer = _answer(upstream_body, api_key)
    events = chat.events(answer, behaviour, request.includes_usage)
    return [*(event.data for event in events if event.label not in ("done", "after")), b"[DONE]"]


def expected_body(upstream_body: bytes, api_key: str) -> bytes:
    """Return the body that the simulator answers a plain request with, were it never to fail."""
    _, behaviour, answer = _answer(upstream_body, api_key)
    return chat.body(answer, behaviour)


def _of_transcript(evidence: Evidence) -> Iterator[str]:
    transcript = evidence.transcript
    if transcript.is_cut_silently:
        yield "was cut in silence"
    if transcript.saw_done and any(event.startswith(b'{"error"') for event in transcript.events):
        yield "ended with [DONE] after an error"
    if b"[DONE]" in transcript.events[:-1]:
        yield "went on after [DONE]"
    if transcript.status == 200 and transcript.verdict in ("complete", "broken") and evidence.calls:
        yield from _of_bytes(transcript, evidence.calls[-1])


def _of_bytes(transcript: Transcript, call: JournalEntry) -> Iterator[str]:
    body = call.body.encode()
    if len(body) < call.body_bytes:
        return  # the journal keeps the first part of a long request only
    if not transcript.is_stream:
        if transcript.verdict == "complete" and transcript.payload != expected_body(body, call.api_key):
            yield "the answer is not what the upstream sent"
        return
    got = transcript.events
    expected = expected_events(body, call.api_key)
    if transcript.verdict == "broken":
        got = got if transcript.error is None else got[:-1]
        expected = expected[: len(got)]
    if got != expected and _said(got) != _said(expected):
        at = next((at for at, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]), -1)
        yield f"{len(got)} events, {len(expected)} expected, not what the upstream sent from event {at} on"


def _said(events: Sequence[bytes]) -> list[object]:
    """Return what events say, their usage aside: a usage that is not told once and last is told so to the client."""
    said: list[object] = []
    for event in events:
        if event == b"[DONE]":
            said.append("[DONE]")
            continue
        document = msgspec.json.decode(event)
        document.pop("usage", None)
        if document.get("choices"):
            said.append(document)
    return said


def _of_ledger(evidence: Evidence, allowance: Allowance) -> Iterator[str]:
    transcript, holds = evidence.transcript, evidence.holds
    if not holds:
        if transcript.status == 200:
            yield "was answered without a hold"
        return
    if len(holds) > 1:
        yield f"has {len(holds)} holds"
    (hold, *_) = holds
    if transcript.request_id not in (None, hold.id):
        yield f"was told the id {transcript.request_id}, its hold is {hold.id}"
    if hold.state == "HELD":
        yield "is still held"
    if transcript.verdict == "complete":
        yield from _of_complete(evidence, hold, allowance)
    else:
        yield from _of_incomplete(evidence, allowance)


def _of_complete(evidence: Evidence, hold: Hold, allowance: Allowance) -> Iterator[str]:
    if hold.state == "EXPIRED" and allowance.may_be_lost:
        return
    if not evidence.calls:
        yield "is complete, and the upstream knows nothing of it"
    rules = COMPLETE | {"C8"} if allowance.may_be_free else COMPLETE
    if hold.state != "SETTLED" or not evidence.rules <= rules:
        yield f"is complete, and {hold.state} by {sorted(evidence.rules)}"
        return
    reported = [billed(bill) for bill in evidence.bills]
    for row in evidence.usage:
        if row.rule == "C1" and reported and row.usage not in reported:
            yield f"is charged for {row.usage}, the upstream counted {reported}"


def _of_incomplete(evidence: Evidence, allowance: Allowance) -> Iterator[str]:
    payable = allowance.rules | (COMPLETE | {"C6"} if evidence.transcript.verdict == "left" else frozenset())
    if unexpected := evidence.rules - FREE - payable:
        yield f"was decided by {sorted(unexpected)}"
    if evidence.charged_nano_usd and not evidence.rules & payable:
        yield f"costs {evidence.charged_nano_usd} nano-USD by {sorted(evidence.rules)}"


def _of_upstream(evidence: Evidence, allowance: Allowance) -> Iterator[str]:
    if len(evidence.calls) > allowance.calls_max:
        yield f"reached the upstream {len(evidence.calls)} times"
    if any(call.outcome == "running" for call in evidence.calls):
        yield "still runs at the upstream"


def _answer(upstream_body: bytes, api_key: str) -> tuple[ChatRequest, Behaviour, Answer]:
    case = understand(decode(upstream_body), api_key, {}, {})
    return (
        case.request,
        case.behaviour,
        compose(case.request, case.model, case.user_text, case.behaviour, SEED),
    )
