"""The playground's chat: an SDK's endpoint for the console's own pages, and for nobody else."""

import httpx
import pytest

from services.edge.api import table
from services.edge.api.shapes import wallet
from tests.api.client import COOKIE, problem_in
from tests.api.world import World

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.asyncio(loop_scope="session")]

PATH = "/api/playground/chat/completions"


async def _ask(world: World, **headers: str) -> httpx.Response:
    body = {"model": world.stack.demo.model, "messages": [{"role": "user", "content": "hello [[sim out=5]]"}]}
    return await world.http.post(
        PATH, json=body, headers={name.replace("_", "-"): each for name, each in headers.items()}
    )


async def test_a_session_of_the_sites_own_page_calls_a_model(world: World) -> None:
    """It is answered, and stands among the calls of the account."""
    await world.credit(world.alice)

    answer = await _ask(world, cookie=f"{COOKIE}={world.alice.browser.cookie}", origin=world.stack.public_url)

    assert answer.status_code == 200, answer.text
    calls = await world.alice.browser.get(table.CALLS, wallet.Calls)
    assert answer.headers["x-request-id"] in [call.id for call in calls.items]


async def test_another_sites_page_calls_nothing(world: World) -> None:
    """The cookie comes along with whatever a browser is made to send, so it is not enough."""
    cookie = f"{COOKIE}={world.alice.browser.cookie}"

    for headers in ({}, {"origin": "https://elsewhere.example"}, {"sec_fetch_site": "cross-site"}):
        answer = await _ask(world, cookie=cookie, **headers)
        assert answer.status_code == 403
        assert problem_in(answer).code == "other_site"


async def test_no_key_takes_the_place_of_a_session(world: World) -> None:
    """Neither one to the models nor one to the API; and nobody is let in without."""
    key = (await world.make_key(world.alice)).secret

    for headers in (
        {},
        {"authorization": f"Bearer {key}"},
        {"authorization": f"Bearer {world.alice.script.bearer}"},
    ):
        answer = await _ask(world, origin=world.stack.public_url, **headers)
        assert answer.status_code == 401
        assert problem_in(answer).type == "authentication_error"
