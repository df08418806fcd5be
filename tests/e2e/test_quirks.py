"""The official SDK behind the whole stack, before providers that it could not read: an application sees OpenAI.

Each directive makes the simulator answer as some provider does (docs/quirks.md). Where it says so, the same SDK is asked to read
the same answer without Relay, and cannot.
"""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionFunctionToolParam

from tests.e2e.stack import RunningStack
from tests.e2e.tenants import Operator, Tenant

pytestmark = pytest.mark.xdist_group("e2e")

TEXT = "one, zwei 🙂, 三"
ARGUMENTS = '{"city":"text","unit":"c"}'
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
            "required": ["city", "unit"],
        },
    },
}

# What the SDK fails on, or reads wrongly, when it speaks to the provider itself.
UNREADABLE_TEXTS = [
    "role=every",  # assistantassistant
    "object=text_completion.chunk",  # an answer without a word
    "delta=null",
    "content=list chunk_tokens=100",
    "cumulative_text=alone",
    "finish=end_turn",
    "reasoning=3 reason_field=content_list",
    "half_characters",
    "usage=x_groq ignore_include_usage",
    "usage=in_choice",
    "finish_late",
]
# What it reads, though not all of it is right.
READABLE_TEXTS = [
    "", "first_chunk=azure_filter", "logprobs=legacy", "finish=empty_every usage=every", "usage=finish_chunk", "usage=strings",
    "role=never", "role=empty", "first_chunk=empty_choices", "id=rotate", "id=empty", "created=text", "dup_last",
    "cumulative_text=beside", "null_error", "extra_fields", "finish=missing", "usage=after_finish",
    "usage=every", "usage=placeholder_zero", "done=2 after_done=junk", "eol=crlf", "bom", "comments=hm", "multiline_data",
    "gzip", "te=close", "space=0", "final_blank=0 done=0", "big_line=300000", "pre_ping=2:5",
    "logprobs=missing", "final_message_frame", "split=1", "reasoning=3 reason_field=reasoning", "reasoning=3 reason_field=thinking",
    "reasoning=3 reason_field=details",
]  # fmt: skip
UNREADABLE_CALLS = [
    "tool_index=none", "tool_index=from1", "tool_index=reuse", "tool_index=gaps", "tool_id=repeat", "tool_id=none",
    "tool_name=repeat", "tool_args=object", "finish=stop",
]  # fmt: skip
READABLE_CALLS = [
    "",
    "tool_id=empty_repeat",
    "tool_name=late",
    "tool_args=null",
    "tool_args=one_chunk",
    "finish=missing",
    "role=never",
]


@pytest.fixture
async def direct(stack: RunningStack) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK as it speaks to the provider itself."""
    async with openai.AsyncOpenAI(
        base_url=f"{stack.simulator_url}/v1", api_key="sk-sim-openai", max_retries=0
    ) as connected:
        yield connected


async def _put_together(
    client: openai.AsyncOpenAI, model: str, directive: str, **members: Any
) -> ChatCompletion:
    """Return what the SDK makes of a stream."""
    async with client.chat.completions.stream(
        model=model,
        messages=[{"role": "user", "content": f"hi [[sim {directive}]]"}],
        stream_options={"include_usage": True},
        **members,
    ) as stream:
        return await stream.get_final_completion()


def _is_right(completion: ChatCompletion) -> bool:
    """Whether text, role, end, name and usage of an answer are what the model said."""
    (choice,) = completion.choices
    message, usage = choice.message, completion.usage
    return (
        (message.role, message.content, choice.finish_reason) == ("assistant", TEXT, "stop")
        and completion.id.startswith("chatcmpl-")
        and bool(completion.model)
        and isinstance(completion.created, int)
        and usage is not None
        and isinstance(usage.completion_tokens, int)
        and usage.completion_tokens > 0
        and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    )


def _calls_of(completion: ChatCompletion) -> list[tuple[str, str]]:
    return [
        (call.function.name, call.function.arguments)
        for call in completion.choices[0].message.tool_calls or []
        if call.type == "function" and call.id.startswith("call_") and "call_" not in call.id[5:]
    ]


@pytest.mark.parametrize("directive", [*UNREADABLE_TEXTS, *READABLE_TEXTS])
async def test_the_sdk_reads_every_providers_text(
    client: openai.AsyncOpenAI, tenant: Tenant, directive: str
) -> None:
    """Put together from a stream, and plain: the text, one role, one end, one name, and the usage."""
    streamed = await _put_together(client, tenant.model, f"reply='{TEXT}' {directive}")
    plain = await client.chat.completions.create(
        model=tenant.model, messages=[{"role": "user", "content": f"hi [[sim reply='{TEXT}' {directive}]]"}]
    )

    assert _is_right(streamed), streamed
    assert _is_right(plain), plain
    if "reasoning=" in directive:
        for completion in (streamed, plain):
            assert (completion.choices[0].message.model_extra or {})["reasoning_content"]


@pytest.mark.parametrize("directive", [*UNREADABLE_CALLS, *READABLE_CALLS])
async def test_the_sdk_reads_every_providers_tool_calls(
    client: openai.AsyncOpenAI, tenant: Tenant, directive: str
) -> None:
    """Two of them, with their names and all of their arguments."""
    expected = [("get_weather", ARGUMENTS)] * 2
    streamed = await _put_together(client, tenant.model, f"tools=2 {directive}", tools=[TOOL])
    plain = await client.chat.completions.create(
        model=tenant.model,
        messages=[
            {"role": "user", "content": f"hi [[sim tools=2 {directive.replace('tool_args=null', '')}]]"}
        ],
        tools=[TOOL],
    )

    for completion in (streamed, plain):
        assert _calls_of(completion) == expected
        assert completion.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("directive", UNREADABLE_TEXTS)
async def test_without_relay_the_sdk_cannot_read_these_texts(
    direct: openai.AsyncOpenAI, directive: str
) -> None:
    """So that the test above says something: it raises, or what it returns is wrong."""
    try:
        completion = await _put_together(direct, "m", f"reply='{TEXT}' {directive}")
    except Exception:  # noqa: BLE001 - an SDK that meets what it does not expect raises anything
        return
    assert not _is_right(completion), completion


@pytest.mark.parametrize("directive", UNREADABLE_CALLS)
async def test_without_relay_the_sdk_cannot_read_these_calls(
    direct: openai.AsyncOpenAI, directive: str
) -> None:
    """It raises, or the calls are wrong."""
    try:
        completion = await _put_together(direct, "m", f"tools=2 {directive}", tools=[TOOL])
    except Exception:  # noqa: BLE001 - an SDK that meets what it does not expect raises anything
        return
    is_right = _calls_of(completion) == [("get_weather", ARGUMENTS)] * 2
    assert not is_right or completion.choices[0].finish_reason != "tool_calls", completion


@pytest.mark.parametrize(
    ("finish", "code"),
    [("network_error", "upstream_error"), ("insufficient_system_resource", "upstream_error")],
)
async def test_an_answer_that_its_provider_broke_off_raises(
    client: openai.AsyncOpenAI, tenant: Tenant, finish: str, code: str
) -> None:
    """Although the provider calls it finished; the text before is there."""
    with pytest.raises(openai.APIError) as caught:
        await _put_together(client, tenant.model, f"out=5 tps=50 finish={finish}")

    assert caught.value.code == code


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("err_in=body200 err_shape=dashscope200", openai.InternalServerError, "upstream_error"),
        ("err_in=body200 err_shape=minimax200 code=1008", openai.InternalServerError, "upstream_error"),
        ("err_in=body200 err_shape=minimax200 code=2013", openai.BadRequestError, "2013"),
        (
            "err_in=first_event err_shape=google_array status=503",
            openai.InternalServerError,
            "upstream_error",
        ),
        ("status=402 err_shape=string", openai.InternalServerError, "upstream_error"),
        ("status=403 err_shape=siliconflow", openai.InternalServerError, "upstream_error"),
        ("status=422 err_shape=fastapi", openai.BadRequestError, "upstream_rejected"),
        ("status=400 err_shape=azure code=content_filter", openai.BadRequestError, "content_filter"),
        ("status=429 err_shape=zhipu code=1113", openai.InternalServerError, "upstream_error"),
    ],
)
async def test_an_error_in_the_shape_of_its_provider_is_one_of_ours(
    client: openai.AsyncOpenAI,
    tenant: Tenant,
    fault: str,
    error: type[openai.APIStatusError],
    code: str,
    is_stream: bool,
) -> None:
    """A real status, also for what came under a 200; the client is blamed for its request alone, never for the operator's bill."""
    with pytest.raises(error) as caught:
        await client.chat.completions.create(
            model=tenant.model,
            messages=[{"role": "user", "content": f"hi [[sim {fault} echo_secret]]"}],
            stream=is_stream,
        )

    assert caught.value.code == code
    assert "Simulated" not in str(caught.value)
    assert tenant.credential not in str(caught.value)


async def test_what_was_odd_is_charged_as_what_it_was(
    operator: Operator, tenant: Tenant, client: openai.AsyncOpenAI
) -> None:
    """The figures of the usage that the client reads are those of its record."""
    completion = await _put_together(
        client,
        tenant.model,
        "out=9 reasoning=4 cached=2 reasoning_excluded usage=in_choice role=every final_message_frame",
    )

    (record,) = await operator.settled(tenant, 1)
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (
        record.usage.input_tokens,
        record.usage.output_tokens,
    )
    assert (record.usage.output_tokens, record.usage.reasoning_tokens, record.is_estimated) == (13, 4, False)
