"""The report's figures as data: the timeline for `timeline.js`, distributions in plotly's form. Pure.

Plotly draws the distributions alone, once they come into view: its 4.8 MB take two seconds to start on a slow machine,
and the timeline is what a reader looks at first. Colours that depend on light or dark are the page's.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from solver.report.read import AttemptRow, ProblemRecord, RunRecord
from solver.report.visible import one_line

Figure = dict[str, Any]

# Told apart in light, in dark and by the colour-blind (Okabe & Ito).
_COLOURS = {
    "right answer": "#009E73",
    "other answer": "#D55E00",
    "answer": "#0072B2",
    "no answer": "#9a9a9a",
    "cut by time": "#CC79A7",
    "token limit": "#E69F00",
    "cancelled": "#c9c9c9",
    "error": "#b00020",
}


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
    outcomes = [outcome(run.problems[row.attempt.problem_id], row) for row in rows]
    return [(name, _histogram(name, values, outcomes)) for name, values in measures.items() if any_known(values)]


def outcome(problem: ProblemRecord, row: AttemptRow) -> str:
    """How an attempt ended, in the words of the legend."""
    attempt = row.attempt
    if attempt.answer is not None:
        if problem.reference is None:
            return "answer"
        return "right answer" if attempt.answer == problem.reference else "other answer"
    stops = {"deadline": "cut by time", "max_tokens": "token limit", "cancelled": "cancelled", "error": "error"}
    return stops.get(attempt.stop_reason, "no answer")


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
    """When each part of the run had to be done."""
    limits = []
    for header, offset in zip(run.headers, [0.0, *run.resumed_at], strict=False):
        budget = (header.get("config") or {}).get("budget") or {}
        seconds = budget.get("time_limit_seconds")
        if isinstance(seconds, int | float):
            limits.append(offset + seconds)
    return limits


def _histogram(name: str, values: Sequence[float | None], outcomes: Sequence[str]) -> Figure:
    groups: dict[str, list[float]] = {}
    for value, kind in zip(values, outcomes, strict=True):
        if value is not None:
            groups.setdefault(kind if kind.endswith("answer") else "no answer", []).append(round(value, 4))
    data = [
        {"type": "histogram", "name": kind, "x": groups[kind], "opacity": 0.65, "marker": {"color": _COLOURS[kind]}}
        | {"bingroup": 1, "nbinsx": 40}
        for kind in _COLOURS
        if kind in groups
    ]
    layout = {
        "height": 260,
        "barmode": "overlay",
        "xaxis": {"title": {"text": name}},
        "yaxis": {"title": {"text": "attempts"}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    return {"data": data, "layout": layout}
