"""`relay secrets`: what it makes, keeps, and does not show."""

import stat
from pathlib import Path
from urllib.parse import urlsplit

from services.cli.secrets import names
from services.dispatcher.master_key import sealer
from shared.contracts.call import PARTIES
from shared.settings import Secret
from tests.cli.conftest import run

DATABASE = "postgres:5432/relay?sslmode=require"


def test_every_secret_is_made_and_none_is_shown(tmp_path: Path) -> None:
    """Each its own, in a directory that is closed to others."""
    directory = tmp_path / "secrets"

    result = run("secrets", str(directory), "--database", DATABASE, environment={})

    files = {path.name: path.read_text() for path in directory.iterdir()}
    assert result.exit_code == 0
    assert set(files) == {*names(), *(name for name in files if name.startswith("database_url"))}
    assert {f"nats_password_{party}" for party in PARTIES} < set(files)
    assert len(set(files.values())) == len(files)
    assert not any(value in result.output for value in files.values())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    sealer(Secret(files["master_key"]), Secret(""))


def test_the_urls_hold_the_passwords(tmp_path: Path) -> None:
    """Of the owner, and of each service's login."""
    run("secrets", str(tmp_path), "--database", DATABASE, environment={})

    for suffix, login in (("", "relay"), ("_auth", "auth_service"), ("_billing", "billing_service")):
        url = urlsplit((tmp_path / f"database_url{suffix}").read_text())
        assert url.username == login
        assert url.password == (tmp_path / f"database_password{suffix}").read_text()
        assert (url.hostname, url.port, url.path, url.query) == (
            "postgres",
            5432,
            "/relay",
            "sslmode=require",
        )


def test_what_is_there_stays_and_a_removed_one_is_renewed(tmp_path: Path) -> None:
    """Its URL follows; that is how a password is changed."""
    run("secrets", str(tmp_path), "--database", DATABASE, environment={})
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "database_password_auth").unlink()

    again = run("secrets", str(tmp_path), "--database", DATABASE, "--json", environment={})

    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"database_password_auth", "database_url_auth"}
    assert '"database_password_auth"' in again.stdout


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").write_text("")

    result = run("secrets", str(tmp_path / "file" / "below"), "--database", DATABASE, environment={})

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: Not a directory: ")
