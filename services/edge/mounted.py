"""A route that stands before what serves it does."""

from starlette.types import ASGIApp, Receive, Scope, Send

from shared import tracing

_TRACE = tracing.HEADER.encode()


class Mounted:
    """A route whose endpoint exists once the service has started."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; it is a span, which goes on the client's trace if there is one."""
        assert self.app is not None, "the listener opens after the start"
        if not tracing.is_on():
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == _TRACE]
        parent = given[0].decode("latin-1") if len(given) == 1 else ""
        with tracing.span(self._name, "server", parent=parent):
            await self.app(scope, receive, send)
