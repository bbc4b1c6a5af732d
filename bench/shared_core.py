"""An engine on a CPU beside another program: tokens a second with all cores its own, and while a busy loop wants one of
them, with OpenMP threads that sleep while they wait (as the solver has it) and with ones that spin (the default).

Each way is in a process of its own, for OpenMP asks once; the ways take turns, round by round.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.report import table, write_report
from bench.setting import running, sample
from solver.engine.device import WAIT_POLICY

# The default is neither policy by name; a value that OpenMP does not know leaves it, and the engine leaves what is set.
_WAYS = (("sleep, the solver's", WAIT_POLICY), ("spin, OpenMP's default", "default"))


async def measure(name: str, attempts: int, num_tokens: int) -> dict[str, float]:
    async with running(name, attempts) as setting:
        await sample(setting, attempts, 8)
        free = await sample(setting, attempts, num_tokens)
        async with _busy_loop():
            busy = await sample(setting, attempts, num_tokens)
        return {"free": statistics.mean((free, await sample(setting, attempts, num_tokens))), "busy": busy}


@asynccontextmanager
async def _busy_loop() -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass", start_new_session=True)
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        process.kill()
        await process.wait()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench shared_core", description=__doc__)
    parser.add_argument("--engine", choices=("vllm", "transformers"), default="vllm")
    parser.add_argument("--attempts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", action="store_true", help="one round in this process, figures as JSON")
    given = parser.parse_args(arguments)
    if given.here:
        print(json.dumps(asyncio.run(measure(given.engine, given.attempts, given.tokens))))
        return
    speeds: dict[tuple[str, str], list[float]] = {}
    for _ in range(given.rounds):
        for way, policy in _WAYS:
            for cores, speed in _in_own_process(arguments, policy).items():
                speeds.setdefault((way, cores), []).append(speed)
                print(f"{way}, {cores}: {speed:.1f} tokens/s", file=sys.stderr, flush=True)
    rows = [
        (*names, f"{statistics.median(values):.1f}", " ".join(f"{value:.1f}" for value in values))
        for names, values in speeds.items()
    ]
    header = ("threads that wait", "cores", "tokens/s, median", "rounds")
    head = f"{given.engine}, {given.attempts} attempts of {given.tokens} tokens."
    write_report("shared_core", f"{head}\n\n{table(header, rows)}", arguments)


def _in_own_process(arguments: Sequence[str], policy: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    command = [sys.executable, "-m", "bench", "shared_core", *arguments, "--here"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    speeds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return speeds
