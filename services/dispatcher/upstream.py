"""One attempt at one channel: send the request, pass the answer on, note the evidence that decides the charge.

The status and the opening events are held back until the upstream's first output or finish (`opening.py`), so that whatever fails
before becomes a real status, or another channel's turn. From then on this answer is the answer: what fails later ends it visibly.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

import httpx
import msgspec

from services.dispatcher.chat import PlainResult, inspect_plain, named, prepare
from services.dispatcher.course import Step
from services.dispatcher.evidence import Evidence
from services.dispatcher.opening import StreamedAnswer
from services.dispatcher.overrides import auth_of
from services.dispatcher.routing import Route
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.silence import Silence
from services.dispatcher.transport import AiohttpTransport, ReusedConnectionLost
from services.dispatcher.upstream_error import UpstreamError, classify_status
from shared.contracts.dispatcher import AnswerHead, ChatCall
from shared.errors import InvalidRequest, RelayError, UpstreamFailed, UpstreamTimeout
from shared.failpoints import failpoint

ERROR_BYTES_MAX = 256 * 1024
END_SECONDS = 0.1  # from `[DONE]` to the end of the body, which follows at once or not at all
ERROR_SECONDS = 5.0  # for the body of an error, whose status has said enough
PATH = "/chat/completions"
_NEVER_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError,
)  # fmt: skip
_encode = msgspec.msgpack.Encoder().encode


class Sink(Protocol):
    """Who takes an answer: the edge, as a rule."""

    async def send_head(self, head: bytes) -> None:
        """Say how the answer begins."""

    async def send(self, data: bytes) -> None:
        """Take bytes of the answer, each event of a stream whole."""


class AttemptFailed(Exception):
    """This channel could not answer, or broke in its answer. `error` is for the client if no other can.

    `is_final` says that none may: the request is at fault, or something of the answer has gone out. `status` is the upstream's.
    """

    def __init__(
        self, error: RelayError, *, kind: str, is_final: bool, may_be_billed: bool, status: int | None = None
    ) -> None:
        super().__init__(kind)
        self.error = error
        self.kind = kind
        self.is_final = is_final
        self.may_be_billed = may_be_billed
        self.status = status


class Upstream:
    """Calls channels."""

    def __init__(self, transport: AiohttpTransport, settings: DispatcherSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._extensions = {"timeout": {"connect": settings.connect_seconds}}
        self._addresses: dict[tuple[str, bool], tuple[Route, httpx.URL, httpx.Headers]] = {}

    async def answer(
        self, step: Step, sink: Sink, call: ChatCall, body: bytes, evidence: Evidence, limit_seconds: float
    ) -> None:
        """Send the whole answer of one channel to the caller; it may be `limit_seconds` in coming.

        Raises: AttemptFailed; InvalidRequest for a body that cannot be sent to anybody.
        """
        request = self._request(step, call, body)
        try:
            async with Silence(limit_seconds) as silence:
                response = await self._send(request)
                try:
                    await self._take(response, silence, sink, call, evidence)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            kind = "stalled" if evidence.is_committed else "timeout"
            raise self._broken(evidence, kind, silence.limit_seconds) from error
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
        self, response: httpx.Response, silence: Silence, sink: Sink, call: ChatCall, evidence: Evidence
    ) -> None:
        if response.status_code != 200:
            text = await _error_text(response)
            raise _refused(classify_status(response.status_code, response.headers, text))
        failpoint("dispatcher.upstream_accepted")
        if call.is_stream:
            await self._take_stream(response, silence, sink, call, evidence)
        else:
            await self._take_plain(response, silence, sink, call, evidence)

    async def _take_plain(
        self, response: httpx.Response, silence: Silence, sink: Sink, call: ChatCall, evidence: Evidence
    ) -> None:
        evidence.may_be_billed = True
        text = await _read(response, self._settings.answer_bytes_max)
        if not text:
            raise _refused(UpstreamError(kind="invalid" if text is None else "empty"))
        content_type = response.headers.get("content-type", "")
        result: PlainResult = inspect_plain(200, content_type, text, named(call.model))
        if result.error is not None:
            raise _refused(result.error)
        if not result.saw_output and not result.finish_reasons:
            raise _refused(UpstreamError(kind="empty"))
        evidence.is_accepted = True
        evidence.usage = result.usage
        evidence.delivered = result.delivered
        silence.pause()
        await self._commit(sink, evidence, "application/json", len(result.body))
        await sink.send(result.body)
        evidence.outcome = "completed"

    async def _take_stream(
        self, response: httpx.Response, silence: Silence, sink: Sink, call: ChatCall, evidence: Evidence
    ) -> None:
        evidence.may_be_billed = True
        answer = StreamedAnswer(include_usage=call.include_usage, origin=named(call.model))
        inspector = answer.inspector
        lost: httpx.TransportError | None = None
        try:
            await self._pass_on(response, silence, sink, evidence, answer)
        except httpx.TransportError as error:
            lost = error  # whether anything is missing is for the inspector to say
        end = inspector.finish()
        silence.pause()
        evidence.usage = inspector.usage
        if inspector.error is not None:
            raise self._error_inside(evidence, inspector.error)
        if end.rest and (end.is_complete or evidence.is_committed):
            await self._forward(sink, evidence, answer, end.rest)
        if not end.is_complete:
            raise lost or self._incomplete(evidence, answer, response.headers.get("content-type", ""))
        evidence.outcome = "completed"

    async def _pass_on(
        self,
        response: httpx.Response,
        silence: Silence,
        sink: Sink,
        evidence: Evidence,
        answer: StreamedAnswer,
    ) -> None:
        idle_seconds = self._settings.idle_seconds
        inspector = answer.inspector
        chunks = _chunks(response)
        async for chunk in chunks:
            ready = answer.feed(chunk)
            if ready:
                await self._forward(sink, evidence, answer, ready, silence)
            if evidence.is_committed:
                silence.allow(idle_seconds)  # a comment is not silence, but no first output either
            if inspector.error is not None:
                return
            if inspector.saw_done:
                await _read_out(chunks)
                return

    async def _forward(
        self,
        sink: Sink,
        evidence: Evidence,
        answer: StreamedAnswer,
        ready: bytes,
        silence: Silence | None = None,
    ) -> None:
        evidence.is_accepted = True
        evidence.usage = answer.inspector.usage
        evidence.delivered = answer.inspector.delivered
        ready = answer.release(ready)
        if not ready:
            return
        if silence is not None:
            silence.pause()
        if evidence.is_committed:
            await sink.send(ready)
            return
        await self._commit(sink, evidence, "text/event-stream; charset=utf-8", None)
        await sink.send(ready)
        failpoint("dispatcher.first_byte")

    async def _commit(
        self, sink: Sink, evidence: Evidence, content_type: str, body_bytes: int | None
    ) -> None:
        evidence.is_committed = True
        evidence.committed_at = asyncio.get_running_loop().time()
        await sink.send_head(_encode(AnswerHead(content_type=content_type, body_bytes=body_bytes)))

    def _error_inside(self, evidence: Evidence, error: UpstreamError) -> Exception:
        if not evidence.is_committed:
            return _refused(error)
        code = "upstream_invalid_response" if error.kind == "invalid" else "upstream_error"
        return AttemptFailed(
            UpstreamFailed(code),
            kind=error.kind,
            is_final=True,
            may_be_billed=True,
            status=error.status or 200,
        )

    def _incomplete(self, evidence: Evidence, answer: StreamedAnswer, content_type: str) -> Exception:
        """Return what an answer is that has ended in order and is not whole, whatever its upstream says."""
        misread = answer.misreading(content_type)
        if misread is not None:
            return _refused(misread)
        if not answer.inspector.saw_done:
            return self._broken(evidence, "disconnected", 0)
        if evidence.is_committed:
            return self._broken(evidence, "incomplete", 0)
        return _refused(UpstreamError(kind="empty"))

    def _broken(
        self, evidence: Evidence, kind: str, limit_seconds: float, *, is_sent: bool = True
    ) -> Exception:
        error: RelayError
        if kind in ("timeout", "stalled"):
            error = UpstreamTimeout("upstream_timeout", limit_seconds=round(limit_seconds))
        elif evidence.is_committed:
            error = UpstreamFailed("upstream_disconnected")
        else:
            error = UpstreamFailed("upstream_error")
        return AttemptFailed(
            error,
            kind=kind,
            is_final=evidence.is_committed,
            may_be_billed=is_sent,
            status=200 if evidence.is_accepted else None,
        )

    def _request(self, step: Step, call: ChatCall, body: bytes) -> httpx.Request:
        route = step.route
        try:
            content = prepare(
                body,
                upstream_model=route.models[call.model],
                max_output_tokens=call.output_tokens_granted,
                stream=call.is_stream,
                output_key=route.output_parameter,
                overrides=route.overrides,
            )
        except RecursionError as error:
            # The edge has read it from a shallower stack, so it can be just too deep for this one.
            raise InvalidRequest("invalid_json", problem="it is nested too deeply") from error
        url, headers = self._address(step, is_stream=call.is_stream)
        # Given as a stream, the content is not looked at: aiohttp writes `host` and `content-length` itself.
        return httpx.Request(
            "POST", url, headers=headers, stream=httpx.ByteStream(content), extensions=self._extensions
        )

    def _address(self, step: Step, *, is_stream: bool) -> tuple[httpx.URL, httpx.Headers]:
        """Return where a request goes and its headers, made once for each reading of the channels."""
        route, credential = step.route, step.credential
        known = self._addresses.get((credential.id, is_stream))
        if known is None or known[0] is not route:
            if known is not None:
                self._addresses.clear()  # the channels were read again: nothing stays of those that are gone
            auth_header, secret = auth_of(route.auth_header, credential.secret)
            headers = {
                auth_header: secret,
                "content-type": "application/json",
                "accept": "text/event-stream" if is_stream else "application/json",
                "accept-encoding": "identity",
                "user-agent": "relay",
                **route.headers,
            }
            known = (route, httpx.URL(route.base_url + PATH), httpx.Headers(headers))
            self._addresses[credential.id, is_stream] = known
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
        return AttemptFailed(
            refusal, kind=error.kind, is_final=True, may_be_billed=False, status=error.status or 200
        )
    failure = UpstreamFailed(
        "upstream_invalid_response" if error.kind in ("invalid", "empty") else "upstream_error",
        retry_after_seconds=error.retry_after_seconds,
    )
    # An answer that nobody understands was made, and behind a gateway's time-out the work may have gone on.
    may_be_billed = error.kind in ("invalid", "empty", "timeout")
    return AttemptFailed(
        failure, kind=error.kind, is_final=False, may_be_billed=may_be_billed, status=error.status or 200
    )


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
