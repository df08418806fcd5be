"""One attempt at one channel: send the request, pass the answer on, note the evidence that decides the charge.

The status is held until the upstream's first event has been looked at, so that an error inside a 200 becomes a real status and
another channel can still be tried. From then on this answer is the answer: what fails later ends it visibly.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import httpx
import msgspec

from services.dispatcher.chat import PlainResult, StreamInspector, inspect_plain, prepare
from services.dispatcher.routing import Route
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.silence import Silence
from services.dispatcher.transport import AiohttpTransport, ReusedConnectionLost
from services.dispatcher.upstream_error import UpstreamError, classify_status
from services.dispatcher.usage import Usage
from shared.bus import Attempt
from shared.contracts import billing
from shared.contracts.dispatcher import AnswerHead, ChatCall
from shared.errors import InvalidRequest, RelayError, UpstreamFailed, UpstreamTimeout
from shared.failpoints import failpoint

BYTES_PER_TOKEN = 4  # for estimates only, and each is marked as one
ERROR_BYTES_MAX = 256 * 1024
END_SECONDS = 0.1  # from `[DONE]` to the end of the body, which follows at once or not at all
ERROR_SECONDS = 5.0  # for the body of an error, whose status has said enough
PATH = "/chat/completions"
_NEVER_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError,
)  # fmt: skip
_encode = msgspec.msgpack.Encoder().encode


class Evidence:
    """What is known of a call, whoever asks and whenever: each field is true at every moment."""

    def __init__(self) -> None:
        self.route: Route | None = None
        self.is_accepted = False  # the upstream took the request: a good answer has begun
        self.may_be_billed = False  # some attempt, maybe an earlier one, can have cost money upstream
        self.is_committed = False  # the head of the answer has gone to the client
        self.committed_at: float | None = None  # when it went, on the loop's clock
        self.usage: Usage | None = None
        self.text_bytes = 0
        self.outcome: billing.Outcome = "upstream_failed"

    def begin(self, route: Route) -> None:
        """Note that `route` is tried now; nothing of an earlier one was accepted."""
        self.route = route
        self.usage = None

    def claim(self, call: ChatCall, *, request_id: str, attempt: int) -> billing.Settle | None:
        """Return the evidence as billing wants it, None when no upstream accepted the call: then nothing can be charged."""
        if not self.is_accepted or self.route is None:
            return None
        usage = self.usage
        return billing.Settle(
            request_id=request_id,
            account_id=call.account_id,
            attempt=attempt,
            outcome=self.outcome,
            is_upstream_accepted=True,
            input_tokens_bound=call.input_tokens_bound,
            output_tokens_bound=call.output_tokens_granted * call.choices,
            usage=None
            if usage is None
            else billing.Usage(
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
            ),
            is_usage_doubtful=usage is not None and usage.is_implausible,
            delivered=billing.Usage(
                input_tokens=math.ceil(call.input_tokens_bound / BYTES_PER_TOKEN),
                output_tokens=math.ceil(self.text_bytes / BYTES_PER_TOKEN),
            ),
            abort_policy=self.route.abort_policy,
            channel=self.route.name,
        )


class AttemptFailed(Exception):
    """This channel could not answer, and nothing went to the client. `error` is for the client if no other can."""

    def __init__(self, error: RelayError, *, kind: str, is_final: bool, may_be_billed: bool) -> None:
        super().__init__(kind)
        self.error = error
        self.kind = kind
        self.is_final = is_final
        self.may_be_billed = may_be_billed


class Upstream:
    """Calls channels."""

    def __init__(self, transport: AiohttpTransport, settings: DispatcherSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._extensions = {"timeout": {"connect": settings.connect_seconds}}
        self._addresses: dict[tuple[str, bool], tuple[Route, httpx.URL, httpx.Headers]] = {}

    async def answer(
        self, route: Route, attempt: Attempt, call: ChatCall, body: bytes, evidence: Evidence
    ) -> None:
        """Send the whole answer of `route` to the caller.

        Raises: AttemptFailed while another channel may still be tried, RelayError when the answer broke after its head.
        """
        request = self._request(route, call, body)
        try:
            async with Silence(self._settings.first_output_seconds) as silence:
                response = await self._send(request)
                try:
                    await self._take(response, silence, attempt, call, evidence)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise self._broken(evidence, "timeout", silence.limit_seconds) from error
        except httpx.TransportError as error:
            raise self._broken(
                evidence, _name(error), 0, is_sent=not isinstance(error, _NEVER_SENT)
            ) from error

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._transport.handle_async_request(request)
        except ReusedConnectionLost:
            # The idle connection was most likely closed while the request was on its way; once more, on a fresh one.
            return await self._transport.handle_async_request(request)

    async def _take(
        self, response: httpx.Response, silence: Silence, attempt: Attempt, call: ChatCall, evidence: Evidence
    ) -> None:
        if response.status_code != 200:
            text = await _error_text(response)
            raise _refused(classify_status(response.status_code, response.headers, text))
        failpoint("dispatcher.upstream_accepted")
        if call.is_stream:
            await self._take_stream(response, silence, attempt, call, evidence)
        else:
            await self._take_plain(response, silence, attempt, evidence)

    async def _take_plain(
        self, response: httpx.Response, silence: Silence, attempt: Attempt, evidence: Evidence
    ) -> None:
        evidence.may_be_billed = True
        text = await _read(response, self._settings.answer_bytes_max)
        if text is None:
            raise _refused(UpstreamError(kind="invalid"))
        result: PlainResult = inspect_plain(200, response.headers.get("content-type", ""), text)
        if result.error is not None:
            raise _refused(result.error)
        evidence.is_accepted = True
        evidence.usage = result.usage
        evidence.text_bytes = result.delivered_text_bytes
        silence.pause()
        await self._commit(attempt, evidence, "application/json", len(result.body))
        await attempt.send(result.body)
        evidence.outcome = "completed"

    async def _take_stream(
        self, response: httpx.Response, silence: Silence, attempt: Attempt, call: ChatCall, evidence: Evidence
    ) -> None:
        evidence.may_be_billed = True
        inspector = StreamInspector(include_usage=call.include_usage)
        lost: httpx.TransportError | None = None
        try:
            await self._pass_on(response, silence, attempt, evidence, inspector)
        except httpx.TransportError as error:
            lost = error  # whether anything is missing is for the inspector to say
        end = inspector.finish()
        silence.pause()
        evidence.usage = inspector.usage
        if inspector.error is not None:
            raise self._error_inside(evidence, inspector.error)
        if end.rest and (end.is_complete or evidence.is_committed):
            await self._forward(attempt, evidence, inspector, end.rest)
        if not end.is_complete:
            raise lost or self._broken(evidence, "disconnected", 0)
        if not evidence.is_committed:
            raise _refused(UpstreamError(kind="invalid"))
        evidence.outcome = "completed"

    async def _pass_on(
        self,
        response: httpx.Response,
        silence: Silence,
        attempt: Attempt,
        evidence: Evidence,
        inspector: StreamInspector,
    ) -> None:
        idle_seconds = self._settings.idle_seconds
        chunks = _chunks(response)
        async for chunk in chunks:
            ready = inspector.feed(chunk)
            if ready:
                silence.pause()
                await self._forward(attempt, evidence, inspector, ready)
            if evidence.is_committed:
                silence.allow(idle_seconds)  # a comment is not silence, but no first event either
            if inspector.error is not None:
                return
            if inspector.saw_done:
                await _read_out(chunks)
                return

    async def _forward(
        self, attempt: Attempt, evidence: Evidence, inspector: StreamInspector, ready: bytes
    ) -> None:
        evidence.usage = inspector.usage
        evidence.text_bytes = inspector.delivered_text_bytes
        if not evidence.is_committed:
            evidence.is_accepted = True
            await self._commit(attempt, evidence, "text/event-stream; charset=utf-8", None)
        await attempt.send(ready)
        failpoint("dispatcher.first_byte")

    async def _commit(
        self, attempt: Attempt, evidence: Evidence, content_type: str, body_bytes: int | None
    ) -> None:
        evidence.is_committed = True
        evidence.committed_at = asyncio.get_running_loop().time()
        await attempt.send_head(_encode(AnswerHead(content_type=content_type, body_bytes=body_bytes)))

    def _error_inside(self, evidence: Evidence, error: UpstreamError) -> Exception:
        if not evidence.is_committed:
            return _refused(error)
        code = "upstream_invalid_response" if error.kind == "invalid" else "upstream_error"
        return UpstreamFailed(code)

    def _broken(
        self, evidence: Evidence, kind: str, limit_seconds: float, *, is_sent: bool = True
    ) -> Exception:
        error: RelayError
        if kind == "timeout":
            error = UpstreamTimeout("upstream_timeout", limit_seconds=round(limit_seconds))
        elif evidence.is_committed:
            error = UpstreamFailed("upstream_disconnected")
        else:
            error = UpstreamFailed("upstream_error")
        if evidence.is_committed:
            return error
        return AttemptFailed(error, kind=kind, is_final=kind == "timeout", may_be_billed=is_sent)

    def _request(self, route: Route, call: ChatCall, body: bytes) -> httpx.Request:
        try:
            content = prepare(
                body,
                upstream_model=route.models[call.model],
                max_output_tokens=call.output_tokens_granted,
                stream=call.is_stream,
                output_key=route.output_parameter,
            )
        except RecursionError as error:
            # The edge has read it from a shallower stack, so it can be just too deep for this one.
            raise InvalidRequest("invalid_json", problem="it is nested too deeply") from error
        url, headers = self._address(route, is_stream=call.is_stream)
        # Given as a stream, the content is not looked at: aiohttp writes `host` and `content-length` itself.
        return httpx.Request(
            "POST", url, headers=headers, stream=httpx.ByteStream(content), extensions=self._extensions
        )

    def _address(self, route: Route, *, is_stream: bool) -> tuple[httpx.URL, httpx.Headers]:
        """Return where a request of `route` goes and its headers, made once for each reading of the channels."""
        known = self._addresses.get((route.id, is_stream))
        if known is None or known[0] is not route:
            if known is not None:
                self._addresses.clear()  # the channels were read again: nothing stays of those that are gone
            headers = {
                "authorization": f"Bearer {route.credential}",
                "content-type": "application/json",
                "accept": "text/event-stream" if is_stream else "application/json",
                "accept-encoding": "identity",
                "user-agent": "relay",
            }
            known = (route, httpx.URL(route.base_url + PATH), httpx.Headers(headers))
            self._addresses[route.id, is_stream] = known
        return known[1], known[2]


def _refused(error: UpstreamError) -> AttemptFailed:
    """Return what an upstream's refusal means: for the client if the request is at fault, else for the next channel."""
    if error.is_client_fault:
        refusal = InvalidRequest(
            error.code or "upstream_rejected",
            param=error.param,
            wording="upstream_rejected",
            status=error.status or 400,
        )
        return AttemptFailed(refusal, kind=error.kind, is_final=True, may_be_billed=False)
    failure = UpstreamFailed(
        "upstream_invalid_response" if error.kind == "invalid" else "upstream_error",
        retry_after_seconds=error.retry_after_seconds,
    )
    # An answer that nobody understands was made, and behind a gateway's time-out the work may have gone on.
    may_be_billed = error.kind in ("invalid", "timeout")
    return AttemptFailed(failure, kind=error.kind, is_final=False, may_be_billed=may_be_billed)


def _name(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return "connect_timeout"
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    return "refused" if isinstance(error, _NEVER_SENT) else "disconnected"


async def _error_text(response: httpx.Response) -> bytes:
    """Return the body of an error, or nothing when it does not come whole, in time and of a decent size."""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            return await _read(response, ERROR_BYTES_MAX) or b""
    except (TimeoutError, httpx.TransportError):
        return b""


async def _read(response: httpx.Response, limit: int) -> bytes | None:
    """Return the whole body, None when it is longer than `limit` bytes."""
    parts = []
    size = 0
    async for part in _chunks(response):
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


async def _read_out(chunks: AsyncIterator[bytes]) -> None:
    """Take the end of a body that has said its last word, for a moment: only then can its connection serve another request."""
    with contextlib.suppress(
        TimeoutError, httpx.TransportError
    ):  # what is lost here was not part of the answer
        async with asyncio.timeout(END_SECONDS):
            async for _ in chunks:
                pass


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    return stream.__aiter__()
