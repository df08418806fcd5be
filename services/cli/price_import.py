"""`relay price import`: take prices over from a catalogue, after a look at what would change."""

import asyncio
import datetime
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.answer import Answer, moment, table
from services.cli.price import MAX_OUTPUT_TOKENS
from services.cli.session import over_the_bus
from shared.catalogue.catalogue import Catalogue, parse, price_of, shipped
from shared.catalogue.difference import MAX_CHANGE_PERCENT, Difference, difference
from shared.contracts import billing, dispatcher

if TYPE_CHECKING:
    from shared.bus import Bus

SHIPPED = "catalogue"
FILE_BYTES_MAX = 16 * 1024 * 1024


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which models are looked at: `named` ones under the catalogue's names for them, and those of which it knows nothing."""

    named: dict[str, str]
    unknown: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an import changes, or has changed if it `is_imported`.

    `gone` models have a price that stays as it is, since the catalogue has none; `unpriced` ones are offered by a channel, and
    refused until they have a price.
    """

    source: str
    effective_unix: float | None
    is_imported: bool
    new: tuple[Difference, ...]
    changed: tuple[Difference, ...]
    stopped: tuple[str, ...]
    unchanged: int
    gone: tuple[str, ...]
    unpriced: tuple[str, ...]


@click.command("import")
@click.option("--from", "origin", default=SHIPPED, show_default=True, metavar="FILE",
              help="A file in the catalogue's format (docs/prices.md); the shipped catalogue by default.")  # fmt: skip
@click.option(
    "--model", "globs", multiple=True, metavar="GLOB", help="Only these, such as 'gpt-4o*'. Repeatable."
)
@click.option("--all", "is_all", is_flag=True, help="Also models that no channel offers.")
@click.option("--as", "aliases", type=parameters.served_model, multiple=True, metavar="OURS=THEIRS",
              help="Price our model OURS as the catalogue's THEIRS. Repeatable.")  # fmt: skip
@click.option("--effective", type=parameters.moment, metavar="WHEN",
              help="From this day or time on, such as 2027-01-01, in UTC. From now on by default.")  # fmt: skip
@click.option("--max-change", type=click.IntRange(min=0), default=MAX_CHANGE_PERCENT, show_default=True,
              metavar="PERCENT", help="Stop at a price that rises or falls by more.")  # fmt: skip
@click.option("--accept", "accepted", multiple=True, metavar="MODEL",
              help="Import this model though it was stopped. Repeatable.")  # fmt: skip
@click.option("--approve", is_flag=True, help="Set the prices. Nothing is changed without.")
@over_the_bus
async def import_prices(
    bus: "Bus",
    origin: str,
    globs: tuple[str, ...],
    is_all: bool,
    aliases: tuple[tuple[str, str], ...],
    effective: float | None,
    max_change: int,
    accepted: tuple[str, ...],
    approve: bool,
) -> Answer:
    """Show how a catalogue's prices differ, and take them over.

    Looked at are the models that channels offer, and nothing is changed without --approve. A price that would rise or fall by more
    than --max-change, or become ten times as much, a tenth, or nothing, stops the whole import, until its model is named with
    --accept.
    """
    catalogue = _read(origin)
    offers, in_force = await _state(bus)
    names = offers | (in_force.keys() | catalogue.models.keys() if is_all else set())
    chosen = _select(catalogue, names, globs, parameters.served_models(aliases, "--as"))
    if effective is not None:
        in_force |= await _scheduled_until(bus, effective)
    wanted = _wanted(catalogue, chosen, in_force, effective)
    found = _differences(catalogue, chosen, wanted, in_force, max_change)
    stopped = tuple(name for name, each in found.items() if each.is_stopped and name not in accepted)
    is_imported = approve and not stopped
    if is_imported:
        for each in wanted:
            if each.model in found:
                await bus.call(billing.SET_PRICE, each)
    report = Report(
        source=origin,
        effective_unix=effective,
        is_imported=is_imported,
        new=tuple(each for each in found.values() if each.is_new),
        changed=tuple(each for each in found.values() if not each.is_new),
        stopped=stopped,
        unchanged=len(wanted) - len(found),
        gone=tuple(name for name in chosen.unknown if name in in_force),
        unpriced=tuple(name for name in chosen.unknown if name not in in_force),
    )
    return Answer(
        document=report,
        text=table("MODEL|WHAT|NOW|THEN|CHANGE|GUARD", _rows(report)) if found else "No price differs.",
        remark="\n".join(_sentences(report, catalogue, chosen)),
        failure=_refusal(stopped) if approve and stopped else None,
    )


def _read(origin: str) -> Catalogue:
    if origin == SHIPPED:
        return shipped()
    path = Path(origin)
    if path.stat().st_size > FILE_BYTES_MAX:
        raise click.ClickException(
            f"{origin} is larger than {FILE_BYTES_MAX} bytes, and no catalogue of prices."
        )
    return parse(path.read_bytes())


async def _state(bus: "Bus") -> tuple[set[str], dict[str, billing.Price]]:
    """Return which models channels offer, and the prices in force by model."""
    offered, prices = await asyncio.gather(
        bus.call(dispatcher.LIST_MODELS, dispatcher.ListModels()),
        bus.call(billing.LIST_PRICES, billing.ListPrices()),
    )
    return {each.id for each in offered.items}, {each.model: each for each in prices.items}


def _select(
    catalogue: Catalogue, names: set[str], globs: tuple[str, ...], aliases: dict[str, str]
) -> Selection:
    """Return the models to look at. Raises: ClickException when none is left, or an alias leads nowhere."""
    for theirs in aliases.values():
        if theirs not in catalogue.models:
            raise click.BadParameter(f"{theirs!r} is not in the catalogue.", param_hint="--as")
    kept = sorted(
        name for name in names | aliases.keys() if not globs or any(fnmatchcase(name, glob) for glob in globs)
    )
    if not kept:
        raise click.ClickException(
            "No channel offers such a model. Make a channel first, or add --all to look at every model of the catalogue."
        )
    named = {name: aliases.get(name, name) for name in kept}
    return Selection(
        named={ours: theirs for ours, theirs in named.items() if theirs in catalogue.models},
        unknown=tuple(ours for ours, theirs in named.items() if theirs not in catalogue.models),
    )


async def _scheduled_until(bus: "Bus", unix: float) -> dict[str, billing.Price]:
    """Return by model the last price that becomes effective until then."""
    scheduled = await bus.call(billing.LIST_PRICES, billing.ListPrices(is_scheduled=True))
    return {each.model: each for each in scheduled.items if each.effective_unix <= unix}


def _wanted(
    catalogue: Catalogue, chosen: Selection, in_force: dict[str, billing.Price], effective: float | None
) -> list[billing.SetPrice]:
    """Return the price of each chosen model as the catalogue has it for that time."""
    wanted = []
    for ours, theirs in chosen.named.items():
        limit = in_force[ours].max_output_tokens if ours in in_force else MAX_OUTPUT_TOKENS
        found = price_of(catalogue, theirs, _moment(effective), max_output_tokens=limit)
        wanted.append(msgspec.structs.replace(found, model=ours, effective_unix=effective))
    return wanted


def _differences(
    catalogue: Catalogue,
    chosen: Selection,
    wanted: list[billing.SetPrice],
    in_force: dict[str, billing.Price],
    max_change: int,
) -> dict[str, Difference]:
    """Return by model what differs from the prices in force."""
    found = {}
    for each in wanted:
        note = catalogue.models[chosen.named[each.model]].differs
        differs = difference(in_force.get(each.model), each, max_change_percent=max_change, note=note)
        if differs is not None:
            found[each.model] = differs
    return found


def _rows(report: Report) -> Iterable[tuple[str, ...]]:
    for each in report.changed:
        for figure in each.figures:
            change = f"{figure.change_percent} %" if figure.change_percent else ""
            yield each.model, figure.name, figure.before or "", figure.after, change, figure.stopped
        for fact in each.facts:
            yield each.model, fact, "", "", "", ""
    for each in report.new:
        prices = ", ".join(f"{figure.name} {figure.after}" for figure in each.figures)
        stops = ", ".join(sorted({figure.stopped for figure in each.figures if figure.stopped}))
        yield each.model, "new", "", prices, "", stops


def _sentences(report: Report, catalogue: Catalogue, chosen: Selection) -> Iterable[str]:
    yield (
        f"\n{len(report.new)} new, {len(report.changed)} changed, {report.unchanged} unchanged,"
        f" in USD per million tokens, from {moment(report.effective_unix) or 'now'} on."
    )
    for each in (*report.changed, *report.new):
        if each.note:
            yield f"The sources disagree about {each.model}: {each.source or report.source} is taken; {each.note}."
    for since, models in sorted(_changes_to_come(report, catalogue, chosen).items()):
        yield f"From {since} on other prices hold for {', '.join(models)}: schedule them with --effective {since}."
    if report.gone:
        yield f"Not in the catalogue, and left as they are: {', '.join(report.gone)}."
    if report.unpriced:
        yield (
            f"Without a price, and refused until they have one: {', '.join(report.unpriced)}."
            f"{_hint(report.unpriced, catalogue)} Use `relay price set`, or --as OURS=THEIRS."
        )
    if report.stopped:
        yield f"STOPPED: {', '.join(report.stopped)}. Name each that is right with --accept."
    if report.is_imported:
        yield "Imported."
    else:
        yield "Nothing was changed." if report.stopped else "Nothing was changed; --approve imports this."


def _changes_to_come(report: Report, catalogue: Catalogue, chosen: Selection) -> dict[str, list[str]]:
    """Return the days on which prices of the catalogue change after the ones that are looked at, with our models."""
    day = _moment(report.effective_unix).date().isoformat()
    days: dict[str, list[str]] = {}
    for ours, theirs in chosen.named.items():
        for later in catalogue.models[theirs].later:
            if later.since > day:
                days.setdefault(later.since, []).append(ours)
    return days


def _moment(unix: float | None) -> datetime.datetime:
    return (
        datetime.datetime.now(datetime.UTC)
        if unix is None
        else datetime.datetime.fromtimestamp(unix, datetime.UTC)
    )


def _hint(names: Iterable[str], catalogue: Catalogue) -> str:
    """Return which models of the catalogue have the same name at a host, if there are any."""
    near = [theirs for ours in names for theirs in catalogue.models if theirs.endswith(f"/{ours}")]
    return f" The catalogue has {', '.join(near)}." if near else ""


def _refusal(stopped: tuple[str, ...]) -> str:
    return (
        f"Nothing was imported, because the prices of {', '.join(stopped)} change too much."
        " Check them, and name each that is right with --accept."
    )
