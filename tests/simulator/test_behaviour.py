"""The directive language."""

import pytest

from services.simulator.behaviour import (
    PROFILES,
    Behaviour,
    from_key,
    from_model,
    from_prompt,
    parse,
    resolve,
)
from shared.errors import InvalidRequest


def test_a_directive_becomes_typed_values() -> None:
    """Numbers, flags and quoted text arrive as what they are."""
    behaviour = resolve(parse('out=5 tps=12.5 bom reply="two words" space=0 done=2'))
    assert behaviour == Behaviour(out=5, tps=12.5, bom=True, reply="two words", space=False, done=2)


def test_the_strongest_source_of_each_key_wins() -> None:
    """Keys that a strong source does not name come from the weaker ones."""
    behaviour = resolve({"out": "1"}, {"out": "2", "n": "3"}, {"tps": "4", "n": "5"})
    assert (behaviour.out, behaviour.n, behaviour.tps) == (1, 3, 4.0)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("no_such_key=1", "no_such_key"),
        ("out=many", "out"),
        ("out=-1", "out"),
        ("out=100000 n=2", "out"),
        ("tps=0", "tps"),
        ("tps=nan", "tps"),
        ("eol=lfcr", "eol"),
        ("done=3", "done"),
        ("stall_at=5", "stall_at"),
        ("cut=tok", "cut"),
        ("cut=somewhere", "cut"),
        ("err_in=mid:", "err_in"),
        ("status=200", "status"),
        ("cache_write=5:2d", "cache_write"),
        ('ct="a\r\nb: c"', "ct"),
    ],
)
def test_what_cannot_be_followed_names_its_key(text: str, key: str) -> None:
    """A typing error in a test must not pass for a test that succeeds."""
    with pytest.raises(InvalidRequest) as caught:
        resolve(parse(text))
    assert caught.value.param == key
    assert f"'{key}'" in str(caught.value)


def test_an_open_quotation_is_refused() -> None:
    """The words of such a directive are not known."""
    with pytest.raises(InvalidRequest):
        parse('reply="never ends')


def test_the_prompt_loses_its_directive() -> None:
    """The text that is echoed is the user's own."""
    assert from_prompt("say [[sim out=3]] it [[sim n=2]]") == ({"out": "3", "n": "2"}, "say  it")
    assert from_prompt("a [list] of [[things]]") == ({}, "a [list] of [[things]]")


def test_the_model_loses_its_suffix() -> None:
    """A suffix without `=` is part of the name."""
    assert from_model("gpt@out=3,bom") == ({"out": "3", "bom": "1"}, "gpt")
    assert from_model("claude@20260101") == ({}, "claude@20260101")


def test_a_key_selects_a_profile() -> None:
    """The longest profile name that the key begins with, at a border of words."""
    assert from_key("sk-sim-deepseek")["usage"] == "finish_chunk"
    assert from_key("sk-sim-chaos-light-7") == PROFILES["chaos-light"]
    assert from_key("sk-sim-unheard-of") == {}
    assert from_key("sk-other") == {}


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_each_profile_is_a_valid_directive(name: str) -> None:
    """The data file holds nothing that a request would be refused for."""
    resolve(PROFILES[name])
