"""What of an action is written down, and which calls are actions at all."""

import msgspec
import pytest

from shared.contracts import site
from shared.contracts.call import OPERATOR, Call
from shared.contracts.permissions import declarations
from shared.trail import (
    BYTES_MAX,
    HIDDEN,
    OBJECT_CHARACTERS_MAX,
    ActionKind,
    SecretBytes,
    SecretText,
    SecretValues,
    redacted,
    secret_fields,
)

READING = {"list", "get", "models"}  # what the subject of a call that changes nothing ends with
OPERATOR_CALLS = [each for each in declarations() if isinstance(each, Call) and OPERATOR in each.callers]


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a shape."""

    password: SecretText
    name: str = "x"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets of each kind, at each depth."""

    text: SecretText
    maybe: SecretText | None
    data: SecretBytes
    values: SecretValues
    parts: tuple[Inner, ...]
    by_name: dict[str, Inner]
    plain: str
    given: int = 3
    unset: str | msgspec.UnsetType = msgspec.UNSET


def test_no_secret_is_left_and_everything_else_is() -> None:
    """Names of values are kept, and what has its default is left out."""
    inner = Inner(password="leak", name="y")
    shape = Shape(
        text="leak", maybe="leak", data=b"leak", values={"a": "leak"}, parts=(inner,), by_name={"n": inner}, plain="p",
    )  # fmt: skip

    hidden = {"password": HIDDEN, "name": "y"}
    assert msgspec.json.decode(redacted(shape)) == {
        "text": HIDDEN,
        "maybe": HIDDEN,
        "data": HIDDEN,
        "values": {"a": HIDDEN},
        "parts": [hidden],
        "by_name": {"n": hidden},
        "plain": "p",
    }
    assert secret_fields(Shape) == {"text", "maybe", "data", "values"}


def test_a_secret_that_is_not_given_is_none() -> None:
    """It says that nothing was given."""
    shape = Shape(text="leak", maybe=None, data=b"", values={}, parts=(), by_name={}, plain="a\0b", given=4)

    kept = msgspec.json.decode(redacted(shape))

    assert kept["maybe"] is None
    assert kept["given"] == 4
    assert kept["plain"] == "a\N{REPLACEMENT CHARACTER}b"


def test_what_is_too_large_is_left_out() -> None:
    """The log says how large it was."""
    shape = Shape(text="", maybe=None, data=b"", values={}, parts=(), by_name={}, plain="x" * BYTES_MAX)

    assert list(msgspec.json.decode(redacted(shape))) == ["left_out_bytes"]


def test_an_object_is_one_short_line() -> None:
    """Whatever people have entered; a brace in it means nothing."""
    kind = ActionKind("x", "channels {names}")

    assert (
        kind.object_of({"names": ("a{b}", "c\nd"), "other": 1})
        == "channels a{b}, c\N{REPLACEMENT CHARACTER}d"
    )
    assert kind.object_of({"names": None}) == "channels anybody"
    assert len(kind.object_of({"names": "x" * 1000})) == OBJECT_CHARACTERS_MAX
    with pytest.raises(KeyError):
        kind.object_of({})


@pytest.mark.parametrize("call", OPERATOR_CALLS, ids=lambda call: call.subject)
def test_every_call_of_the_command_line_is_an_action_or_reads(
    call: Call[msgspec.Struct, msgspec.Struct],
) -> None:
    """A new call that changes something is in the log, or this test says so; its object can be named."""
    is_reading = call.subject.rpartition(".")[2] in READING
    is_log = call in (site.BEGIN_ACTION, site.END_ACTION)

    assert (call.action is not None) != (is_reading or is_log)
    if call.action is not None:
        call.action.object_of(dict.fromkeys(call.request.__struct_fields__, ""))


SOUNDING = ("password", "credential", "secret", "sha256", "headers")


@pytest.mark.parametrize(
    "call", [each for each in OPERATOR_CALLS if each.action], ids=lambda call: call.subject
)
def test_secrets_in_messages_are_declared(call: Call[msgspec.Struct, msgspec.Struct]) -> None:
    """Whatever sounds like one."""
    sounding = {name for name in call.request.__struct_fields__ if any(word in name for word in SOUNDING)}

    assert secret_fields(call.request) == sounding
