"""Alert rules and dashboard ask for what exists, and every alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from services.cli.configuration import KINDS
from services.cli.main import relay
from shared.settings import document
from tests.observability.document import ROOT, known
from tests.observability.promql import problems

RULES = ROOT / "deploy" / "alerts" / "relay.rules.yaml"
ALERTS = ROOT / "docs" / "alerts.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "relay.json"
DURATION = re.compile(r"\d+[smh]")


def rules() -> list[dict[str, Any]]:
    """Return the rules of all groups."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def sections() -> dict[str, str]:
    """Return the sections of the document of alerts by title."""
    parts = re.split(r"^### ", ALERTS.read_text(), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard, but for its headings."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def test_a_rule_has_all_that_a_rule_has() -> None:
    """A name of its own, a severity, a sentence, and the place that says what to do."""
    names = [rule["alert"] for rule in rules()]

    assert len(names) == len(set(names)) >= 20
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Relay[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert DURATION.fullmatch(rule.get("for", "1m"))
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    """In the order of the rules: what it means, what users notice, what to do."""
    assert list(sections()) == [rule["alert"] for rule in rules()]
    for title, text in sections().items():
        assert [f"**{part}.**" in text for part in ("Means", "Users notice", "Do")] == [True] * 3, title
        assert re.search(r"^- ", text, flags=re.MULTILINE), title


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_exists(rule: dict[str, Any]) -> None:
    """Metrics, labels, and values that we can name."""
    assert problems(rule["expr"], known()) == []


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_exists(panel: dict[str, Any]) -> None:
    """Metrics, labels, and values that we can name; and a legend names labels that are there."""
    for target in panel["targets"]:
        assert problems(target["expr"], known()) == []
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = {
            label for labels in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in labels.split(", ")
        }
        assert shown <= (grouped or {"instance"}), target


def test_the_dashboard_can_be_imported() -> None:
    """Each panel has an id and a place of its own; variables are declared; all parts of the system are there."""
    dashboard = json.loads(DASHBOARD.read_text())
    everything = dashboard["panels"]
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) - {"__rate_interval", "__all"}

    assert len({panel["id"] for panel in everything}) == len(everything)
    assert used == declared
    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    titles = [panel["title"] for panel in everything if panel["type"] == "row"]
    assert titles == [
        "Now", "Traffic and errors", "Latency", "Streams", "Money", "Audit", "Upstreams", "Bus and processes",
    ]  # fmt: skip


def test_what_the_documents_name_exists() -> None:
    """Metrics, settings and commands in the document of alerts."""
    text = ALERTS.read_text()
    metrics = set(re.findall(r"\brelay_[a-z_]+\b", text))
    settings = {each.variable for kind in KINDS.values() for each in document(kind)}

    assert metrics <= set(known())
    assert set(re.findall(r"\bRELAY_[A-Z_]+\b", text)) - {"RELAY_SPILL"} <= settings
    commands = list(named_commands(text))
    assert commands
    for words in commands:
        assert exists(words), words


def named_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each `relay …` in a text, up to its first argument."""
    for quoted in re.findall(r"`(relay [^`]+)`", text):
        yield [word for word in quoted.split()[1:3] if re.fullmatch(r"[a-z-]+", word)]


def exists(words: list[str]) -> bool:
    """Whether the command line knows this command, or these."""
    command: click.Command = relay
    for word in words:
        if not isinstance(command, click.Group) or word not in command.commands:
            return False
        command = command.commands[word]
    return True


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(rate(relay_edge_request_total[5m]))", "no metric"),
        ('sum(rate(relay_edge_requests_total{state="1"}[5m]))', "no label"),
        ('sum(rate(relay_edge_requests_total{code="intenal_error"}[5m]))', "never"),
        ("sum by (model) (rate(relay_edge_requests_total[5m]))", "no label"),
        ("relay_edge_requests_total > 0", "is a counter"),
        ("rate(relay_edge_streams[5m])", "is a gauge"),
        ("rate(relay_edge_first_byte_seconds[5m])", "no metric"),
        ("up == 0", "nothing of ours"),
    ],
)
def test_a_wrong_expression_is_noticed(expression: str, problem: str) -> None:
    """The reader of expressions sees what it is there to see."""
    assert any(problem in found for found in problems(expression, known()))


def test_the_deployment_has_the_files() -> None:
    """Where the documents say that they are."""
    assert all(Path(path).is_file() for path in (RULES, DASHBOARD, ALERTS))
