"""What every answer says to a browser besides its content: no foreign script, no frame, no guessed type, no other site."""

import httpx
import pytest

from services.edge.api import table
from services.edge.api.endpoint import Endpoint
from tests.api.client import Ask, parameters_of, url_of
from tests.api.test_matrix import each_of
from tests.api.world import World

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

PAGES = ["/", "/docs", "/openapi.json", "/no-such-page"]
ELSEWHERE = "https://elsewhere.example"


def _check(answer: httpx.Response) -> None:
    headers = answer.headers
    policy = {
        name: set(values)
        for name, *values in (part.split() for part in headers["content-security-policy"].split(";") if part)
    }
    scripts = policy.get("script-src", policy["default-src"])
    assert not scripts & {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:", "data:"}
    assert policy["frame-ancestors"] == {"'none'"}
    assert policy["base-uri"] <= {"'none'", "'self'"}
    assert policy["object-src" if "object-src" in policy else "default-src"] == {"'none'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] in ("no-referrer", "same-origin", "strict-origin")
    assert "access-control-allow-origin" not in headers
    assert "access-control-allow-credentials" not in headers


@each_of(table.ENDPOINTS)
async def test_every_route_tells_the_browser_what_it_may_do(world: World, endpoint: Endpoint) -> None:
    """Answers and refusals alike; nothing of the API is kept in a cache, but for what everybody gets."""
    path = url_of(endpoint, Ask(path=dict.fromkeys(parameters_of(endpoint), "anything")))

    answer = await world.http.request(endpoint.method, path, headers={"origin": ELSEWHERE})

    _check(answer)
    if endpoint.access != "public":
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_tells_the_browser_what_it_may_do(world: World, path: str) -> None:
    """Pages and documents too."""
    _check(await world.http.get(path, headers={"origin": ELSEWHERE, "accept": "text/html"}))


@pytest.mark.parametrize("path", ["/", "/docs", "/api/site", "/api/me"])
async def test_without_tls_none_is_promised(world: World, path: str) -> None:
    """A site that is reached without TLS keeps no browser to it; whatever a proxy says of a single request."""
    answer = await world.http.get(path, headers={"x-forwarded-proto": "https"})

    assert "strict-transport-security" not in answer.headers


async def test_another_sites_page_reads_nothing(world: World) -> None:
    """What a browser asks before a request with credentials is not granted."""
    answer = await world.http.options(
        "/api/me",
        headers={"origin": ELSEWHERE, "access-control-request-method": "GET"},
    )

    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-credentials" not in answer.headers
