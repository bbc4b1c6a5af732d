"""A file of problems with several in flight against one by one: wall time, with the same engine in one process.

Budgets and decisions stay per problem; only the engine's slots are shared. The problems are those of
`examples/problems.csv`, over and over where more are asked for; attempts end as they end.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.report import table, write_report
from bench.setting import Running, running
from solver.competition import find_competition
from solver.journal import Journal
from solver.problem import read_problems
from solver.solve import Solver
from solver.status import RunStatus
from solver.types import NEVER, Problem

_EXAMPLES = Path(__file__).parent.parent / "examples" / "problems.csv"


async def measure(name: str, num_problems: int, attempts: int, num_tokens: int, slots: int, rounds: int) -> str:
    examples = read_problems(_EXAMPLES)
    problems = [
        replace(examples[n % len(examples)], id=f"{examples[n % len(examples)].id}-{n}") for n in range(num_problems)
    ]
    settings = (
        f"engine.max_num_seqs={slots}",
        f"attempts.num_attempts={attempts}",
        f"attempts.max_tokens={num_tokens}",
        "competition=open",
    )
    found: dict[str, list[tuple[float, int]]] = {"one by one": [], "auto": []}
    async with running(name, attempts, *settings) as setting:
        await _run(setting, problems[:1], 1)  # warm-up
        for number in range(rounds):
            order = list(found)
            for way in order if number % 2 == 0 else order[::-1]:
                found[way].append(await _run(setting, problems, 1 if way == "one by one" else "auto"))
                print(f"{way}: {found[way][-1][0]:.1f} s", file=sys.stderr, flush=True)
        lanes = setting.tools.config.model_copy(update={"concurrent_problems": "auto"}).lanes
    rows = [
        (
            way,
            lanes if way == "auto" else 1,
            f"{statistics.median(s for s, _ in runs):.1f}",
            f"{statistics.median(tokens / s for s, tokens in runs):.1f}",
        )
        for way, runs in found.items()
    ]
    ratios = [one / auto for (one, _), (auto, _) in zip(found["one by one"], found["auto"], strict=True)]
    return f"""{name}, {num_problems} problems, {attempts} attempts of at most {num_tokens} tokens, {slots} slots.

{table(("", "problems in flight", "wall s, median", "tokens/s"), rows)}
- **one by one takes {statistics.median(ratios):.2f} times as long** (median of {rounds})
"""


async def _run(setting: Running, problems: Sequence[Problem], concurrent: int | str) -> tuple[float, int]:
    """Wall seconds and sampled tokens."""
    config = setting.tools.config.model_copy(update={"concurrent_problems": concurrent})
    tools = replace(setting.tools, config=config, competition=find_competition("open"))
    with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch) / "run.jsonl") as journal:
        status = RunStatus(num_problems=len(problems))
        solver = Solver(tools, journal, status)
        began = time.perf_counter()
        await solver.solve_all(problems, NEVER, {})
        seconds = time.perf_counter() - began
    assert len(status.predictions) == len(problems)
    return seconds, sum(attempt.num_tokens for attempt in solver.records)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench concurrent", description=__doc__)
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args(arguments)
    numbers = (given.problems, given.attempts, given.tokens, given.slots, given.rounds)
    write_report("concurrent", asyncio.run(measure(given.engine, *numbers)), arguments)
