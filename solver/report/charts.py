"""The report's figures as data: the timeline for `timeline.js`, distributions in plotly's form. Pure.

Plotly draws the distributions alone, once they come into view: its 4.8 MB take two seconds to start on a slow machine,
and the timeline is what a reader looks at first. Colours that depend on light or dark are the page's.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from solver.report.read import AttemptRow, ProblemRecord, RunRecord
from solver.report.visible import one_line

Figure = dict[str, Any]

# Of the distributions; the timeline's stand in the style sheet. Told apart in light, in dark and by the colour-blind
# (Okabe & Ito).
_COLOURS = {"right answer": "#009E73", "other answer": "#D55E00", "answer": "#0072B2", "no answer": "#9a9a9a"}


def timeline(run: RunRecord) -> Figure:
    """What `timeline.js` draws: a row for each problem, a bar for each attempt in it, code calls, the end of each
    problem's time and of the run's, and when problems were decided. Seconds since the start of the run."""
    problems = list(run.problems.values())
    limits = _run_limits(run)
    return {
        "problems": [one_line(problem.id, 24) for problem in problems],
        "slots": [max((row.attempt.index for row in problem.attempts), default=0) + 1 for problem in problems],
        "bars": [
            [
                number,
                row.attempt.index,
                round(row.started, 3),
                round(row.attempt.seconds, 3),
                outcome(problem, row),
                place,
            ]
            for number, problem in enumerate(problems)
            for place, row in enumerate(problem.attempts)
        ],
        "code": [
            _span(number, row, execution.started + row.offset, execution.seconds)
            for number, problem in enumerate(problems)
            for row in problem.attempts
            for execution in row.attempt.executions
            if execution.started is not None
        ],
        "deadlines": [
            [number, end] for number, problem in enumerate(problems) if (end := _deadline(problem)) is not None
        ],
        "decided": sorted(end for problem in problems if (end := _decided_at(problem)) is not None),
        "limits": limits,
        "first": round(min((row.started for problem in problems for row in problem.attempts), default=0.0), 3),
        "end": max(1.0, 1.02 * max([run.latest, *limits])),
    }


def distributions(run: RunRecord) -> list[tuple[str, Figure]]:
    """Histograms of the attempts' tokens, seconds, code calls and entropy; right answers against others."""
    rows = [row for row in run.attempts() if row.attempt.stop_reason not in ("cancelled", "error")]
    measures: dict[str, list[float | None]] = {
        "tokens": [float(row.attempt.num_tokens) for row in rows],
        "seconds": [row.attempt.seconds for row in rows],
        "code calls": [float(len(row.attempt.executions)) for row in rows],
        "mean token entropy": [row.attempt.mean_entropy for row in rows],
    }
    outcomes = [_judged(run.problems[row.attempt.problem_id], row) for row in rows]
    return [(name, _histogram(name, values, outcomes)) for name, values in measures.items() if any_known(values)]


def outcome(problem: ProblemRecord, row: AttemptRow) -> str:
    """How an attempt ended, in the words of the legend."""
    attempt = row.attempt
    if attempt.answer is not None and not _is_cut(problem, row):
        if problem.reference is None:
            return "answer"
        return "right answer" if attempt.answer == problem.reference else "other answer"
    stops = {"deadline": "cut by time", "max_tokens": "token limit", "cancelled": "cancelled", "error": "error"}
    return stops.get(attempt.stop_reason, "no answer")


def _judged(problem: ProblemRecord, row: AttemptRow) -> str:
    if row.attempt.answer is None:
        return "no answer"
    if problem.reference is None:
        return "answer"
    return "right answer" if row.attempt.answer == problem.reference else "other answer"


def _is_cut(problem: ProblemRecord, row: AttemptRow) -> bool:
    """Whether its time ended it, and what it was then made to answer is not known to be right."""
    attempt = row.attempt
    return attempt.forced and attempt.stop_reason == "deadline" and attempt.answer != problem.reference


def any_known(values: Iterable[float | None]) -> bool:
    return any(value is not None for value in values)


def _span(number: int, row: AttemptRow, started: float, seconds: float) -> list[float]:
    return [number, row.attempt.index, round(started, 3), round(seconds, 3)]


def _deadline(problem: ProblemRecord) -> float | None:
    prediction = problem.prediction
    if prediction is None or prediction.started is None or prediction.budget_seconds is None:
        return None
    return round(prediction.started + problem.offset + prediction.budget_seconds, 3)


def _decided_at(problem: ProblemRecord) -> float | None:
    prediction = problem.prediction
    if prediction is None or prediction.started is None:
        return None
    return round(prediction.started + problem.offset + prediction.seconds, 3)


def _run_limits(run: RunRecord) -> list[float]:
    """When each part of the run that made attempts had to be done."""
    limits = []
    worked = {0, *(row.part for problem in run.problems.values() for row in problem.attempts)}
    for part, (header, offset) in enumerate(zip(run.headers, [0.0, *run.resumed_at], strict=False)):
        if part not in worked:
            continue
        budget = (header.get("config") or {}).get("budget") or {}
        seconds = budget.get("time_limit_seconds")
        if isinstance(seconds, int | float):
            limits.append(offset + seconds)
    return limits


def _histogram(name: str, values: Sequence[float | None], outcomes: Sequence[str]) -> Figure:
    groups: dict[str, list[float]] = {}
    for value, kind in zip(values, outcomes, strict=True):
        if value is not None:
            groups.setdefault(kind, []).append(round(value, 4))
    whole = name == "code calls"
    most = max((max(values) for values in groups.values()), default=0)
    bins = {"xbins": {"size": max(1, round(most / 40)), "start": -0.5}} if whole else {"nbinsx": 40}
    data = [
        {"type": "histogram", "name": kind, "x": groups[kind], "marker": {"color": _COLOURS[kind]}} | bins
        for kind in _COLOURS
        if kind in groups
    ]
    layout = {
        "height": 260,
        "barmode": "stack",
        "xaxis": {"title": {"text": name}} | ({"tickformat": "d", "dtick": 1} if whole and most <= 12 else {}),
        "yaxis": {"title": {"text": "attempts"}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    return {"data": data, "layout": layout}
