"""`relay secrets`: the secrets of a deployment as files, each for one purpose and made at random."""

import secrets as random
from pathlib import Path

import click
import msgspec

from services.cli.answer import Answer, show
from services.cli.session import expected_errors
from services.devstack.secrets import SCHEMAS, login_of
from shared.contracts.call import PARTIES
from shared.contracts.nats_config import ROUTE, SECOND
from shared.ids import base62

KEYS = ("key_pepper", "code_pepper", "factor_key", "master_key")  # in hexadecimal; the others are passwords
OWNER = "relay"  # who owns the database and migrates it
DIRECTORY_MODE = 0o700
FILE_MODE = (
    0o444  # the directory is closed to others; a container that is given the file has a user of its own
)
_FIRST_LETTERS = (
    "abcdefghijklmnopqrstuvwxyz"  # an unquoted text that begins with a digit may be a number to NATS
)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The files that were made now, and those that were there and stay as they are."""

    directory: str
    made: tuple[str, ...]
    kept: tuple[str, ...]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--database", required=True, metavar="HOST[:PORT]/NAME[?OPTIONS]",
    help="Where the services reach PostgreSQL, such as postgres:5432/relay?sslmode=require.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def secrets(directory: Path, database: str, as_json: bool) -> None:
    """Make the secrets that a deployment lacks, each in a file.

    A file of DIRECTORY that is there stays as it is, but for the URLs of databases, which are written anew each time. So a
    secret is renewed by removing its file. Nothing is printed but names.
    """
    with expected_errors():
        made = make(directory, database)
    text = f"{len(made.made)} secrets are made in {directory}, {len(made.kept)} were there."
    show(Answer(document=made, text=text), as_json=as_json)


def make(directory: Path, database: str) -> Made:
    """Return what was made in `directory`. Raises: OSError when it cannot be written."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(DIRECTORY_MODE)
    made, kept = [], []
    for name in names():
        path = directory / name
        if path.exists():
            kept.append(name)
            continue
        _write(path, random.token_hex(32) if name in KEYS else random.choice(_FIRST_LETTERS) + base62(39))
        made.append(name)
    for suffix, login in logins().items():
        password = (directory / f"database_password{suffix}").read_text(encoding="utf-8").strip()
        _write(directory / f"database_url{suffix}", f"postgresql://{login}:{password}@{database}")
    return Made(directory=str(directory), made=tuple(made), kept=tuple(kept))


def names() -> tuple[str, ...]:
    """Return the name of every secret that is made at random; the URLs of databases follow from them."""
    seconds = (
        party + SECOND for party in PARTIES
    )  # so that one set of passwords can be changed while the other is in use
    buses = (f"nats_password_{user}" for user in (*PARTIES, *seconds, ROUTE))
    databases = (f"database_password{suffix}" for suffix in logins())
    return (*buses, *databases, *KEYS)


def logins() -> dict[str, str]:
    """Return who connects to PostgreSQL, by what follows `database_url` in the name of its secret."""
    return {"": OWNER} | {f"_{schema}": login_of(schema) for schema in SCHEMAS}


def _write(path: Path, text: str) -> None:
    """Write the whole of a file or nothing of it, so that nobody ever reads half a secret."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(FILE_MODE)
    beside.replace(path)
