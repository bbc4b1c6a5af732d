"""The solver during a contest: what answers `predict`, in time, whatever happens to engine, sandbox, memory or clock.

An exception that leaves it would end the run, so that here stand the package's broad `except`s.
"""

import contextlib
import sys
import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic

from solver.budget import allocate, plan_time
from solver.competition import find_competition
from solver.config import SolverConfig
from solver.errors import EngineError
from solver.run import process_start_time
from solver.service import SolverService
from solver.summary import describe
from solver.types import Deadline, Prediction, Problem
from submission.config import SubmissionConfig
from submission.doctor import Health, find_gpus, judge_canary, judge_gpus, shorten
from submission.errors import HealthError

_CALL_MARGIN = 60.0  # of the gateway's deadline for one call
_CANARY_ID = "canary"
_START_SHARE = 0.2  # of the contest, at the most, is waited for the engine
_CLOSE_SECONDS = 10.0
_TRIES = 3  # of a problem at which something fails


class Contest:
    """One problem after another, one clock over all of them, the engine started again where it fails. `answer` never
    raises and is back in time."""

    def __init__(
        self,
        config: SubmissionConfig,
        work: Path,
        *,
        is_scored: bool,
        model: Path | None = None,
        settings: tuple[str, ...] = (),
        expected_problems: int | None = None,
        process_start: float | None = None,
    ) -> None:
        self._config, self._model, self._settings = config, model, settings
        self._work = work
        self._start = process_start_time() if process_start is None else process_start
        self._competition = find_competition(config.competition)
        self._expected = expected_problems or self._competition.expected_problems or 1
        self._limit = self._time_limit(self._solver_config(()))
        self._served = 0
        self._service = self._new_service(())
        self._checked = threading.Event()
        self._replacing = threading.Lock()
        self._replaced = threading.Event()
        self._replaced.set()
        self.health = Health(work / "health.json", is_scored)
        self.deadline = self._limit
        """Of the latest problem."""

    def start(self) -> None:
        """Returns at once: engine and canary go on behind it, and Kaggle's start limit is not touched."""
        threading.Thread(target=self._start_up, name="start-up", daemon=True).start()

    def require_health(self) -> None:
        """Wait for the canary. Raises HealthError where the submission would not do what it was made for."""
        self._checked.wait()
        if self.health.state != "ok":
            raise HealthError(f"this submission is {self.health.state}: {'; '.join(self.health.reasons)}")

    def require_answers(self) -> None:
        """After a commit run. Raises HealthError where it would score by luck alone."""
        failed = self.health.fallback_reasons["error"]
        if failed or self.health.decided_by["fallback"] == self.health.num_answers:
            raise HealthError(self.health.line())

    def answer(self, problem_id: str, text: str) -> int:
        """From one thread at a time."""
        began = monotonic()
        try:
            self._checked.wait(self._start_limit().remaining())
            began, self.deadline = monotonic(), self._next_deadline()
            prediction = self._solve(Problem(problem_id, text), self.deadline)
        except BaseException as error:  # noqa: BLE001  # see above
            prediction = self._fallback(problem_id, began)
            self._say(f"problem {problem_id}: {shorten(error)}")
        self._tell(prediction)
        return prediction.answer

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._service.close()

    def _solver_config(self, degraded: tuple[str, ...]) -> SolverConfig:
        return self._config.solver_config([*degraded, *self._settings], self._model)

    def _new_service(self, degraded: tuple[str, ...]) -> SolverService:
        return SolverService(self._solver_config(degraded), self._work / "journal.jsonl", self._start)

    def _time_limit(self, config: SolverConfig) -> Deadline:
        seconds = config.budget.time_limit_seconds or self._config.protocol.session_seconds
        return Deadline(self._start + seconds).before(config.budget.reserve_seconds)

    def _start_limit(self) -> Deadline:
        """Until then a problem waits for the engine, and no longer than a fifth of the contest."""
        share = _START_SHARE * (self._limit.at - self._start)
        return Deadline(self._start + min(self._config.health.start_seconds, share))

    def _next_deadline(self) -> Deadline:
        """What the clock allows this problem. Where more come than expected, each gets half of what is left."""
        self._served += 1
        left, problems_left = self._limit.remaining(), self._expected - self._served + 1
        if self._served == 1:
            self._plan = plan_time(self._service.config.budget, left, self._expected)
        seconds = left / 2 if problems_left < 1 else allocate(self._plan, left, problems_left)
        return self._limit.capped(min(seconds, self._config.protocol.call_seconds - _CALL_MARGIN))

    def _solve(self, problem: Problem, deadline: Deadline) -> Prediction:
        """Tried again, while there is time, where something failed that another try may mend."""
        began = monotonic()
        for _ in range(_TRIES):
            prediction = self._try(problem, deadline)
            if prediction.fallback_reason != "error" or deadline.remaining() <= 0:
                break
            replaced = self._replace(self._service) if self._service.failure is not None else self._replaced
            if not replaced.wait(deadline.remaining()) or self._service.failure is not None:
                break
        return replace(prediction, seconds=monotonic() - began)

    def _try(self, problem: Problem, deadline: Deadline) -> Prediction:
        began = monotonic()
        service = self._service
        prediction = service.solve(problem, deadline)
        if service.failure is not None:
            self._replace(service)
        if not isinstance(prediction, Prediction) or self._competition.admits(prediction.answer) != prediction.answer:
            self._say(f"problem {problem.id}: no answer of this contest: {shorten(prediction)}")
            return self._fallback(problem.id, began)
        return prediction

    def _fallback(self, problem_id: str, began: float) -> Prediction:
        return Prediction(problem_id, self._competition.fallback, "fallback", (), monotonic() - began, "error")

    def _start_up(self) -> None:
        try:
            expected = self._config.health
            self.health.gpus = find_gpus() if expected.gpu else []
            reasons = judge_gpus(self.health.gpus, expected)
            self._service.start()
            while wrong := self._canary():
                service = self._service
                if service.failure is None:
                    break
                self._replace(service).wait()
                if self._service is service:
                    break
            is_dead = self._service.failure is not None
            is_well = not (reasons or wrong or self.health.restarts)
            self.health.note("dead" if is_dead else "ok" if is_well else "degraded", [*reasons, *wrong])
        except BaseException as error:  # noqa: BLE001  # the contest goes on without a canary
            self.health.note("dead", [repr(error)])
        finally:
            self._say(self.health.line())
            self._checked.set()

    def _canary(self) -> list[str]:
        """What is wrong with the engine and its model."""
        expected = self._config.health
        try:
            self.health.engine = self._service.wait_until_up(self._limit)
        except EngineError as error:
            return [str(error)]
        problem = Problem(_CANARY_ID, expected.canary, expected.canary_answer)
        canary = self._service.solve(problem, self._limit.capped(expected.canary_seconds))
        speed = round(canary.num_tokens / max(canary.seconds, 1e-6), 1)
        self.health.canary = {"answer": canary.answer, "expected": expected.canary_answer, "tokens_per_second": speed}
        return judge_canary(canary, expected)

    def _replace(self, failed: SolverService) -> threading.Event:
        """Have a failed engine replaced behind the scenes; set when it is, or when there will be no other."""
        with self._replacing:
            is_new = self._replaced.is_set() and self._service is failed
            if is_new and self.health.restarts < self._config.health.restarts:
                self.health.restarts += 1
                self._replaced = threading.Event()
                threading.Thread(target=self._start_again, args=(failed, self._replaced), daemon=True).start()
            return self._replaced

    def _start_again(self, failed: SolverService, replaced: threading.Event) -> None:
        try:
            why = failed.failure
            self.health.note("degraded", [f"started again: {why}"])
            self._say(f"the engine is started again: {why}")
            failed.close(_CLOSE_SECONDS)
            service = self._new_service(self._config.health.degraded)
            service.start()
            self._service = service
        except BaseException as error:  # noqa: BLE001  # problems go on with fallbacks
            self.health.note("dead", [repr(error)])
        finally:
            replaced.set()

    def _tell(self, prediction: Prediction) -> None:
        """Kaggle ends the notebook without a word, so every line may be the last one of the log."""
        with contextlib.suppress(Exception):
            self.health.count(prediction)
            self._say(f"problem {self._served}, {prediction.problem_id}: {describe(prediction)} | {self.health.line()}")

    def _say(self, line: str) -> None:
        with contextlib.suppress(Exception):
            print(f"[{monotonic() - self._start:.0f} s] {line}", file=sys.stderr, flush=True)  # noqa: T201
