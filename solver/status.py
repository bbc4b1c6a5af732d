"""Where a run stands, as plain numbers: the run writes them, a view reads them when it likes. Standard library only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic

from solver.types import NEVER, Attempt, Candidate, Deadline, EngineInfo, ExecutionResult, Prediction


@dataclass
class AttemptStatus:
    num_tokens: int = 0
    running_code: bool = False
    finished: bool = False
    num_prompt_tokens: int = 0
    num_code_calls: int = 0
    num_failed_calls: int = 0
    answer: int | None = None
    forced: bool = False
    stop_reason: str | None = None
    began: float = field(default_factory=monotonic)
    """On the monotonic clock."""
    ended: float | None = None

    @property
    def seconds(self) -> float:
        return (monotonic() if self.ended is None else self.ended) - self.began

    def count(self, result: ExecutionResult) -> None:
        self.num_code_calls += 1
        self.num_failed_calls += result.status != "ok"

    def finish(self, attempt: Attempt) -> None:
        self.finished, self.ended = True, monotonic()
        self.answer, self.forced, self.stop_reason = attempt.answer, attempt.forced, attempt.stop_reason


@dataclass
class ProblemStatus:
    id: str
    number: int
    """Its place in the file, from 1."""
    deadline: Deadline
    attempts: dict[int, AttemptStatus] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)


@dataclass
class RunStatus:
    num_problems: int = 0
    process_start: float = field(default_factory=monotonic)
    """On the monotonic clock."""
    deadline: Deadline = NEVER
    """When the last problem must be decided."""
    stage: str = "starting"
    in_flight: dict[str, ProblemStatus] = field(default_factory=dict)
    predictions: list[Prediction] = field(default_factory=list)
    """Decided in this run or before it, in order of decision."""
    events: list[tuple[float, str | Prediction]] = field(default_factory=list)
    """Stages, notes and predictions in order, with the seconds since the start of the process."""
    engine: EngineInfo | None = None
    """None until it is up."""
    count_sessions: Callable[[], int] = int
    """Python sessions that are alive now."""
    num_code_calls_done: int = 0
    num_failed_calls_done: int = 0
    num_tokens_done: int = 0
    num_attempts_done: int = 0
    """Of problems no longer in flight."""
    solving_since: float | None = None
    """When the engine was ready, on the monotonic clock."""
    solved_at: float | None = None
    """When the last problem was decided."""

    @property
    def num_tokens(self) -> int:
        return self.num_tokens_done + sum(a.num_tokens for a in self.attempts())

    @property
    def num_finished(self) -> int:
        """Attempts that have ended, those that were cut too."""
        return self.num_attempts_done + sum(attempt.finished for attempt in self.attempts())

    @property
    def num_code_calls(self) -> int:
        return self.num_code_calls_done + sum(a.num_code_calls for a in self.attempts())

    @property
    def num_failed_calls(self) -> int:
        return self.num_failed_calls_done + sum(a.num_failed_calls for a in self.attempts())

    def attempts(self) -> Iterable[AttemptStatus]:
        # A copy: the view may read from another thread.
        return [attempt for problem in list(self.in_flight.values()) for attempt in list(problem.attempts.values())]

    @property
    def seconds(self) -> float:
        return monotonic() - self.process_start

    def enter(self, stage: str) -> None:
        self.stage = stage
        self.note(stage)

    def note(self, line: str) -> None:
        self.events.append((self.seconds, line))

    def finish(self, prediction: Prediction) -> None:
        if (problem := self.in_flight.get(prediction.problem_id)) is not None:
            self.num_attempts_done += len(problem.attempts)
            self.num_tokens_done += sum(a.num_tokens for a in problem.attempts.values())
            self.num_code_calls_done += sum(a.num_code_calls for a in problem.attempts.values())
            self.num_failed_calls_done += sum(a.num_failed_calls for a in problem.attempts.values())
            del self.in_flight[prediction.problem_id]
        self.predictions.append(prediction)
        self.events.append((self.seconds, prediction))
