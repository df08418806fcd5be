"""The settings of auth."""

import pytest

from services.auth.settings import AuthSettings
from shared.settings import SettingsError, load

ENVIRONMENT = {"RELAY_DATABASE_URL": "postgresql://auth:pw@127.0.0.1/relay", "RELAY_KEY_PEPPER": "0F" * 32}


def test_two_settings_are_enough() -> None:
    """Everything else has a default."""
    settings = load(AuthSettings, ENVIRONMENT)
    assert settings.pepper == b"\x0f" * 32
    assert settings.port == 8081


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_a_missing_secret_is_named(missing: str) -> None:
    """There is no default password."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    with pytest.raises(SettingsError, match=f"^{missing} is not set"):
        load(AuthSettings, environment)


@pytest.mark.parametrize("pepper", ["0f" * 31, "0f" * 31 + "0", "xy" * 32, "0f" * 32 + "0", "é" * 64])
def test_a_weak_pepper_refuses_to_start(pepper: str) -> None:
    """The sentence says how to make a good one and does not repeat the bad one."""
    with pytest.raises(SettingsError, match=r"^RELAY_KEY_PEPPER .* openssl rand -hex 32\.$") as caught:
        load(AuthSettings, ENVIRONMENT | {"RELAY_KEY_PEPPER": pepper})
    assert pepper not in str(caught.value)


def test_secrets_do_not_show() -> None:
    """Neither the pepper nor the database's password is in the text form."""
    text = repr(load(AuthSettings, ENVIRONMENT))
    assert "0F0F" not in text
    assert ":pw@" not in text
