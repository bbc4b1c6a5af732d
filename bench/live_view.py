"""What the live view costs: tokens a second with the view on a terminal over those without any view, 64 attempts at
once, side by side. The scripted engine plays texts as fast as this process turns, so the view takes its time from the
very core that makes the tokens: with a real engine, in a process or on a card of its own, it costs less. Goal: 1 %.
"""

import contextlib
import json
import os
import pty
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from bench.report import table, write_report
from solver.config import load_config
from solver.live import draw
from solver.run import RunOptions, run
from solver.status import AttemptStatus, ProblemStatus, RunStatus
from solver.types import NEVER, Candidate

ATTEMPTS = 64


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Standard error is a terminal of 140 by 50 that somebody reads."""
    reader, writer = pty.openpty()
    stop = threading.Event()

    def drain() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                os.read(reader, 65_536)

    threading.Thread(target=drain, daemon=True).start()
    size = {"COLUMNS": "140", "LINES": "50", "TERM": "xterm-256color"}
    with os.fdopen(writer, "w") as stream, mock.patch.object(sys, "stderr", stream), mock.patch.dict(os.environ, size):
        yield
    stop.set()
    os.close(reader)


@contextlib.asynccontextmanager
async def no_view(*_: Any, **__: Any) -> AsyncIterator[None]:
    yield


def speed(folder: Path, *, has_view: bool) -> float:
    """Tokens a second of one run, from its summary."""
    config = load_config(
        "scripted",
        settings=[
            f"engine.scripted.script='{folder}/script.jsonl'",
            f"attempts.num_attempts={ATTEMPTS}",
            f"engine.max_num_seqs={ATTEMPTS}",
            "engine.max_model_len=200000",
            "attempts.max_tokens=190000",
            "consensus.quorum=64",
            "consensus.uncatchable=false",
        ],
    )
    options = RunOptions(folder / "p.csv", folder / "s.csv", plain=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(terminal())
        if not has_view:
            stack.enter_context(mock.patch("solver.run.show_progress", no_view))
        result = run(options, config, time.monotonic())
    return float(result.summary["tokens_per_second"])


def drawing_milliseconds() -> float:
    """Of the processor, for one drawing of 64 attempts."""
    from rich.console import Console

    status = RunStatus(num_problems=50)
    problem = ProblemStatus("a problem", 1, NEVER, {n: AttemptStatus(num_tokens=n * 100) for n in range(ATTEMPTS)})
    problem.candidates = [Candidate(n, 9 - n, ()) for n in range(4)]
    status.in_flight["a problem"] = problem
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(file=nowhere, force_terminal=True, width=140, height=50)
        taken = []
        for _ in range(50):
            began = time.thread_time()
            console.print(draw(status, 100.0, 140, 50))
            taken.append(time.thread_time() - began)
    return statistics.median(taken) * 1000


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 8
    chars = int(arguments[1]) if len(arguments) > 1 else 20_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "p.csv").write_text("id,problem,answer\na,How many?,7\n", "utf-8")
        entry = {"texts": ["word " * (chars // 5) + "\\boxed{7}"]}
        (folder / "script.jsonl").write_text(json.dumps(entry) + "\n", "utf-8")
        speed(folder, has_view=True)  # warm-up
        ratios, speeds = [], {True: list[float](), False: list[float]()}
        for number in range(rounds):
            for has_view in (True, False) if number % 2 else (False, True):
                speeds[has_view].append(speed(folder, has_view=has_view))
            ratios.append(speeds[True][-1] / speeds[False][-1])
    low, median, high = statistics.quantiles(ratios, n=4)
    rows = [
        (name, f"{statistics.median(speeds[key]):.0f}", f"{min(speeds[key]):.0f}", f"{max(speeds[key]):.0f}")
        for name, key in (("live view", True), ("no view", False))
    ]
    write_report(
        "live_view",
        f"{ATTEMPTS} attempts of {chars} tokens, scripted engine, {rounds} pairs.\n\n"
        + table(("view", "tokens/s, median", "min", "max"), rows)
        + f"""
- **with the view over without: {median:.3f}** (median of the pairs, quartiles {low:.3f} and {high:.3f}; goal 0.99)
- one drawing: {drawing_milliseconds():.1f} ms of the processor; the next comes no sooner than 120 times that
""",
        arguments,
    )
