"""Several servers of one model: which of them a turn goes to, and which are up."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from solver.engine.server import Server, ServerLostError
from solver.errors import EngineError

_HEALTH_EVERY = 2.0  # seconds
_TAIL = 16  # tokens by which a transcript is found; all of them are then compared
_REMEMBERED = 512  # transcripts


class ServerPool:
    """Servers of one model."""

    def __init__(self, servers: Sequence[Server] = ()) -> None:
        self.servers = list(servers)
        self._transcripts: OrderedDict[tuple[int, tuple[int, ...], int], Server] = OrderedDict()
        self._monitor: asyncio.Task[None] | None = None
        self._checking = asyncio.Lock()

    async def wait_ready(self, seconds: float) -> list[Server]:
        """The servers that answer, once there is one. Raises EngineError where there is none for so long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            await asyncio.gather(*(server.check() for server in self.servers))
            if ready := [server for server in self.servers if server.healthy]:
                self._monitor = asyncio.create_task(self._watch())
                return ready
            if asyncio.get_running_loop().time() > deadline:
                urls = " or ".join(server.url for server in self.servers)
                raise EngineError(
                    f"no server answers at {urls}: start one, or correct engine.base_urls; for one that loads for "
                    f"longer, raise engine.start_seconds={seconds:g}"
                )
            await asyncio.sleep(0.5)

    def choose(self, tokens: Sequence[int]) -> Server:
        """The server that has computed a prefix of `tokens`, else the least busy. Raises ServerLostError."""
        healthy = [server for server in self.servers if server.healthy]
        if not healthy:
            raise ServerLostError("no server is up")
        if len(healthy) > 1:
            for (length, tail, whole), server in reversed(self._transcripts.items()):
                is_near = server.healthy and tuple(tokens[length - _TAIL : length]) == tail
                if is_near and hash(tuple(tokens[:length])) == whole:
                    return server
        return min(healthy, key=lambda server: server.running)

    async def recheck(self) -> None:
        """Look for servers that are back, where none is left."""
        async with self._checking:
            if not any(server.healthy for server in self.servers):
                await asyncio.gather(*(server.check() for server in self.servers), return_exceptions=True)

    def remember(self, server: Server, tokens: Sequence[int]) -> None:
        """Note that `server` has computed `tokens`."""
        if len(self.servers) > 1 and len(tokens) >= _TAIL:
            self._transcripts[len(tokens), tuple(tokens[-_TAIL:]), hash(tuple(tokens))] = server
            while len(self._transcripts) > _REMEMBERED:
                self._transcripts.popitem(last=False)

    async def close(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.cancel()
            await asyncio.wait([monitor])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_HEALTH_EVERY)
            # Another model in its place is not this run's server.
            await asyncio.gather(*(server.check() for server in self.servers), return_exceptions=True)
