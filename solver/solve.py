"""The main path. Read this file first; then attempt.py, consensus.py, budget.py, types.py.

problem -> budget -> attempts (engine <-> chat format, sandbox) -> answer -> consensus -> prediction
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import monotonic

from solver.attempt import AttemptRun, Tools
from solver.budget import allocate, plan_time
from solver.confidence import confidence
from solver.consensus import decision, is_decided, standing, tally
from solver.errors import EngineError, SolverError
from solver.journal import Journal
from solver.status import AttemptStatus, ProblemStatus, RunStatus
from solver.types import Attempt, Deadline, FallbackReason, Prediction, Problem, ProblemBudget, StopReason

_ABORT_SECONDS = 2.0  # for attempts to let go of engine and sandbox; who has not by then is left behind


class Solver:
    """Solves problems with one engine. What it decides is in the journal before it is handed out."""

    def __init__(self, tools: Tools, journal: Journal, status: RunStatus) -> None:
        self._tools, self._journal, self._status = tools, journal, status
        self._config = tools.config
        self.attempts: dict[str, list[Attempt]] = {}
        """Finished attempts of each problem, in order of completion."""
        self.records: list[Attempt] = []
        """Every attempt of this run, the cut ones too, without their texts."""
        self.failure: EngineError | None = None
        """Why no problem can be solved any more, once the engine has failed."""
        self.left_behind: set[asyncio.Task[Attempt]] = set()
        """Attempts that did not end when they were cancelled."""

    async def solve_all(
        self, problems: Sequence[Problem], deadline: Deadline, earlier: Mapping[str, Sequence[Attempt]]
    ) -> None:
        """Solve the problems in order, as many at once as the configuration says, until they, the time or the engine
        are at an end. `earlier` are attempts of a run that this one resumes. Predictions go to the status."""
        numbers = {problem.id: number for number, problem in enumerate(problems, start=1)}
        decided = {prediction.problem_id for prediction in self._status.predictions}
        self.attempts |= {name: list(attempts) for name, attempts in earlier.items()}
        waiting = deque(problem for problem in problems if problem.id not in decided)
        lanes = min(self._config.lanes, len(waiting))
        plan = plan_time(self._config.budget, deadline.remaining(), math.ceil(len(waiting) / max(1, lanes)))

        async def lane() -> None:
            while waiting and self.failure is None and (left := deadline.remaining()) > 0:
                seconds = allocate(plan, left, math.ceil(len(waiting) / lanes))
                problem = waiting.popleft()
                budget = ProblemBudget(deadline.capped(seconds), self._config.attempts.num_attempts)
                self._status.in_flight[problem.id] = ProblemStatus(problem.id, numbers[problem.id], budget.deadline)
                self._status.finish(await self.solve(problem, budget, earlier.get(problem.id, ())))

        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(lane())

    async def solve(self, problem: Problem, budget: ProblemBudget, earlier: Sequence[Attempt] = ()) -> Prediction:
        """One problem: attempts until their answers decide it or the budget ends. Never raises for what a model, its
        code or the engine does."""
        began, given = monotonic(), budget.deadline.remaining()
        attempts = self.attempts[problem.id] = list(earlier)
        if not self._is_decided(problem, attempts, budget):
            async with aclosing(self.sample(problem, budget, {attempt.index for attempt in earlier})) as finished:
                async for attempt in finished:
                    attempts.append(attempt)
                    if self._is_decided(problem, attempts, budget):
                        break
        prediction = replace(
            self.predict(problem, monotonic() - began),
            started=began - self._tools.process_start,
            budget_seconds=None if math.isinf(given) else given,
        )
        self._journal.write_prediction(prediction, problem)
        return prediction

    async def sample(self, problem: Problem, budget: ProblemBudget, done: set[int]) -> AsyncGenerator[Attempt, None]:
        """Make the attempts whose indices are not `done`, all at once; each is journalled and yielded as it finishes.
        Leaving the block aborts those still running, in the engine and in the sandbox too."""
        status = self._status.in_flight.get(problem.id) or ProblemStatus(problem.id, 0, budget.deadline)
        running: dict[asyncio.Task[Attempt], AttemptRun] = {}
        for index in sorted(set(range(budget.max_attempts)) - done):
            status.attempts[index] = AttemptStatus()
            run = AttemptRun(problem, index, budget.deadline, self._tools, status.attempts[index])
            running[asyncio.create_task(run.run())] = run
        try:
            while running:
                timeout = None if math.isinf(budget.deadline.at) else budget.deadline.remaining() + _ABORT_SECONDS
                ended, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not ended:
                    break
                for task in sorted(ended, key=lambda task: running[task].index):
                    attempt = self._result(task, running.pop(task))
                    status.attempts[attempt.index].finish(attempt)
                    self._record(attempt, problem)
                    yield attempt
        finally:
            await self._abort(running, "cancelled" if budget.deadline.remaining() else "deadline")

    def predict(self, problem: Problem, seconds: float, cut_short: FallbackReason | None = None) -> Prediction:
        """What the attempts so far decide. `cut_short`: why there will be no more, where the run ended early."""
        attempts = self.attempts.get(problem.id, [])
        total, rules = self._config.attempts.num_attempts, self._config.consensus
        candidates = tally(attempts)
        decided = decision(candidates, decided=is_decided(attempts, candidates, total, rules))
        answer, decided_by = decided or (self._tools.competition.fallback, "fallback")
        return Prediction(
            problem_id=problem.id,
            answer=answer,
            decided_by=decided_by,
            candidates=tuple(candidates),
            seconds=seconds,
            fallback_reason=None if decided else cut_short or self._fallback_reason(attempts),
            num_attempts=len(attempts),
            num_tokens=sum(attempt.num_tokens for attempt in attempts),
            correct=self._tools.competition.judge(answer, problem.answer),
            confidence=confidence(standing(attempts, candidates, total, rules)) if candidates else None,
        )

    def _record(self, attempt: Attempt, problem: Problem) -> None:
        self._journal.write_attempt(attempt, problem)
        self.records.append(replace(attempt, text=""))

    def _is_decided(self, problem: Problem, attempts: Sequence[Attempt], budget: ProblemBudget) -> bool:
        candidates = tally(attempts)
        running: list[int] = []
        if (status := self._status.in_flight.get(problem.id)) is not None:
            status.candidates = candidates
            running = [attempt.num_tokens for attempt in status.attempts.values() if not attempt.finished]
        return is_decided(attempts, candidates, budget.max_attempts, self._config.consensus, running)

    def _result(self, task: asyncio.Task[Attempt], run: AttemptRun) -> Attempt:
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, SolverError):
            raise error
        if isinstance(error, EngineError):
            self.failure = error
        return run.record("error", str(error))

    async def _abort(self, running: Mapping[asyncio.Task[Attempt], AttemptRun], reason: StopReason) -> None:
        for task in running:
            task.cancel()
        if running:
            _, stubborn = await asyncio.wait(running, timeout=_ABORT_SECONDS)
            self.left_behind |= stubborn
        for task, run in running.items():
            if task.done() and not task.cancelled() and task.exception() is None:
                self._record(task.result(), run.problem)  # it finished in the last moment
            else:
                self._record(run.record(reason), run.problem)

    def _fallback_reason(self, attempts: Sequence[Attempt]) -> FallbackReason:
        stops = {attempt.stop_reason for attempt in attempts}
        if self.failure is not None or "error" in stops:
            return "error"
        return "no time" if not attempts or "deadline" in stops else "no answer"
