"""`relay limit` and `relay group`: what keys and accounts may do at most, and accounts that are alike."""

from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.account import resolve_account
from services.cli.answer import Answer, table
from services.cli.session import Command, over_the_bus
from shared.contracts import accounts, auth
from shared.contracts.call import Empty
from shared.errors import NotFound
from shared.money import usd_from_nano, usd_per_million_from_pico

if TYPE_CHECKING:
    from shared.bus import Bus

COLUMNS = "REQUESTS/MIN|TOKENS/MIN|CONCURRENT|USD/DAY|USD/MONTH|USD IN ALL"
WHAT = "LIMIT|VALUE|USED"


def limit_options(function: Command) -> Command:
    """Add an option for each limit; `parameters.limit` reads a number, or `none` to take a limit away."""
    options = [
        click.option(f"--{name}", type=parameters.count_or_none, metavar="N|none", help=text)
        for name, text in (
            ("requests-per-minute", "Requests in any 60 seconds."),
            (
                "tokens-per-minute",
                "Tokens in any 60 seconds: reserved first, then corrected to what was used.",
            ),
            ("concurrent-requests", "Requests at the same time."),
        )
    ] + [
        click.option(
            f"--spend-{name}",
            f"spend_{name}_nano_usd",
            type=parameters.amount_or_none,
            metavar="USD|none",
            help=text,
        )
        for name, text in (("day", "In a day (UTC)."), ("month", "In a month (UTC)."), ("total", "In all."))
    ]
    for option in reversed(options):
        function = option(function)
    return function


def target_options(function: Command) -> Command:
    """Add the options that say whose limits are meant: a key's, or an account's."""
    function = click.option(
        "--key", "key_id", type=parameters.key_id, metavar="KEY_ID", help="Those of this key."
    )(function)
    return click.option(
        "--account",
        type=parameters.account,
        metavar="ID|EMAIL",
        help="Those of this account, over all its keys.",
    )(function)


@click.group()
def limit() -> None:
    """What keys and accounts may do at most."""


@click.group()
def group() -> None:
    """Groups of accounts, with limits, models and a price of their own."""


@limit.command("set")
@target_options
@limit_options
@over_the_bus
async def set_limit(
    bus: "Bus", /, account: str | None, key_id: str | None, **given: int | str | None
) -> Answer:
    """Set limits of a key or an account, and leave the others.

    The word none takes a limit away.
    """
    account_id = await _account_of(bus, account, key_id)
    changes = _changes(given)
    if not changes:
        raise click.UsageError("There is nothing to change: give at least one limit.")
    own = await _own_limits(bus, account_id, key_id)
    request = accounts.SetLimits(
        account_id=account_id, key_id=key_id, limits=msgspec.structs.replace(own, **changes)
    )
    return _shown(await bus.call(accounts.SET_LIMITS, request))


@limit.command("show")
@target_options
@over_the_bus
async def show_limit(bus: "Bus", account: str | None, key_id: str | None) -> Answer:
    """Show the limits of a key or an account, and how much of each is used."""
    account_id = await _account_of(bus, account, key_id)
    question = accounts.GetLimits(account_id=account_id, key_id=key_id)
    return _shown(await bus.call(accounts.GET_LIMITS, question))


@group.command("set")
@click.argument("name")
@limit_options
@click.option(
    "--model", "models", multiple=True, help="Model its accounts may use; may be repeated. Replaces all."
)
@click.option("--all-models", is_flag=True, help="Its accounts may use every model.")
@click.option(
    "--multiplier",
    "multiplier_ppm",
    type=parameters.multiplier,
    metavar="FACTOR",
    help="What prices are multiplied with, such as 1.2.",
)
@over_the_bus
async def set_group(
    bus: "Bus",
    /,
    name: str,
    models: tuple[str, ...],
    all_models: bool,
    multiplier_ppm: int | None,
    **given: int | str | None,
) -> Answer:
    """Make a group, or change what is given of it.

    A limit holds for each account of the group that has none of its own.
    """
    known = {each.name: each for each in (await bus.call(accounts.LIST_GROUPS, Empty())).items}
    former = known.get(name, accounts.Group(name=name))
    changed = accounts.Group(
        name=name,
        limits=msgspec.structs.replace(former.limits, **_changes(given)),
        allowed_models=() if all_models else models or former.allowed_models,
        multiplier_ppm=former.multiplier_ppm if multiplier_ppm is None else multiplier_ppm,
    )
    made = await bus.call(accounts.PUT_GROUP, changed)
    return Answer(document=made, text=table(f"GROUP|PRICE|MODELS|{COLUMNS}", [_row(made)]))


@group.command("list")
@over_the_bus
async def list_groups(bus: "Bus") -> Answer:
    """List groups by name."""
    groups = await bus.call(accounts.LIST_GROUPS, Empty())
    return Answer(document=groups, text=table(f"GROUP|PRICE|MODELS|{COLUMNS}", map(_row, groups.items)))


@group.command("delete")
@click.argument("name")
@over_the_bus
async def delete_group(bus: "Bus", name: str) -> Answer:
    """Remove a group that no account is in."""
    await bus.call(accounts.DELETE_GROUP, accounts.GroupName(name=name))
    return Answer(document=accounts.GroupName(name=name), text=f"Group {name} is deleted.")


@group.command("add")
@click.argument("name")
@click.argument("account", type=parameters.account)
@over_the_bus
async def add_to_group(bus: "Bus", name: str, account: str) -> Answer:
    """Put an account into a group, and out of the one it was in."""
    return await _move(bus, account, name)


@group.command("remove")
@click.argument("account", type=parameters.account)
@over_the_bus
async def remove_from_group(bus: "Bus", account: str) -> Answer:
    """Take an account out of the group it is in."""
    return await _move(bus, account, None)


async def _move(bus: "Bus", account: str, name: str | None) -> Answer:
    account_id = await resolve_account(bus, account)
    return _shown(
        await bus.call(accounts.SET_GROUP, accounts.SetGroup(account_id=account_id, group_name=name))
    )


async def _account_of(bus: "Bus", account: str | None, key_id: str | None) -> str:
    if (account is None) == (key_id is None):
        raise click.UsageError("Say whose limits: give either --account or --key.")
    if account is not None:
        return await resolve_account(bus, account)
    keys = await bus.call(auth.LIST_KEYS, auth.ListKeys())
    for key in keys.items:
        if key.id == key_id:
            return key.account_id
    raise NotFound("not_found", what="key")


async def _own_limits(bus: "Bus", account_id: str, key_id: str | None) -> accounts.Limits:
    """Return the limits that are set, without those that an account only has from its group."""
    shown = await bus.call(accounts.GET_LIMITS, accounts.GetLimits(account_id=account_id, key_id=key_id))
    return shown.own_limits


def _changes(given: dict[str, int | str | None]) -> dict[str, int | None]:
    return {
        name: value if isinstance(value, int) else None for name, value in given.items() if value is not None
    }


def _shown(state: accounts.LimitsInForce) -> Answer:
    limits = state.limits
    rows = [
        ("requests per minute", _count(limits.requests_per_minute), str(state.requests)),
        ("tokens per minute", _count(limits.tokens_per_minute), str(state.tokens)),
        ("requests at the same time", _count(limits.concurrent_requests), str(state.running)),
        ("USD in a day", _money(limits.spend_day_nano_usd), usd_from_nano(state.day_nano_usd)),
        ("USD in a month", _money(limits.spend_month_nano_usd), usd_from_nano(state.month_nano_usd)),
        ("USD in all", _money(limits.spend_total_nano_usd), usd_from_nano(state.total_nano_usd)),
        ("USD held by running requests", "", usd_from_nano(state.held_nano_usd)),
    ]
    if state.group_name is not None:
        price = usd_per_million_from_pico(state.multiplier_ppm)
        rows.append(("group", state.group_name, f"prices × {price}"))
        rows.append(("models", ", ".join(state.allowed_models) or "all", ""))
    return Answer(document=state, text=table(WHAT, rows))


def _row(each: accounts.Group) -> tuple[str, ...]:
    limits = each.limits
    return (
        each.name,
        f"× {usd_per_million_from_pico(each.multiplier_ppm)}",
        ", ".join(each.allowed_models) or "all",
        _count(limits.requests_per_minute),
        _count(limits.tokens_per_minute),
        _count(limits.concurrent_requests),
        _money(limits.spend_day_nano_usd),
        _money(limits.spend_month_nano_usd),
        _money(limits.spend_total_nano_usd),
    )


def _count(value: int | None) -> str:
    return "none" if value is None else str(value)


def _money(value: int | None) -> str:
    return "none" if value is None else usd_from_nano(value)
