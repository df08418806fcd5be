"""A browser at the API of an edge in front of real services."""

import asyncio
import re

import httpx
import msgspec

from shared.ids import uuid7

PASSWORD = "correct horse battery"
NEW = "quite another password"
TOKEN = re.compile(r"#[a-z]+=([A-Za-z0-9_-]{43})\b")
Reply = dict[str, object]


class Browser:
    """A browser with its own cookies, at one page of the console."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=url,
            headers={
                "origin": "http://127.0.0.1:8080",
                "sec-fetch-site": "same-origin",
                "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
            },
            timeout=30.0,
        )

    async def ask(self, method: str, path: str, /, **body: object) -> Reply:
        """Return what the API answers."""
        return await self._ask(method, path, 200, body)

    async def refused(self, method: str, path: str, status: int, **body: object) -> tuple[str, str | None]:
        """Return code and parameter of the error."""
        answer = await self._ask(method, path, status, body)
        error = msgspec.convert(answer["error"], dict[str, str | None])
        return error["code"] or "", error["param"]

    async def message(self, email: str) -> str:
        """Return the newest message to an address."""
        for _ in range(500):
            outbox = await self.ask("GET", "/outbox")
            for item in msgspec.convert(outbox["items"], list[dict[str, object]]):
                if item["to"] == email:
                    return str(item["body"])
            await asyncio.sleep(0.02)
        raise AssertionError("no message came")

    async def token(self, email: str) -> str:
        """Return the token in the newest message to an address."""
        found = TOKEN.search(await self.message(email))
        assert found is not None
        return found[1]

    async def _ask(self, method: str, path: str, status: int, body: Reply) -> Reply:
        response = await self.http.request(method, "/api" + path, json=body if method != "GET" else None)
        assert response.status_code == status, response.text
        self.last = response
        decoded: Reply = response.json()
        return decoded

    @property
    def cookie(self) -> str | None:
        """The session's token."""
        return self.http.cookies.get("relay-session")


def address(name: str = "ada") -> str:
    """Return an address that no other test uses."""
    return f"{name}-{uuid7().hex}@example.com"
