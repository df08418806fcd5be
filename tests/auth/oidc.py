"""Sign-in by others, in a browser that follows their links: the issuers, and each step of the way."""

import socket
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx
import msgspec

from services.auth.settings import AuthSettings
from shared.bearer import sha256_of
from shared.contracts import factors
from shared.contracts.people import SignedIn
from shared.settings import Secret
from tests.auth.conftest import World
from tests.auth.issuers import CLIENT_ID, CLIENT_SECRET, Liar
from tests.auth.people import CLIENT

BROWSER = "the secret of a browser"
EMAIL = "ada@example.com"


def with_issuers(settings: AuthSettings, issuer: str, false_issuer: Liar) -> AuthSettings:
    """Return settings with both issuers, a GitHub, and one that is away."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{closed.getsockname()[1]}"
    common = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    providers = [
        {"id": "honest", "name": "Honest", "issuer": issuer, **common},
        {"id": "liar", "name": "Liar", "issuer": false_issuer.url, **common},
        {"id": "hub", "name": "Hub", "issuer": false_issuer.url, "kind": "github", **common},
        {"id": "away", "name": "Away", "issuer": away, **common},
    ]
    return msgspec.structs.replace(settings, oidc_providers=Secret(msgspec.json.encode(providers).decode()))


async def start(world: World, provider: str = "honest", invitation: str | None = None) -> str:
    """Return where the browser goes."""
    ask = factors.StartOidc(
        provider=provider, browser_sha256=sha256_of(BROWSER), client=CLIENT,
        invitation_sha256=None if invitation is None else sha256_of(invitation),
    )  # fmt: skip
    return (await world.edge.call(factors.START_OIDC, ask)).url


async def agree(url: str, issuer: str, *, is_verified: object = True, email: str = EMAIL) -> dict[str, str]:
    """Return what the issuer sends the browser back with, after somebody has signed in there."""
    async with httpx.AsyncClient(trust_env=False) as client:
        claims = {"email": email, "email_verified": is_verified}
        (await client.put(f"{issuer}/users/ada", json=claims)).raise_for_status()
        answer = await client.post(url, data={"sub": "ada"})
    return query_of(answer.headers["location"])


async def come_back(
    world: World, back: dict[str, str], provider: str = "honest", browser: str = BROWSER
) -> SignedIn:
    """Return what the browser gets for what it came back with."""
    ask = factors.EndOidc(
        provider=provider, state_sha256=sha256_of(back.get("state", "")), browser_sha256=sha256_of(browser),
        client=CLIENT, code=back.get("code"), error=back.get("error"), issuer=back.get("iss"),
    )  # fmt: skip
    return await world.edge.call(factors.END_OIDC, ask)


async def by_liar(world: World, false_issuer: Liar, **claims: object) -> SignedIn:
    """Sign in at the issuer that lies: its token has the nonce that was asked for, and these claims."""
    back = query_of(await start(world, "liar"))
    false_issuer.claims = {"nonce": back["nonce"], "email": EMAIL, "email_verified": True, **claims}
    return await come_back(world, {"state": back["state"], "code": "a code"}, "liar")


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def with_query(url: str, **changes: str) -> str:
    """Return the URL with other parameters."""
    changed = httpx.QueryParams({**query_of(url), **changes})
    return urlunsplit(urlsplit(url)._replace(query=str(changed)))


async def let_sign_up(world: World, mode: str) -> None:
    """Set who may sign up."""
    await world.execute(f"UPDATE auth.site SET sign_up = '{mode}'")
