"""A solver in a thread of its own, for a host that hands out one problem after another and must have each answer in
time (Kaggle's `predict`). `solve` answers by its deadline whatever happens in that thread: with what is decided, else
with the best candidate so far, else with the competition's fallback.
"""

import asyncio
import contextlib
import threading
from concurrent.futures import CancelledError, Future
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from solver import __version__
from solver.competition import find_competition
from solver.config import SolverConfig
from solver.errors import EngineError, SolverError
from solver.journal import Journal
from solver.machinery import Machinery
from solver.solve import Solver
from solver.status import RunStatus
from solver.types import Deadline, EngineInfo, FallbackReason, Prediction, Problem, ProblemBudget

_GRACE_SECONDS = 1.0  # past a problem's deadline for the solver's own decision, before the watchdog decides

_PULSE_SECONDS = 5.0  # without a turn of its loop, and the thread counts as hung


class SolverService:
    def __init__(self, config: SolverConfig, journal: Path, process_start: float) -> None:
        self.config = config
        self.status = RunStatus(process_start=process_start)
        self._competition = find_competition(config.competition)
        self._machinery = Machinery(config, process_start)
        self._journal_path = journal
        self._solver: Solver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._up_or_over = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._asked: set[Future[Prediction]] = set()
        self._pulse: threading.Event | None = None
        """Set by the thread's loop; asked for where a problem had to be taken out of its hands."""
        self._is_hung = False
        self._thread = threading.Thread(target=self._run, name="solver", daemon=True)

    def start(self) -> None:
        """Returns at once; the engine starts behind it."""
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why this service will solve nothing more, in one line; None while it works or is still starting."""
        if self._solver is not None and self._solver.failure is not None:
            return str(self._solver.failure)
        if self._is_hung:
            return "the solver's thread hangs"
        if self._over.is_set() or self._error is not None:
            error = self._error
            return (str(error) if isinstance(error, SolverError) else repr(error)) if error else "it was closed"
        return None

    def wait_until_up(self, deadline: Deadline) -> EngineInfo:
        """Raises EngineError where the engine does not start by the deadline."""
        if not self._up_or_over.wait(_seconds(deadline)):
            raise EngineError(f"the engine was not up in time (it was {self.status.stage})")
        if self._machinery.info is None or self.failure is not None:
            raise EngineError(self.failure or "the engine is gone")
        return self._machinery.info

    def solve(self, problem: Problem, deadline: Deadline) -> Prediction:
        """From any thread but the service's own. Never raises for what happens in there, and is back at the latest
        a second after the deadline."""
        began = monotonic()
        try:
            self._require_pulse(deadline)
            self.wait_until_up(deadline)
        except EngineError:
            return self.best_so_far(problem, began, "no time" if self.failure is None else "error")
        budget = ProblemBudget(deadline, self.config.attempts.num_attempts)
        asked: Future[Prediction] | None = None
        try:
            asked = self._ask(problem, budget)
            return asked.result(min(_seconds(deadline) + _GRACE_SECONDS, threading.TIMEOUT_MAX))
        except TimeoutError:
            self._ask_for_pulse()
            return self.best_so_far(problem, began, "no time")
        # Whatever ended the solver's thread (MemoryError, SystemExit, ...) must not end the host's call.
        except (Exception, CancelledError, SystemExit):  # noqa: BLE001
            return self.best_so_far(problem, began, "error")
        finally:
            if asked is not None:
                self._asked.discard(asked)
                asked.cancel()

    def best_so_far(self, problem: Problem, began: float, reason: FallbackReason) -> Prediction:
        """What the attempts that have finished say."""
        seconds = monotonic() - began
        if self._solver is not None:
            with contextlib.suppress(Exception):  # another thread writes what this reads
                return self._solver.predict(problem, seconds, cut_short=reason)
        return Prediction(problem.id, self._competition.fallback, "fallback", (), seconds, reason)

    def close(self, timeout_seconds: float = 10.0) -> bool:
        """End the engine; False where it does not let itself be ended in time (its thread is left behind)."""
        if self._is_hung:
            timeout_seconds = min(timeout_seconds, _GRACE_SECONDS)  # it will not hear of it
        if self._loop is not None and not self._over.is_set():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        return self._over.wait(timeout_seconds) if self._thread.ident else True

    def _ask(self, problem: Problem, budget: ProblemBudget) -> "Future[Prediction]":
        if self._solver is None or self._loop is None or self._over.is_set():
            raise EngineError("the solver's thread is gone")
        asked = asyncio.run_coroutine_threadsafe(self._solver.solve(problem, budget), self._loop)
        self._asked.add(asked)
        return asked

    def _ask_for_pulse(self) -> None:
        if self._loop is not None and not self._over.is_set():
            self._pulse = threading.Event()
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._pulse.set)

    def _require_pulse(self, deadline: Deadline) -> None:
        """Raises EngineError where the thread has not turned since it was asked to."""
        if self._pulse is not None and not self._pulse.wait(min(_PULSE_SECONDS, deadline.remaining() / 4)):
            self._is_hung = True
            raise EngineError("the solver's thread hangs")
        self._pulse = None

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                try:
                    runner.run(self._serve())
                except BaseException as error:
                    self._error = error  # before the runner closes and lets go of whoever waits for an answer
                    raise
        except BaseException as error:  # noqa: BLE001  # recorded; `solve` answers without this thread
            self._error = error
        finally:
            self._over.set()
            self._up_or_over.set()
            for asked in list(self._asked):
                with contextlib.suppress(Exception):
                    asked.set_exception(EngineError("the solver's thread ended"))

    async def _serve(self) -> None:
        try:
            tools = await self._machinery.start(self.status.enter, self.status.note)
            # Not alone: what is left of an earlier process must not cost a contest its answers.
            with Journal(self._journal_path, keep_bytes=_size(self._journal_path), alone=False) as journal:
                journal.write_header(**self._header())
                self._solver = Solver(tools, journal, self.status)
                self._up_or_over.set()
                await self._stop.wait()
        finally:
            await self._machinery.close()

    def _header(self) -> dict[str, Any]:
        info = self._machinery.info
        return {
            "solver_version": __version__,
            "config": self.config.model_dump(mode="json"),
            "engine": asdict(info) if info else None,
        }


def _seconds(deadline: Deadline) -> float:
    return min(deadline.remaining(), threading.TIMEOUT_MAX)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
