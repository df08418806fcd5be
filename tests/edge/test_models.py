"""The list of models: what channels offer and a price exists for."""

import asyncio

import pytest

from services.edge import models
from services.edge.models import Models
from services.edge.settings import EdgeSettings
from shared.contracts import billing, dispatcher
from shared.errors import Unavailable
from shared.keys import mint
from tests.dispatcher.rig import World, until
from tests.edge.rig import Around, Edge, edge_of


async def listed(edge: Edge, path: str = "/v1/models", key: str | None = None) -> list[str]:
    """Return the names in the list."""
    async with edge.client(key) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.json()["object"] == "list"
    return [model["id"] for model in answer.json()["data"]]


async def test_a_model_is_listed_when_it_can_be_called(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Offered by a channel and priced, in OpenAI's form, for anybody; each path of the list is the same list."""
    around.prices.models = ("a", "org/b", "unoffered")
    await upstreams.channel("https://x.example/v1", models={"org/b": "x", "unpriced": "x", "a": "x"})
    async with edge_of(around, settings) as edge:
        for path in ("/v1/models", "/models", "/v1/v1/models"):
            assert await listed(edge, path) == ["a", "org/b"]
        async with edge.client() as client:
            del client.headers["authorization"]
            answer = await client.get("/v1/models")
            one = await client.get("/v1/models/org/b")
            none = await client.get("/v1/models/unpriced")
            head = await client.head("/v1/models")

    assert [model["id"] for model in answer.json()["data"]] == ["a", "org/b"]
    assert one.json() == answer.json()["data"][1]
    assert {name: one.json()[name] for name in ("id", "object", "owned_by")} == {
        "id": "org/b", "object": "model", "owned_by": "relay",
    }  # fmt: skip
    assert one.json()["created"] > 1_700_000_000
    assert (none.status_code, none.json()["error"]["code"]) == (404, "model_not_found")
    assert none.headers["x-should-retry"] == "false"
    assert (head.status_code, head.content) == (200, b"")
    for response in (answer, one, none, head):
        assert response.headers["x-request-id"]


async def test_a_key_sees_the_models_that_it_may_use(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """A limited one its own, a wrong one what everybody sees."""
    around.prices.models = ("a", "b")
    await upstreams.channel("https://x.example/v1", models={"a": "x", "b": "x"})
    limited = around.auth.key(allowed_models=("b", "c"))
    async with edge_of(around, settings) as edge:
        assert await listed(edge, key=limited) == ["b"]
        assert await listed(edge, key=mint()) == ["a", "b"]
        async with edge.client(limited) as client:
            assert (await client.get("/v1/models/a")).status_code == 404
            assert (await client.get("/v1/models/b")).status_code == 200


async def test_a_key_sees_what_the_group_of_its_account_may_use(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Of its own models those, and nothing that would be refused; who shows no key sees all."""
    around.prices.models = ("a", "b", "c")
    around.prices.group_models = ("b", "c", "gone")
    await upstreams.channel("https://x.example/v1", models={"a": "x", "b": "x", "c": "x"})
    anything, limited = around.auth.key(), around.auth.key(allowed_models=("a", "b"))
    async with edge_of(around, settings) as edge:
        assert await listed(edge, key=anything) == ["b", "c"]
        assert await listed(edge, key=limited) == ["b"]
        assert await listed(edge, key=mint()) == ["a", "b", "c"]
        async with edge.client(anything) as client:
            assert (await client.get("/v1/models/a")).status_code == 404


async def test_a_key_whose_group_is_not_known_sees_no_list(
    around: Around, upstreams: World, settings: EdgeSettings
) -> None:
    """Rather an error that may pass than a list that is too long; who shows no key is not concerned."""
    around.prices.models = ("a",)
    around.prices.refuses_limits = Unavailable("service_unavailable", retry_after_seconds=1, part="billing")
    await upstreams.channel("https://x.example/v1", models={"a": "x"})
    key = around.auth.key()
    async with edge_of(around, settings) as edge:
        assert await listed(edge, key=mint()) == ["a"]
        async with edge.client(key) as client:
            answer = await client.get("/v1/models")
        around.prices.refuses_limits = None
        assert await listed(edge, key=key) == ["a"]

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")


async def test_the_list_is_remembered_until_something_changes(around: Around, upstreams: World) -> None:
    """A channel or a price that changes is seen the next time."""
    around.prices.models = ("a",)
    known = Models(around.bus)
    await known.listen()
    await around.bus.control.flush()
    assert await known.all() == {}
    asked = around.prices.asked
    await known.all()
    assert around.prices.asked == asked

    await upstreams.channel("https://x.example/v1", models={"a": "x", "b": "x"})
    await _until_known(known, {"a"})
    around.prices.models = ("a", "b")
    await around.prices.bus.publish(billing.PRICE_CHANGED, billing.PriceChanged(model="b"))
    await _until_known(known, {"a", "b"})


async def test_a_list_that_is_older_than_a_change_is_not_remembered(around: Around, upstreams: World) -> None:
    """A price comes into force while the list is being read: the next look reads again."""
    await upstreams.channel("https://x.example/v1", models={"a": "x"})
    around.prices.models = ()
    known = Models(around.bus)
    await known.listen()
    await around.bus.control.flush()
    around.prices.may_answer.clear()
    reading = asyncio.create_task(known.all())
    await until(lambda: around.prices.asked)
    asked = around.prices.asked
    await around.prices.bus.publish(billing.PRICE_CHANGED, billing.PriceChanged(model="a"))
    around.prices.may_answer.set()
    await reading

    await known.all()

    assert around.prices.asked == asked + 1


async def test_who_waits_for_the_same_failure_fails_with_it(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a dispatcher a hundred look at once and are refused after one look; a moment later it is tried again."""
    monkeypatch.setattr(billing.LIST_PRICES, "timeout_seconds", 0.2)
    monkeypatch.setattr(dispatcher.LIST_MODELS, "timeout_seconds", 0.2)
    monkeypatch.setattr(models, "FAILURE_SECONDS", 3600.0)
    known = Models(around.bus)

    errors = await asyncio.gather(*(known.all() for _ in range(100)), return_exceptions=True)

    assert all(isinstance(error, Unavailable) for error in errors)
    assert around.prices.asked <= 1
    known_later = Models(around.bus)
    monkeypatch.setattr(models, "FAILURE_SECONDS", 0.0)
    for looks in (1, 2):
        with pytest.raises(Unavailable):
            await known_later.all()
        assert around.prices.asked <= 1 + looks


async def test_an_unavailable_list_is_an_error_in_json(around: Around, settings: EdgeSettings) -> None:
    """With the time to come back."""
    async with edge_of(around, settings) as edge, edge.client() as client:
        answer = await client.get("/v1/models")

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert answer.headers["x-should-retry"] == "true"
    assert answer.headers["x-request-id"]


async def _until_known(known: Models, names: set[str]) -> None:
    async with asyncio.timeout(30):
        while set(await known.all()) != names:  # noqa: ASYNC110 - what is remembered has no event
            await asyncio.sleep(0.01)
