"""Settings from the environment."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from shared.settings import Secret, Settings, SettingsError, document, load


class Sample(Settings, frozen=True, kw_only=True):
    """One setting of each form."""

    needed: Annotated[str, msgspec.Meta(description="A thing that must be there")]
    token: Annotated[Secret, msgspec.Meta(description="A secret")] = Secret("")
    tries: Annotated[int, msgspec.Meta(description="How often", ge=1)] = 3
    is_loud: Annotated[bool, msgspec.Meta(description="Whether to say more")] = False
    names: Annotated[tuple[str, ...], msgspec.Meta(description="Names, separated by commas")] = ("a", "b")


NEEDED = {"RELAY_NEEDED": "x"}


def test_what_is_not_set_has_its_default() -> None:
    """An empty variable counts as not set, as a compose file leaves it."""
    settings = load(Sample, NEEDED | {"RELAY_TRIES": ""})
    assert (settings.tries, settings.is_loud, settings.names) == (3, False, ("a", "b"))
    assert settings.port == 8080


def test_values_are_converted() -> None:
    """Numbers, truth values and lists are written as people write them."""
    settings = load(
        Sample,
        NEEDED
        | {
            "RELAY_TRIES": "5",
            "RELAY_IS_LOUD": "true",
            "RELAY_NAMES": "x, y ,z",
            "RELAY_TOKEN": "t",
            "RELAY_DRAIN_SECONDS": "2.5",
        },
    )
    assert (settings.tries, settings.is_loud, settings.names) == (5, True, ("x", "y", "z"))
    assert settings.token.reveal() == "t"
    assert settings.drain_seconds == 2.5


@pytest.mark.parametrize(
    ("variable", "value"),
    [("RELAY_TRIES", "0"), ("RELAY_TRIES", "many"), ("RELAY_IS_LOUD", "perhaps"), ("RELAY_PORT", "-1")],
)
def test_an_unusable_value_names_its_variable(variable: str, value: str) -> None:
    """One sentence, no traceback needed."""
    with pytest.raises(SettingsError, match=f"^{variable} is not usable: "):
        load(Sample, NEEDED | {variable: value})


def test_a_missing_value_is_named_with_its_meaning() -> None:
    """The reader need not look it up."""
    with pytest.raises(SettingsError, match=r"^RELAY_NEEDED is not set.*A thing that must be there\.$"):
        load(Sample, {})


def test_a_value_can_be_mounted_as_a_file(tmp_path: Path) -> None:
    """The file comes before the variable, and its last line break is not part of the value."""
    (tmp_path / "token").write_text("from file\n")
    settings = load(
        Sample, NEEDED | {"RELAY_TOKEN_FILE": str(tmp_path / "token"), "RELAY_TOKEN": "from variable"}
    )
    assert settings.token.reveal() == "from file"


def test_a_file_that_cannot_be_read_names_its_variable(tmp_path: Path) -> None:
    """And does not fall back to anything."""
    with pytest.raises(SettingsError, match=r"^RELAY_TOKEN_FILE cannot be read: No such file"):
        load(Sample, NEEDED | {"RELAY_TOKEN_FILE": str(tmp_path / "token"), "RELAY_TOKEN": "x"})


def test_a_secret_shows_itself_as_stars() -> None:
    """In every usual way of printing, also inside its settings."""
    secret = Secret("hunter2")
    settings = load(Sample, NEEDED | {"RELAY_TOKEN": "hunter2"})
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!s}", "{}".format(secret)]  # noqa: UP032
    shown += ["%s" % secret, repr(settings), repr([secret])]  # noqa: UP031
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2"
    assert type(secret.reveal()) is str


def test_settings_cannot_be_changed() -> None:
    """What a service was told at its start holds until its end."""
    with pytest.raises(AttributeError):
        load(Sample, NEEDED).tries = 4  # type: ignore[misc]  # that is the point


def test_every_setting_can_be_documented() -> None:
    """Variable, meaning and default, in the order of the struct; required and secret ones are marked."""
    documented = {each.variable: each for each in document(Sample)}
    assert documented["RELAY_NEEDED"].default is None
    assert documented["RELAY_TOKEN"].is_secret
    assert documented["RELAY_NAMES"].default == "a,b"
    assert documented["RELAY_TRIES"].description == "How often"
    assert not documented["RELAY_TRIES"].is_secret
    assert all(each.description for each in documented.values())
