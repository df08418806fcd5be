"""`docs/metrics.md` as data: what it says that each service measures."""

import re
from collections.abc import Iterable
from pathlib import Path

from shared.contracts.call import AUTH, BILLING, DISPATCHER, EDGE
from shared.metrics import Family

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "metrics.md"
SECTIONS = {
    "Every process": (EDGE, AUTH, BILLING, DISPATCHER),
    "Streams": (EDGE, DISPATCHER),
    "The edge": (EDGE,),
    "Auth": (AUTH,),
    "Billing": (BILLING,),
    "The dispatcher": (DISPATCHER,),
}
_ROW = re.compile(r"\| `(relay_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|")


def documented() -> dict[str, dict[str, Family]]:
    """Return what the document lists, by section and name."""
    sections: dict[str, dict[str, Family]] = {}
    for part in re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0]
        rows = [_family(*match) for match in _ROW.findall(part)]
        if rows:
            sections[title] = {family.name: family for family in rows}
    return sections


def documented_of(service: str) -> dict[str, Family]:
    """Return what the document lists for one service."""
    listed = documented()
    return {
        name: family
        for title, services in SECTIONS.items()
        if service in services
        for name, family in listed[title].items()
    }


def row(family: Family) -> str:
    """Return a metric's line in the document."""
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.meaning} |"


def known() -> dict[str, Family]:
    """Return every metric of the document by name."""
    return {name: family for rows in documented().values() for name, family in rows.items()}


def rows_by_section(families: dict[str, dict[str, Family]]) -> dict[str, list[str]]:
    """Return the document's lines for what the services expose: each metric stands where all who have it are named."""
    owners: dict[str, set[str]] = {}
    for service, its in families.items():
        for name in its:
            owners.setdefault(name, set()).add(service)
    return {
        title: [
            row(families[services[0]][name])
            for name in _in_order(families[services[0]])
            if owners[name] == set(services)
        ]
        for title, services in SECTIONS.items()
    }


def _in_order(names: Iterable[str]) -> list[str]:
    return list(names)


def _family(name: str, kind: str, labels: str, meaning: str) -> Family:
    return Family(name, kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
