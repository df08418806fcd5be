"""How each route is asked so that it succeeds: for every one what it needs, made freshly for whoever asks.

A probe makes the objects that its route names, owned by the person it is given, and returns what to ask. So the same probe shows
that an owner may, and that somebody else may not.
"""

import secrets
from collections.abc import Awaitable, Callable

import msgspec
import pyotp

from services.edge.api import table
from services.edge.api.endpoint import Endpoint
from services.edge.api.shapes import operator, people
from tests.api.client import Ask, new_email, new_password
from tests.api.world import FUTURE, Person, World, channel_body, options_text
from tests.auth.device import Device

Probe = Callable[[World, Person], Awaitable[Ask]]
Values = dict[str, object]


def plain(body: Values | None = None, query: dict[str, str] | None = None) -> Probe:
    """Return a probe that needs nothing but this."""

    async def probe(world: World, person: Person) -> Ask:
        return Ask(body=body, query=query or {})

    return probe


def named(name: str, make: Callable[[World, Person], Awaitable[str]], body: Values | None = None) -> Probe:
    """Return a probe whose path names an object that `make` makes."""

    async def probe(world: World, person: Person) -> Ask:
        return Ask(path={name: await make(world, person)}, body=body)

    return probe


async def _key(world: World, person: Person) -> str:
    return (await world.make_key(person)).key.id


async def _management_key(world: World, person: Person) -> str:
    return (await world.make_management_key(person)).key.id


async def _call(world: World, person: Person) -> str:
    return await world.call(person)


async def _session(world: World, person: Person) -> str:
    return await world.other_session(person)


async def _passkey(world: World, person: Person) -> str:
    return await world.add_passkey(person, Device())


async def _channel(world: World, person: Person) -> str:
    return await world.make_channel()


async def _model(world: World, person: Person) -> str:
    return world.stack.demo.model


async def _account(world: World, person: Person) -> str:
    return (await world.newcomer()).me.account_id


async def _user(world: World, person: Person) -> str:
    return (await world.newcomer()).me.user_id


async def _group(world: World, person: Person) -> str:
    return await world.make_group()


async def _batch(world: World, person: Person) -> str:
    return (await world.make_codes()).batch.name


async def _invitation(world: World, person: Person) -> str:
    return await world.invite()


async def _sign_up(world: World, person: Person) -> Ask:
    return Ask(body={"email": new_email(), "password": new_password()})


async def _sign_in(world: World, person: Person) -> Ask:
    return Ask(body={"email": person.email, "password": person.password})


async def _confirm(world: World, person: Person) -> Ask:
    return Ask(body={"factor": "password", "secret": person.password})


async def _change_password(world: World, person: Person) -> Ask:
    return Ask(body={"current": person.password, "password": new_password()})


async def _confirm_totp(world: World, person: Person) -> Ask:
    secret = (await person.browser.get(table.BEGIN_TOTP, people.TotpSecret)).secret
    return Ask(body={"code": pyotp.TOTP(secret).now()})


async def _with_totp(world: World, person: Person) -> Ask:
    await world.add_totp(person)
    return Ask()


async def _add_passkey(world: World, person: Person) -> Ask:
    return await world.new_passkey(person, Device())


async def _with_passkey(world: World, person: Person) -> Ask:
    await world.add_passkey(person, Device())
    return Ask()


async def _confirm_passkey(world: World, person: Person) -> Ask:
    device = Device()
    await world.add_passkey(person, device)
    options = await person.browser.get(table.CONFIRM_PASSKEY_START, people.PasskeyOptions)
    credential = msgspec.Raw(device.show(options_text(options), person.browser.origin).encode())
    return Ask(body={"challenge_id": options.challenge_id, "credential": credential})


async def _redeem(world: World, person: Person) -> Ask:
    return Ask(body={"code": (await world.make_codes()).codes[0]})


async def _make_channel(world: World, person: Person) -> Ask:
    return Ask(body=channel_body(world, f"channel-{secrets.token_hex(5)}"))


async def _set_states(world: World, person: Person) -> Ask:
    return Ask(body={"names": [await world.make_channel(), await world.make_channel()], "state": "draining"})


async def _copy_channel(world: World, person: Person) -> Ask:
    body: Values = {"name": f"copy-{secrets.token_hex(5)}", "credential": "sk-sim-openai-copy"}
    return Ask(path={"name": await world.make_channel()}, body=body)


async def _remove_upstream_key(world: World, person: Person) -> Ask:
    name = await world.make_channel()
    ask = Ask(path={"name": name}, body={"name": "spare", "credential": "sk-sim-openai-spare"})
    assert (await world.operator.browser.send(table.ADD_UPSTREAM_KEY, ask)).is_success
    return Ask(path={"name": name, "key": "spare"})


async def _price(world: World, person: Person) -> Ask:
    figures = {"above_input_tokens": 0, "input": "1", "output": "2", "cache_read": "0.1", "cache_write": "1"}
    model = f"model-{secrets.token_hex(5)}"
    return Ask(body={"model": model, "figures": [figures], "max_output_tokens": 1000, "effective": FUTURE})


async def _make_person(world: World, person: Person) -> Ask:
    return Ask(body={"email": new_email(), "password": new_password()})


async def _credit(world: World, person: Person) -> Ask:
    account = await _account(world, person)
    body: Values = {"amount_usd": "1", "reason": "a test", "idempotency_key": secrets.token_hex(8)}
    return Ask(path={"account_id": account}, body=body)


async def _put_group(world: World, person: Person) -> Ask:
    return Ask(body={"name": f"group-{secrets.token_hex(5)}", "price_multiplier": "0.9"})


async def _make_codes(world: World, person: Person) -> Ask:
    return Ask(body={"batch": f"batch-{secrets.token_hex(5)}", "count": 2, "amount_usd": "1"})


async def _settings(world: World, person: Person) -> Ask:
    settings = await world.operator.browser.get(table.SETTINGS, operator.SiteSettings)
    return Ask(
        body={
            "version": settings.version,
            "name": settings.name,
            "sign_up": settings.sign_up,
            "sign_up_credit_usd": settings.sign_up_credit_usd,
            "notice": {"en": settings.notice.en, "zh": settings.notice.zh},
            "about": {"en": settings.about.en, "zh": settings.about.zh},
            "contact": settings.contact,
        }
    )


async def _provider(world: World, person: Person) -> str:
    return "google"


_TOKEN: Values = {"token": "x" * 43}

PROBES: dict[Endpoint, Probe] = {
    table.SITE: plain(),
    table.MODELS: plain(),
    table.STATUS: plain(),
    table.OUTBOX: plain(),
    table.SIGN_UP: _sign_up,
    table.CONFIRM_EMAIL: plain(_TOKEN),
    table.SIGN_IN: _sign_in,
    table.SIGN_IN_FACTOR: plain({"ticket": "x" * 43, "factor": "totp", "code": "000000"}),
    table.SIGN_IN_PASSKEY_START: plain({}),
    table.SIGN_IN_PASSKEY: plain({"challenge_id": "x" * 43, "credential": {}}),
    table.OIDC_START: named("provider", _provider, {}),
    table.OIDC_CALLBACK: named("provider", _provider),
    table.FORGOT_PASSWORD: plain({"email": "nobody@example.org"}),
    table.RESET_PASSWORD: plain(_TOKEN | {"password": new_password()}),
    table.SIGN_OUT: plain(),
    table.ME: plain(),
    table.UPDATE_ME: plain({"language": "zh"}),
    table.CONFIRM: _confirm,
    table.CONFIRM_PASSKEY_START: _with_passkey,
    table.CONFIRM_PASSKEY: _confirm_passkey,
    table.CHANGE_PASSWORD: _change_password,
    table.SESSIONS: plain(),
    table.END_OTHER_SESSIONS: plain(),
    table.END_SESSION: named("session_id", _session),
    table.BEGIN_TOTP: plain(),
    table.CONFIRM_TOTP: _confirm_totp,
    table.REMOVE_TOTP: _with_totp,
    table.NEW_RECOVERY_CODES: _with_totp,
    table.PASSKEYS: plain(),
    table.BEGIN_PASSKEY: plain(),
    table.ADD_PASSKEY: _add_passkey,
    table.REMOVE_PASSKEY: named("passkey_id", _passkey),
    table.MANAGEMENT_KEYS: plain(),
    table.MAKE_MANAGEMENT_KEY: plain({"name": "script"}),
    table.END_MANAGEMENT_KEY: named("key_id", _management_key),
    table.OVERVIEW: plain(),
    table.KEYS: plain(),
    table.MAKE_KEY: plain({"name": "laptop"}),
    table.KEY: named("key_id", _key),
    table.UPDATE_KEY: named("key_id", _key, {"name": "another name"}),
    table.ROTATE_KEY: named("key_id", _key),
    table.REVOKE_KEY: named("key_id", _key),
    table.WALLET: plain(),
    table.TRANSFERS: plain(),
    table.TRANSFERS_CSV: plain(),
    table.REDEEM: _redeem,
    table.CALLS: plain(),
    table.CALLS_CSV: plain(),
    table.RECEIPT: named("request_id", _call),
    table.TRAFFIC: plain(),
    table.CHANNELS: plain(),
    table.MAKE_CHANNEL: _make_channel,
    table.SET_CHANNEL_STATES: _set_states,
    table.CHANNEL: named("name", _channel),
    table.UPDATE_CHANNEL: named("name", _channel, {"priority": 3}),
    table.COPY_CHANNEL: _copy_channel,
    table.TEST_CHANNEL: named("name", _channel, {}),
    table.DELETE_CHANNEL: named("name", _channel),
    table.ADD_UPSTREAM_KEY: named("name", _channel, {"name": "spare", "credential": "sk-sim-openai-spare"}),
    table.REMOVE_UPSTREAM_KEY: _remove_upstream_key,
    table.PRICES: plain(),
    table.PRICE_VERSIONS: named("model", _model),
    table.PREVIEW_PRICE: _price,
    table.SET_PRICE: _price,
    table.CATALOGUE: plain(query={"search": "gpt"}),
    table.ACCOUNTS: plain(),
    table.ACCOUNT: named("account_id", _account),
    table.MAKE_PERSON: _make_person,
    table.SET_ROLE: named("user_id", _user, {"role": "admin"}),
    table.SET_STATUS: named("account_id", _account, {"status": "suspended"}),
    table.CREDIT: _credit,
    table.SET_ACCOUNT_LIMITS: named("account_id", _account, {"requests_per_minute": 60}),
    table.SET_ACCOUNT_GROUP: named("account_id", _account, {"group_name": None}),
    table.ACCOUNT_TRANSFERS: named("account_id", _account),
    table.GROUPS: plain(),
    table.PUT_GROUP: _put_group,
    table.DELETE_GROUP: named("name", _group),
    table.CODE_BATCHES: plain(),
    table.MAKE_CODES: _make_codes,
    table.CODE_CLAIMS: named("batch", _batch),
    table.REVOKE_CODES: named("batch", _batch),
    table.INVITATIONS: plain(),
    table.INVITE: plain({}),
    table.REVOKE_INVITATION: named("invitation_id", _invitation),
    table.ANY_CALLS: plain(),
    table.REQUEST: named("request_id", _call),
    table.SETTINGS: plain(),
    table.PUT_SETTINGS: _settings,
    table.ACTIONS: plain(),
}
