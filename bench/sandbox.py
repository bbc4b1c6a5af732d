"""The sandbox beside what else runs model-written Python: a pool of Jupyter kernels, and a fresh Python per session.

    python -m bench sandbox [--only COLUMN]...

All three are real and measured in one run, one after another, with the mathematics libraries imported. It needs
jupyter_client and ipykernel, and takes a few minutes. Memory is PSS: pages shared with others count in part.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from bench.report import table, write_report
from solver.config import SandboxLimits
from solver.sandbox import PythonSession, SandboxPool

LIBRARIES = "import sympy, mpmath, numpy, scipy.optimize, networkx"
FIRST = "print(2+2)"
UNSTOPPABLE = "import itertools\nsum(itertools.count())"
_BLOCK_SECONDS = 60.0
_STUCK_SECONDS = 0.5


class Session(Protocol):
    async def run(self, code: str) -> str: ...

    async def unstick(self) -> None:
        """Run a block that no signal stops, for `_STUCK_SECONDS`, and have a session with the libraries again."""

    def pids(self) -> list[int]: ...

    async def close(self) -> None: ...


class Backend(Protocol):
    name: str
    num_sessions: int
    """How many of them are put up at once: 64 kernels would not fit a small machine."""
    repeats: int
    grace_seconds: float
    """Between the limit and the kill."""

    async def start(self) -> None: ...

    async def open(self) -> Session:
        """A new session with the libraries imported."""

    async def close(self) -> None: ...


class OurSession:
    def __init__(self, session: PythonSession) -> None:
        self._session = session

    async def run(self, code: str) -> str:
        result = await self._session.run(code, timeout_seconds=_BLOCK_SECONDS)
        assert result.status == "ok", result
        return result.output

    async def unstick(self) -> None:
        result = await self._session.run(UNSTOPPABLE, timeout_seconds=_STUCK_SECONDS)
        assert result.status == "timeout", result

    def pids(self) -> list[int]:
        process = self._session._process
        return [process.pid] if process is not None else []

    async def close(self) -> None:
        await self._session.close()


@dataclass
class Ours:
    spares: int = 0
    name: str = "ours"
    num_sessions: int = 64
    repeats: int = 25
    grace_seconds: float = 0.5

    async def start(self) -> None:
        self._pool = SandboxPool(SandboxLimits(spares=self.spares))
        await self._pool.start()
        async with self._pool.session() as session:
            await session.run(LIBRARIES)

    async def open(self) -> OurSession:
        return OurSession(PythonSession(self._pool, self._pool.limits, 0))

    async def close(self) -> None:
        await self._pool.close()


@dataclass
class Kernel:
    """One kernel, used as the published pools do: execute, and wait for idle."""

    manager: Any
    client: Any

    async def run(self, code: str) -> str:
        texts: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                texts.append(message["content"]["text"])

        await self.client.execute_interactive(code, timeout=_BLOCK_SECONDS, output_hook=hook, store_history=False)
        return "".join(texts).strip()

    async def unstick(self) -> None:
        self.client.execute(UNSTOPPABLE)
        await asyncio.sleep(_STUCK_SECONDS)
        await self.manager.restart_kernel(now=True)
        await self.client.wait_for_ready(timeout=_BLOCK_SECONDS)
        await self.run(LIBRARIES)

    def pids(self) -> list[int]:
        return [self.manager.provisioner.process.pid]

    async def close(self) -> None:
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)


@dataclass
class Kernels:
    name: str = "Jupyter kernels"
    num_sessions: int = 8
    repeats: int = 5
    grace_seconds: float = 0.0

    async def start(self) -> None:
        pass

    async def open(self) -> Kernel:
        from jupyter_client.manager import start_new_async_kernel

        kernel = Kernel(*await start_new_async_kernel())
        await kernel.run(LIBRARIES)
        return kernel

    async def close(self) -> None:
        pass


_LOOP = """
import contextlib, io, json, sys
names = {}
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(json.loads(line), names)
    print(json.dumps(output.getvalue()), flush=True)
"""


@dataclass
class FreshPython:
    process: asyncio.subprocess.Process

    async def run(self, code: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(code).encode() + b"\n")
        return str(json.loads(await self.process.stdout.readline())).strip()

    async def unstick(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STUCK_SECONDS):
                await self.run(UNSTOPPABLE)
        await self.close()
        self.process = (await FreshPythons().open()).process

    def pids(self) -> list[int]:
        return [self.process.pid]

    async def close(self) -> None:
        self.process.kill()
        await self.process.wait()


@dataclass
class FreshPythons:
    name: str = "fresh python"
    num_sessions: int = 8
    repeats: int = 5
    grace_seconds: float = 0.0

    async def start(self) -> None:
        pass

    async def open(self) -> FreshPython:
        pipe = asyncio.subprocess.PIPE
        session = FreshPython(
            await asyncio.create_subprocess_exec(sys.executable, "-c", _LOOP, stdin=pipe, stdout=pipe)
        )
        await session.run(LIBRARIES)
        return session

    async def close(self) -> None:
        pass


@dataclass
class Figures:
    start_seconds: float = 0.0
    first_result_ms: float = 0.0
    all_up_seconds: float = 0.0
    idle_pss_mib: float = 0.0
    total_pss_mib: float = 0.0
    round_trip_ms: float = 0.0
    one_session_blocks: float = 0.0
    eight_session_blocks: float = 0.0
    back_ms: float = 0.0
    num_sessions: int = 0


async def measure(backend: Backend) -> Figures:
    figures = Figures(num_sessions=backend.num_sessions)
    figures.start_seconds = await seconds(backend.start)
    figures.first_result_ms = 1000 * statistics.median([await first_result(backend) for _ in range(backend.repeats)])
    sessions: list[Session] = []

    async def one_more() -> None:
        session = await backend.open()
        await check(session)
        sessions.append(session)

    async def all_up() -> None:
        await asyncio.gather(*(one_more() for _ in range(backend.num_sessions)))

    figures.all_up_seconds = await seconds(all_up)
    await asyncio.sleep(1.0)
    memory = [sum(pss_mib(pid) for pid in session.pids()) for session in sessions]
    figures.idle_pss_mib, figures.total_pss_mib = statistics.median(memory), sum(memory)
    for session in sessions[8:]:
        await session.close()
    sessions = sessions[:8]
    figures.round_trip_ms = 1000 * statistics.median(
        [await seconds(lambda: sessions[0].run("x=1")) for _ in range(200)]
    )
    figures.one_session_blocks = statistics.median([await blocks_a_second(sessions[:1]) for _ in range(3)])
    figures.eight_session_blocks = statistics.median([await blocks_a_second(sessions) for _ in range(3)])
    for session in sessions:
        await session.close()
    figures.back_ms = 1000 * statistics.median([await back(backend) for _ in range(5)])
    await backend.close()
    return figures


async def first_result(backend: Backend) -> float:
    sessions: list[Session] = []

    async def begin() -> None:
        sessions.append(await backend.open())
        await check(sessions[0])

    taken = await seconds(begin)
    await sessions[0].close()
    await asyncio.sleep(0.05)
    return taken


async def back(backend: Backend) -> float:
    """From the kill of a stuck block to the next block's result."""
    session = await backend.open()
    await check(session)

    async def whole() -> None:
        await session.unstick()
        await check(session)

    taken = await seconds(whole) - _STUCK_SECONDS - backend.grace_seconds
    await session.close()
    return taken


async def check(session: Session) -> None:
    output = await session.run(FIRST)
    assert output == "4", output


async def blocks_a_second(sessions: list[Session], limit: float = 2.0) -> float:
    done, end = 0, monotonic() + limit

    async def drive(session: Session) -> None:
        nonlocal done
        while monotonic() < end:
            await session.run("x=1")
            done += 1

    taken = await seconds(lambda: asyncio.gather(*map(drive, sessions)))
    return done / taken


async def seconds(work: Callable[[], Awaitable[Any]]) -> float:
    began = monotonic()
    await work()
    return monotonic() - began


def pss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


ROWS: list[tuple[str, str, str]] = [
    ("start of the pool, once (s)", "start_seconds", ".2f"),
    ("new session to `print(2+2)`, libraries imported (ms)", "first_result_ms", ",.1f"),
    ("all sessions up and answering, number below (s)", "all_up_seconds", ".2f"),
    ("sessions put up at once", "num_sessions", "d"),
    ("memory of an idle session, PSS, libraries imported (MiB)", "idle_pss_mib", ".1f"),
    ("memory of all of them (MiB)", "total_pss_mib", ",.0f"),
    ("round trip of `x=1` (ms)", "round_trip_ms", ".2f"),
    ("small blocks a second, 1 session", "one_session_blocks", ",.0f"),
    ("small blocks a second, 8 sessions", "eight_session_blocks", ",.0f"),
    ("a stuck session back, from the kill to a result (ms)", "back_ms", ",.0f"),
]


def figures_table(results: dict[str, Figures]) -> str:
    rows = [[label, *(format(getattr(it, name), form) for it in results.values())] for label, name, form in ROWS]
    return table(["", *results], rows)


def ratios(results: dict[str, Figures]) -> str:
    ours, kernels = results["ours"], results["Jupyter kernels"]
    return (
        f"Against the kernel pool: first result {kernels.first_result_ms / ours.first_result_ms:.0f}x sooner, "
        f"{ours.eight_session_blocks / kernels.eight_session_blocks:.0f}x the blocks a second, "
        f"{kernels.idle_pss_mib / ours.idle_pss_mib:.0f}x less memory a session."
    )


async def run(names: list[str]) -> dict[str, Figures]:
    backends: list[Backend] = [Ours(), Ours(spares=2, name="ours, 2 spares"), Kernels(), FreshPythons()]
    results = {}
    for backend in backends:
        if not names or backend.name in names:
            print(f"measuring {backend.name} ...", file=sys.stderr)
            results[backend.name] = await measure(backend)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench sandbox", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="one of the columns; may be repeated")
    options = parser.parse_args(arguments)
    before = os.getloadavg()[0]
    results = asyncio.run(run(options.only))
    body = f"- load average at the start {before:.1f}, uid {os.getuid()}\n\nMedians.\n\n{figures_table(results)}"
    if options.only:
        print(body)
    else:
        write_report("sandbox", f"{body}\n{ratios(results)}\n")


if __name__ == "__main__":
    main()
