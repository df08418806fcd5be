"""What a PromQL expression names, read by regular expressions: enough for expressions that we write ourselves."""

import re
from typing import get_args

import msgspec

from services.billing.takings import CAUSES, RULES, WITNESSES
from services.edge.visits import Outcome, Route
from shared.messages import MESSAGES
from shared.metrics import OTHER, Family
from shared.stream.frames import FrameType

TARGET_LABELS = {"instance", "job"}  # what every scrape adds
VALUES: dict[str, set[str]] = {
    "code": {"", OTHER, *MESSAGES},
    "outcome": set(get_args(Outcome)),
    "route": set(get_args(Route)),
    "rule": set(RULES),
    "witness": set(WITNESSES),
    "cause": {OTHER, *CAUSES},
    "type": {kind.name.lower() for kind in FrameType},
    "streamed": {"true", "false"},
    "direction": {"in", "out"},
}
_METRIC = re.compile(r"(\w+\()?\b(relay_\w+)(?:\{([^}]*)\})?(\[)?")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as an expression names it."""

    family: Family
    part: str
    function: str
    matchers: tuple[tuple[str, str, str], ...]

    @property
    def labels(self) -> set[str]:
        """The labels that its series have."""
        return {*self.family.labels, *TARGET_LABELS, *(["le"] if self.part == "_bucket" else [])}


def problems(expression: str, families: dict[str, Family]) -> list[str]:
    """Return what is wrong with an expression: names, labels and values that do not exist, counters that are not rated."""
    found: list[str] = []
    named = [
        each for match in _METRIC.finditer(expression) if (each := _named(match, families, found)) is not None
    ]
    if not named and not found and "process_" not in expression:
        found.append(f"nothing of ours in {expression}")
    for each in named:
        found += _wrong_matchers(each)
        is_rated = each.function in ("rate", "increase")
        if is_rated != (each.family.kind != "gauge") and each.function != "label_values":
            found.append(
                f"{each.family.name} is a {each.family.kind}, asked through {each.function or 'nothing'}"
            )
    known = {label for each in named for label in each.labels}
    for labels in _GROUPED.findall(expression):
        found += [
            f"no label {label} in {expression}"
            for label in labels.split(", ")
            if named and label not in known
        ]
    return found


def _named(match: "re.Match[str]", families: dict[str, Family], found: list[str]) -> Named | None:
    function, name, selector, _ = match.groups()
    base = name if name in families else re.sub(r"_(?:bucket|sum|count)$", "", name)
    if base not in families or (base == name) == (families[base].kind == "histogram"):
        found.append(f"no metric {name}")
        return None
    matchers = tuple(_MATCHER.findall(selector or ""))
    if selector and ",".join(f'{label}{sign}"{value}"' for label, sign, value in matchers) != selector:
        found.append(f"cannot read {{{selector}}}")
    return Named(
        family=families[base],
        part=name[len(base) :],
        function=(function or "").rstrip("("),
        matchers=matchers,
    )


def _wrong_matchers(each: Named) -> list[str]:
    wrong = []
    for label, sign, value in each.matchers:
        if label not in each.labels:
            wrong.append(f"{each.family.name} has no label {label}")
        elif label in VALUES:
            pattern = value if "~" in sign else re.escape(value)
            alternatives = pattern.split("|")
            wrong += [
                f"{label} is never {alternative}"
                for alternative in alternatives
                if not any(re.fullmatch(alternative, known) for known in VALUES[label])
            ]
    return wrong
