"""What the local stack says when it is ready."""

import pytest

from services.devstack.demo import Demo, greeting
from services.devstack.settings import StackSettings

DEMO = Demo(
    base_url="http://127.0.0.1:8080/v1", api_key="sk-relay-abc", model="gpt-4o-mini", admin_email="admin@relay.localhost",
    admin_password="first", user_email="demo@relay.localhost", user_password="second", upstream="simulator",
)  # fmt: skip


def test_the_greeting_says_where_everything_is_and_how_to_get_in() -> None:
    """The console and its two people, the base URL and a key, and a request that can be copied."""
    text = greeting(DEMO, "http://localhost:8080")

    assert "Console         http://localhost:8080\n" in text
    for each in (DEMO.base_url, DEMO.api_key, DEMO.admin_email, DEMO.admin_password, DEMO.user_email):
        assert each in text
    assert f"curl {DEMO.base_url}/chat/completions" in text


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        (StackSettings(), "http://localhost:8080"),
        (StackSettings(host="127.0.0.1", port=9000), "http://localhost:9000"),
        (StackSettings(public_url="https://relay.example"), "https://relay.example"),
    ],
)
def test_the_console_is_reached_by_name(settings: StackSettings, address: str) -> None:
    """A passkey belongs to a name, and to no address."""
    assert settings.console_url == address
