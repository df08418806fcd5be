"""The header `Idempotency-Key` over HTTP."""

import pytest

from services.edge.chat import idempotency_key
from services.edge.settings import EdgeSettings
from shared.errors import InvalidRequest, KeyReused, RelayError, Repeated
from tests.dispatcher.rig import World, chat
from tests.edge.rig import Around, edge_of, error_of, provider


@pytest.mark.parametrize(
    "values",
    [[b""], [b"a b"], [b"a\tb"], ["ü".encode()], [b"k" * 256], [b"one", b"two"]],
    ids=["empty", "space", "tab", "not ASCII", "too long", "twice"],
)
def test_a_key_that_is_none_is_refused(values: list[bytes]) -> None:
    """What is stored and compared has one form."""
    with pytest.raises(InvalidRequest) as caught:
        idempotency_key([(b"idempotency-key", value) for value in values])

    assert (caught.value.code, caught.value.param) == ("invalid_idempotency_key", "Idempotency-Key")


def test_a_key_is_optional() -> None:
    """The official SDKs send none."""
    assert idempotency_key([(b"host", b"x")]) is None
    assert idempotency_key([(b"idempotency-key", b"k" * 255)]) == "k" * 255


async def test_the_key_goes_to_billing(around: Around, upstreams: World, settings: EdgeSettings) -> None:
    """It decides together with the money."""
    await provider(upstreams, "reply=hi")
    async with edge_of(around, settings) as edge, edge.client(**{"idempotency-key": "order-1"}) as client:
        answer = await client.post("/v1/chat/completions", content=chat("hello"))

    assert answer.status_code == 200
    assert [reserve.idempotency_key for reserve in around.billing.reserves] == ["order-1"]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(Repeated("idempotency_key_in_use", id="r"), 409), (KeyReused("idempotency_key_reused"), 422)],
)
async def test_a_repeat_is_refused_for_good(
    around: Around, settings: EdgeSettings, refusal: RelayError, status: int
) -> None:
    """No SDK sends it a third time by itself: they would repeat a bare 409."""
    around.billing.refusal = refusal
    async with edge_of(around, settings) as edge, edge.client(**{"idempotency-key": "order-1"}) as client:
        answer = await client.post("/v1/chat/completions", content=chat("hello"))

    assert answer.status_code == status
    assert error_of(answer)["code"] == refusal.code
    assert answer.headers["x-should-retry"] == "false"
