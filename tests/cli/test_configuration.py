"""`relay settings` and `relay nats-config`."""

import re
from pathlib import Path

import pytest

from services.cli.configuration import KINDS, environment_text
from services.devstack.nats import EmbeddedNats
from shared.bus import Link
from shared.contracts.call import EDGE, PARTIES
from shared.contracts.nats_config import nats_config
from shared.errors import Unavailable
from shared.settings import document
from tests.cli.conftest import run

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_the_example_is_up_to_date() -> None:
    """The file is what the command prints."""
    printed = run("settings", environment={}).stdout

    assert EXAMPLE.read_text(encoding="utf-8") == printed, "write it anew: relay settings > .env.example"


def test_every_setting_is_named_with_its_meaning() -> None:
    """What all services share stands there once."""
    text = environment_text()

    for kind in KINDS.values():
        for each in document(kind):
            assert f"# {each.variable}={each.default or ''}\n" in text
            assert each.description in text
    assert text.count("RELAY_LOG_LEVEL=") == 1
    assert "OPENAI_API_KEY=" in text


@pytest.mark.parametrize("service", list(KINDS))
def test_one_service_can_be_asked_for(service: str) -> None:
    """Then everything that it reads stands there, and nothing else."""
    printed = run("settings", "--service", service, environment={}).stdout

    written = re.findall(r"^# (RELAY_[A-Z_]+)=", printed, flags=re.MULTILINE)
    assert written == [each.variable for each in document(KINDS[service])]


def test_as_it_is_the_example_changes_nothing() -> None:
    """Every line is a comment."""
    lines = environment_text().splitlines()

    assert all(line.startswith("#") for line in lines if line)


def test_the_bus_starts_with_the_printed_configuration(tmp_path: Path) -> None:
    """Once its environment has the passwords; here they stand in the text."""
    text = run("nats-config", environment={}).stdout

    for party in PARTIES:
        assert f"password: $RELAY_NATS_PASSWORD_{party.upper()}\n" in text
        text = text.replace(f"$RELAY_NATS_PASSWORD_{party.upper()}", f'"{party}"')
    with EmbeddedNats(tmp_path, text) as server:
        assert server.is_running


def test_both_users_of_a_party_have_its_rights(tmp_path: Path) -> None:
    """So that passwords can be changed while the old ones are good."""
    text = run("nats-config", "--second-users", environment={}).stdout

    rights = dict(re.findall(r"user: (\w+)\n.*\n(.*\n.*\n.*)\n", text))
    for party in PARTIES:
        assert f"password: $RELAY_NATS_PASSWORD_{party.upper()}_2\n" in text
        assert rights[party] == rights[f"{party}_2"]
    assert len(set(rights.values())) == len(PARTIES)


async def test_both_passwords_of_a_party_are_good_at_the_same_time(tmp_path: Path) -> None:
    """Each for its own user."""
    first, second = ({party: f"{word}-{party}" for party in PARTIES} for word in ("first", "second"))
    with EmbeddedNats(tmp_path, nats_config(first, second_passwords=second)) as server:
        for user, password, is_good in (
            ("edge", "first-edge", True),
            ("edge_2", "second-edge", True),
            ("edge_2", "first-edge", False),
        ):
            link = Link((server.url,), party=EDGE, user=user, password=password, name="test")
            if is_good:
                await link.open(is_probe=True)
                await link.close()
                continue
            with pytest.raises(Unavailable):
                await link.open(is_probe=True)
