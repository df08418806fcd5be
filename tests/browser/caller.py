"""Somebody whose programs have called: money, two keys, an answer and a failure, all of it settled."""

import asyncio

import msgspec

from services.edge.api import table
from services.edge.api.shapes import wallet
from tests.api.client import Ask
from tests.api.world import Person, World

PATIENCE_SECONDS = 20
POLL_SECONDS = 0.05
MODEL, OTHER_MODEL = "gpt-4o-mini", "gpt-4o"
ANSWER, FAILURE = "[[sim out=20 tps=200]]", "[[sim status=400 code=context_length_exceeded]]"


class Caller(msgspec.Struct, kw_only=True):
    """A person with calls: `good` was answered, with `key`; `failed` was refused by the provider, with `other_key`."""

    person: Person
    key: wallet.MadeKey
    other_key: wallet.MadeKey
    good: str
    failed: str


async def call(world: World, key: wallet.MadeKey, prompt: str, model: str = MODEL) -> str:
    """Call a model as a stream; return the request's id."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {key.secret}"}
    answer = await world.http.post("/v1/chat/completions", json=body, headers=headers)
    return answer.headers["x-request-id"]


async def settled(person: Person) -> tuple[wallet.Call, ...]:
    """Return the calls of a person, once none of them runs any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            calls = (await person.browser.get(table.CALLS, wallet.Calls)).items
            if all(each.state != "running" for each in calls):
                return calls
            await asyncio.sleep(POLL_SECONDS)


async def new_caller(world: World) -> Caller:
    """Return somebody new who has called twice."""
    person = await world.newcomer("caller")
    await world.credit(person, "5", reason="bank transfer of May")
    made = [
        await person.browser.get(table.MAKE_KEY, wallet.MadeKey, Ask(body={"name": name}))
        for name in ("laptop", "server")
    ]
    good = await call(world, made[0], ANSWER)
    failed = await call(world, made[1], FAILURE, OTHER_MODEL)
    await settled(person)
    return Caller(person=person, key=made[0], other_key=made[1], good=good, failed=failed)
