"""Whether the edge serves over HTTP."""

import aiohttp
import msgspec

from services.cli.deployment import DeploymentSettings
from services.cli.doctor.report import Report

ASK_SECONDS = 5.0
PART = "edge"


class _Ready(msgspec.Struct, frozen=True):
    missing: tuple[str, ...] = ()


async def check(settings: DeploymentSettings, report: Report) -> None:
    """Report what is wrong with the edge at RELAY_EDGE_URL."""
    if not settings.edge_url:
        report.left_out("the edge's HTTP (RELAY_EDGE_URL)")
        return
    with report.checking("the edge"):
        url = settings.edge_url.rstrip("/") + "/readyz"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_SECONDS)) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            report.wrong(
                PART,
                f"RELAY_EDGE_URL does not answer ({type(error).__name__})",
                "Start `relay edge`, or correct the URL",
            )
            return
        if status == 200:
            return
        report.wrong(PART, _said(status, body), "Look at what it names, and at the log of the edge")


def _said(status: int, body: bytes) -> str:
    try:
        missing = msgspec.json.decode(body, type=_Ready).missing
    except msgspec.MsgspecError:
        missing = ()
    if missing:
        return f"/readyz says that it misses {', '.join(missing)}"
    return f"/readyz answers {status}, which is not the edge of Relay that is ready"
