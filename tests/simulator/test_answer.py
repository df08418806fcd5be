"""Generated answers and their usage."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.simulator.answer import VOCABULARY, Answer, compose, tokenize
from services.simulator.behaviour import parse, resolve
from services.simulator.prompt import decode
from shared.errors import InvalidRequest


def _compose(directive: str, *, seed: int = 0, text: str = "hello", **members: object) -> Answer:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]} | members
    return compose(decode(msgspec.json.encode(body)), "m", text, resolve(parse(directive)), seed)


def _text(answer: Answer, choice: int = 0) -> str:
    return "".join("".join(one.tokens) for one in answer.choices[choice].segments if one.kind == "content")


@given(st.text())
def test_tokens_are_whole_characters_and_join_to_the_text(text: str) -> None:
    """No token is longer than four bytes, and ASCII has ceil(bytes / 4) of them."""
    tokens = tokenize(text)
    assert "".join(tokens) == text
    assert all(0 < len(token.encode()) <= 4 for token in tokens)
    if text.isascii():
        assert len(tokens) == -(-len(text) // 4)


def test_invented_tokens_are_exactly_four_bytes() -> None:
    """So their text has as many tokens as were asked for, however it is counted."""
    assert all(len(word.encode()) == 4 for word in VOCABULARY)
    answer = _compose("out=200")
    assert answer.usage.completion_tokens == 200
    assert len(_text(answer).encode()) == 800
    assert not _text(answer).isascii()


def test_the_default_answer_says_that_it_is_simulated_and_quotes_the_user() -> None:
    """Nobody can take it for a model's; a long question is shortened."""
    assert "simulated answer" in _text(_compose(""))
    assert _text(_compose("")).endswith("You said: “hello”")
    assert _text(_compose("", text="x" * 500)).endswith("x…”")


def test_seed_model_and_text_decide_everything() -> None:
    """Equal input gives an equal answer, another seed another one."""
    assert _compose("out=9") == _compose("out=9")
    assert _compose("out=9").id != _compose("out=9", seed=1).id
    assert _compose("out=9").id != _compose("out=9", text="other").id


@pytest.mark.parametrize(
    ("directive", "limit", "tokens", "finish"),
    [("out=9", 4, 4, "length"), ("out=9", 9, 9, "stop"), ("out=9 reasoning=3", 2, 2, "length"),
     ("out=9 reasoning=3", 5, 5, "length"), ("out=9", 0, 0, "length"), ("out=0", 0, 0, "stop")],
)  # fmt: skip
def test_the_limit_cuts_the_output(directive: str, limit: int, tokens: int, finish: str) -> None:
    """Reasoning comes first and counts; what fits exactly is not cut."""
    answer = _compose(directive, max_completion_tokens=limit, max_tokens=100)
    assert (answer.usage.completion_tokens, answer.choices[0].finish) == (tokens, finish)


def test_the_text_ends_before_a_stop() -> None:
    """The stop itself is not part of the answer."""
    answer = _compose('reply="one two three"', stop=["three", " two"])
    assert (_text(answer), answer.choices[0].finish) == ("one", "stop")


def test_each_choice_counts() -> None:
    """Several choices differ, and their tokens add up."""
    answer = _compose("out=5 reasoning=2 n=3", n=2)
    assert len(answer.choices) == 3
    assert _text(answer, 0) != _text(answer, 1)
    assert (answer.usage.completion_tokens, answer.usage.reasoning_tokens) == (21, 6)


def test_tool_calls_need_functions() -> None:
    """A directive that the request cannot satisfy is refused."""
    with pytest.raises(InvalidRequest):
        _compose("tools=1")
    tools = [{"type": "function", "function": {"name": "f"}}]
    answer = _compose("tools=2", tools=tools)
    assert [one.name for one in answer.choices[0].segments] == ["f", "f"]
    assert answer.choices[0].finish == "tool_calls"


def test_too_many_choices_are_refused() -> None:
    """The request's own `n` cannot exceed what the simulator makes."""
    with pytest.raises(InvalidRequest):
        _compose("out=100000", n=2)


def test_the_prompt_is_at_least_what_the_cache_held() -> None:
    """Cached and cache-written tokens are inside the prompt, as OpenAI counts."""
    usage = _compose("cached=100 cache_write=20:1h fees=web_search:2 tier=flex").usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens) == (120, 100, 20)
    assert (usage.cache_write_ttl, usage.web_searches, usage.service_tier) == ("1h", 2, "flex")
