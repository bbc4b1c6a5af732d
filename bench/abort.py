"""From the decision to abort all running attempts to an engine that holds no request; goal: one step and 50 ms.

Attempts stream until each has eight tokens; then all are cancelled at once, as the solver does when a problem is
decided. `let go`: our side has ended every attempt. `idle`: the engine itself says that it holds no request (vLLM's
core is asked, `vllm serve` by its page of metrics, transformers by its batch). A step is the median time between two
tokens of an attempt.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing

from bench.report import table, write_report
from bench.setting import Running, running

_TOKENS_BEFORE = 8


async def measure(name: str, attempts: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round."""
    async with running(name, attempts) as setting:
        await _round(setting, attempts)  # warm-up
        found = [await _round(setting, attempts) for _ in range(rounds)]
    return {key: [1000 * values[key] for values in found] for key in ("step", "let go", "idle")}


async def _round(setting: Running, attempts: int) -> dict[str, float]:
    gaps: list[float] = []
    ready = asyncio.Barrier(attempts + 1)

    async def attempt(index: int) -> None:
        last, count = 0.0, 0
        async with aclosing(setting.engine.generate(setting.prompt(), setting.params(index, 1000))) as turn:
            async for completion in turn:
                now = time.perf_counter()
                if count:
                    gaps.append(now - last)
                last = now
                count += len(completion.token_ids)
                if count >= _TOKENS_BEFORE and not ready.broken:
                    await _arrive(ready)

    tasks = [asyncio.create_task(attempt(index)) for index in range(attempts)]
    await ready.wait()
    await ready.abort()
    decided = time.perf_counter()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    let_go = time.perf_counter() - decided
    while not await setting.is_idle():  # noqa: ASYNC110  it is in another process
        await asyncio.sleep(0.001)
    return {"step": statistics.median(gaps or [0.0]), "let go": let_go, "idle": time.perf_counter() - decided}


async def _arrive(ready: asyncio.Barrier) -> None:
    try:
        await ready.wait()
    except asyncio.BrokenBarrierError:
        return


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench abort", description=__doc__)
    parser.add_argument("--engines", default="vllm,transformers,openai")
    parser.add_argument("--attempts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--one", metavar="ENGINE", help="one engine here, figures as JSON")
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(asyncio.run(measure(given.one, given.attempts, given.rounds))))
        return
    rows = []
    for name in given.engines.split(","):
        options = ["--one", name, "--attempts", str(given.attempts), "--rounds", str(given.rounds)]
        command = [sys.executable, "-m", "bench", "abort", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        over = max(idle - step for idle, step in zip(found["idle"], found["step"], strict=True))
        medians = (f"{statistics.median(found[key]):.1f}" for key in ("step", "let go", "idle"))
        rows.append((name, *medians, f"{max(found['idle']):.1f}", "yes" if over < 50 else f"no ({over:.0f} ms over)"))
    header = (
        "engine",
        "step, ms",
        "let go, ms",
        "idle, ms, median",
        "idle, ms, most",
        "step + 50 ms kept in every round",
    )
    write_report("abort", f"{given.attempts} attempts, {given.rounds} rounds.\n\n{table(header, rows)}", arguments)
