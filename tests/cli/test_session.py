"""How commands find Relay, and what they say when they do not."""

import socket
from pathlib import Path

import msgspec
import pytest

from services.devstack.settings import STACK_FILE, StackFile
from shared.contracts.call import OPERATOR
from tests.cli.conftest import Relay, run
from tests.cli.subprocesses import relay_process

NOT_HERE = "Error: Relay does not run here. Start it with `relay up`, or set RELAY_NATS_URL.\n"


def _noted(data_dir: Path, nats_url: str, password: str, database_url: str) -> dict[str, str]:
    """Write what a local stack notes when it starts; return the variable that leads there."""
    noted = StackFile(
        nats_url=nats_url, nats_user=OPERATOR, nats_password=password, database_url=database_url
    )
    (data_dir / STACK_FILE).write_bytes(msgspec.json.encode(noted))
    return {"RELAY_DATA_DIR": str(data_dir)}


async def test_a_command_finds_the_local_stack(running: Relay, tmp_path: Path) -> None:
    """Its bus and its database, from the file that the stack writes; as a process, with nothing on standard error."""
    here = _noted(tmp_path, running.nats_url, running.passwords[OPERATOR], running.database_url)

    listed = await relay_process("user", "list", "--json", **here)
    audited = await relay_process("audit", **here)

    assert (listed.status, listed.errors) == (0, "")
    assert list(msgspec.json.decode(listed.output)) == ["items"]
    assert (audited.status, audited.errors) == (0, "")


def test_without_a_stack_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    """No file, or a file of a stack that has stopped."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed_port = probe.getsockname()[1]
    (tmp_path / "stopped").mkdir()
    stopped = _noted(tmp_path / "stopped", f"nats://127.0.0.1:{closed_port}", "x", "")

    for variables in ({"RELAY_DATA_DIR": str(tmp_path)}, stopped):
        result = run("account", "list", environment=variables)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", NOT_HERE)


def test_a_damaged_note_is_told(tmp_path: Path) -> None:
    """With its path, and what repairs it."""
    (tmp_path / STACK_FILE).write_text("{")

    result = run("account", "list", environment={"RELAY_DATA_DIR": str(tmp_path)})

    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / STACK_FILE} cannot be understood. Start `relay up` again.\n"


def test_a_wrong_password_is_told(running: Relay) -> None:
    """In one sentence, though the bus itself would go on trying."""
    refusal = running.refusal("account", "list", RELAY_NATS_PASSWORD="wrong")

    assert refusal.startswith("NATS does not answer, or does not let this user in.")


def test_a_service_that_is_away_is_named(running: Relay, nats_url: str) -> None:
    """The bus is there, but nobody answers."""
    refusal = running.refusal("account", "list", RELAY_NATS_URL=nats_url)

    assert refusal == "A part of Relay (auth) does not answer at the moment. Try again shortly."


def test_an_unusable_setting_is_named(running: Relay) -> None:
    """As the services do."""
    assert running.refusal("account", "list", RELAY_PORT="many").startswith("RELAY_PORT is not usable: ")


@pytest.mark.parametrize("name", ["\udcff", "x" * 800_000])
def test_an_argument_that_cannot_travel_is_refused(running: Relay, name: str) -> None:
    """Bytes that are no text, or more than the bus takes."""
    assert running.refusal("account", "create", name)


def test_a_number_that_cannot_travel_is_refused(running: Relay) -> None:
    """However large it is."""
    refusal = running.refusal("channel", "update", "x", "--priority", "9" * 30)

    assert refusal == "A number is out of range."


def test_names_are_printed_as_they_are(running: Relay) -> None:
    """Rich's markup has no meaning in what people entered, and a pipe gets whole lines."""
    name = "[red]" + "long " * 17 + "[/red]"
    running.text("account", "create", name)

    assert name in running.text("account", "list")
    assert "\x1b" not in running.text("account", "list")
