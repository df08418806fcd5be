"""Calls that must be refused, and how: one table for the SDKs of both languages."""

import msgspec

from shared.contracts import auth
from shared.ids import base62
from shared.keys import mint
from tests.e2e.tenants import Operator


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """How one refusal looks: in HTTP, and the class of the exception in each SDK."""

    name: str
    status: int
    code: str
    type: str
    python_class: str
    node_class: str
    is_retryable: bool = False


class RefusedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that earns it."""

    key: str
    model: str
    text: str = "hello"
    temperature: float = 1.0


REFUSALS = (
    Refusal(
        name="bad_value",
        status=400,
        code="invalid_value",
        type="invalid_request_error",
        python_class="BadRequestError",
        node_class="BadRequestError",
    ),
    Refusal(
        name="rejected_upstream",
        status=400,
        code="context_length_exceeded",
        type="invalid_request_error",
        python_class="BadRequestError",
        node_class="BadRequestError",
    ),
    Refusal(
        name="unknown_key",
        status=401,
        code="invalid_api_key",
        type="authentication_error",
        python_class="AuthenticationError",
        node_class="AuthenticationError",
    ),
    Refusal(
        name="no_money",
        status=402,
        code="insufficient_balance",
        type="insufficient_quota",
        python_class="APIStatusError",
        node_class="APIError",
    ),
    Refusal(
        name="forbidden_model",
        status=403,
        code="model_not_allowed",
        type="permission_error",
        python_class="PermissionDeniedError",
        node_class="PermissionDeniedError",
    ),
    Refusal(
        name="unknown_model",
        status=404,
        code="model_not_found",
        type="invalid_request_error",
        python_class="NotFoundError",
        node_class="NotFoundError",
    ),
    Refusal(
        name="failed_upstream",
        status=502,
        code="upstream_error",
        type="upstream_error",
        python_class="InternalServerError",
        node_class="InternalServerError",
        is_retryable=True,
    ),
    Refusal(
        name="no_channel",
        status=503,
        code="no_channel_available",
        type="service_unavailable",
        python_class="InternalServerError",
        node_class="InternalServerError",
        is_retryable=True,
    ),
)


async def prepare(operator: Operator) -> dict[str, RefusedCall]:
    """Return a call for each refusal of the table, by its name."""
    rich = await operator.make_tenant()
    poor = await operator.make_tenant(balance_nano_usd=0)
    unserved = f"unserved-{base62(8)}"
    await operator.set_price(unserved, 1_000, 1_000, 1_000)
    limited = await operator.bus.call(
        auth.CREATE_KEY,
        auth.CreateKey(account_id=rich.account_id, name="limited", allowed_models=("another-model",)),
    )
    return {
        "bad_value": RefusedCall(key=rich.key, model=rich.model, temperature=9.0),
        "rejected_upstream": RefusedCall(
            key=rich.key, model=rich.model, text="[[sim status=400 code=context_length_exceeded]]"
        ),
        "unknown_key": RefusedCall(key=mint(), model=rich.model),
        "no_money": RefusedCall(key=poor.key, model=poor.model),
        "forbidden_model": RefusedCall(key=limited.secret, model=rich.model),
        "unknown_model": RefusedCall(key=rich.key, model=f"unknown-{base62(8)}"),
        "failed_upstream": RefusedCall(key=rich.key, model=rich.model, text="[[sim status=500]]"),
        "no_channel": RefusedCall(key=rich.key, model=unserved),
    }
