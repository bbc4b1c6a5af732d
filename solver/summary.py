"""A run in numbers: how many problems were decided how, at what cost, and the score where answers are known. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from solver.consensus import duplicates
from solver.genselect import Selection
from solver.types import Attempt, EngineInfo, Prediction


def summarize(
    predictions: Sequence[Prediction],
    attempts: Iterable[Attempt],
    *,
    ended: str,
    seconds: float,
    solving_seconds: float,
    engine: EngineInfo | None,
    selections: Sequence[Selection] = (),
    earlier: Iterable[Attempt] = (),
) -> dict[str, Any]:
    """`seconds` since the start of the process, `solving_seconds` since the engine was ready; tokens are the model's
    own, and tokens per second is over the solving time. `earlier` attempts, of the run that this one resumed, count for
    all but speed."""
    attempts = list(attempts)
    new_tokens = sum(attempt.num_tokens for attempt in attempts)
    attempts = [*earlier, *attempts]
    num_tokens = sum(attempt.num_tokens for attempt in attempts)
    judged = [p for p in predictions if p.correct is not None]
    executions = [execution for attempt in attempts for execution in attempt.executions]
    return {
        "ended": ended,
        "problems": len(predictions),
        "decided_by": dict(Counter(p.decided_by for p in predictions)),
        "fallback_reasons": dict(Counter(p.fallback_reason for p in predictions if p.fallback_reason)),
        "score": sum(bool(p.correct) for p in judged) if judged else None,
        "score_of": len(judged),
        "score_by": {
            kind: sum(bool(p.correct) for p in judged if p.decided_by == kind)
            for kind in dict.fromkeys(p.decided_by for p in judged)
        },
        "genselect": {
            "asked": len(selections),
            "unreadable": sum(not selection.decided for selection in selections),
            "changed": sum(selection.answer != selection.majority for selection in selections),
            "tokens": sum(selection.num_tokens for selection in selections),
            "seconds": round(sum(selection.seconds for selection in selections), 2),
        },
        "attempts": len(attempts),
        "forced_answers": sum(attempt.forced for attempt in attempts),
        "duplicate_attempts": _num_duplicates(attempts),
        "stop_reasons": dict(Counter(attempt.stop_reason for attempt in attempts)),
        "executions": len(executions),
        "execution_status": dict(Counter(execution.status for execution in executions)),
        "tokens": num_tokens,
        "tool_tokens": sum(attempt.num_tool_tokens for attempt in attempts),
        "tokens_per_second": round(new_tokens / solving_seconds, 1) if solving_seconds > 0 else None,
        "seconds": round(seconds, 2),
        "solving_seconds": round(solving_seconds, 2),
        "engine": None if engine is None else f"{engine.name} {engine.version}, {engine.device}, {engine.dtype}",
        "model": None if engine is None else engine.model,
    }


def _num_duplicates(attempts: Iterable[Attempt]) -> int:
    """Attempts that began with the tokens of an earlier one at the same problem under another seed."""
    problems: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        problems.setdefault(attempt.problem_id, []).append(attempt)
    return sum(len(duplicates(group)) for group in problems.values())


def describe(prediction: Prediction) -> str:
    """How one problem was decided, in a few words."""
    if prediction.decided_by == "fallback":
        how = f"fallback ({prediction.fallback_reason})"
    else:
        total = sum(candidate.votes for candidate in prediction.candidates)
        forced = " of forced answers" if prediction.candidates[0].forced else ""
        how = f"{prediction.decided_by} {prediction.candidates[0].votes}/{total}{forced}"
    mark = {True: "right", False: "wrong", None: ""}[prediction.correct]
    return f"{prediction.answer}  {how}  {prediction.seconds:.1f} s  {mark}".rstrip()


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as a person reads it."""
    decided = ", ".join(f"{count} by {kind}" for kind, count in sorted(summary["decided_by"].items()))
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(summary["fallback_reasons"].items()))
    lines = [f"{summary['problems']} problems: {decided}" + (f" ({reasons})" if reasons else "")]
    if summary["score"] is not None:
        by = ", ".join(f"{count} by {kind}" for kind, count in sorted(summary["score_by"].items()) if count)
        lines.append(f"score {summary['score']}/{summary['score_of']}" + (f" ({by})" if by else ""))
    rate = summary["tokens_per_second"]
    lines.append(
        f"{summary['attempts']} attempts, {summary['executions']} code blocks, {summary['tokens']:,} tokens"
        + (f", {rate:.1f} tokens/s" if rate else "")
        + f", {summary['seconds']:.1f} s in all"
    )
    if (genselect := summary.get("genselect", {})).get("asked"):
        lines.append(
            f"GenSelect was asked {genselect['asked']} times, changed {genselect['changed']} answers, "
            f"could not be read {genselect['unreadable']} times; {genselect['tokens']:,} tokens, "
            f"{genselect['seconds']:.1f} s"
        )
    if summary.get("duplicate_attempts"):
        lines.append(
            f"the engine repeated {summary['duplicate_attempts']} attempts token for token under other seeds: "
            "they did not count as votes; look for its determinism or seed settings"
        )
    return lines


def score_answers(answers: Mapping[str, int], reference: Mapping[str, int]) -> tuple[int, int]:
    """How many reference answers are met, and how many of them have no row in `answers`."""
    right = sum(answers.get(problem_id) == answer for problem_id, answer in reference.items())
    return right, len(reference.keys() - answers.keys())
