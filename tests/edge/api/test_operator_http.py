"""An operator at the API as they reach it: a real listener, a session of their own, and the log of what they did."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shared.ids import uuid7
from tests.edge.api.browser import PASSWORD
from tests.edge.api.conftest import Operator, member

OURS = {"x-relay-console": "1"}


@asynccontextmanager
async def signed_in(url: str, email: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with a session."""
    async with httpx.AsyncClient(base_url=url + "/api", headers=OURS, timeout=30.0) as client:
        answer = await client.post("/sign-in", json={"email": email, "password": PASSWORD})
        assert answer.json()["state"] == "signed_in"
        yield client


async def test_what_an_operator_does_is_in_the_log(op: Operator, url: str) -> None:
    """Done, or tried; names with a slash are one name."""
    name = f"gold/客 {uuid7().hex}"
    path = f"/operator/groups/{name.replace('/', '%2F')}"
    async with signed_in(url, op.user.email) as client:
        made = await client.put("/operator/groups", json={"name": name, "price_multiplier": "1.5"})
        assert (made.status_code, made.json()["price_multiplier"]) == (200, "1.50")
        done = await op.last_action()
        assert (await client.delete(path)).json() == {}
        gone = await client.delete(path)

    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
    assert (done.action, done.object, done.result) == ("put_group", f"group {name}", "done")
    assert (done.email, done.through, done.address) == (op.user.email, "console", "127.0.0.1")
    tried = await op.last_action()
    assert (tried.action, tried.object, tried.result) == ("delete_group", f"group {name}", "not_found")


async def test_what_is_refused_before_it_is_tried_is_not_in_the_log(op: Operator, url: str) -> None:
    """Somebody who is no operator, a body that cannot be, a page of another site."""
    before = await op.log()
    other = await member(op.running, f"member-{uuid7().hex}@example.com")
    path = f"/operator/accounts/{other.account_id}/credit"
    body = {"amount_usd": "5", "reason": "none", "idempotency_key": "k"}
    async with signed_in(url, other.email) as client:
        assert (await client.post(path, json=body)).status_code == 403
    async with signed_in(url, op.user.email) as client:
        assert (await client.post(path, json={**body, "amount_usd": 5})).status_code == 400
        assert (
            await client.post(path, json=body, headers={"origin": "https://evil.example"})
        ).status_code == 403
    async with httpx.AsyncClient(base_url=url + "/api", headers=OURS) as client:
        assert (await client.post(path, json=body)).status_code == 401

    assert await op.log() == before


async def test_numbers_out_of_range_are_refused(op: Operator, url: str) -> None:
    """However large: none of them reaches what could not carry it."""
    account = f"/operator/accounts/{op.user.account_id}"
    figures = [{"above_input_tokens": 0, "input": "1", "output": "1", "cache_read": "1", "cache_write": "1"}]
    price = {"model": "m", "figures": figures, "max_output_tokens": 10**30}
    channel = {"name": "n", "base_url": "http://x/v1", "credential": "c", "models": {"m": "m"}}
    async with signed_in(url, op.user.email) as client:
        answers = [
            await client.put(f"{account}/limits", json={"requests_per_minute": 10**30}),
            await client.post("/operator/prices", json=price),
            await client.post(
                "/operator/prices", json={**price, "max_output_tokens": 1, "effective": 10**30}
            ),
            await client.post("/operator/channels", json={**channel, "priority": 10**30}),
            await client.post("/operator/channels", json={**channel, "weight": -(10**30)}),
            await client.post("/operator/codes", json={"batch": "b", "count": 10**30, "amount_usd": "1"}),
            await client.get("/operator/accounts", params={"limit": 10**30}),
            await client.get("/operator/actions", params={"limit": 10**30}),
        ]

    assert [each.status_code for each in answers] == [400] * len(answers)
