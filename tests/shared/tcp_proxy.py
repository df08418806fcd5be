"""A TCP proxy that can fall silent: what a broken network, and not a stopped server, looks like."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class TcpProxy:
    """Passes bytes on until told otherwise."""

    def __init__(self, target_url: str) -> None:
        self._target = urlsplit(target_url)
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaf: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.dropped_bytes = 0

    @property
    def url(self) -> str:
        """The target's URL, by way of the proxy."""
        user, at, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()

    def fall_silent(self) -> None:
        """Let clients hear nothing more on the connections that are open now."""
        self._deaf.update(self._writers)

    def cut(self) -> None:
        """Close all connections that are open now."""
        for writer in self._writers:
            writer.transport.abort()

    async def listen(self) -> None:
        """Take connections, on the port of before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Close all connections and take no new ones."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def stop(self) -> None:
        """Close everything."""
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if sink in self._deaf and sink.get_extra_info("sockname")[1] == self._port:
                    self.dropped_bytes += len(data)
                    continue
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.transport.abort()


@asynccontextmanager
async def proxied(target_url: str) -> AsyncIterator[TcpProxy]:
    """Run a proxy to the server of `target_url`."""
    proxy = TcpProxy(target_url)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.stop()
