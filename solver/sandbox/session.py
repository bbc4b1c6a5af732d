"""A Python session for one attempt: a child process that keeps its variables between blocks and can be killed.

What is covered: the clock is here, not in the child; a block over its time is interrupted (its state is kept) and,
where that does not help, its process group is killed; address space and file size are limited; the child gets a clean
environment and an empty scratch directory, and ends with the solver.

What is not covered yet: files, network and other processes of the same user are open to the code it runs.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from solver.config import SandboxLimits
from solver.errors import SandboxError
from solver.types import ExecutionResult, ExecutionStatus

_WORKER = Path(__file__).with_name("worker.py")
_GRACE_SECONDS = 0.5
_MAX_REPLY = 1 << 20
_LOST = "Python was restarted, variables of earlier blocks are lost"


class PythonSession:
    """Runs blocks one after another; not for several tasks at once."""

    def __init__(self, limits: SandboxLimits, seed: int, running: asyncio.Semaphore) -> None:
        self._limits = limits
        self._seed = seed
        self._running = running
        self._child: _Child | None = None
        self._blocks = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, limits: SandboxLimits, seed: int = 0) -> AsyncIterator["PythonSession"]:
        """A session of its own, outside any pool."""
        async with SandboxPool(limits).session(seed) as session:
            yield session

    async def run(self, code: str, timeout_seconds: float | None = None) -> ExecutionResult:
        """Run one block. What the code does never raises here. The process starts with the first block.

        Raises:
            SandboxError: no process can be started at all.
        """
        limit = self._limits.timeout_seconds if timeout_seconds is None else timeout_seconds
        async with self._running:  # waiting for a core is not charged to the block
            began = monotonic()
            if self._child is None:
                self._child = await _Child.start(self._limits, self._seed)
            child = self._child
            status, error = await self._ask(child, code, limit)
            kept = self._child is not None
            if status == "timeout":
                error = f"[timed out after {limit:.3g} s]" if kept else f"[timed out after {limit:.3g} s; {_LOST}]"
            elif status == "crashed":
                error = f"[Python crashed; {_LOST}]"
            text, left_out = child.output(self._limits.output_chars)
            text = "\n".join(part.strip("\n") for part in (text, error) if part.strip("\n"))
            if not kept:
                await child.end()
        text = _shortened(text, self._limits.output_chars, left_out)
        return ExecutionResult(status, text, monotonic() - began, kept)

    async def close(self) -> None:
        """End the child, whatever it does. May be called twice."""
        child, self._child = self._child, None
        if child is not None:
            await child.end()

    async def _ask(self, child: "_Child", code: str, limit: float) -> tuple[ExecutionStatus, str]:
        self._blocks += 1
        try:
            child.send({"id": self._blocks, "code": code})
            reply = asyncio.ensure_future(child.receive())
            try:
                done, _ = await asyncio.wait([reply], timeout=limit)
                if not done:
                    child.signal(signal.SIGINT)
                    done, _ = await asyncio.wait([reply], timeout=_GRACE_SECONDS)
                if not done:
                    self._child = None
                    return "timeout", ""
                answer = reply.result()
            finally:
                reply.cancel()
            if answer["id"] != self._blocks or answer["status"] not in ("ok", "error", "timeout", "memory"):
                raise ValueError("a forged reply")
            return answer["status"], str(answer["error"])
        except (ValueError, KeyError, TypeError, EOFError, OSError):
            self._child = None
            return "crashed", ""


class SandboxPool:
    """Sessions for a run's attempts; at most as many blocks run at once as there are cores."""

    def __init__(self, limits: SandboxLimits) -> None:
        self._limits = limits
        self._running = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    @asynccontextmanager
    async def session(self, seed: int = 0) -> AsyncIterator[PythonSession]:
        session = PythonSession(self._limits, seed, self._running)
        try:
            yield session
        finally:
            await session.close()


class _Child:
    """The process, its scratch directory and the file that its output goes to."""

    def __init__(self, process: asyncio.subprocess.Process, output: int, folder: str) -> None:
        self._process, self._output, self._folder = process, output, folder

    @classmethod
    async def start(cls, limits: SandboxLimits, seed: int) -> "_Child":
        folder = tempfile.mkdtemp(prefix="olympiad-solver-python-")
        try:
            output = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_APPEND, 0o600)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-s", str(_WORKER), str(limits.memory_mib), str(seed % 2**32)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                cwd=folder,
                env=_environment(folder),
                start_new_session=True,
                limit=_MAX_REPLY,
            )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise SandboxError(f"no Python process can be started: {error.strerror}") from None
        return cls(process, output, folder)

    def send(self, request: dict[str, Any]) -> None:
        os.ftruncate(self._output, 0)
        body = json.dumps(request).encode("ascii")
        assert self._process.stdin is not None
        self._process.stdin.write(struct.pack(">I", len(body)) + body)

    async def receive(self) -> dict[str, Any]:
        """Raises EOFError or ValueError where the child is gone or does not keep to the protocol."""
        assert self._process.stdout is not None
        size = struct.unpack(">I", await self._process.stdout.readexactly(4))[0]
        if size > _MAX_REPLY:
            raise ValueError("a reply of more than a megabyte")
        reply = json.loads(await self._process.stdout.readexactly(size))
        if not isinstance(reply, dict):
            raise ValueError("a reply that is no object")
        return reply

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def output(self, max_chars: int) -> tuple[str, int]:
        """What the block wrote; of a flood only its start and end, and how many bytes stood between them."""
        size = os.fstat(self._output).st_size
        reach = 4 * max_chars  # bytes: UTF-8 has at most four a character
        if size <= 2 * reach:
            return os.pread(self._output, size, 0).decode("utf-8", "replace"), 0
        head, tail = os.pread(self._output, reach, 0), os.pread(self._output, reach, size - reach)
        return head.decode("utf-8", "replace") + tail.decode("utf-8", "replace"), size - 2 * reach

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        os.close(self._output)
        shutil.rmtree(self._folder, ignore_errors=True)


def _environment(folder: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": folder,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def _shortened(text: str, max_chars: int, left_out: int) -> str:
    if not text:
        return "[no output; print(...) shows a value]"
    text = text.replace("\x00", "\\x00")
    if len(text) <= max_chars:
        return text
    head = max_chars * 2 // 3
    left_out += len(text) - max_chars
    return f"{text[:head]}\n[... {left_out:,} characters left out ...]\n{text[head - max_chars :]}"
