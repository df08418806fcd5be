"""What an import would change, figure by figure, and what of it is too much to be believed. Pure.

A price list can be wrong: a slipped decimal point, another unit, a model that is free all of a sudden. So a price that would
rise or fall beyond a limit is stopped until a person has accepted it.
"""

from collections.abc import Iterator
from fractions import Fraction

import msgspec

from shared.contracts import billing
from shared.money import usd_per_million_from_pico

TENFOLD = 10
MAX_CHANGE_PERCENT = 50  # by which a price may change before a person is asked
CAPABILITIES = "capabilities"
KINDS = {
    "input": "input_pico_usd",
    "output": "output_pico_usd",
    "cache read": "cache_read_pico_usd",
    "cache write": "cache_write_pico_usd",
}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One price that changes: `before` and `after` in USD per million tokens, `before` None for a new model.

    `name` says which, such as `output`, or `output above 200000` for prompts longer than that. `change_percent` has one decimal;
    it is None from nothing. `stopped` says why it is not believed, nothing if it is.
    """

    name: str
    before: str | None
    after: str
    change_percent: str | None = None
    stopped: str = ""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A limit or the capabilities of a model, when they change: `before` and `after` for people to read."""

    name: str
    before: str
    after: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What a new price version of one model changes. `facts` are its limits and capabilities that change, as text."""

    model: str
    is_new: bool
    figures: tuple[Figure, ...]
    facts: tuple[str, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def is_stopped(self) -> bool:
        """Whether a person must accept it."""
        return any(figure.stopped for figure in self.figures)


def difference(
    before: billing.Price | None, after: billing.SetPrice, *, max_change_percent: int, note: str = ""
) -> Difference | None:
    """Return what `after` changes of the price `before`, None when that is nothing that matters.

    A figure is stopped when it rises or falls by more than `max_change_percent`, and always when it becomes ten times as much or
    a tenth, is free and was not, or was free and is not; a new model, when its input or output is free.
    """
    figures = tuple(_new(after) if before is None else _changed(before, after, max_change_percent))
    facts = () if before is None else tuple(_told(fact) for fact in changed_facts(before, after))
    if before is not None and not figures and not facts:
        return None
    return Difference(
        model=after.model, is_new=before is None, figures=figures, facts=facts, source=after.source, note=note
    )


def changed_facts(before: billing.Price, after: billing.SetPrice) -> Iterator[Fact]:
    """Return what `after` changes of the limits and the capabilities."""
    for name in ("max_output_tokens", "context_tokens"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Fact(name=name, before=str(old or "unknown"), after=str(new or "unknown"))
    had, has = (", ".join(sorted(set(each.capabilities))) for each in (before, after))
    if had != has:
        yield Fact(name=CAPABILITIES, before=had, after=has)


def _new(after: billing.SetPrice) -> Iterator[Figure]:
    for threshold in _thresholds(after):
        for name, field in KINDS.items():
            pico_usd = _pico_at(after, threshold, field)
            is_free = not pico_usd and name in ("input", "output")
            yield Figure(
                name=_name(name, threshold),
                before=None,
                after=usd_per_million_from_pico(pico_usd),
                stopped="free" if is_free else "",
            )


def _changed(before: billing.Price, after: billing.SetPrice, max_change_percent: int) -> Iterator[Figure]:
    for threshold in sorted({*_thresholds(before), *_thresholds(after)}):
        for name, field in KINDS.items():
            old, new = _pico_at(before, threshold, field), _pico_at(after, threshold, field)
            if old != new:
                yield Figure(
                    name=_name(name, threshold),
                    before=usd_per_million_from_pico(old),
                    after=usd_per_million_from_pico(new),
                    change_percent=_percent(old, new),
                    stopped=_stopped(old, new, max_change_percent),
                )


def _stopped(old: int, new: int, max_change_percent: int) -> str:
    if not old or not new:
        return "from zero" if new else "to zero"
    if max(old, new) >= TENFOLD * min(old, new):
        return "tenfold" if new > old else "a tenth"
    return f"more than {max_change_percent} %" if abs(new - old) * 100 > max_change_percent * old else ""


def _percent(old: int, new: int) -> str | None:
    return f"{float(Fraction(new - old, old) * 100):+.1f}" if old else None


def _told(fact: Fact) -> str:
    if fact.name != CAPABILITIES:
        return f"{fact.name} {fact.before} → {fact.after}"
    had, has = ({name for name in text.split(", ") if name} for text in (fact.before, fact.after))
    changes = [f"+{name}" for name in sorted(has - had)] + [f"-{name}" for name in sorted(had - has)]
    return f"{fact.name} {' '.join(changes)}"


def _thresholds(price: billing.Price | billing.SetPrice) -> list[int]:
    return [0, *(tier.above_input_tokens for tier in price.tiers)]


def _pico_at(price: billing.Price | billing.SetPrice, threshold: int, field: str) -> int:
    """Return what a token costs in prompts just above `threshold`."""
    reached: list[billing.PriceTier | billing.Price | billing.SetPrice] = [price]
    reached += [tier for tier in price.tiers if tier.above_input_tokens <= threshold]
    pico_usd: int = getattr(reached[-1], field)
    return pico_usd


def _name(name: str, threshold: int) -> str:
    return f"{name} above {threshold}" if threshold else name
