"""What the first start makes, so that a newcomer's first request works: people, money, a key, a channel.

The channel leads to the built-in simulator, or to a real provider when the environment names one. All of it is made through the
same calls that an operator makes, and printed once; `demo.json` in the data directory keeps it.
"""

import datetime
import secrets
import shlex
from pathlib import Path
from typing import Literal

import msgspec

from services.devstack.process import write_private
from services.devstack.settings import StackSettings
from shared.bus import Bus
from shared.catalogue.catalogue import Catalogue, price_of, shipped
from shared.contracts import auth, billing, dispatcher, site
from shared.contracts.call import OPERATOR, Empty
from shared.errors import InvalidRequest
from shared.money import NANO_PER_USD, pico_from_usd_per_million
from shared.settings import Secret, Settings, variable

FILE = "demo.json"
ADMIN_EMAIL = "admin@relay.localhost"
USER_EMAIL = "demo@relay.localhost"
BALANCE_USD = 20
CHANNEL = "demo"
OPENAI_URL = "https://api.openai.com/v1"
SIMULATED_MODELS = ("gpt-4o-mini", "gpt-4o", "simulator")
UPSTREAM_MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini")

# For a model that the shipped catalogue does not know, which the greeting says: USD per million tokens, and the output limit.
PLACEHOLDER_INPUT, PLACEHOLDER_OUTPUT = "1.00", "4.00"
MAX_OUTPUT_TOKENS = 16_384


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What the first start printed. `upstream` says who answers."""

    base_url: str
    api_key: str
    model: str
    admin_email: str
    admin_password: str
    user_email: str
    user_password: str
    upstream: Literal["simulator", "provider"]
    placeholder_prices: tuple[str, ...] = ()


async def prepare(
    settings: StackSettings, data_dir: Path, operator: msgspec.Struct, simulator_url: str
) -> Demo:
    """Make the demo at the first start; later only note where the stack listens now. Return what there is.

    Raises: RelayError when a service refuses or does not answer.
    """
    path = data_dir / FILE
    base_url = f"http://{settings.host}:{settings.port}/v1"
    access = msgspec.to_builtins(operator)
    control = Settings(
        nats_url=access["nats_url"],
        nats_user=access["nats_user"],
        nats_password=Secret(access["nats_password"]),
    )
    async with Bus(control, party=OPERATOR) as bus:
        if path.exists():
            demo = msgspec.json.decode(path.read_bytes(), type=Demo)
            demo = msgspec.structs.replace(demo, base_url=base_url)
            if demo.upstream == "simulator":
                await _point_at(bus, simulator_url)
        else:
            demo = await _make(bus, settings, base_url, simulator_url)
    write_private(path, msgspec.json.format(msgspec.json.encode(demo).decode(), indent=2) + "\n")
    return demo


def greeting(demo: Demo, console_url: str) -> str:
    """Return what the stack prints when it is ready."""
    body = msgspec.json.encode(
        {"model": demo.model, "messages": [{"role": "user", "content": "Hello!"}]}
    ).decode()
    answers = (
        "the built-in simulator (no model is called; set OPENAI_API_KEY before the first start for a real one)"
        if demo.upstream == "simulator"
        else "your provider"
    )
    lines = [
        "",
        "Relay is ready.",
        "",
        f"  Console         {console_url}",
        f"  Base URL        {demo.base_url}",
        f"  API key         {demo.api_key}",
        f"  Model           {demo.model}, answered by {answers}",
        f"  Administrator   {demo.admin_email}  password {demo.admin_password}",
        f"  Demo user       {demo.user_email}  password {demo.user_password}  with {BALANCE_USD} USD at the start",
        "",
        "Try it:",
        "",
        f"  curl {demo.base_url}/chat/completions \\",
        f"    -H 'Authorization: Bearer {demo.api_key}' -H 'Content-Type: application/json' \\",
        f"    -d {shlex.quote(body)}",
        "",
    ]
    if demo.placeholder_prices:
        names = ", ".join(demo.placeholder_prices)
        lines += [f"The prices of {names} are placeholders: set yours with `relay price set`.", ""]
    lines.append("Press Ctrl-C to stop.")
    return "\n".join(lines)


async def _make(bus: Bus, settings: StackSettings, base_url: str, simulator_url: str) -> Demo:
    credential = settings.upstream_api_key.reveal() or variable("OPENAI_API_KEY") or ""
    is_real = bool(credential)
    names = settings.upstream_models or UPSTREAM_MODELS if is_real else SIMULATED_MODELS
    url = (settings.upstream_base_url or OPENAI_URL) if is_real else simulator_url
    await _make_channel(bus, url, credential or "sk-sim-openai", names)
    catalogue = shipped()
    for name in names:
        await bus.call(billing.SET_PRICE, _price(catalogue, name))
    admin_password, user_password = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    await _make_user(bus, ADMIN_EMAIL, admin_password, "admin")
    user = await _make_user(bus, USER_EMAIL, user_password, "member")
    credit = billing.Credit(
        account_id=user.account_id,
        amount_nano_usd=BALANCE_USD * NANO_PER_USD,
        idempotency_key=f"demo:{user.account_id}",
        reason="demo balance",
    )
    await bus.call(billing.CREDIT, credit)
    await _open_sign_up(bus)
    key = await bus.call(auth.CREATE_KEY, auth.CreateKey(account_id=user.account_id, name="demo"))
    return Demo(
        base_url=base_url,
        api_key=key.secret,
        model=names[0],
        admin_email=ADMIN_EMAIL,
        admin_password=admin_password,
        user_email=USER_EMAIL,
        user_password=user_password,
        upstream="provider" if is_real else "simulator",
        placeholder_prices=tuple(name for name in names if name not in catalogue.models) if is_real else (),
    )


async def _make_user(bus: Bus, email: str, password: str, role: auth.Role) -> auth.User:
    """Make a user. After a first start that was interrupted the address may be taken: then a numbered one is used."""
    name, _, host = email.partition("@")
    for number in range(1, 10):
        address = email if number == 1 else f"{name}{number}@{host}"
        try:
            return await bus.call(
                auth.CREATE_USER, auth.CreateUser(email=address, password=password, role=role)
            )
        except InvalidRequest as error:
            if error.code != "already_exists":
                raise
    raise InvalidRequest("already_exists", what="user", name=email)


async def _open_sign_up(bus: Bus) -> None:
    """Let anybody who reaches this stack sign up, as a newcomer would; a site elsewhere begins closed."""
    known = (await bus.call(site.GET_SITE, Empty())).settings
    if known.sign_up != "open":
        changed = msgspec.structs.replace(known, sign_up="open")
        await bus.call(site.PUT_SITE, site.PutSite(settings=changed))


async def _make_channel(bus: Bus, url: str, credential: str, names: tuple[str, ...]) -> None:
    known = await bus.call(dispatcher.LIST_CHANNELS, Empty())
    if any(channel.name == CHANNEL for channel in known.items):
        await bus.call(
            dispatcher.UPDATE_CHANNEL,
            dispatcher.UpdateChannel(
                name=CHANNEL, base_url=url, credential=credential, models={name: name for name in names}
            ),
        )
        return
    await bus.call(
        dispatcher.CREATE_CHANNEL,
        dispatcher.CreateChannel(
            name=CHANNEL, base_url=url, credential=credential, models={name: name for name in names}
        ),
    )


async def _point_at(bus: Bus, url: str) -> None:
    """Let the demo channel lead to where the simulator listens now; an operator may have deleted or changed it."""
    known = await bus.call(dispatcher.LIST_CHANNELS, Empty())
    for channel in known.items:
        if (
            channel.name == CHANNEL
            and channel.base_url != url
            and channel.base_url.startswith("http://127.0.0.1:")
        ):
            await bus.call(dispatcher.UPDATE_CHANNEL, dispatcher.UpdateChannel(name=CHANNEL, base_url=url))


def _price(catalogue: Catalogue, name: str) -> billing.SetPrice:
    """Return the price of the catalogue, or a placeholder."""
    if name in catalogue.models:
        return price_of(
            catalogue, name, datetime.datetime.now(datetime.UTC), max_output_tokens=MAX_OUTPUT_TOKENS
        )
    given, produced = (pico_from_usd_per_million(text) for text in (PLACEHOLDER_INPUT, PLACEHOLDER_OUTPUT))
    return billing.SetPrice(
        model=name,
        input_pico_usd=given,
        output_pico_usd=produced,
        cache_read_pico_usd=given,
        cache_write_pico_usd=given,
        max_output_tokens=MAX_OUTPUT_TOKENS,
        source="placeholder",
    )
