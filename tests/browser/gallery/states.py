"""What pages show beside themselves: dialogs, drawers, answers, errors near their fields, and a server that does not answer."""

import re
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from playwright.async_api import Locator, Route

from tests.browser.visitor import Visitor

PROMPT = "Name three rivers of Europe. [[sim reply='The **Danube**, the Rhine and the Elbe.']]"
CODE = "RELAY-7Q4XK-2M9TD-H3VWC-8RJPN-5ZB6G"

# All of the API but `/api/me`, `/api/site` and `/api/me/…`.
_ASKED = re.compile(r"/api/(?!me\b|site$)")

LONG_MESSAGE = (
    "Invalid value: the model zai-org/glm-4.6-customer-support-finetuned-2026-09-14-checkpoint-004200-awq-int4-w4a16-group128-"
    "context-1m-eu-central is offered by no channel at the moment, and the last of those that did offer it was taken out of "
    "service because its provider refused the key; choose another model, or ask the operator."
)

Steps = Callable[[Visitor], Awaitable[None]]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: who sees it, on which page, and the steps that lead to it. `answer` stands for the server, but for who one
    is and what the site is called; `is_whole` shows more than the window does.
    """

    name: str
    role: str
    path: str
    steps: Steps | None = None
    answer: Callable[[Route], Awaitable[None]] | None = None
    is_whole: bool = False


async def show(visitor: Visitor, state: State, values: dict[str, str]) -> None:
    """Lead a visitor to a state."""
    if state.answer is not None:
        await visitor.page.route(_ASKED, state.answer)
    path = state.path.format(**values)
    if state.answer is _never:
        await visitor.page.goto(visitor.site.public_url + path, wait_until="load")
        await visitor.page.locator("main").get_by_role("status").first.wait_for()
        return
    await visitor.go(path)
    if state.steps is not None:
        await state.steps(visitor)
        if state.name != "proof":  # there a button waits for the proof
            await visitor.page.locator("[data-loading]").first.wait_for(state="detached")
        await visitor.page.wait_for_load_state("networkidle")


async def _never(_: Route) -> None:
    """Leave a question without an answer."""


async def _away(route: Route) -> None:
    """Let the server be out of reach."""
    await route.abort()


async def _told(visitor: Visitor) -> None:
    await visitor.page.get_by_role("alert").first.wait_for()


async def _refuse(route: Route) -> None:
    """Let the server refuse, in many words."""
    error = {"message": LONG_MESSAGE, "type": "invalid_request_error", "param": None, "code": "invalid_value"}
    identity = "019ac6f2-7d52-7c1a-9a3b-2f1f6f1c3a55"
    await route.fulfill(status=400, json={"error": error}, headers={"x-request-id": identity})


def _dialog(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("dialog").last


async def _press(visitor: Visitor, key: str, **values: object) -> None:
    """Press a button, the one in the dialog if there is one."""
    name = visitor.words(key, **values)
    dialog = _dialog(visitor)
    place = dialog if await dialog.count() else visitor.page
    await place.get_by_role("button", name=name, exact=True).first.click()


async def _fill(visitor: Visitor, key: str, text: str) -> None:
    await visitor.field(key).first.fill(text)


async def _choose(visitor: Visitor, menu: str, key: str, **values: object) -> None:
    """Choose from the menu of a line."""
    await visitor.button(menu, **values).click()
    await visitor.page.get_by_role("menuitem", name=visitor.words(key), exact=True).click()


def _pressing(*keys: str) -> Steps:
    async def steps(visitor: Visitor) -> None:
        for key in keys:
            await _press(visitor, key)

    return steps


def _choosing(menu: str, key: str, name: str) -> Steps:
    async def steps(visitor: Visitor) -> None:
        await _choose(visitor, menu, key, name=name)

    return steps


async def _key_made(visitor: Visitor) -> None:
    await _fill(visitor, "user:keys.name", "documentation assistant")
    await _press(visitor, "user:keys.createDo")
    await visitor.text("user:keys.saved").wait_for()


async def _wrong_limits(visitor: Visitor) -> None:
    await _press(visitor, "user:keys.limits")
    await _fill(visitor, "user:keys.limit.spend_day_usd", "much")
    await _press(visitor, "user:keys.createDo")


async def _wrong_code(visitor: Visitor) -> None:
    await _fill(visitor, "user:wallet.code", CODE)
    await _press(visitor, "user:wallet.redeemDo")


async def _compared(visitor: Visitor) -> None:
    await _press(visitor, "user:playground.add")
    await _fill(visitor, "user:playground.message", PROMPT)
    await _press(visitor, "user:playground.send")
    await visitor.button("user:playground.stop").wait_for(state="detached")


async def _first_row(visitor: Visitor) -> None:
    await visitor.page.locator("tbody button, ul button").first.click()


async def _key_named(visitor: Visitor) -> None:
    await _press(visitor, "account:management.make")
    await _dialog(visitor).get_by_label(visitor.words("account:name"), exact=True).fill("nightly report")


async def _wrong_password(visitor: Visitor) -> None:
    await _fill(visitor, "account:email", "ada.lindqvist@example.org")
    await _fill(visitor, "account:password", "not the right one")
    await _press(visitor, "account:signIn.do")


async def _weak_password(visitor: Visitor) -> None:
    await _fill(visitor, "account:email", "grace@example.org")
    await _fill(visitor, "account:password", "short")
    await _press(visitor, "account:signUp.do")


async def _some_channels(visitor: Visitor) -> None:
    for name in ("deepseek", "fireworks"):
        await visitor.field("operator:channels.select", name=name).check()


async def _tested(visitor: Visitor) -> None:
    await _choose(visitor, "operator:channels.menu", "operator:channel.test", name="openai")
    await _press(visitor, "operator:channel.test")
    await visitor.button("operator:channel.testAgain").wait_for()


async def _dearer(visitor: Visitor) -> None:
    await visitor.field("operator:figure.output").first.fill("25")
    await _press(visitor, "operator:prices.review")


async def _codes_named(visitor: Visitor) -> None:
    await _press(visitor, "operator:codes.make")
    await _dialog(visitor).get_by_label(visitor.words("operator:codes.name"), exact=True).fill("open day")
    await _fill(visitor, "operator:codes.each", "2.50")


async def _codes_made(visitor: Visitor) -> None:
    await _press(visitor, "operator:codes.make")
    dialog = _dialog(visitor)
    name = f"open day {secrets.token_hex(2)}"
    await dialog.get_by_label(visitor.words("operator:codes.name"), exact=True).fill(name)
    await _fill(visitor, "operator:codes.each", "2.50")
    await _press(visitor, "operator:codes.make")
    await visitor.button("operator:codes.copyAll").wait_for()


async def _credited(visitor: Visitor) -> None:
    await _press(visitor, "operator:account.credit")
    await _fill(visitor, "operator:credit.amount", "25")


async def _invited(visitor: Visitor) -> None:
    await visitor.page.get_by_role("tab").nth(2).click()
    await _press(visitor, "operator:invitations.invite")


async def _menu(visitor: Visitor) -> None:
    opener = visitor.button("common:navigation.open")
    if await opener.is_visible():
        await opener.click()
    else:
        await visitor.page.get_by_role("button", name=visitor.words.pattern("common:personMenu")).click()


async def _doubted(visitor: Visitor) -> None:
    await visitor.button("account:totp.begin").click()
    await _dialog(visitor).wait_for()


STATES = (
    State(name="keys-new", role="user", path="/keys?create=yes"),
    State(name="keys-new-wrong", role="user", path="/keys?create=yes", steps=_wrong_limits),
    State(name="keys-made", role="user", path="/keys?create=yes", steps=_key_made),
    State(name="keys-open", role="user", path="/keys/{keyId}"),
    State(
        name="keys-rotate",
        role="user",
        path="/keys",
        steps=_choosing("user:keys.actionsOf", "user:keys.rotate", "laptop"),
    ),
    State(
        name="keys-revoke",
        role="user",
        path="/keys",
        steps=_choosing("user:keys.actionsOf", "user:keys.revoke", "laptop"),
    ),
    State(name="usage-receipt", role="user", path="/usage/{requestId}"),
    State(name="usage-failed", role="user", path="/usage?state=failed", steps=_first_row),
    State(name="usage-none", role="user", path="/usage?search=a-text-that-is-no-id"),
    State(name="wallet-wrong-code", role="user", path="/wallet", steps=_wrong_code),
    State(name="playground-answers", role="user", path="/playground", steps=_compared),
    State(
        name="playground-parameters",
        role="user",
        path="/playground",
        steps=_pressing("user:playground.parameters"),
    ),
    State(
        name="playground-code", role="user", path="/playground", steps=_pressing("user:playground.showCode")
    ),
    State(name="account-authenticator", role="user", path="/account", steps=_pressing("account:totp.begin")),
    State(name="account-management-key", role="user", path="/account", steps=_key_named),
    State(name="proof", role="doubted", path="/account", steps=_doubted),
    State(name="menu", role="user", path="/dashboard", steps=_menu),
    State(name="dashboard-loading", role="user", path="/dashboard", answer=_never),
    State(name="dashboard-away", role="user", path="/dashboard", answer=_away, steps=_told),
    State(name="usage-refused", role="user", path="/usage", answer=_refuse),
    State(name="keys-loading", role="user", path="/keys", answer=_never),
    State(name="sign-in-wrong", role="nobody", path="/sign-in", steps=_wrong_password),
    State(name="sign-up-wrong", role="nobody", path="/sign-up", steps=_weak_password),
    State(name="channels-some", role="operator", path="/operator/channels", steps=_some_channels),
    State(name="channels-test", role="operator", path="/operator/channels", steps=_tested),
    State(
        name="channels-delete",
        role="operator",
        path="/operator/channels",
        steps=_choosing("operator:channels.menu", "operator:channel.delete", "old-provider"),
    ),
    State(
        name="channels-new-wrong",
        role="operator",
        path="/operator/channels/new/form",
        steps=_pressing("operator:channel.make"),
        is_whole=True,
    ),
    State(
        name="channels-new-advanced",
        role="operator",
        path="/operator/channels/new/form",
        steps=_pressing("operator:channel.form.showAdvanced"),
        is_whole=True,
    ),
    State(name="prices-model", role="operator", path="/operator/prices?model=gpt-5", is_whole=True),
    State(name="prices-difference", role="operator", path="/operator/prices?model=gpt-5", steps=_dearer),
    State(name="accounts-credit", role="operator", path="/operator/accounts/{accountId}", steps=_credited),
    State(
        name="accounts-suspend",
        role="operator",
        path="/operator/accounts/{accountId}",
        steps=_pressing("operator:account.suspend"),
    ),
    State(name="accounts-groups", role="operator", path="/operator/accounts?tab=groups"),
    State(name="accounts-invitations", role="operator", path="/operator/accounts?tab=invitations"),
    State(name="accounts-invite", role="operator", path="/operator/accounts", steps=_invited),
    State(
        name="accounts-person",
        role="operator",
        path="/operator/accounts",
        steps=_pressing("operator:accounts.makePerson"),
    ),
    State(name="codes-new", role="operator", path="/operator/codes", steps=_codes_named),
    State(name="codes-made", role="operator", path="/operator/codes", steps=_codes_made),
    State(name="codes-batch", role="operator", path="/operator/codes?batch=spring-workshop"),
    State(name="requests-failed", role="operator", path="/operator/requests?state=failed"),
    State(name="actions-open", role="operator", path="/operator/actions?action=set_price", steps=_first_row),
)


def by_name(name: str) -> State:
    """Return a state by its name."""
    return next(state for state in STATES if state.name == name)
