"""Whose request it is, and whether it may come from another site's page."""

import pytest

from services.edge.api.access import Access, agent_of, check_rights, cookies_of
from services.edge.api.context import Person
from services.edge.api.endpoint import Endpoint
from services.edge.settings import EdgeSettings
from shared.bus import Bus
from shared.errors import Forbidden, Unauthenticated

LOCAL = "http://localhost:8080"
PUBLIC = "https://relay.example.com"


def access(public_url: str = PUBLIC) -> Access:
    """Return what finds out who asks, of an edge that need not be connected for it."""
    settings = EdgeSettings(public_url=public_url)
    return Access(Bus(settings, party="edge"), settings)


def scope(**headers: str) -> dict[str, object]:
    """Return an ASGI scope with the headers, named with underscores."""
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin", "origin": PUBLIC},
        {"sec_fetch_site": "same-origin"},
        {"origin": PUBLIC},
        {"x_relay_console": "1"},
    ],
)
def test_our_own_pages_may(headers: dict[str, str]) -> None:
    """What the browser tells is right, or a header is there that only our own pages can set."""
    access().check_origin(scope(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "cross-site", "origin": PUBLIC},
        {"sec_fetch_site": "same-site", "origin": PUBLIC},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "same-origin", "origin": "https://relay.example.com.evil.example"},
        {"origin": "https://evil.example", "x_relay_console": "1"},
        {"origin": "http://relay.example.com"},
        {"origin": "https://relay.example.com:8443"},
        {"origin": "null", "x_relay_console": "1"},
    ],
)
def test_other_sites_may_not(headers: dict[str, str]) -> None:
    """Whatever speaks against our own pages refuses, also when something else speaks for them."""
    with pytest.raises(Forbidden, match="console's own pages"):
        access().check_origin(scope(**headers))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_local_console_is_reached_under_each_of_its_names(host: str) -> None:
    """A browser on this machine may say any of them, with the port that is set."""
    access(LOCAL).check_origin(scope(origin=f"http://{host}:8080"))
    with pytest.raises(Forbidden):
        access(LOCAL).check_origin(scope(origin=f"http://{host}:8081"))


def test_a_session_cookie_is_bound_to_its_host_and_to_tls() -> None:
    """Where the console is reached by TLS; without it a browser would not keep such a cookie."""
    assert access().cookie("t0ken") == (
        "__Host-relay-session=t0ken; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
    )
    assert access(LOCAL).cookie("") == "relay-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("role", ["admin", "member"])
@pytest.mark.parametrize("is_fresh", [True, False])
@pytest.mark.parametrize("allowed", ["public", "person", "operator"])
@pytest.mark.parametrize("is_dangerous", [True, False])
def test_rights(role: str, is_fresh: bool, allowed: str, is_dangerous: bool) -> None:
    """Nobody does what is for people, no member what is for operators, and nobody stale what is dangerous."""
    endpoint = Endpoint("POST", "/x", allowed, "x", is_dangerous=is_dangerous)  # type: ignore[arg-type]  # drawn from its values
    person = Person(
        user_id="u", account_id="a", email="e", role=role, language="en", is_fresh=is_fresh, through="console"  # type: ignore[arg-type]
    )  # fmt: skip
    is_allowed = allowed == "public" or (
        (allowed == "person" or role == "admin") and (is_fresh or not is_dangerous)
    )

    if is_allowed:
        check_rights(endpoint, person)
    else:
        with pytest.raises(Forbidden):
            check_rights(endpoint, person)
    if allowed == "public":
        check_rights(endpoint, None)
    else:
        with pytest.raises(Unauthenticated):
            check_rights(endpoint, None)


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36 Edg/156.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 Version/26.0 Safari/604.1",
            "Safari on iOS",
        ),
        ("curl/8.5.0", ""),
    ],
)
def test_agent_in_words(user_agent: str, words: str) -> None:
    """Browser and system are named as people know them, and nothing of the text itself is kept."""
    assert agent_of(user_agent) == words


def test_cookies_that_cannot_be_read_are_none() -> None:
    """A malformed header signs nobody in."""
    assert cookies_of(scope(cookie="a=1; relay-session=x")) == {"a": "1", "relay-session": "x"}
    assert cookies_of(scope(cookie="\x00=;;;=")) == {}
