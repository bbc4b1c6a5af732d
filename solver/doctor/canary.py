"""A whole run of one problem."""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from solver.config import SolverConfig
from solver.doctor.lines import Line

_CANARY = ("canary", "What is 6 times 7?", 42)
_CANARY_SECONDS = 300.0


def check_canary(config: SolverConfig) -> Iterator[Line]:
    """A whole run of one problem: model, engine, chat format, sandbox, journal."""
    from solver.run import RunOptions, run

    name, text, answer = _CANARY
    budget = config.budget.model_copy(update={"time_limit_seconds": _CANARY_SECONDS})
    few = config.attempts.model_copy(update={"num_attempts": min(2, config.attempts.num_attempts)})
    small = config.model_copy(update={"budget": budget, "attempts": few, "competition": "open"})
    with tempfile.TemporaryDirectory() as scratch:
        problems = Path(scratch) / "canary.csv"
        problems.write_text(f"id,problem,answer\n{name},{text},{answer}\n", "utf-8")
        result = run(RunOptions(problems, Path(scratch) / "answers.csv", plain=True), small, time.monotonic())
    facts: dict[str, Any] = result.summary
    rate = facts["tokens_per_second"] or math.nan
    detail = f"{facts['engine']}: {facts['tokens']} tokens at {rate:.1f} a second, {facts['seconds']:.0f} s in all"
    if result.error is not None or not facts["tokens"]:
        yield Line("canary", "problem", str(result.error or "the engine wrote no token"), "read the lines above")
    elif result.predictions[0].correct:
        yield Line("canary", "ok", f"{detail}; 6 times 7 is {answer}")
    else:
        said = result.predictions[0]
        remedy = "a model of this size may; a strong one is loaded or prompted wrongly"
        yield Line("canary", "warning", f"{detail}; it answered {said.answer} ({said.decided_by}) to 6 times 7", remedy)
