"""How good a checkpoint is at a file of problems: the solver runs as anyone would run it, every attempt to its end, and
its journal is read. The columns are those of table 10 of arXiv 2504.16891."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from merge.errors import MergeError
from solver.consensus import tally
from solver.journal import read_journal
from solver.problem import read_problems
from solver.types import Attempt

Rows = NDArray[np.float64]
COLUMNS = ("maj", "pass", "pass1", "tokens", "code")
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    attempts: int = 16
    """k of maj@k and pass@k."""
    seed: int = 0
    preset: str | None = None
    engine: str | None = None
    settings: tuple[str, ...] = ()
    """`--set` of the solver."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over problems with its standard error and 95 % interval."""

    value: float
    error: float
    low: float
    high: float

    def percent(self) -> str:
        return f"{100 * self.value:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f})"

    def number(self, digits: int) -> str:
        return f"{self.value:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Evaluation:
    num_problems: int
    attempts: int
    figures: Mapping[str, Figure]
    """maj: the majority's answer is right. pass: any attempt's is. pass1: the share of right attempts. tokens: what the
    model wrote, a solution. code: blocks of Python run, a solution."""
    seconds: float = 0.0
    tokens_per_second: float = 0.0

    def cells(self) -> list[str]:
        """One for each of `columns`, with 95 % intervals: Wilson's for shares of problems, a bootstrap for means."""
        shares = [self.figures[name].percent() for name in ("maj", "pass", "pass1")]
        return [*shares, self.figures["tokens"].number(0), self.figures["code"].number(2)]


def columns(k: int) -> list[str]:
    return [f"maj@{k} %", f"pass@{k} %", "pass@1 %", "tokens a solution", "code blocks a solution"]


def evaluate_files(model: Path, files: Sequence[Path], output: Path, options: EvaluateOptions) -> str:
    """One row a problem file, as Markdown. Journals stay in `output`, and a second run goes on with them."""
    for file in files:
        expected_answers(file)
    output.mkdir(parents=True, exist_ok=True)
    header = ["problems", "number", *columns(options.attempts)]
    rows = [header, ["---"] * len(header)]
    for file in files:
        evaluation = evaluate(model, file, output / f"{file.stem}.jsonl", options)
        rows.append([file.stem, str(evaluation.num_problems), *evaluation.cells()])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def evaluate(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> Evaluation:
    """Solve the problems with this model; a journal that is there is continued.

    Raises:
        SolverError: the problems cannot be read or have no answers, or the solver failed.
    """
    answers = expected_answers(problems)
    _run_solver(model, problems, journal, options)
    return read_evaluation(journal, answers, options.attempts)


def expected_answers(problems: Path) -> dict[str, int]:
    read = read_problems(problems)
    if missing := [problem.id for problem in read if problem.answer is None]:
        raise MergeError(f"{problems} has no answer for {missing[0]}: nothing to compare with")
    return {problem.id: problem.answer for problem in read if problem.answer is not None}


def solver_command(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> list[str]:
    """Quorum and deadlines would end attempts that are to be counted: all run to their end."""
    k = options.attempts
    settings = [f"consensus.quorum={k}", "consensus.uncatchable=false", "attempts.force_seconds=0", *options.settings]
    return [
        *(sys.executable, "-m", "solver", "solve", str(problems), "-o", str(journal.with_suffix(".csv"))),
        *("--journal", str(journal), "--attempts", str(k), "--seed", str(options.seed), "--plain"),
        *(("--preset", options.preset) if options.preset else ()),
        *(() if options.engine == "scripted" else ("--model", str(model))),
        *(("--engine", options.engine) if options.engine else ()),
        *(word for setting in settings for word in ("--set", setting)),
        *(["--resume"] if journal.exists() else []),
    ]


def _run_solver(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> None:
    log = journal.with_suffix(".log")
    with log.open("ab") as file:
        done = subprocess.run(
            solver_command(model, problems, journal, options),
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))},
        )  # fmt: skip
    if done.returncode:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()] or ["no message"]
        raise MergeError(f"the solver failed on {model.name}: {lines[-1].removeprefix('error: ')} (see {log})")


_ROOT = Path(__file__).parent.parent


def read_evaluation(journal: Path, answers: Mapping[str, int], k: int) -> Evaluation:
    """Raises MergeError where attempts are missing: their problems would count as wrong."""
    history = read_journal(journal)
    attempts = {name: history.record(name).finished_attempts() for name in answers}
    if short := [name for name, made in attempts.items() if len(made) < k]:
        raise MergeError(f"{journal}: {len(attempts[short[0]])} of {k} attempts at {short[0]}: run the sweep again")
    rows = np.array([_row(made, answers[name]) for name, made in attempts.items()])
    seconds, tokens = _pace([attempt for made in attempts.values() for attempt in made])
    return Evaluation(len(rows), k, summarize(rows), seconds, tokens / seconds if seconds else 0.0)


def _row(attempts: Sequence[Attempt], answer: int) -> list[float]:
    """The columns for one problem. Votes count in the order in which attempts ended, as in a run."""
    right = [attempt.answer == answer for attempt in attempts]
    in_order: list[Attempt] = sorted(attempts, key=lambda it: it.started + it.seconds)
    candidates = tally(in_order)
    return [
        float(bool(candidates) and candidates[0].answer == answer),
        float(any(right)),
        float(np.mean(right)),
        float(np.mean([attempt.num_tokens for attempt in attempts])),
        float(np.mean([len(attempt.executions) for attempt in attempts])),
    ]


def _pace(attempts: Sequence[Attempt]) -> tuple[float, int]:
    """(seconds from the first attempt's start to the last one's end, tokens written); over runs, if it was resumed."""
    with contextlib.suppress(ValueError):
        begin, end = min(it.started for it in attempts), max(it.started + it.seconds for it in attempts)
        return end - begin, sum(it.num_tokens for it in attempts)
    return 0.0, 0


def summarize(rows: Rows) -> dict[str, Figure]:
    """Problems are what was drawn: shares of problems get Wilson's interval, means a bootstrap over problems."""
    figures = {}
    for column, values in zip(COLUMNS, rows.T, strict=True):
        interval = wilson if column in ("maj", "pass") else bootstrap
        low, high = interval(values)
        error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
        figures[column] = Figure(float(values.mean()), error, low, high)
    return figures


def wilson(values: Rows, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, 1927): never empty, unlike the normal one at 0 and 1."""
    n, share = len(values), float(values.mean())
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Rows) -> tuple[float, float]:
    """The middle 95 % of means over problems drawn again, with a fixed seed."""
    generator = np.random.default_rng(0)
    means = values[generator.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
