"""Calls to the issuers that the operator has named: the only place where auth speaks HTTP to anybody.

Nothing is followed anywhere else: no redirect, no proxy of the environment, no cookie. An answer is small and comes soon, or it is
none. What an issuer says beside what was asked for is not passed on: it is in the log, without secrets, and nowhere else.
"""

import asyncio
import logging
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from shared.errors import Unavailable, UpstreamFailed

ANSWER_BYTES_MAX = 1024 * 1024
CALL_SECONDS = 8.0
T = TypeVar("T")

log = logging.getLogger(__name__)


class Outside:
    """An HTTP client for issuers, until `close`."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """End its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def get(self, url: str, kind: type[T], *, token: str | None = None) -> T:
        """Return what lies at `url`. Raises: Unavailable when nobody answers, UpstreamFailed for what is not as it must be."""
        headers = {"accept": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return await self._call("GET", url, kind, headers=headers)

    async def post(
        self, url: str, kind: type[T], *, form: dict[str, str], basic: tuple[str, str] | None = None
    ) -> T:
        """Return the answer to a form. Raises: as `get` does."""
        auth = None if basic is None else httpx.BasicAuth(*basic)
        headers = {"accept": "application/json"}
        return await self._call("POST", url, kind, headers=headers, data=form, auth=auth)

    async def _call(
        self,
        method: str,
        url: str,
        kind: type[T],
        *,
        headers: dict[str, str],
        data: dict[str, str] | None = None,
        auth: httpx.BasicAuth | None = None,
    ) -> T:
        request = self._opened().build_request(method, url, headers=headers, data=data)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                status, body = await self._send(request, auth)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            log.warning("issuer %s does not answer: %s", urlsplit(url).hostname, type(error).__name__)
            raise Unavailable("issuer_unreachable", retry_after_seconds=5) from error
        if status >= 500:
            log.warning("issuer %s answered %d", urlsplit(url).hostname, status)
            raise Unavailable("issuer_unreachable", retry_after_seconds=5)
        try:
            if status != 200:
                raise ValueError(f"status {status}")
            return msgspec.json.decode(body, type=kind)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            place = urlsplit(url)
            log.warning("issuer %s answered %d at %s, not as it must", place.hostname, status, place.path)
            raise UpstreamFailed("issuer_refused") from error

    async def _send(self, request: httpx.Request, auth: httpx.BasicAuth | None) -> tuple[int, bytes]:
        response = await self._opened().send(request, stream=True, auth=auth)
        try:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise httpx.DecodingError("the answer is too large", request=request)
            return response.status_code, bytes(body)
        finally:
            await response.aclose()

    def _opened(self) -> httpx.AsyncClient:
        """Return the client, made at the first need: most sites have no issuer."""
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=CALL_SECONDS)
        return self._client
