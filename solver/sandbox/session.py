"""A Python session for one attempt: it keeps its variables between blocks, and is started again where it is lost."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from signal import Signals
from time import monotonic
from typing import TYPE_CHECKING

from solver.config import SandboxLimits
from solver.errors import SandboxError
from solver.sandbox.output import OutputCapture
from solver.sandbox.process import SessionProcess
from solver.sandbox.wire import MAX_FRAME
from solver.types import ExecutionResult, ExecutionStatus

if TYPE_CHECKING:
    from solver.sandbox.pool import SandboxPool

_MAX_REPLAYED = 200
_MAX_CODE_CHARS = MAX_FRAME // 16
_LOST = "Python was restarted, variables of earlier blocks are lost"
_RESTORED = "Python was restarted and the earlier blocks were run again, so their variables are back"
_EMPTY = "Python was restarted"
_TOO_LONG = "[the block was not run: it is longer than {:,} characters]"
_KILLED = {
    "memory": "killed: it took too much memory",
    "protocol": "Python broke off: the block damaged the session itself",
    "idle": "Python was ended: something kept running after its block",
    "tasks": "Python was ended: too many threads",
    "scratch": "Python was ended: its folder held too many or too large files",
    "closed": "Python was ended",
}


@dataclass
class _History:
    """The blocks that finished, as long as running them again is cheap."""

    max_seconds: float
    blocks: list[tuple[int, str]] = field(default_factory=list)
    """Number and code."""
    seconds: float = 0.0

    @property
    def can_be_replayed(self) -> bool:
        return bool(self.blocks) and self.can_be_added_to

    @property
    def can_be_added_to(self) -> bool:
        return self.seconds <= self.max_seconds and len(self.blocks) < _MAX_REPLAYED

    def add(self, number: int, code: str, seconds: float) -> None:
        self.seconds += seconds
        if self.can_be_added_to:
            self.blocks.append((number, code))
        else:
            self.seconds = math.inf

    def forget(self) -> None:
        self.blocks, self.seconds = [], 0.0


class PythonSession:
    """Runs blocks one after another. Its process starts with the first block."""

    def __init__(self, pool: "SandboxPool", limits: SandboxLimits, seed: int) -> None:
        self._pool, self._limits, self._seed = pool, limits, seed
        self._process: SessionProcess | None = None
        self._history = _History(limits.replay_seconds)
        self._blocks = 0
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, limits: SandboxLimits, seed: int = 0) -> AsyncIterator["PythonSession"]:
        """A session outside any pool."""
        from solver.sandbox.pool import SandboxPool  # the pool makes sessions: one of the two imports late

        async with SandboxPool(limits).session(seed) as session:
            yield session

    async def run(self, code: str, timeout_seconds: float | None = None) -> ExecutionResult:
        """Run one block. What the code does never raises here. Waiting for a core is not charged to the block.

        Raises:
            SandboxError: no process can be started at all.
        """
        limit = self._limits.timeout_seconds if timeout_seconds is None else timeout_seconds
        if len(code) > _MAX_CODE_CHARS:
            return ExecutionResult("error", _TOO_LONG.format(_MAX_CODE_CHARS), 0.0)
        async with self._turn, self._pool.running:
            if self._process is None:
                self._process = await self._pool.take(self._seed)
            self._blocks += 1
            return await self._run(self._process, code, limit)

    async def close(self) -> None:
        """End the process, whatever it does. May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            await self._pool.end(process)

    async def _run(self, process: SessionProcess, code: str, limit: float) -> ExecutionResult:
        capture = OutputCapture(self._limits.output_chars)
        was_lost = not process.is_alive
        began = monotonic()
        reply = None if was_lost else await process.run(self._blocks, code, limit, capture)
        seconds = monotonic() - began
        if process.failure is not None:
            raise SandboxError(f"a session could not be confined: {process.failure}")
        if reply is None or not process.is_alive:
            return await self._restart(process, capture, seconds, limit, block_ran=not was_lost)
        status: ExecutionStatus = "error"
        notes = [reply.error]
        if process.was_interrupted:
            status = "timeout"
            notes.append(f"[timed out after {limit:.3g} s; variables are kept]")
        elif reply.kind == "interrupted":
            notes.append("KeyboardInterrupt")
        else:
            status = _STATUS[reply.kind]
            self._history.add(self._blocks, code, seconds)
        if status == "memory":
            notes.append(f"[the memory limit of this Python, {self._limits.memory_mib:,} MiB, is used up]")
        text = capture.finish(*notes)
        return ExecutionResult(status, text or capture.finish(reply.hint), seconds, state_kept=True)

    async def _restart(
        self, lost: SessionProcess, capture: OutputCapture, seconds: float, limit: float, *, block_ran: bool
    ) -> ExecutionResult:
        """A fresh process in place of one that is gone, with its variables where that is cheap."""
        await self.close()
        status, what = _ending(lost, limit)
        is_restored = await self._replay()
        if not is_restored:
            self._history.forget()
        state = _RESTORED if is_restored else _LOST if self._blocks > 1 else _EMPTY
        not_run = "" if block_ran else "; this block was not run"
        text = capture.finish(f"[{what}; {state}{not_run}]")
        return ExecutionResult(status, text, seconds, state_kept=is_restored)

    async def _replay(self) -> bool:
        """Fork again, and run the earlier blocks with their output thrown away."""
        history = self._history
        self._process = process = await self._pool.take(self._seed)
        if not history.can_be_replayed:
            return False
        deadline = monotonic() + 2 * history.seconds + 1.0
        for number, code in history.blocks:
            left = max(0.0, deadline - monotonic())
            reply = await process.run(number, code, left, OutputCapture(100))
            if reply is None or process.was_interrupted or not process.is_alive:
                await self.close()
                self._process = await self._pool.take(self._seed)
                return False
        return True


_STATUS: dict[str, ExecutionStatus] = {"ok": "ok", "error": "error", "memory": "memory"}


def _ending(lost: SessionProcess, limit: float) -> tuple[ExecutionStatus, str]:
    """What became of a process that is gone, as a status and in words."""
    reason = lost.killed_for
    if reason == "timeout":
        return "timeout", f"timed out after {limit:.3g} s"
    if reason == "memory":
        return "memory", _KILLED[reason]
    code = lost.exit_code
    if code is not None and code < 0 and reason is None:
        if -code == Signals.SIGKILL:  # not by us: the kernel, short of memory
            return "memory", _KILLED["memory"]
        return "crashed", f"Python crashed ({_signal_name(-code)})"
    if reason in (None, "protocol") and code is not None and code >= 0:
        return "crashed", f"Python ended itself with exit code {code}"
    return "crashed", _KILLED[reason] if reason is not None else "Python was lost"


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"
