"""Sessions for a run's attempts: at most as many blocks at once as there are cores, a few processes ready ahead."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from solver.config import SandboxLimits
from solver.errors import SandboxError
from solver.sandbox.host import Zygote, shared_zygote
from solver.sandbox.layers import SandboxReport
from solver.sandbox.process import SessionProcess
from solver.sandbox.session import PythonSession
from solver.sandbox.watch import Watch

_END_SECONDS = 2.0


class SandboxPool:
    """`start` and `close` frame a run; a pool that was not started starts with its first block, without spares."""

    def __init__(self, limits: SandboxLimits) -> None:
        self.limits = limits
        self.running = asyncio.Semaphore(len(os.sched_getaffinity(0)))
        """Held by a session while it runs a block."""
        self._processes: set[SessionProcess] = set()
        self._spares: list[SessionProcess] = []
        self._refill: asyncio.Task[None] | None = None
        self._watch: Watch | None = None
        self._is_started = False
        self.report: SandboxReport | None = None
        """What confines the code; None before `start`."""

    @property
    def num_sessions(self) -> int:
        """Sessions that are alive, spares included."""
        return sum(process.is_alive for process in self._processes)

    async def start(self) -> SandboxReport:
        """Start the zygote, and return when it is known what confines the code; libraries load on behind this.

        To be called before threads and a CUDA context exist.

        Raises:
            SandboxError: code cannot be confined here; the line names the missing layer.
        """
        zygote = shared_zygote(self.limits)
        await zygote.until_probed()
        self._is_started = True
        self._refill_later()
        self.report = SandboxReport.of(zygote)
        return self.report

    async def close(self) -> None:
        """End every session. May be called twice. The zygote stays for the next pool, and ends with this process."""
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.wait([self._refill])
            self._refill = None
        if self._watch is not None:
            await self._watch.stop()
        await asyncio.gather(*(self.end(process) for process in list(self._processes)))
        self._spares.clear()
        self._is_started = False

    @asynccontextmanager
    async def session(self, seed: int = 0) -> AsyncIterator[PythonSession]:
        session = PythonSession(self, self.limits, seed)
        try:
            yield session
        finally:
            await session.close()

    async def take(self, seed: int) -> SessionProcess:
        """A confined process that has run nothing, with its random numbers set by `seed`.

        Raises:
            SandboxError: none can be started.
        """
        process = None
        while self._spares and process is None:
            spare = self._spares.pop()
            process = spare if spare.is_alive else None
        if process is None:
            process = await self._fork()
        if self._is_started:
            self._refill_later()
        process.reseed(seed)
        return process

    async def end(self, process: SessionProcess) -> None:
        """Kill it; it is gone from the process table when this returns."""
        process.kill("closed")
        try:
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.shield(process.exited)
        except TimeoutError:
            process.on_exit(None)
        self._processes.discard(process)

    async def _fork(self) -> SessionProcess:
        for is_last_try in (False, True):
            zygote = shared_zygote(self.limits)
            try:
                process = await zygote.fork(self.limits)
                break
            except SandboxError:
                if is_last_try or not self._may_try_again(zygote):
                    raise
        self._processes.add(process)
        if self._watch is None:
            self._watch = Watch(self.limits, lambda: list(self._processes))
        self._watch.start()
        return process

    def _may_try_again(self, zygote: Zygote) -> bool:
        return zygote.is_gone and zygote.is_ready

    def _refill_later(self) -> None:
        if self._refill is None or self._refill.done():
            self._refill = asyncio.get_running_loop().create_task(self._fill_spares())

    async def _fill_spares(self) -> None:
        try:
            while len(self._spares) < self.limits.spares:
                self._spares.append(await self._fork())
        except SandboxError:
            return  # whoever needs a session next hears of it
