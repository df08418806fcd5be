"""One request to the JSON API, from the socket to its handler and back.

The order decides what a stranger can learn and do: first where the request comes from, then who asks, then what they may, and only
then is the body read. An action of an operator is written down before it is done, and again with how it ended.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from services.edge.admission import Admission
from services.edge.api import trail
from services.edge.api.access import Access, check_rights, cookies_of
from services.edge.api.context import Answer, Context, Handler, Redirect, Rows
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.body import ClientGone, read_body
from services.edge.chat import language_in, send_error
from services.edge.errors import Headers
from services.edge.security import SECURITY_HEADERS, hsts
from services.edge.settings import EdgeSettings
from services.edge.visits import Visit, Visits
from shared.bus import Bus
from shared.errors import InvalidRequest, RelayError

SAFE = ("GET", "HEAD")
BODY_BYTES_MAX = 1024 * 1024
BODY_SECONDS_MAX = 20.0
QUERY_BYTES_MAX = 4096
_PROBLEM = re.compile(r"(?P<problem>.*?)(?: - at `(?P<place>[^`]*)`)?", re.DOTALL)


class Frame:
    """Serves every endpoint of the table that has a handler."""

    def __init__(
        self,
        bus: Bus,
        settings: EdgeSettings,
        access: Access,
        admission: Admission,
        visits: Visits,
        handlers: Mapping[Endpoint, Handler],
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._access = access
        self._admission = admission
        self._visits = visits
        self._handlers = handlers
        self._headers = [*SECURITY_HEADERS, *hsts(settings.public_url), (b"cache-control", b"no-store")]

    async def serve(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to `endpoint`."""
        visit = Visit("api")
        language = language_in(scope, self._settings.default_language)
        try:
            with self._admission.entered(receive) as counting:
                context, answer = await self._answer(endpoint, scope, counting)
                await self._send(send, scope, endpoint, context, answer, visit)
        except RelayError as error:
            visit.failed("refused", error)
            visit.status = await send_error(
                send, error, language=language, request_id=visit.request_id, further=self._headers
            )
        except ClientGone:
            visit.outcome = "left"
        finally:
            self._visits.end(visit)

    async def _answer(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> tuple[Context, Answer]:
        is_unsafe = scope["method"] not in SAFE
        client = self._access.client(scope)
        person = await self._access.person(scope, endpoint, client)
        if is_unsafe and (person is None or person.through == "console"):
            self._access.check_origin(scope)
        check_rights(endpoint, person)
        context = Context(
            bus=self._bus,
            settings=self._settings,
            path={name: str(value) for name, value in scope["path_params"].items()},
            language=language_in(scope, self._settings.default_language),
            client=client,
            cookies=cookies_of(scope),
            person=person,
        )
        query = query_of(scope["query_string"], endpoint.query, ignores_unknown=endpoint.ignores_unknown)
        ask = await _body(endpoint, scope, receive) if is_unsafe else Nothing()
        begun = await trail.begin(context, endpoint, ask)
        try:
            answer = await self._handlers[endpoint](context, ask, query)
        except Exception as error:
            await trail.end(context, begun, error)
            raise
        await trail.end(context, begun)
        return context, answer

    async def _send(
        self, send: Send, scope: Scope, endpoint: Endpoint, context: Context, answer: Answer, visit: Visit
    ) -> None:
        name = str(visit.request_id).encode()
        headers: Headers = [*self._headers, (b"x-request-id", name), (b"request-id", name)]
        if context.session_token is not None:
            headers.append((b"set-cookie", self._access.cookie(context.session_token).encode()))
        headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in context.new_cookies]
        visit.status, visit.outcome = 200, "complete"
        if isinstance(answer, Rows):
            await _send_rows(send, headers, answer)
            return
        if isinstance(answer, Redirect):
            visit.status = 302
            headers += [(b"location", answer.url.encode()), (b"content-length", b"0")]
            body = b""
        else:
            assert isinstance(answer, endpoint.gives), endpoint.name
            body = msgspec.json.encode(answer)
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": visit.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def routes(endpoints: tuple[Endpoint, ...], frame: "FrameAt") -> list[BaseRoute]:
    """Return the routes of the API; those whose path has no parameter come first, so that no name hides them."""
    ordered = sorted(endpoints, key=lambda endpoint: "{" in endpoint.path)
    return [
        _EncodedRoute("/api" + endpoint.path, _Bound(frame, endpoint), methods=[endpoint.method])
        for endpoint in ordered
    ]


class _EncodedRoute(Route):
    """A route that finds its parameters in the path as it was sent, and then decodes each.

    People name channels, groups and batches as they like: a slash in a name is sent as %2F, and is no end of a parameter.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether this route is meant, and its parameters decoded; what is no UTF-8 names nothing."""
        sent = scope.get("raw_path") or scope["path"].encode()
        match, found = super().matches({**scope, "path": sent.decode("ascii", "replace"), "root_path": ""})
        if match is not Match.NONE:
            try:
                found["path_params"] = {
                    name: unquote(str(value), errors="strict") for name, value in found["path_params"].items()
                }
            except UnicodeDecodeError:
                return Match.NONE, {}
        return match, found


class FrameAt:
    """Where the frame will be once the service has started."""

    def __init__(self) -> None:
        self.frame: Frame | None = None


class _Bound:
    def __init__(self, place: FrameAt, endpoint: Endpoint) -> None:
        self._place = place
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._place.frame is not None, "the listener opens after the start"
        await self._place.frame.serve(self._endpoint, scope, receive, send)


def query_of(text: bytes, kind: type[msgspec.Struct], *, ignores_unknown: bool = False) -> msgspec.Struct:
    """Return what stands behind the question mark as `kind`. Raises: InvalidRequest naming the parameter."""
    if len(text) > QUERY_BYTES_MAX:
        raise InvalidRequest(
            "invalid_value", param="query", problem=f"it has more than {QUERY_BYTES_MAX} bytes"
        )
    given: dict[str, str] = {}
    known = {field.name for field in msgspec.structs.fields(kind)}
    for name, value in _pairs(text):
        if name not in known:
            if ignores_unknown:
                continue
            raise InvalidRequest("unknown_parameter", param=name[:100], name=name[:100])
        if name in given:
            raise InvalidRequest("invalid_value", param=name, problem=f"'{name}' is given twice")
        if value:
            given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=30, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidRequest("invalid_value", param="query", problem="it is not well-formed") from error


async def _body(endpoint: Endpoint, scope: Scope, receive: Receive) -> msgspec.Struct:
    headers = scope["headers"]
    has_body = any(
        (name == b"content-length" and value.strip() != b"0") or name == b"transfer-encoding"
        for name, value in headers
    )
    if endpoint.takes is Nothing and not has_body:
        return Nothing()
    body = await read_body(receive, headers, limit_bytes=BODY_BYTES_MAX, total_seconds=BODY_SECONDS_MAX)
    try:
        return msgspec.json.decode(body or b"{}", type=endpoint.takes)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("invalid_json", problem=str(error)[:200]) from error


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    found = _PROBLEM.fullmatch(str(error))
    place = (found["place"] if found else None) or ""
    return InvalidRequest(
        "invalid_value",
        param=place.removeprefix("$").removeprefix(".") or None,
        problem=(found["problem"] if found else str(error))[:300],
    )


async def _send_rows(send: Send, headers: Headers, rows: Rows) -> None:
    named = json.dumps(rows.file).encode()
    headers += [
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", b"attachment; filename=" + named),
    ]
    parts = rows.parts
    first = await anext(parts, b"")  # what is wrong with the question is said before the status
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
