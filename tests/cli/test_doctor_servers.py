"""What `relay doctor` knows of servers that are unfit: by their versions, settings, clocks and copies."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from services.cli.deployment import DeploymentSettings
from services.cli.doctor import bus, database
from services.cli.doctor.report import Report
from shared.bus import Link, Worker
from shared.contracts import billing
from shared.settings import Secret
from tests.nats_cluster import PASSWORDS, nats_cluster

START_SECONDS = 60.0


@pytest.mark.parametrize(
    ("version", "is_good"),
    [("2.10.29", False), ("2.12.14", False), ("2.12.15", True), ("2.13.9", False), ("2.14.4", False), ("2.14.5", True),
     ("2.15.1", True), ("3.0.0", True), ("2.16.0-dev", True)],
)  # fmt: skip
def test_servers_that_can_lose_what_they_acknowledge_are_known(version: str, is_good: bool) -> None:
    """By their version."""
    assert bus.is_sound(version) == is_good


@pytest.mark.parametrize(
    ("changes", "skew_seconds", "problem"),
    [
        ({"version": 14}, 0.0, "version 14 is not one of 15 to 18"),
        ({"version": 19}, 0.0, "version 19 is not one of 15 to 18"),
        ({"is_standby": True}, 0.0, "this is a standby, which cannot be written"),
        ({"fsync": "off"}, 0.0, "fsync is off, so that a crash can destroy the ledger"),
        ({"full_page_writes": "off"}, 0.0, "full_page_writes is off, so that a crash can destroy the ledger"),
        ({}, 5.4, "its clock is 5 s ahead of this machine's"),
        ({}, -61.0, "its clock is 61 s behind this machine's"),
    ],
)
def test_a_server_that_is_unfit_for_money_is_told(
    changes: dict[str, object], skew_seconds: float, problem: str
) -> None:
    """What no test can make of a real one."""
    facts: dict[str, object] = {
        "version": 18,
        "is_standby": False,
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
    }
    fit, unfit = Report(), Report()

    database.check_facts(facts, 0.5, fit)
    database.check_facts(facts | changes, skew_seconds, unfit)

    assert not fit.problems
    assert [each.problem for each in unfit.problems] == [problem]


async def test_one_copy_on_a_cluster_is_told(tmp_path: Path) -> None:
    """Billing has made it with its default, and has to be told."""
    report = Report()
    with nats_cluster(tmp_path) as servers:
        link = Link(
            (servers[0].url,), party="billing", user="billing", password=PASSWORDS["billing"], name="test"
        )
        await link.open()
        async with asyncio.timeout(START_SECONDS):
            while not await is_made(link):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        await link.close()
        password = Secret(PASSWORDS["operator"])
        await bus.check(DeploymentSettings(nats_url=servers[0].url, nats_password_operator=password), report)

    spilled = [each.problem for each in report.problems if "spill" in each.problem]
    assert spilled == ["the spill has 1 copy on a cluster of 3 servers"]


async def is_made(link: Link) -> bool:
    """Make the spill with one copy, as billing does by default; False while the cluster has no leader."""
    worker = Worker(link, billing.SPILL, ignore)
    task = asyncio.create_task(worker.run())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not worker.is_ready:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
    was_ready = worker.is_ready
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return was_ready


async def ignore(spilled: billing.Spilled) -> None:
    """Do nothing with a claim."""
