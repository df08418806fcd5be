"""What a channel changes in a request, and what it may not."""

import msgspec
import pytest

from services.dispatcher import overrides
from services.dispatcher.chat import prepare

BODY = b'{"model":"m","messages":[],"temperature":0.70,"top_p":1,"seed":7}'


def changed(
    *, set: dict[str, str] | None = None, default: dict[str, str] | None = None, drop: tuple[str, ...] = ()
) -> bytes:
    """Return BODY as it is sent."""
    given = overrides.overrides_of(set or {}, default or {}, drop)
    return prepare(BODY, upstream_model="theirs", max_output_tokens=None, stream=False, overrides=given)


def test_values_are_set_given_and_dropped() -> None:
    """Each byte for byte as it was written, and everything else stays as it came."""
    sent = changed(
        set={"temperature": "1.50", "extra": '{"a":[1, 2]}'},
        default={"seed": "1", "user": '"relay"'},
        drop=("top_p",),
    )

    assert sent == (
        b'{"model":"theirs","messages":[],"temperature":1.50,"seed":7,"user":"relay","extra":{"a":[1, 2]}}'
    )


def test_nothing_is_changed_by_nothing() -> None:
    """A channel without overrides."""
    assert changed() == BODY.replace(b'"m"', b'"theirs"')
    assert not overrides.Overrides()


def test_what_relay_sets_stands_above() -> None:
    """The bound comes after the overrides, also where they drop what the client had bounded."""
    given = overrides.overrides_of({}, {}, ("max_tokens",))
    body = b'{"model":"m","messages":[],"max_tokens":9}'

    sent = prepare(
        body,
        upstream_model="t",
        max_output_tokens=5,
        stream=True,
        output_key="max_completion_tokens",
        overrides=given,
    )

    assert msgspec.json.decode(sent) == {
        "model": "t", "messages": [], "max_completion_tokens": 5, "stream_options": {"include_usage": True},
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(overrides.RESERVED))
def test_what_decides_about_money_or_form_is_not_set(name: str) -> None:
    """Neither always nor by default."""
    assert overrides.problem_of_values({name: "1"}) == f"{name!r} is Relay's own to set"


@pytest.mark.parametrize("name", sorted(overrides.REQUIRED))
def test_what_every_request_needs_is_not_dropped(name: str) -> None:
    """The upstream could not answer."""
    assert overrides.problem_of_drop((name,)) is not None


@pytest.mark.parametrize(
    ("values", "is_good"),
    [
        ({"temperature": "0"}, True),
        ({"stop": '["a"]'}, True),
        ({"x": "flex"}, False),
        ({"x": "NaN"}, False),
        ({"x": ""}, False),
        ({"x": "[" * 100_000}, False),
        ({"x": '"' + "a" * overrides.VALUE_LENGTH_MAX + '"'}, False),
        ({"": "1"}, False),
        ({"a\nb": "1"}, False),
        ({"\ud800": "1"}, False),
        ({str(number): "1" for number in range(overrides.PARAMETERS_MAX + 1)}, False),
    ],
)
def test_a_value_is_json(values: dict[str, str], is_good: bool) -> None:
    """And of a decent size, under a decent name."""
    assert (overrides.problem_of_values(values) is None) == is_good


@pytest.mark.parametrize(
    ("headers", "is_good"),
    [
        ({"x-team": "a b"}, True),
        ({"user-agent": "mine/1"}, True),
        ({"openai-organization": "org"}, True),
        ({"X-Team": "a"}, False),
        ({"x team": "a"}, False),
        ({"": "a"}, False),
        ({"x-team": "a\r\nb: c"}, False),
        ({"x-team": "schlüssel"}, False),
        ({"x-team": " a"}, False),
        ({"x-team": "a" * 1001}, False),
        ({f"x-{number}": "a" for number in range(33)}, False),
        *(({name: "a"}, False) for name in sorted(overrides.FORBIDDEN_HEADERS)),
    ],
)
def test_a_header_is_one_that_a_channel_may_set(headers: dict[str, str], is_good: bool) -> None:
    """No framing, no hop, no credential, no second line."""
    assert (overrides.problem_of_headers(headers) is None) == is_good


def test_a_key_is_sent_as_its_provider_reads_it() -> None:
    """As a bearer token, or bare."""
    assert overrides.auth_of("authorization", "sk-1") == ("authorization", "Bearer sk-1")
    assert overrides.auth_of("api-key", "sk-1") == ("api-key", "sk-1")
    assert overrides.auth_of("x-api-key", "sk-1") == ("x-api-key", "sk-1")
