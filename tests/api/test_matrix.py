"""Who may use which route of the JSON API, and whose things they reach: every route of the table, tried by everybody.

What each route needs stands in `probes.py`. A route that is added to the table and not there fails the first test.
"""

from collections.abc import Iterable

import msgspec
import pytest

from services.edge.api import table
from services.edge.api.endpoint import Endpoint
from services.edge.api.shapes import people
from services.edge.api.trail import READING
from tests.api.client import COOKIE, UNSAFE, Ask, Asker, parameters_of, problem_in
from tests.api.probes import PROBES
from tests.api.world import Person, World

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

ENDPOINTS = table.ENDPOINTS
CLOSED = [each for each in ENDPOINTS if each.access != "public"]
PERSONAL = [each for each in ENDPOINTS if each.access == "person"]
OPERATORS = [each for each in ENDPOINTS if each.access == "operator"]
DANGEROUS = [each for each in ENDPOINTS if each.is_dangerous]
OWNED = [each for each in PERSONAL if parameters_of(each)]
# What changes with time or with being looked at, and is nobody's doing.
_MOVING = {"seen", "used", "last_used", "is_fresh", "is_current", "agent", "address"}


def each_of(endpoints: Iterable[Endpoint]) -> pytest.MarkDecorator:
    """Run a test for each of these routes, under its name."""
    return pytest.mark.parametrize("endpoint", endpoints, ids=lambda endpoint: endpoint.name)


def is_about_oneself(endpoint: Endpoint) -> bool:
    """Whether a route changes how a person signs in, so that only a new person should try it."""
    return endpoint.path.startswith(("/me", "/sign-out"))


async def _somebody(world: World, endpoint: Endpoint) -> Person:
    if endpoint.access == "operator":
        return world.operator
    return await world.newcomer() if is_about_oneself(endpoint) else world.alice


async def _snapshot(person: Person) -> dict[str, object]:
    """Return all that a person can see of what is theirs, but for what moves by itself."""
    seen: dict[str, object] = {}
    for endpoint in PERSONAL:
        if endpoint.method == "GET" and not parameters_of(endpoint) and endpoint.media == "application/json":
            answer = await person.browser.send(endpoint)
            assert answer.is_success, answer.text
            seen[endpoint.name] = _still(msgspec.json.decode(answer.content))
    return seen


def _still(value: object) -> object:
    if isinstance(value, dict):
        return {name: _still(each) for name, each in value.items() if name not in _MOVING}
    return [_still(each) for each in value] if isinstance(value, list) else value


def _is_given(endpoint: Endpoint, content: bytes) -> None:
    """Fail when an answer is not what its route gives."""
    if endpoint.media == "application/json":
        msgspec.json.decode(content, type=endpoint.gives)


@pytest.mark.asyncio(loop_scope="function")
async def test_every_route_is_tried() -> None:
    """The probes are those of the table, so that no route is forgotten, and no probe is of a route that has gone."""
    assert set(PROBES) == set(ENDPOINTS)
    assert len({each.name for each in ENDPOINTS}) == len(ENDPOINTS)


@each_of(CLOSED)
async def test_nobody_is_let_in(world: World, endpoint: Endpoint) -> None:
    """Who has not signed in is told so, whatever there is."""
    ask = Ask(path=dict.fromkeys(parameters_of(endpoint), "anything"), body={})

    answer = await world.nobody.send(endpoint, ask)

    assert answer.status_code == 401
    assert problem_in(answer).type == "authentication_error"


@each_of(OPERATORS)
async def test_a_user_is_no_operator(world: World, endpoint: Endpoint) -> None:
    """Neither with a session nor with a management key, and whether or not the object exists."""
    ask = Ask(path=dict.fromkeys(parameters_of(endpoint), "anything"), body={})

    for party in (world.alice.browser, world.alice.script):
        answer = await party.send(endpoint, ask)
        assert answer.status_code == 403
        assert problem_in(answer).code == "operators_only"


@each_of(OWNED)
async def test_what_is_somebody_elses_is_not_found(world: World, endpoint: Endpoint) -> None:
    """Neither another user nor the operator reads or changes it, and nothing says that it exists."""
    owner = await _somebody(world, endpoint)
    ask = await PROBES[endpoint](world, owner)
    before = await _snapshot(owner)
    unknown = Ask(path={name: _other(value) for name, value in ask.path.items()}, body=ask.body)

    for party in (world.bob, world.operator):
        answer = await party.browser.send(endpoint, ask)
        assert answer.status_code == 404, answer.text
        assert problem_in(answer).code == problem_in(await party.browser.send(endpoint, unknown)).code

    assert await _snapshot(owner) == before


@each_of([each for each in PERSONAL if each.method == "GET" and not parameters_of(each)])
async def test_nothing_of_somebody_else_is_in_ones_own_lists(world: World, endpoint: Endpoint) -> None:
    """No id, address or name of another user turns up, not even when a filter asks for it."""
    key, call = (await world.make_key(world.alice)).key.id, await world.call(world.alice)
    me = world.alice.me
    theirs = (key, call, me.user_id, me.account_id, me.email)
    filters: dict[str, str] = {
        "key_id": key,
        "request_id": call,
        "account_id": me.account_id,
        "search": me.email,
    }
    known = {name: filters[name] for name in filters if name in endpoint.query.__struct_fields__}

    for query in ({}, *({name: value} for name, value in known.items())):
        answer = await world.bob.browser.send(endpoint, Ask(query=query))
        assert answer.status_code in (200, 404), answer.text
        assert not [each for each in theirs if each in answer.text]


@each_of(CLOSED)
async def test_who_may_does(world: World, endpoint: Endpoint) -> None:
    """A user with a session reaches what is theirs, the operator what is the site's; the answer has its route's shape."""
    person = await _somebody(world, endpoint)
    ask = await PROBES[endpoint](world, person)

    answer = await person.browser.send(endpoint, ask)

    assert answer.is_success, answer.text
    _is_given(endpoint, answer.content)


@each_of(CLOSED)
async def test_a_management_key_does_the_same(world: World, endpoint: Endpoint) -> None:
    """It does what its person may, also what is dangerous, but nothing that is about a session itself."""
    person = await _somebody(world, endpoint)
    ask = await PROBES[endpoint](world, person)

    answer = await person.script.send(endpoint, ask)

    if endpoint.is_browser_only:
        assert answer.status_code == 403
        assert problem_in(answer).code == "session_needed"
    else:
        assert answer.is_success, answer.text
        _is_given(endpoint, answer.content)


@each_of(CLOSED)
async def test_an_api_key_opens_nothing(world: World, endpoint: Endpoint) -> None:
    """A key to the models is no key to the console, not even to what its owner may see."""
    holder = Asker(world.http, bearer=(await world.make_key(world.alice)).secret)
    ask = Ask(path=dict.fromkeys(parameters_of(endpoint), "anything"), body={})

    answer = await holder.send(endpoint, ask)

    assert answer.status_code == (403 if endpoint.is_browser_only else 401)
    assert problem_in(answer).code in ("session_needed", "management_key_needed")


@pytest.mark.parametrize("path", ["/v1/key", "/v1/chat/completions"])
async def test_a_session_calls_no_model(world: World, path: str) -> None:
    """The console's cookie and a management key are nothing to `/v1`."""
    method = "GET" if path == "/v1/key" else "POST"
    body = {"model": world.stack.demo.model, "messages": [{"role": "user", "content": "hello"}]}
    headers = (
        {"cookie": f"{COOKIE}={world.alice.browser.cookie}", "origin": world.stack.public_url},
        {"authorization": f"Bearer {world.alice.script.bearer}"},
    )

    for each in headers:
        answer = await world.http.request(method, path, json=body, headers=each)
        assert answer.status_code == 401, answer.text


@each_of([each for each in ENDPOINTS if each.method in UNSAFE])
async def test_another_site_changes_nothing(world: World, endpoint: Endpoint) -> None:
    """A request that a page of another site makes is refused, with the session's cookie and without."""
    ask = Ask(path=dict.fromkeys(parameters_of(endpoint), "anything"), body={})
    person = world.operator if endpoint.access == "operator" else world.alice
    foreign: tuple[dict[str, str | None], ...] = (
        {"origin": "https://elsewhere.example", "sec_fetch_site": "cross-site"},
        {"origin": "https://elsewhere.example", "sec_fetch_site": None},
        {"origin": "null", "sec_fetch_site": None},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    )

    for headers in foreign:
        answer = await person.browser.send(endpoint, ask, **headers)
        assert answer.status_code == 403, (headers, answer.text)
        assert problem_in(answer).code == "other_site"


@each_of([each for each in ENDPOINTS if each.method in UNSAFE])
async def test_a_session_without_an_origin_changes_nothing(world: World, endpoint: Endpoint) -> None:
    """A cookie alone does not show that the site's own page asks."""
    ask = Ask(path=dict.fromkeys(parameters_of(endpoint), "anything"), body={})
    person = world.operator if endpoint.access == "operator" else world.alice

    answer = await person.browser.send(endpoint, ask, origin=None, sec_fetch_site=None)

    assert answer.status_code == 403, answer.text


@each_of(DANGEROUS)
async def test_what_is_dangerous_wants_a_fresh_sign_in(world: World, endpoint: Endpoint) -> None:
    """A session whose password was shown long ago is asked for it again; then it may."""
    person = world.operator if endpoint.access == "operator" else await world.newcomer()
    ask = await PROBES[endpoint](world, person)

    async with world.stale(person):
        refused = await person.browser.send(endpoint, ask)
        assert refused.status_code == 403
        assert problem_in(refused).code == "fresh_sign_in_needed"
        shown = Ask(body={"factor": "password", "secret": person.password})
        await person.browser.get(table.CONFIRM, people.Me, shown)
        answer = await person.browser.send(endpoint, ask)

    assert answer.is_success, answer.text


@each_of([each for each in OPERATORS if each.method in UNSAFE])
@pytest.mark.parametrize("through", ["console", "management key"])
async def test_what_an_operator_does_is_written_down(world: World, endpoint: Endpoint, through: str) -> None:
    """One row for each act, with who, how and what came of it; none for what only reads."""
    person = world.operator
    ask = await PROBES[endpoint](world, person)
    party = person.browser if through == "console" else person.script
    before = {action.id for action in await world.actions()}

    answer = await party.send(endpoint, ask)

    rows = [action for action in await world.actions() if action.id not in before]
    assert answer.is_success, answer.text
    told = [(row.email, row.through, row.address, row.result) for row in rows]
    assert told == ([] if endpoint in READING else [(person.email, through, party.address, "done")])
    assert not [secret for secret in _secrets(ask) if secret in msgspec.json.encode(rows).decode()]


def _secrets(ask: Ask) -> list[str]:
    return [str(value) for name, value in (ask.body or {}).items() if name in ("password", "credential")]


def _other(value: str) -> str:
    """Return an id of the same form that names nothing: its last digit is another."""
    return value[:-1] + ("0" if value[-1] != "0" else "1")
