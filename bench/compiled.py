"""vLLM on a CPU, eager against compiled: seconds to start, with an empty compile cache and with a warm one, and speed.

Minutes long: compiling takes two of them at each start. A preset chooses with `engine.enforce_eager`; the cache lies
under VLLM_CACHE_ROOT (~/.cache/vllm).
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from bench.report import table, write_report
from bench.setting import running, sample

_WAYS = (("eager", True), ("compiled, empty cache", False), ("compiled, warm cache", False))


async def measure(attempts: int, num_tokens: int, *, eager: bool) -> tuple[float, float]:
    """Seconds until the engine is up (import included), and tokens a second."""
    began = time.perf_counter()
    async with running("vllm", attempts, f"engine.enforce_eager={str(eager).lower()}") as setting:
        start = time.perf_counter() - began
        await sample(setting, attempts, 8)
        return start, await sample(setting, attempts, num_tokens)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench compiled", description=__doc__)
    parser.add_argument("--attempts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--one", choices=("eager", "compiled"), help="one way here, figures as JSON")
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(asyncio.run(measure(given.attempts, given.tokens, eager=given.one == "eager"))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for way, eager in _WAYS:
            options = ["--one", "eager" if eager else "compiled"]
            options += ["--attempts", str(given.attempts), "--tokens", str(given.tokens)]
            command = [sys.executable, "-m", "bench", "compiled", *options]
            environment = {**os.environ, "VLLM_CACHE_ROOT": cache, "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor"}
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
            start, speed = json.loads(done.stdout.splitlines()[-1])
            rows.append((way, f"{start:.0f}", f"{speed:.1f}"))
            print(rows[-1], file=sys.stderr, flush=True)
    header = ("", "start, s", "tokens/s")
    write_report("compiled", f"{given.attempts} attempts of {given.tokens} tokens.\n\n{table(header, rows)}", arguments)
