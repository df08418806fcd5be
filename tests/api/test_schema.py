"""Everything that the document of the API allows, and what it does not: no fault of ours, and no answer out of shape.

The requests are schemathesis's: for each route some that the document allows and some that it forbids, the same in every run.
"""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode

from services.edge.api import table
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.openapi import document
from services.edge.api.shapes import operator
from tests.api.client import COOKIE, Ask, Envelope
from tests.api.probes import PROBES
from tests.api.test_matrix import each_of, is_about_oneself
from tests.api.world import Person, World

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

EXAMPLES = 24  # for each route
DOCUMENT = msgspec.json.decode(msgspec.json.encode(document(table.ENDPOINTS, version="0")))
_CONFIG = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
_SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=_CONFIG)
_OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for path in _SCHEMA.values()
    for operation in path.values()
}
_SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def carol(world: World) -> AsyncIterator[Person]:
    """A user who asks for anything."""
    yield await world.newcomer("carol")


async def test_the_document_is_served(world: World) -> None:
    """`/openapi.json` is what the table says, so what is tried here is what people read."""
    served = (await world.http.get("/openapi.json")).json()

    assert served["paths"] == DOCUMENT["paths"]
    assert served["components"] == DOCUMENT["components"]
    assert set(_OPERATIONS) == {endpoint.name for endpoint in table.ENDPOINTS}


@each_of(table.ENDPOINTS)
async def test_no_fault_and_no_error_out_of_shape(world: World, carol: Person, endpoint: Endpoint) -> None:
    """Whatever is sent, the answer is what the route gives or an error that says what to do; never a 5xx."""
    person = await _asking(world, carol, endpoint)
    path = (await PROBES[endpoint](world, person)).path
    before = await world.operator.browser.get(table.SETTINGS, operator.SiteSettings)
    with requests.Session() as session:

        @_SETTINGS
        @given(case=_cases(endpoint), names_what_is_there=strategies.booleans())
        def ask(case: Case[Any], names_what_is_there: bool) -> None:
            if names_what_is_there:
                case.path_parameters = path
            answer = case.call(
                base_url=world.stack.public_url,
                session=session,
                headers=_headers(world, person, endpoint),
                allow_redirects=False,
            )
            _check(endpoint, answer.status_code, answer.content)

        ask()
    await _restore(world, before)


def _cases(endpoint: Endpoint) -> SearchStrategy[Case[Any]]:
    """Return requests for a route that the document allows, and as many that it forbids where it forbids any."""
    operation = _OPERATIONS[endpoint.name]
    has_rules = endpoint.takes is not Nothing or endpoint.query is not Nothing
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if has_rules else [])]
    return strategies.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


async def _asking(world: World, carol: Person, endpoint: Endpoint) -> Person:
    if endpoint.access == "operator":
        return world.operator
    return await world.newcomer() if is_about_oneself(endpoint) else carol


def _check(endpoint: Endpoint, status: int, content: bytes) -> None:
    assert status < 500, content
    if status >= 400:
        assert msgspec.json.decode(content, type=Envelope).error.message
    elif endpoint.media == "application/json":
        msgspec.json.decode(content, type=endpoint.gives)


def _headers(world: World, person: Person, endpoint: Endpoint) -> dict[str, str]:
    """Return who asks, always from another address, so that no limit by address hides what lies behind it."""
    address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    headers = {"x-forwarded-for": address}
    if endpoint.access == "public":
        return headers | {"origin": world.stack.public_url, "sec-fetch-site": "same-origin"}
    if endpoint.is_browser_only:
        cookie = f"{COOKIE}={person.browser.cookie}"
        return headers | {"cookie": cookie, "origin": world.stack.public_url, "sec-fetch-site": "same-origin"}
    return headers | {"authorization": f"Bearer {person.script.bearer}"}


async def _restore(world: World, before: operator.SiteSettings) -> None:
    """Put back the site's settings, if a request has hit on their version."""
    now = await world.operator.browser.get(table.SETTINGS, operator.SiteSettings)
    if now != before:
        wanted = msgspec.structs.replace(before, version=now.version)
        ask = Ask(body=msgspec.to_builtins(wanted))
        await world.operator.browser.get(table.PUT_SETTINGS, operator.SiteSettings, ask)
