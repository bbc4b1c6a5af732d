"""The solver for a script or a notebook: synchronous, over the service that Kaggle's `predict` uses too.

from solver import Solver

with Solver(engine="scripted") as solver:
    prediction = solver.solve("What is 6 times 7?", time_limit="30s")
    print(prediction.answer, prediction.decided_by)
"""

import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from solver.competition import find_competition
from solver.config import load_config, parse_duration, require_model
from solver.errors import UsageError
from solver.progress import show_progress
from solver.service import SolverService
from solver.status import ProblemStatus
from solver.types import Deadline, EngineInfo, Prediction, Problem

_START_SECONDS = 3600.0
_CLOSE_SECONDS = 20.0


class Solver:
    """Keeps an engine up and solves one problem after another. Use it in a `with` block, or call `start` and `close`.

    Args:
        model: a model folder; None is the embedded model.
        preset: a shipped configuration, as on the command line.
        engine: what samples the tokens; None is the preset's.
        competition: which answers are allowed.
        time_limit: for each problem, in seconds or like "5m"; None is no limit.
        journal: where attempts are recorded; None is a file in a temporary folder, see `journal`.
        settings: any others, as {"attempts.num_attempts": 16}.
        progress: show a line of progress on standard error; None: on a terminal and in a notebook.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        preset: str | None = None,
        engine: str | None = None,
        competition: str = "open",
        time_limit: float | str | None = None,
        journal: str | Path | None = None,
        settings: dict[str, Any] | None = None,
        progress: bool | None = None,
    ) -> None:
        if preset is None:
            preset = "scripted" if engine == "scripted" else "auto" if model is not None else None
        named = {"engine.model": model, "engine.name": engine, "competition": competition}
        flags = {name: value for name, value in named.items() if value is not None} | (settings or {})
        self.config = load_config(preset, flags=flags)
        require_model(self.config, preset)
        self.journal = Path(journal) if journal else Path(tempfile.mkdtemp(prefix="solver-")) / "run.journal.jsonl"
        self._time_limit = time_limit
        self._progress = _is_watched() if progress is None else progress
        self._service: SolverService | None = None
        self._count = 0

    def start(self) -> EngineInfo:
        """Start the engine and wait until it is up (a minute or more where it is not scripted); `solve` does it too.

        Raises:
            SolverError: it does not start.
        """
        if self._service is None:
            self._service = SolverService(self.config, self.journal, monotonic())
            self._service.start()
        with self._watched(self._service):
            return self._service.wait_until_up(Deadline(monotonic() + _START_SECONDS))

    def solve(self, problem: str | Problem, time_limit: float | str | None = None) -> Prediction:
        """One problem's prediction, within the time limit (this one's, else that of the constructor). Never raises for
        what the model or its code does: `decided_by` and `fallback_reason` tell.

        Raises:
            SolverError: the engine does not start.
        """
        self.start()
        service = self._service
        assert service is not None
        self._count += 1
        asked = problem if isinstance(problem, Problem) else Problem(f"problem-{self._count}", problem)
        limit = time_limit if time_limit is not None else self._time_limit
        seconds = parse_duration(limit) if isinstance(limit, str) else limit
        deadline = Deadline(float("inf")) if seconds is None else Deadline(monotonic() + seconds)
        service.status.num_problems = self._count
        service.status.in_flight[asked.id] = ProblemStatus(asked.id, self._count, deadline)
        with self._watched(service):
            prediction = service.solve(asked, deadline)
            correct = find_competition(self.config.competition).judge(prediction.answer, asked.answer)
            prediction = replace(prediction, correct=correct)
            service.status.finish(prediction)
        return prediction

    def solve_all(self, problems: Iterable[str | Problem]) -> list[Prediction]:
        """One problem after another. For many at once, and a clock over all of them, there is `solver.run`."""
        return [self.solve(problem) for problem in problems]

    def close(self) -> None:
        """End the engine and the sandbox. May be called twice."""
        service, self._service = self._service, None
        if service is not None and not service.close(_CLOSE_SECONDS):
            raise UsageError("the engine did not end in time: leave the process to be rid of it")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watched(self, service: SolverService) -> "_Watch":
        return _Watch(service, is_on=self._progress)


class _Watch:
    """Progress from a thread of its own, since the caller's waits and the service's solves."""

    def __init__(self, service: SolverService, *, is_on: bool) -> None:
        self._service, self._over = service, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), daemon=True) if is_on else None

    def __enter__(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def __exit__(self, *_error: object) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._service.status.events.clear()  # shown, and not to be shown again

    async def _follow(self) -> None:
        async with show_progress(self._service.status, plain=False):
            while not self._over.is_set():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(0.1)


def _is_watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules
