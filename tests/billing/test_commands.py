"""What billing's calls mean to the ledger, and its answers to the callers."""

import math

import msgspec
import pytest

from services.billing.answers import Answer
from services.billing.commands import (
    ATTEMPT_MAX,
    DEADLINE_SECONDS_MAX,
    TOKENS_MAX,
    ended,
    extend,
    extended,
    fence,
    fenced,
    reserve,
    reserved,
    settle,
    void,
)
from shared.contracts import billing
from shared.errors import (
    Conflict,
    Forbidden,
    InsufficientFunds,
    Internal,
    InvalidRequest,
    NotFound,
    RateLimited,
    RelayError,
    Unauthenticated,
    Unavailable,
)
from shared.ids import uuid7
from tests.billing import running

ACCOUNT = uuid7()
SLICE_TOKENS = 2048

REFUSALS: dict[str, tuple[type[RelayError], str]] = {
    "insufficient": (InsufficientFunds, "insufficient_balance"),
    "held": (RateLimited, "balance_held"),
    "account_suspended": (Forbidden, "account_suspended"),
    "account_unknown": (Unauthenticated, "invalid_api_key"),
    "key_unknown": (Unauthenticated, "invalid_api_key"),
    "key_revoked": (Unauthenticated, "revoked_api_key"),
    "key_expired": (Unauthenticated, "expired_api_key"),
    "model_unpriced": (NotFound, "model_not_found"),
    "lease_ended": (Unavailable, "lease_ended"),
    "conflict": (Conflict, "id_conflict"),
    "settled": (Conflict, "id_conflict"),
    "voided": (Conflict, "id_conflict"),
    "expired": (Conflict, "id_conflict"),
    "busy": (Unavailable, "service_unavailable"),
    "invalid": (Internal, "internal_error"),
}


@pytest.mark.parametrize("result", REFUSALS)
def test_each_refusal_of_a_reserve_is_an_error_with_a_sentence(result: str) -> None:
    """Its class decides the HTTP status, its code is stable, and the sentence lacks nothing."""
    family, code = REFUSALS[result]

    with pytest.raises(family) as caught:
        reserved(running.reserve(ACCOUNT), Answer(ord=0, result=result))

    assert type(caught.value) is family
    assert caught.value.code == code
    for language in ("en", "zh"):
        assert caught.value.message(language) != code


@pytest.mark.parametrize("result", ["held", "lease_ended", "busy"])
def test_what_passes_says_when_to_come_back(result: str) -> None:
    """A refusal that waiting can heal tells for how long."""
    with pytest.raises(RelayError) as caught:
        reserved(running.reserve(ACCOUNT), Answer(ord=0, result=result))

    assert caught.value.retry_after_seconds is not None
    assert 0 < caught.value.retry_after_seconds <= 60


def test_a_request_that_is_too_dear_says_what_is_affordable() -> None:
    """402 names the bound with which it can be served, when there is one."""
    answer = Answer(
        ord=0,
        result="insufficient",
        needed_nano_usd=2_500_000_000,
        affordable_output_tokens=7,
        posted_nano_usd=1_000_000_000,
        held_nano_usd=250_000_000,
    )

    with pytest.raises(InsufficientFunds) as caught:
        reserved(running.reserve(ACCOUNT), answer)

    assert caught.value.code == "request_too_expensive"
    assert "2.50 USD" in str(caught.value)
    assert "0.75 USD" in str(caught.value)
    assert "at most 7" in str(caught.value)


def test_what_is_affordable_is_said_for_one_choice() -> None:
    """As the client names it: three choices share what the balance affords."""
    answer = Answer(ord=0, result="insufficient", needed_nano_usd=9, affordable_output_tokens=11)
    request = msgspec.structs.replace(running.reserve(ACCOUNT), choices=3)

    with pytest.raises(InsufficientFunds) as caught:
        reserved(request, answer)

    assert "at most 3" in str(caught.value)


def test_a_hold_grants_its_output_to_each_choice() -> None:
    """The ledger counts all choices together, upstream is told the bound of one."""
    asked = running.reserve(ACCOUNT, choices=4)
    answer = Answer(
        ord=0, result="ok", amount_nano_usd=9, output_tokens_bound=64, output_tokens_granted=402, price_id=3
    )

    assert reserved(asked, answer) == billing.Hold(
        request_id=asked.request_id,
        amount_nano_usd=9,
        output_tokens_granted=100,
        output_tokens_held=64,
        price_id=3,
    )


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("input_tokens_bound", -1, "input_tokens_bound"),
        ("input_tokens_bound", TOKENS_MAX + 1, "input_tokens_bound"),
        ("choices", 0, "choices"),
        ("choices", 129, "choices"),
        ("deadline_seconds", 0.5, "deadline_seconds"),
        ("deadline_seconds", DEADLINE_SECONDS_MAX + 1.0, "deadline_seconds"),
        ("deadline_seconds", math.nan, "deadline_seconds"),
        ("deadline_seconds", math.inf, "deadline_seconds"),
        ("output_tokens_wanted", -1, "max_tokens"),
        ("output_tokens_wanted", TOKENS_MAX + 1, "max_tokens"),
    ],
)
def test_a_reserve_that_no_request_can_mean_is_refused(field: str, value: float, param: str) -> None:
    """Before it reaches the ledger, and by name."""
    with pytest.raises(InvalidRequest) as caught:
        reserve(running.reserve(ACCOUNT, **{field: value}), SLICE_TOKENS)

    assert caught.value.param == param


def test_wanted_output_is_bounded_over_all_choices() -> None:
    """So that no product of the two overflows."""
    with pytest.raises(InvalidRequest):
        reserve(
            running.reserve(ACCOUNT, choices=128, output_tokens_wanted=TOKENS_MAX // 128 + 1), SLICE_TOKENS
        )
    most = running.reserve(ACCOUNT, choices=128, output_tokens_wanted=TOKENS_MAX // 128)
    assert reserve(most, SLICE_TOKENS).choices == 128


def test_a_settlement_carries_the_charge_and_not_the_claim() -> None:
    """An upstream's nonsense arrives at the ledger clamped, as an estimate."""
    asked = running.reserve(ACCOUNT)

    command = settle(running.settle(asked, input_tokens=2**60, output_tokens=-5))

    assert (command.op, command.rule, command.is_estimated, command.is_charged) == (
        "settle",
        "C4",
        True,
        True,
    )
    assert (command.input_tokens, command.output_tokens) == (100, 0)


def test_a_usage_that_its_reader_doubts_is_an_estimate() -> None:
    """Its figures look right only because the dispatcher has put them in order."""
    claim = msgspec.structs.replace(running.settle(running.reserve(ACCOUNT)), is_usage_doubtful=True)

    command = settle(claim)

    assert (command.rule, command.is_estimated, command.is_charged) == ("C4", True, True)


def test_a_void_keeps_its_reason() -> None:
    """It stands in the hold for whoever asks why; whose word it is, if nobody says so, is attempt 0."""
    command = void(billing.Void(request_id="r", account_id="a", reason="client_gone"))

    assert (command.op, command.id, command.account_id, command.reason) == ("void", "r", "a", "client_gone")
    assert command.attempt == 0
    assert void(billing.Void(request_id="r", account_id="a", reason="x", attempt=3)).attempt == 3


@pytest.mark.parametrize("attempt", [-1, ATTEMPT_MAX + 1])
def test_an_attempt_that_no_frame_can_name_is_refused(attempt: int) -> None:
    """Before it reaches the ledger."""
    with pytest.raises(InvalidRequest):
        void(billing.Void(request_id="r", account_id="a", reason="x", attempt=attempt))
    with pytest.raises(InvalidRequest):
        fence(billing.Fence(request_id="r", account_id="a", attempt=attempt))


def test_a_fence_asks_for_no_money() -> None:
    """It is an extension without bounds."""
    command = fence(billing.Fence(request_id="r", account_id="a", attempt=2))

    assert (command.op, command.id, command.account_id, command.attempt) == ("extend", "r", "a", 2)
    assert command.output_tokens_bound is None


@pytest.mark.parametrize(("result", "is_held"), [("ok", True), ("closed", False), ("unknown", False)])
def test_a_fence_tells_whether_it_stands(result: str, is_held: bool) -> None:
    """It does around a live hold alone."""
    asked = billing.Fence(request_id="r", account_id="a", attempt=2)

    assert fenced(asked, Answer(ord=0, result=result)) == billing.Fenced(is_held=is_held)


@pytest.mark.parametrize(
    ("result", "family"),
    [("stale_attempt", Conflict), ("conflict", Conflict), ("busy", Unavailable), ("invalid", Internal)],
)
def test_a_fence_that_is_refused(result: str, family: type[RelayError]) -> None:
    """Somebody has fenced a later attempt, or the hold is another account's; a busy account may be tried again."""
    with pytest.raises(family):
        fenced(billing.Fence(request_id="r", account_id="a", attempt=2), Answer(ord=0, result=result))


@pytest.mark.parametrize("result", ["ok", "late", "already"])
def test_an_end_tells_the_stored_outcome(result: str) -> None:
    """Now or before: a repeat reads the same."""
    answer = Answer(ord=0, result=result, state="SETTLED", charged_nano_usd=12)

    assert ended("r", answer) == billing.Ended(state="SETTLED", charged_nano_usd=12)


@pytest.mark.parametrize(
    ("result", "family"),
    [
        ("unknown", Conflict),
        ("stale_attempt", Conflict),
        ("conflict", Conflict),
        ("busy", Unavailable),
        ("invalid", Internal),
    ],
)
def test_an_end_that_is_refused(result: str, family: type[RelayError]) -> None:
    """A claim for another account or of a fenced attempt is a conflict; a busy account may be tried again."""
    with pytest.raises(family):
        ended("r", Answer(ord=0, result=result))


@pytest.mark.parametrize(
    ("result", "family"),
    [
        ("insufficient", InsufficientFunds),
        ("held", RateLimited),
        ("closed", Conflict),
        ("stale_attempt", Conflict),
        ("unknown", Conflict),
        ("busy", Unavailable),
    ],
)
def test_an_extension_that_is_refused(result: str, family: type[RelayError]) -> None:
    """With the same words as a reserve."""
    asked = billing.Extend(request_id="r", account_id="a", attempt=1, output_tokens_bound=100)
    assert extend(asked).output_tokens_bound == 100

    with pytest.raises(family):
        extended(asked, Answer(ord=0, result=result))


def test_an_extension_tells_how_far_the_hold_reaches() -> None:
    """Over all choices."""
    asked = billing.Extend(request_id="r", account_id="a", attempt=1, output_tokens_bound=100)
    answer = Answer(ord=0, result="ok", amount_nano_usd=5, output_tokens_bound=100)

    assert extended(asked, answer) == billing.Extended(amount_nano_usd=5, output_tokens_bound=100)
    with pytest.raises(InvalidRequest):
        extend(billing.Extend(request_id="r", account_id="a", attempt=1, output_tokens_bound=-1))
