"""How good a checkpoint is at a file of problems: the solver runs as anyone would run it, every attempt to its end, and
its journal is read."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from merge.checkpoint import read_checkpoint, sha256
from merge.child import python_module
from merge.errors import MergeError
from merge.figures import Evaluation, columns, summarize
from merge.identity import claim, identify_model
from merge.output import make_folder
from solver.chat import choose_family
from solver.competition import Competition, find_competition
from solver.config import load_config, preset_meant
from solver.consensus import tally
from solver.engine import engine_name, require_engine
from solver.journal import History, read_journal, refuse_if_in_use
from solver.problem import read_problems
from solver.types import Attempt

# Deadlines, a quorum or hopelessness would end attempts that are to be counted.
_TO_THE_END = (
    "consensus.uncatchable=false",
    "attempts.force_seconds=0",
    "budget.time_limit_seconds=inf",
    "budget.cap_seconds=inf",
)


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    attempts: int = 16
    """k of maj@k and pass@k."""
    seed: int = 0
    preset: str | None = None
    engine: str | None = None
    settings: tuple[str, ...] = ()
    """`--set` of the solver."""

    def identity(self, problems: Path) -> dict[str, Any]:
        """What two runs of one model must share for one to go on with the other's attempts."""
        return {
            "problems": sha256(problems),
            "attempts": self.attempts,
            "seed": self.seed,
            "preset": self.preset,
            "engine": self.engine,
            "settings": list(self.settings),
        }


def evaluate_files(model: Path, files: Sequence[Path], output: Path, options: EvaluateOptions) -> str:
    """One row a problem file, as Markdown. Journals stay in `output`, and a second run goes on with them.

    Raises:
        MergeError: two files have one name, or a journal that is there is of another model or other options.
        SolverError: the problems cannot be read or have no answers, or the solver failed.
    """
    for file in files:
        expected_answers(file)
    stems = [file.stem for file in files]
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise MergeError(f"two problem files are called {twice[0]}, and so would their journals be: rename one")
    check_solver(options, model)
    make_folder(output)
    identity = {"model": identify_model(model)}
    header = ["problems", "number", *columns(options.attempts)]
    rows = [header, ["---"] * len(header)]
    for file in files:
        journal = output / f"{file.stem}.jsonl"
        claim(journal.with_suffix(".of.json"), identity | options.identity(file), journal)
        evaluation = evaluate(model, file, journal, options)
        rows.append([file.stem, str(evaluation.num_problems), *evaluation.cells()])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def check_solver(options: EvaluateOptions, folder: Path | None) -> None:
    """What the solver would refuse of its settings, and of the model in `folder` where there is one already; told
    before anything is written.

    Raises:
        SolverError: an unknown preset, engine or setting; an engine that is not installed; no whole checkpoint, or one
            of a family that cannot be told.
    """
    preset = preset_meant(options.preset, names_model=True, engine=options.engine)
    flags: dict[str, Any] = {"attempts.num_attempts": options.attempts, "seed": options.seed}
    if options.engine:
        flags["engine.name"] = options.engine
    config = load_config(preset, settings=_settings(options), flags=flags)
    require_engine(config.engine)
    if folder is None or (name := engine_name(config.engine)) == "scripted":
        return
    if name != "openai":
        read_checkpoint(folder)
    choose_family(config.chat.family, folder)


def evaluate(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> Evaluation:
    """Solve the problems with this model; a journal that is there is continued, so it must be this model's (`claim`).

    Raises:
        SolverError: the problems cannot be read or have no answers, or the solver failed.
    """
    answers = expected_answers(problems)
    log = journal.with_suffix(".log")
    _say(f"solving {len(answers)} problems, {options.attempts} attempts each; {log} tells how far it is")
    if journal.exists():
        forget_short(journal, options.attempts)
    _run_solver(model, problems, journal, options)
    return read_evaluation(journal, answers, options.attempts)


def expected_answers(problems: Path) -> dict[str, int]:
    read = read_problems(problems)
    if read and all(problem.answer is None for problem in read):
        raise MergeError(f"{problems} has no column answer, or an empty one: nothing to compare with")
    if missing := [problem.id for problem in read if problem.answer is None]:
        raise MergeError(f"{problems} has no answer for {missing[0]}: nothing to compare with")
    return {problem.id: problem.answer for problem in read if problem.answer is not None}


def forget_short(journal: Path, k: int) -> None:
    """Take the predictions out that stand on fewer than k whole attempts: the solver would not make the others.

    Raises:
        JournalError: it cannot be read, or a run is writing it.
    """
    refuse_if_in_use(journal)
    history = read_journal(journal)
    short = {name for name, record in history.records.items() if len(record.finished_attempts()) < k}
    lines = journal.read_bytes()[: history.intact_bytes].splitlines(keepends=True)
    kept = [line for line in lines if not _is_prediction_of(line, short)]
    if len(kept) < len(lines):
        partial = journal.with_name(f".{journal.name}.partial")
        partial.write_bytes(b"".join(kept))
        partial.replace(journal)


def _is_prediction_of(line: bytes, names: set[str]) -> bool:
    entry = json.loads(line)
    return entry["kind"] == "prediction" and entry["problem_id"] in names


def solver_command(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> list[str]:
    k = options.attempts
    return [
        *python_module("solver", "solve", str(problems), "-o", str(journal.with_suffix(".csv"))),
        *("--journal", str(journal), "--attempts", str(k), "--seed", str(options.seed), "--plain"),
        *(("--preset", options.preset) if options.preset else ()),
        *(() if options.engine == "scripted" else ("--model", str(model))),
        *(("--engine", options.engine) if options.engine else ()),
        *(word for setting in _settings(options) for word in ("--set", setting)),
        *(["--resume"] if journal.exists() else []),
    ]


def _settings(options: EvaluateOptions) -> list[str]:
    return [f"consensus.quorum={options.attempts}", *_TO_THE_END, *options.settings]


def _run_solver(model: Path, problems: Path, journal: Path, options: EvaluateOptions) -> None:
    log = journal.with_suffix(".log")
    with log.open("ab") as file:
        done = subprocess.run(
            solver_command(model, problems, journal, options),
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False,
        )  # fmt: skip
    if done.returncode:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()] or ["no message"]
        raise MergeError(f"the solver failed on {model.name}: {lines[-1].removeprefix('error: ')} (see {log})")


def read_evaluation(journal: Path, answers: Mapping[str, int], k: int) -> Evaluation:
    """Raises MergeError where attempts are missing: their problems would count as wrong."""
    history = read_journal(journal)
    attempts = {name: history.record(name).finished_attempts() for name in answers}
    if short := [name for name, made in attempts.items() if len(made) < k]:
        raise MergeError(
            f"{journal}: {len(attempts[short[0]])} of {k} attempts at {short[0]} came to their end: run it again, "
            f"without settings that end them early"
        )
    competition = _competition(history)
    rows = np.array([_row(made, answers[name], competition) for name, made in attempts.items()])
    scores = {"maj": rows[:, 0].tolist(), "pass1": rows[:, 2].tolist()}
    pace = _pace([attempt for made in attempts.values() for attempt in made]) if len(history.headers) == 1 else None
    return Evaluation(len(rows), k, summarize(rows), scores, pace)


def _competition(history: History) -> Competition:
    """Whose rules say which answers are equal."""
    return find_competition(history.headers[-1]["config"]["competition"] if history.headers else "open")


def _row(attempts: Sequence[Attempt], answer: int, competition: Competition) -> list[float]:
    """The columns for one problem. Votes count in the order in which attempts ended, as in a run."""
    right = [attempt.answer is not None and competition.judge(attempt.answer, answer) is True for attempt in attempts]
    in_order: list[Attempt] = sorted(attempts, key=lambda it: it.started + it.seconds)
    candidates = tally(in_order)
    return [
        float(bool(candidates) and competition.judge(candidates[0].answer, answer) is True),
        float(any(right)),
        float(np.mean(right)),
        float(np.mean([attempt.num_tokens for attempt in attempts])),
        float(np.mean([len(attempt.executions) for attempt in attempts])),
    ]


def _pace(attempts: Sequence[Attempt]) -> float | None:
    """Tokens written a second, from the first attempt's start to the last one's end."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        begin, end = min(it.started for it in attempts), max(it.started + it.seconds for it in attempts)
        return sum(it.num_tokens for it in attempts) / (end - begin)
    return None


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
