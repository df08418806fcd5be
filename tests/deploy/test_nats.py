"""The configuration of NATS as a pod has it: read by the real server, with the variables that the manifests give."""

import subprocess
from pathlib import Path

import pytest

from services.cli.secrets import make
from services.devstack.nats import executable
from tests.deploy.rendering import BASE, DEPLOY, render
from tests.deploy.workloads import environment_of, pods


def cluster_variables(folder: Path) -> dict[str, str]:
    """Return the environment of a server in the cluster, with real secrets, as Kubernetes would put it together."""
    make(folder, "postgres/relay")
    (pod,) = [each for each in pods(render(BASE)) if each.name == "nats"]
    given: dict[str, str] = {}
    for name, value in environment_of(pod.main).items():
        key = value.partition("'key': '")[2].partition("'")[0]
        given[name] = (folder / key).read_text() if key else value.replace(
            "$(RELAY_NATS_PASSWORD_ROUTE)", given.get("RELAY_NATS_PASSWORD_ROUTE", "")
        )  # fmt: skip
    return given | {"RELAY_NATS_SERVER_NAME": "nats-0"}


def compose_variables(folder: Path) -> dict[str, str]:
    """Return the environment that the shell of the container makes of its files."""
    make(folder, "postgres/relay")
    return {f"RELAY_{path.name.upper()}": path.read_text() for path in folder.glob("nats_password_*")}


@pytest.mark.parametrize("number", range(20))
def test_the_server_takes_every_password_that_is_made(tmp_path: Path, number: int) -> None:
    """A text without quotes may be a number to NATS, or something with a suffix."""
    check(DEPLOY / "nats.conf", compose_variables(tmp_path))


def test_the_server_takes_what_a_pod_gives_it(tmp_path: Path) -> None:
    """Every variable, and the list of routes in one of them."""
    check(BASE / "nats.conf", cluster_variables(tmp_path))


def test_a_password_that_is_missing_stops_the_server(tmp_path: Path) -> None:
    """Nobody is let in without one by mistake."""
    variables = compose_variables(tmp_path)
    del variables["RELAY_NATS_PASSWORD_EDGE"]

    with pytest.raises(AssertionError, match="RELAY_NATS_PASSWORD_EDGE"):
        check(DEPLOY / "nats.conf", variables)


def check(config: Path, variables: dict[str, str]) -> None:
    """Let nats-server read `config` and say whether it is right."""
    done = subprocess.run(
        [executable(), "-t", "-c", config], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
