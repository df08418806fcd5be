"""Quirks of the usage (Q20, Q54) in a stream, and what a client gets in their place."""

import pytest

from tests.dispatcher.chunks import (
    DONE,
    LAST_USAGE,
    ROLE,
    STOP,
    USAGE,
    chunk,
    event,
    inspected,
    read,
    relayed,
    text,
)

HI = text("Hi")


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize(
    "reporting",
    [
        pytest.param(
            [chunk('[{"index":0,"delta":{},"finish_reason":"stop"}]', f',"usage":{USAGE}')],
            id="with the finish",
        ),
        pytest.param(
            [chunk('[{"index":0,"delta":{},"finish_reason":"stop"}]', f',"x_groq":{{"usage":{USAGE}}}')],
            id="Groq",
        ),
        pytest.param(
            [chunk(f'[{{"index":0,"delta":{{}},"finish_reason":"stop","usage":{USAGE}}}]')],
            id="in the choice",
        ),
        pytest.param([STOP, chunk('[{"index":0,"delta":{}}]', f',"usage":{USAGE}')], id="after the finish"),
        pytest.param([STOP, event(f'{{"usage":{USAGE}}}')], id="without choices"),
        pytest.param([STOP, LAST_USAGE, LAST_USAGE], id="twice"),
        pytest.param([LAST_USAGE, STOP], id="before the finish"),
        pytest.param([STOP, LAST_USAGE], id="last"),
    ],
)
def test_q20_the_usage_comes_once_last_and_for_those_who_asked(
    reporting: list[bytes], include_usage: bool
) -> None:
    """Wherever the provider reports it, it is read, and told in a chunk of its own."""
    inspector, sent = inspected(ROLE, HI, *reporting, DONE, include_usage=include_usage)
    assert inspector.usage is not None
    assert (inspector.usage.input_tokens, inspector.usage.output_tokens) == (10, 5)
    told = [bool(each.get("usage")) for each in read(sent)]
    assert told == [False, False, False] + [True] * include_usage
    assert not include_usage or read(sent)[-1] == read(LAST_USAGE)[0]
    assert relayed(ROLE, HI, *reporting, include_usage=include_usage) == sent  # also without `[DONE]`


def test_q20_running_totals_become_one_report() -> None:
    """Placeholders of zero are none."""
    running = [
        chunk(
            '[{"index":0,"delta":{"content":"a"},"finish_reason":null}]',
            f',"usage":{{"prompt_tokens":10,"completion_tokens":{at}}}',
        )
        for at in (0, 1, 5)
    ]
    sent = read(relayed(ROLE, *running, STOP, DONE, include_usage=True))
    assert [each.get("usage") for each in sent[1:4]] == [None] * 3
    assert sent[-1]["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def test_q20_a_client_reads_the_figures_that_it_pays_for() -> None:
    """Where a provider leaves the reasoning out of the output, they are put right; its other members stay."""
    xai = (
        '{"prompt_tokens":12,"completion_tokens":1,"total_tokens":241,"completion_tokens_details":{"reasoning_tokens":228},'
        '"num_sources_used":0}'
    )
    *_, last = read(relayed(ROLE, HI, STOP, chunk("[]", f',"usage":{xai}'), DONE, include_usage=True))
    assert last["usage"]["completion_tokens"] == 229
    assert (last["usage"]["total_tokens"], last["usage"]["num_sources_used"]) == (241, 0)


def test_q20_an_answer_without_any_usage_has_none() -> None:
    """What is estimated is for the charge alone, and is marked there."""
    inspector, sent = inspected(ROLE, HI, STOP, DONE, include_usage=True)
    assert (inspector.usage, sent) == (None, ROLE + HI + STOP)


def test_q54_figures_as_text_become_numbers() -> None:
    """In the usage, wherever they stand in it."""
    words = '{"prompt_tokens":"10","completion_tokens":5.0,"total_tokens":"15","prompt_tokens_details":{"cached_tokens":"2"}}'
    *_, last = read(relayed(ROLE, HI, STOP, chunk("[]", f',"usage":{words}'), DONE, include_usage=True))
    assert last["usage"] == {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 2}
    }  # fmt: skip
    assert type(last["usage"]["completion_tokens"]) is int
