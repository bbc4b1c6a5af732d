"""Ten thousand blocks over sixteen sessions, with random kills: does anything leak?

    python -m bench sandbox_soak [--blocks N] [--seed S]

Sessions are killed from outside (SIGKILL at a random moment), by their own code (os._exit, a null pointer, a loop that
nothing stops) and by closing; now and then a new one takes an old one's place. Afterwards the solver's processes,
descriptors and memory are what they were.
"""

import argparse
import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from bench.report import write_report
from solver.config import SandboxLimits
from solver.sandbox import PythonSession, SandboxPool
from solver.sandbox.host import shared_zygote

_SESSIONS = 16
_LIMITS = SandboxLimits(spares=2, memory_mib=256)
_BLOCKS = (
    ("x = 1", 60),
    ("print(2 + 2)", 20),
    ("import sympy\nsympy.factorint(10**20 + 39)", 8),
    ("1 / 0", 5),
    ("print('x' * 10**5)", 2),
    ("open('file', 'w').write('x' * 1000)", 2),
    ("y = [0] * 10**9", 1),
    ("import os\nos._exit(0)", 1),
    ("import ctypes\nctypes.string_at(0)", 0.5),
    ("while True: pass", 0.2),
    ("import itertools\nsum(itertools.count())", 0.2),
)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def sandbox_processes(pid: int) -> int:
    """The zygote and everything forked of it: they share its command line."""
    mark = Path(f"/proc/{pid}/cmdline").read_bytes()
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes() == mark
        except OSError:
            continue
    return found


async def soak(num_blocks: int, seed: int) -> dict[str, object]:
    dice, statuses, left = random.Random(seed), Counter[str](), num_blocks
    pool = SandboxPool(_LIMITS)
    await pool.start()
    async with pool.session() as session:
        await session.run("1")
    kills = replaced = 0

    async def kill_at_random(session: PythonSession) -> None:
        nonlocal kills
        await asyncio.sleep(dice.random() * 0.003)
        process = session._process
        if process is not None and process.pid:
            kills += 1
            process._signal(signal.SIGKILL)

    async def lane(number: int) -> None:
        nonlocal left, replaced
        while left > 0:
            async with pool.session(number) as session:
                replaced += 1
                for _ in range(dice.randrange(20, 200)):
                    if left <= 0:
                        break
                    left -= 1
                    code = dice.choices([b for b, _ in _BLOCKS], [w for _, w in _BLOCKS])[0]
                    killer = asyncio.create_task(kill_at_random(session)) if dice.random() < 0.02 else None
                    result = await session.run(code, timeout_seconds=0.5 if "while" in code or "count" in code else 10)
                    statuses[result.status] += 1
                    if killer is not None:
                        await killer

    await asyncio.sleep(0.5)
    zygote = shared_zygote(_LIMITS)
    before = {"descriptors": descriptors(), "memory": resident_mib(), "processes": sandbox_processes(zygote.pid)}
    began = monotonic()
    await asyncio.gather(*(lane(number) for number in range(_SESSIONS)))
    taken = monotonic() - began
    await asyncio.sleep(1.0)
    after = {"descriptors": descriptors(), "memory": resident_mib(), "processes": sandbox_processes(zygote.pid)}
    await pool.close()
    return {
        "blocks": num_blocks,
        "seconds": round(taken, 1),
        "statuses": dict(sorted(statuses.items())),
        "killed from outside": kills,
        "sessions opened": replaced,
        "the same zygote throughout": shared_zygote(_LIMITS) is zygote,
        "sandbox processes before and after": (before["processes"], after["processes"]),
        "descriptors before and after": (before["descriptors"], after["descriptors"]),
        "resident MiB before and after": (round(before["memory"], 1), round(after["memory"], 1)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench sandbox_soak")
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    figures = asyncio.run(soak(options.blocks, options.seed))
    write_report("sandbox_soak", "\n".join(f"- {name}: {value}" for name, value in figures.items()), arguments or ())


if __name__ == "__main__":
    main()
