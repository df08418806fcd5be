"""Short words for what the tests of the ledger say: accounts with money, prices, and commands with every field filled in."""

import json
from importlib import resources
from uuid import UUID

import asyncpg

from shared.db import Connection
from shared.ids import uuid7
from shared.migrate import migrate

Field = str | int | bool | None
Command = dict[str, Field]

_EXECUTE = """
    SELECT ord, result, state, amount_nano_usd, input_tokens_bound, output_tokens_bound, price_id, attempt,
        deadline_seconds, charged_nano_usd, needed_nano_usd, affordable_output_tokens,
        posted_nano_usd, held_nano_usd, version, former_id, output_tokens_granted, limits
    FROM billing.execute($1, $2)"""


def reserve(request_id: UUID, account_id: UUID, **other: Field) -> Command:
    """A reserve of 100 input and 50 output tokens of the model `m`, unless `other` says otherwise."""
    return _command("reserve", request_id, account_id) | {
        "key_id": f"key-{account_id}", "lease_id": "lease", "model": "m", "fingerprint": "f", "deadline_seconds": 600,
        "choices": 1, "output_tokens_wanted": 50, "input_tokens_bound": 100,
    } | other  # fmt: skip


def extend(request_id: UUID, account_id: UUID, **other: Field) -> Command:
    """An extend of attempt 0 without new bounds, unless `other` says otherwise."""
    return _command("extend", request_id, account_id) | {"attempt": 0} | other


def fence(request_id: UUID, account_id: UUID, attempt: int) -> Command:
    """A fence before `attempt`."""
    return extend(request_id, account_id, attempt=attempt)


def settle(request_id: UUID, account_id: UUID, **other: Field) -> Command:
    """A settlement of a complete request of 100 input and 50 output tokens, unless `other` says otherwise."""
    return _command("settle", request_id, account_id) | {
        "attempt": 0, "rule": "C1", "outcome": "completed", "is_estimated": False, "is_upstream_accepted": True,
        "is_charged": True, "input_tokens": 100, "cache_read_tokens": 0, "cache_write_tokens": 0, "output_tokens": 50,
        "reasoning_tokens": 0, "channel": "channel", "witness": "dispatcher",
    } | other  # fmt: skip


def void(request_id: UUID, account_id: UUID, **other: Field) -> Command:
    """A void because the client left, that names no attempt unless `other` does."""
    return _command("void", request_id, account_id) | {"reason": "client_gone"} | other


def expire(request_id: UUID, account_id: UUID) -> Command:
    """What the reaper sends for a hold that is due."""
    return _command("expire", request_id, account_id)


async def migrated(connection: Connection) -> None:
    """Give the database the schema of billing."""
    await migrate(connection, schema="billing", folder=resources.files("services.billing") / "migrations")


class Ledger:
    """Statements on one connection to a migrated database."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.connection = connection
        self.url = url

    async def execute(self, *commands: Command, is_blocking: bool = False) -> list[asyncpg.Record]:
        """Return the answers in the order of the commands."""
        numbered = json.dumps([{"ord": place} | command for place, command in enumerate(commands)])
        answers = await self.connection.fetch(_EXECUTE, numbered, is_blocking)
        return sorted(answers, key=lambda answer: int(answer["ord"]))

    async def one(self, command: Command) -> asyncpg.Record:
        """Return the answer to a single command."""
        return (await self.execute(command))[0]

    async def open_account(self, posted_nano_usd: int = 0) -> UUID:
        """Return a new active account with money, an active key `key-<account>`, and a lease `lease` of an hour."""
        account_id = uuid7()
        await self.call("put_account", account_id, "active", 1)
        await self.call("put_key", f"key-{account_id}", account_id, "active", None, 1)
        await self.call("renew_lease", "lease", 3600)
        if posted_nano_usd:
            await self.call("credit", account_id, posted_nano_usd, f"first-{account_id}", "a gift")
        return account_id

    async def set_price(
        self,
        input_pico_usd: int = 1000,
        output_pico_usd: int = 2000,
        *,
        model: str = "m",
        max_output_tokens: int = 1000,
    ) -> int:
        """Return the id of a new price; the default is 1 nano-USD for each input and 2 for each output token.

        Cached input costs a tenth to read and a quarter more to write.
        """
        price_id: int = await self.call(
            "set_price", model, input_pico_usd, output_pico_usd, input_pico_usd // 10, input_pico_usd * 5 // 4,
            max_output_tokens,
        )  # fmt: skip
        return price_id

    async def call(self, function: str, *arguments: object) -> asyncpg.Record:
        """Return what a function of the ledger returns."""
        places = ", ".join(f"${place}" for place in range(1, len(arguments) + 1))
        return await self.connection.fetchval(f"SELECT billing.{function}({places})", *arguments)

    async def balance(self, account_id: UUID) -> tuple[int, int]:
        """Return what the account has posted and held."""
        row = await self.connection.fetchrow(
            "SELECT posted_nano_usd, held_nano_usd FROM billing.account WHERE id = $1", account_id
        )
        return row["posted_nano_usd"], row["held_nano_usd"]

    async def lapse(self, *lease_ids: str) -> None:
        """Let the time of leases pass, a minute ago."""
        await self.connection.execute(
            "UPDATE billing.lease SET expires_at = clock_timestamp() - interval '1 minute' WHERE id = ANY ($1)",
            list(lease_ids),
        )

    async def state(self, request_id: UUID) -> str:
        """Return the state of a hold."""
        state: str = await self.connection.fetchval(
            "SELECT state::text FROM billing.hold WHERE id = $1", request_id
        )
        return state

    async def count(self, table: str) -> int:
        """Return how many rows a table of the ledger has."""
        rows: int = await self.connection.fetchval(f"SELECT count(*) FROM billing.{table}")
        return rows


def _command(op: str, request_id: UUID, account_id: UUID) -> Command:
    return {"op": op, "id": str(request_id), "account_id": str(account_id)}
