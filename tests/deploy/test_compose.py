"""compose.yaml: true to the settings of the code, closed where it should be, and without a secret of its own."""

import re
from typing import Any

import msgspec
import pytest
import yaml

from services.cli.configuration import KINDS, nats_text
from services.cli.main import relay
from services.cli.secrets import logins, names
from services.devstack.schemas import SCHEMAS
from shared import service
from shared.contracts.call import PARTIES
from shared.contracts.nats_config import SECOND
from shared.settings import document
from tests.deploy.rendering import DEPLOY
from tests.deploy.workloads import SERVICES, settings_of

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CONTAINERS: dict[str, Any] = COMPOSE["services"]
OURS = (*SERVICES, "migrate", "operator")
MARGIN_SECONDS = 10
AGAIN = "write it anew: relay nats-config --second-users > deploy/nats.conf"
STOP = re.compile(r"(\d+)s")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_none_that_is_required_is_missing(name: str) -> None:
    """Of the command that the container runs."""
    (command,) = CONTAINERS[name]["command"]
    assert command in relay.commands
    known = {each.variable: each for each in document(settings_of(command))}
    given = {variable.removesuffix("_FILE") for variable in CONTAINERS[name]["environment"]}

    assert given <= set(known)
    if name in SERVICES:
        required = {each.variable for each in known.values() if each.default is None}
        assert required | {"RELAY_NATS_URL", "RELAY_NATS_USER", "RELAY_NATS_PASSWORD"} <= given
        assert command == name
        assert CONTAINERS[name]["environment"]["RELAY_NATS_USER"] == f"{name}${{RELAY_NATS_SET:-}}"


@pytest.mark.parametrize("name", list(CONTAINERS))
def test_a_container_reads_the_secrets_that_it_is_given_and_no_others(name: str) -> None:
    """From files, and none of them has a default."""
    container = CONTAINERS[name]
    files = {value for key, value in container.get("environment", {}).items() if key.endswith("_FILE")}
    if name == "nats":
        files = {f"/run/secrets/nats_password_{party}{which}" for party in PARTIES for which in ("", SECOND)}

    assert files == {f"/run/secrets/{secret}" for secret in container.get("secrets", ())}
    secret_settings = {each.variable for kind in KINDS.values() for each in document(kind) if each.is_secret}
    assert not secret_settings & set(container.get("environment", {}))


def test_secrets_are_the_files_that_relay_secrets_makes() -> None:
    """Each under its own name."""
    made = {*names(), *(f"database_url{suffix}" for suffix in logins())}
    chosen = {f"nats_password_of_{name}": f"nats_password_{name}${{RELAY_NATS_SET:-}}" for name in SERVICES}

    assert set(COMPOSE["secrets"]) <= made | set(chosen)
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"${{RELAY_SECRETS:-./secrets}}/{chosen.get(name, name)}"}


def test_each_service_is_given_its_own_secrets_alone() -> None:
    """As in the cluster."""
    own = {"edge": set(), "auth": {"key_pepper"}, "billing": {"code_pepper"}, "dispatcher": {"master_key"}}
    for name in SERVICES:
        database = {f"database_url_{name}"} if name in SCHEMAS else set()
        assert set(CONTAINERS[name]["secrets"]) == {f"nats_password_of_{name}"} | database | own[name]


def test_who_reaches_outside_and_that_only_the_edge_is_reached() -> None:
    """The dispatcher for models, auth for mail. A network leads outside unless it is internal or translates no addresses."""
    outward = {name for name, network in COMPOSE["networks"].items() if not _is_closed(network)}
    reach_out = {name for name, each in CONTAINERS.items() if outward & set(each["networks"])}

    assert reach_out == {"auth", "dispatcher"}
    assert [name for name, each in CONTAINERS.items() if "ports" in each] == ["edge"]
    port = next(f.default for f in msgspec.structs.fields(KINDS["edge"]) if f.name == "port")
    assert CONTAINERS["edge"]["ports"] == [f"${{RELAY_PUBLISH:-127.0.0.1:8080}}:{port}"]


def test_who_talks_shares_a_network() -> None:
    """The bus for whoever has a NATS user, the database for whoever has a URL; the edge has none."""
    for name, container in CONTAINERS.items():
        given = container.get("environment", {})
        assert ("bus" in container["networks"]) == ("RELAY_NATS_URL" in given or name == "nats")
        has_database = any(variable.startswith("RELAY_DATABASE_URL") for variable in given)
        assert ("data" in container["networks"]) == (has_database or name == "postgres")
    assert "data" not in CONTAINERS["edge"]["networks"]


def test_containers_of_ours_may_do_nothing_beyond_their_work() -> None:
    """The user is the image's own."""
    for name in OURS:
        assert CONTAINERS[name]["read_only"] is True
        assert CONTAINERS[name]["cap_drop"] == ["ALL"]
        assert CONTAINERS[name]["security_opt"] == ["no-new-privileges:true"]
        assert "user" not in CONTAINERS[name]


def test_everything_that_runs_is_asked_whether_it_is_well() -> None:
    """And waits for what it needs: its schema, its bus."""
    for name, container in CONTAINERS.items():
        if name in ("migrate", "operator"):
            continue
        assert container["healthcheck"]["test"][0] == "CMD"
    for name in SCHEMAS:
        assert CONTAINERS[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "nats": {"condition": "service_healthy"},
        }
    assert CONTAINERS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", SERVICES)
def test_streams_may_end_before_a_container_is_killed(name: str) -> None:
    """As long as the drain, and as long again for what is owed."""
    default = next(f.default for f in msgspec.structs.fields(KINDS[name]) if f.name == "drain_seconds")
    drain = float(CONTAINERS[name]["environment"].get("RELAY_DRAIN_SECONDS", default))
    match = STOP.fullmatch(CONTAINERS[name]["stop_grace_period"])

    assert match is not None
    assert int(match[1]) >= 2 * drain + service.GRACE_SECONDS + MARGIN_SECONDS


def test_the_bus_has_the_configuration_of_the_contracts() -> None:
    """The file is what the command prints."""
    assert (DEPLOY / "nats.conf").read_text() == nats_text(second_users=True), AGAIN
    assert COMPOSE["configs"]["nats"] == {"file": "nats.conf"}


def _is_closed(network: dict[str, Any]) -> bool:
    options = network.get("driver_opts", {})
    return (
        bool(network.get("internal"))
        or options.get("com.docker.network.bridge.enable_ip_masquerade") == "false"
    )
