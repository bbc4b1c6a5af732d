"""Where the points went: for each problem answered wrongly, the first thing that would have had to go otherwise. Pure.

The causes are asked in this order, so every lost problem has one:
  engine        the engine failed, or the run was interrupted.
  not chosen    an attempt had the right answer and another was handed out.
  extraction    an attempt that ended by itself wrote the right answer and it was not read from its text.
  stopped early the vote ended while an attempt had the right number as the last in its text.
  time          the same, but the clock ended it.
  length        the same, but its token limit ended it.
  tool          most attempts that used Python ended on a block that did not run.
  time          most attempts were cut by the clock, or none could start.
  length        most attempts were cut by their token limit.
  never found   attempts ended, and none of them right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from solver.answer import parse_integer
from solver.report.read import AttemptRow, ProblemRecord

Cause = Literal["engine", "not chosen", "extraction", "stopped early", "tool", "time", "length", "never found"]

CAUSES: dict[Cause, str] = {
    "not chosen": "an attempt had the right answer; another was chosen",
    "stopped early": "the vote ended while an attempt had the right number",
    "never found": "attempts ended, and none of them right",
    "time": "cut by time before the right answer",
    "length": "cut by the token limit before the right answer",
    "extraction": "the right answer was written, and not read from the text",
    "tool": "most attempts ended on Python that did not run",
    "engine": "the engine failed, or the run was interrupted",
}


@dataclass(frozen=True, slots=True)
class Loss:
    problem_id: str
    cause: Cause
    detail: str


def find_losses(problems: Sequence[ProblemRecord]) -> list[Loss]:
    """One for each problem that is known to be wrong."""
    return [_loss(problem) for problem in problems if problem.is_right is False]


def had_right_answer(problem: ProblemRecord) -> bool | None:
    """Whether any attempt ended with the right answer; None where it is not known."""
    if problem.reference is None:
        return None
    return any(row.attempt.answer == problem.reference for row in problem.final_attempts)


def _loss(problem: ProblemRecord) -> Loss:
    rows = problem.final_attempts
    for cause, detail in (
        ("engine", _engine(problem, rows)),
        ("not chosen", _not_chosen(problem, rows)),
        ("extraction", _written(problem, rows, ("answered", "ended"), "and it was not read")),
        ("stopped early", _written(problem, rows, ("cancelled",), "when the vote ended it")),
        ("time", _written(problem, rows, ("deadline",), "when its time ended")),
        ("length", _written(problem, rows, ("max_tokens", "loop"), "when its tokens ended")),
        ("tool", _tool(rows)),
        ("time", _time(problem, rows)),
        ("length", _length(rows)),
    ):
        if detail is not None:
            return Loss(problem.id, cause, detail)  # type: ignore[arg-type]
    return Loss(problem.id, "never found", _tried(rows))


def _tried(rows: Sequence[AttemptRow]) -> str:
    """How many attempts ended by themselves, and how far they agreed."""
    answers = len({row.attempt.answer for row in rows if row.attempt.answer is not None})
    finished = sum(row.is_finished for row in rows)
    said = (
        "no answer" if not answers else "all gave the same answer" if answers == 1 else f"{answers} different answers"
    )
    return f"{finished} of {len(rows)} attempts ended, {said}"


def _engine(problem: ProblemRecord, rows: Sequence[AttemptRow]) -> str | None:
    reason = problem.prediction.fallback_reason if problem.prediction else None
    failed = [row.attempt for row in rows if row.attempt.stop_reason == "error"]
    if reason in ("error", "interrupted"):
        return (failed[0].error if failed else None) or f"fallback: {reason}"
    return None


def _not_chosen(problem: ProblemRecord, rows: Sequence[AttemptRow]) -> str | None:
    right = [row.attempt for row in rows if problem.reference is not None and row.attempt.answer == problem.reference]
    if not right or problem.prediction is None:
        return None
    chosen = sum(row.attempt.answer == problem.prediction.answer for row in rows)
    forced = sum(attempt.forced for attempt in right)
    return f"{len(right)} right against {chosen} for {problem.prediction.answer}" + (
        f" ({forced} of the right ones forced)" if forced else ""
    )


def _written(problem: ProblemRecord, rows: Sequence[AttemptRow], stops: Sequence[str], what: str) -> str | None:
    """The first attempt without an answer, ended so, whose text ends on the right number."""
    if problem.reference is None:
        return None
    for row in rows:
        if row.attempt.stop_reason not in stops:
            continue
        box = None if row.boxed is None else parse_integer(row.boxed)
        if box == problem.reference or row.tail_number == str(problem.reference):
            where = "in a box" if row.boxed else "last, unboxed"
            return f"attempt {row.attempt.index} had written {problem.reference} {where}, {what}"
    return None


def _tool(rows: Sequence[AttemptRow]) -> str | None:
    users = [row.attempt for row in rows if row.attempt.executions]
    failed = [a.executions[-1] for a in users if a.executions[-1].status != "ok"]
    if users and len(failed) * 2 > len(users) and len(users) * 2 > len(rows):
        return f"{len(failed)} of {len(users)}, such as {failed[0].output or failed[0].status}"
    return None


def _time(problem: ProblemRecord, rows: Sequence[AttemptRow]) -> str | None:
    if problem.prediction is not None and problem.prediction.fallback_reason == "no time" and not rows:
        return "no attempt could start"
    return _mostly(rows, "deadline")


def _length(rows: Sequence[AttemptRow]) -> str | None:
    return _mostly(rows, "max_tokens")


def _mostly(rows: Sequence[AttemptRow], stop_reason: str) -> str | None:
    count = sum(row.attempt.stop_reason == stop_reason for row in rows)
    return f"{count} of {len(rows)} attempts" if count * 2 >= max(1, len(rows)) else None
