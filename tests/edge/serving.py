"""A real listener for one ASGI application."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from services.edge.connection import connections_for
from services.edge.settings import EdgeSettings


@asynccontextmanager
async def served(app: ASGIApp, settings: EdgeSettings | None = None) -> AsyncIterator[int]:
    """Serve `app` as the edge does, in this event loop, and yield the port on 127.0.0.1; nothing is left behind.

    The socket listens from the start, so a client that comes before uvicorn does waits for it.
    """
    config = uvicorn.Config(
        app,
        http=connections_for(settings or EdgeSettings()),
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio does not set it for such a socket, as uvloop does; each answer would take 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await task
