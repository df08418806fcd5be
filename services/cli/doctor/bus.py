"""Whether NATS is there, fit and guarded, and whether the services answer on it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.cli.deployment import DeploymentSettings
from services.cli.doctor.report import Report
from shared.bus import Bus, Link, Server, look
from shared.contracts import billing, dispatcher, site
from shared.contracts.call import OPERATOR, Call, Empty, Q, R
from shared.errors import RelayError, Unavailable
from shared.settings import Secret, Settings

PART = "NATS"
PORT = 4222
CLUSTER_SIZE = 3  # from which on a message that waits has three copies
CALL_SECONDS = 5.0
# Before these, JetStream with `sync_interval: always` could acknowledge what was not yet on the disk (nats-server pull
# request 8475 and those before it).
SOUND = ((2, 12, 15), (2, 13, 0), (2, 14, 5))
OLDEST = "2.14.5"
PROBE_SECONDS = 2.0
ANYBODY = "anybody"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")


async def check(settings: DeploymentSettings, report: Report) -> None:
    """Report what is wrong with NATS and, if the operator is let in, with the services."""
    if not settings.nats_url:
        report.left_out("NATS and the services (RELAY_NATS_URL)")
        return
    with report.checking("NATS"):
        if not await _are_listening(settings, report):
            return
        await _check_anonymous(settings, report)
        for party, password in settings.nats_passwords.items():
            if party != OPERATOR:
                with report.checking(f"NATS user {party}"):
                    await _check_user(settings, report, party, password)
    operator = _operator(settings)
    if operator is None:
        report.left_out("the services (RELAY_NATS_PASSWORD_OPERATOR)")
        return
    with report.checking("the services"):
        async with _connected(settings, operator, report) as bus:
            if bus is not None:
                _check_server(bus.control.server, report)
                await _check_spill(bus, report)
                await _check_services(bus, report)


async def _are_listening(settings: DeploymentSettings, report: Report) -> bool:
    """Tell whether any server listens; each that does not is a problem."""
    urls = [url.strip() for url in settings.nats_url.split(",")]
    found = await asyncio.gather(*(_is_listening(url) for url in urls))
    for url, is_there in zip(urls, found, strict=True):
        if not is_there:
            address = urlsplit(url)
            report.wrong(
                PART,
                f"nobody listens at {address.hostname}:{address.port or PORT}",
                "Start the server, or correct RELAY_NATS_URL",
            )
    return any(found)


async def _is_listening(url: str) -> bool:
    try:
        address = urlsplit(url)
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(address.hostname, address.port or PORT)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True


async def _check_anonymous(settings: DeploymentSettings, report: Report) -> None:
    if await _is_let_in(settings, ANYBODY, user="", password=""):
        report.wrong(
            PART,
            "anybody is let in without a password",
            "Give the server the configuration of `relay nats-config`",
        )


async def _check_user(settings: DeploymentSettings, report: Report, party: str, password: str) -> None:
    if not await _is_let_in(settings, party, user=party, password=password):
        report.wrong(
            PART,
            f"user {party} is not let in with RELAY_NATS_PASSWORD_{party.upper()}",
            "Give the server and the service the same password, and restart both",
        )


async def _is_let_in(settings: DeploymentSettings, party: str, *, user: str, password: str) -> bool:
    servers = tuple(url.strip() for url in settings.nats_url.split(","))
    link = Link(servers, party=party, user=user, password=password, name=f"doctor-{party}")
    try:
        await link.open(is_probe=True)
    except Unavailable:
        return False
    await link.close()
    return True


def _operator(settings: DeploymentSettings) -> Settings | None:
    """Return how the operator reaches the bus, None when that is not known."""
    password = settings.nats_password.reveal() or settings.nats_passwords.get(OPERATOR, "")
    user = settings.nats_user or (OPERATOR if password else "")
    if not user:
        return None
    return Settings(nats_url=settings.nats_url, nats_user=user, nats_password=Secret(password))


@asynccontextmanager
async def _connected(
    settings: DeploymentSettings, operator: Settings, report: Report
) -> AsyncIterator[Bus | None]:
    """Yield the bus as the operator sees it, None when that is not let in."""
    user = operator.nats_user
    if not await _is_let_in(settings, OPERATOR, user=user, password=operator.nats_password.reveal()):
        report.wrong(
            PART,
            f"user {user} is not let in",
            "Correct RELAY_NATS_PASSWORD_OPERATOR, or RELAY_NATS_USER and RELAY_NATS_PASSWORD",
        )
        yield None
        return
    async with Bus(operator, party=OPERATOR) as bus:
        yield bus


def _check_server(server: Server, report: Report) -> None:
    if not is_sound(server.version):
        report.wrong(
            PART,
            f"version {server.version} can lose what JetStream has acknowledged",
            f"Install {OLDEST} or a newer one",
        )
    if not server.jetstream:
        report.wrong(
            PART,
            "JetStream is off, so that claims which billing cannot take at once wait in memory alone",
            "Start the server with the configuration of `relay nats-config` and a --store_dir",
        )


def is_sound(version: str) -> bool:
    """Tell whether this version of nats-server keeps what it acknowledges. One that cannot be read is trusted."""
    match = _NUMBERS.match(version)
    if match is None:
        return True
    number = (int(match[1]), int(match[2]), int(match[3]))
    patched, next_minor, newest = SOUND
    return patched <= number < next_minor or number >= newest


async def _check_spill(bus: Bus, report: Report) -> None:
    server = bus.control.server
    if not server.jetstream:
        return
    try:
        state = await look(bus.control, billing.SPILL)
    except Unavailable:
        report.wrong(
            PART,
            "JetStream does not answer",
            "Look at the log of the servers: a cluster needs a majority of them",
        )
        return
    if state is None:
        report.wrong(PART, "the spill is not there", "Start `relay billing`, which makes it")
        return
    servers = len(set(server.connect_urls)) if server.cluster else 1
    if state.replicas < min(servers, CLUSTER_SIZE):
        report.wrong(
            PART,
            f"the spill has {state.replicas} copy on a cluster of {servers} servers",
            f"Run `nats stream edit {billing.SPILL.stream} --replicas {CLUSTER_SIZE}`, and set RELAY_NATS_REPLICAS",
        )
    if state.current < state.replicas:
        report.wrong(
            PART,
            f"{state.current} of {state.replicas} copies of the spill are up to date",
            "Start the server that is away",
        )
    if state.messages:
        report.wrong(
            PART,
            f"{state.messages} claims wait in the spill",
            "They are done when billing and PostgreSQL answer again; look once more in a minute",
        )


async def _check_services(bus: Bus, report: Report) -> None:
    known = await _asked(bus, report, site.GET_SITE, Empty())
    if known is not None:
        check_site(known, report)
    prices = await _asked(bus, report, billing.LIST_PRICES, billing.ListPrices())
    offered = await _asked(bus, report, dispatcher.LIST_MODELS, dispatcher.ListModels())
    if prices is None or offered is None:
        return
    models, priced = {each.id for each in offered.items}, {each.model for each in prices.items}
    if not models:
        report.wrong("channels", "no channel offers a model", "Make one: `relay channel create`")
    for model in sorted(models - priced):
        report.wrong(
            "prices", f"{model} has no price, so that nobody can call it", f"Run `relay price set {model}`"
        )
    for model in sorted(priced - models) if models else ():
        report.wrong(
            "prices",
            f"{model} has a price, but no enabled channel offers it",
            "Add it to a channel, or enable one",
        )


def check_site(known: site.Site, report: Report) -> None:
    """Report what keeps messages from people, or shows them to others."""
    is_local = urlsplit(known.public_url).hostname in LOOPBACK
    if known.settings.sign_up != "off" and not known.has_mail and not known.has_outbox:
        report.wrong(
            "mail",
            "people may sign up, but no mail server is set that could send them the link",
            "Set RELAY_SMTP_HOST and RELAY_SMTP_FROM for auth, or run `relay site set --sign-up off`",
        )
    if known.has_outbox and not is_local:
        report.wrong(
            "mail",
            "anybody can read the messages to everybody at /api/outbox",
            "Take RELAY_OUTBOX_PAGE away from auth, and set RELAY_SMTP_HOST",
        )
    if known.settings.sign_up != "off" and known.has_mail and is_local:
        report.wrong(
            "mail",
            f"the links in messages lead to {known.public_url}",
            "Set RELAY_PUBLIC_URL for auth and edge to where people reach the console",
        )


async def _asked(bus: Bus, report: Report, call: Call[Q, R], question: Q) -> R | None:
    try:
        return await bus.call(call, question, timeout_seconds=CALL_SECONDS)
    except Unavailable:
        report.wrong(
            call.owner,
            f"no replica answers {call.subject}",
            f"Start `relay {call.owner}`, and look at its log and its /readyz",
        )
    except RelayError as error:
        report.wrong(call.owner, f"{call.subject} fails: {str(error).rstrip('.')}", "Look at its log")
    return None
