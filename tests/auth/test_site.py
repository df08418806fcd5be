"""The site's settings, and the log of what operators did."""

import asyncio

import asyncpg
import msgspec
import pytest

from shared.contracts import site
from shared.contracts.call import Empty
from shared.errors import InvalidRequest, NotFound
from tests.auth.conftest import World

replace = msgspec.structs.replace


async def test_a_site_begins_with_little(world: World) -> None:
    """A name, and nobody who may sign up; where it is reached and whether messages are kept is told by the settings."""
    known = await world.operator.call(site.GET_SITE, Empty())
    assert known == site.Site(
        settings=site.SiteSettings(
            version=1,
            name="Relay",
            sign_up="off",
            sign_up_credit_nano_usd=0,
            notice=site.Text(),
            about=site.Text(),
            contact="",
        ),
        public_url="https://relay.example",
        has_mail=False,
        has_outbox=True,
    )


async def test_what_is_changed_is_there_and_every_edge_hears_of_it(world: World) -> None:
    """Under the next version, in its normal form."""
    heard: asyncio.Queue[int] = asyncio.Queue()

    async def on_changed(event: site.SiteChanged) -> None:
        heard.put_nowait(event.version)

    await world.edge.listen(site.SITE_CHANGED, on_changed)
    await world.edge.control.flush()
    known = (await world.edge.call(site.GET_SITE, Empty())).settings
    wanted = replace(
        known,
        name=" Acme ",
        sign_up="open",
        sign_up_credit_nano_usd=5,
        notice=site.Text(en="Hi\n", zh="你好"),
    )

    changed = await world.edge.call(site.PUT_SITE, site.PutSite(settings=wanted))

    assert changed.settings == replace(wanted, version=2, name="Acme", notice=site.Text(en="Hi", zh="你好"))
    assert await world.edge.call(site.GET_SITE, Empty()) == changed
    assert await asyncio.wait_for(heard.get(), 10) == 2


async def test_of_two_who_change_it_the_slower_is_refused(world: World) -> None:
    """What the faster has changed is not lost."""
    known = (await world.edge.call(site.GET_SITE, Empty())).settings
    outcomes = await asyncio.gather(
        *(
            world.edge.call(site.PUT_SITE, site.PutSite(settings=replace(known, name=name)))
            for name in ("First", "Second", "Third")
        ),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "InvalidRequest",
        "InvalidRequest",
        "Site",
    ]
    error = next(outcome for outcome in outcomes if isinstance(outcome, InvalidRequest))
    assert (error.code, error.param) == ("site_changed", "version")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": " "}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"sign_up_credit_nano_usd": -1}, "sign_up_credit_usd"),
        ({"notice": site.Text(en="a" * 5001)}, "notice"),
        ({"about": site.Text(zh="a\0b")}, "about"),
        ({"contact": "a\nb"}, "contact"),
        ({"version": 2**63}, "version"),
    ],
)
async def test_what_a_site_cannot_be_is_refused(world: World, change: dict[str, object], param: str) -> None:
    """With its field, and nothing is changed."""
    known = (await world.edge.call(site.GET_SITE, Empty())).settings
    with pytest.raises(InvalidRequest) as caught:
        await world.edge.call(site.PUT_SITE, site.PutSite(settings=replace(known, **change)))
    assert caught.value.param == param
    assert (await world.edge.call(site.GET_SITE, Empty())).settings == known


def action(name: str = "put_channel", about: str = "channel one") -> site.BeginAction:
    """Return what somebody is about to do."""
    return site.BeginAction(
        user_id=None,
        email="root@acme.example",
        through="command line",
        address="",
        action=name,
        object=about,
        asked='{"name": "one"}',
    )


async def test_an_action_is_unknown_until_its_end_is_written(world: World) -> None:
    """What was asked for stands for what is after it, unless the end says more; what was written first stays."""
    begun = await world.edge.call(site.BEGIN_ACTION, action())
    [before] = (await world.edge.call(site.LIST_ACTIONS, site.ListActions())).items
    assert (before.id, before.result, before.before, before.after) == (
        begun.id, "unknown", "null", '{"name": "one"}',
    )  # fmt: skip

    for result in ("done", "internal_error"):
        end = site.EndAction(id=begun.id, result=result, before='{"name": "zero"}')
        await world.edge.call(site.END_ACTION, end)

    [after] = (await world.edge.call(site.LIST_ACTIONS, site.ListActions())).items
    assert after == replace(before, result="done", before='{"name": "zero"}')
    with pytest.raises(NotFound):
        await world.edge.call(site.END_ACTION, site.EndAction(id=begun.id + 1, result="done"))


async def test_actions_are_found_by_name_and_by_words(world: World) -> None:
    """Newest first, in pages that neither repeat nor leave out; a word is looked for as it stands."""
    numbers = [
        (await world.edge.call(site.BEGIN_ACTION, action(name, about))).id
        for name, about in (
            ("a", "channel one"),
            ("b", "CHANNEL 100%"),
            ("a", "person_x"),
            ("c", "channel two"),
        )
    ]

    async def found(**question: object) -> tuple[list[int], bool]:
        page = await world.edge.call(site.LIST_ACTIONS, replace(site.ListActions(), **question))
        return [numbers.index(each.id) for each in page.items], page.has_more

    assert await found() == ([3, 2, 1, 0], False)
    assert await found(limit=3) == ([3, 2, 1], True)
    assert await found(limit=3, before_id=numbers[1]) == ([0], False)
    assert await found(action="a") == ([2, 0], False)
    assert await found(search="channel") == ([3, 1, 0], False)
    assert await found(search="ROOT@") == ([3, 2, 1, 0], False)
    assert await found(search="%") == ([1], False)
    assert await found(search="_") == ([2], False)
    assert await found(search="' OR true --") == ([], False)
    for question in ({"search": "a" * 101}, {"action": "a\0"}, {"before_id": -1}, {"limit": 0}):
        with pytest.raises(InvalidRequest):
            await found(**question)


FORBIDDEN = [
    "DELETE FROM auth.action",
    "UPDATE auth.action SET object = ''",
    "DELETE FROM auth.action_result",
    "UPDATE auth.action_result SET result = 'done'",
    "TRUNCATE auth.action, auth.action_result",
    "DELETE FROM auth.app_user",
    "DELETE FROM auth.session",
    "DELETE FROM auth.ticket",
    "DELETE FROM auth.attempt",
    "DELETE FROM auth.invitation",
    "UPDATE auth.session SET user_id = NULL",
    "UPDATE auth.session SET ends_at = 'infinity'",
    "UPDATE auth.ticket SET expires_at = 'infinity'",
    "UPDATE auth.ticket SET kind = 'oidc'",
    "UPDATE auth.invitation SET expires_at = 'infinity'",
    "UPDATE auth.app_user SET account_id = NULL",
    "INSERT INTO auth.site DEFAULT VALUES",
    "DELETE FROM auth.site",
    "ALTER TABLE auth.action DROP COLUMN asked",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_role_of_the_service_changes_no_more_than_it_must(world: World, statement: str) -> None:
    """The log of actions above all: nobody who has the service has its past."""
    connection = await asyncpg.connect(world.database_url)
    try:
        await connection.execute("SET ROLE relay_auth")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
