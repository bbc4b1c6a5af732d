"""The report's figures as plain dictionaries in plotly's form: {"data": [...], "layout": {...}}. Pure.

Drawn in the page by plotly.js; colours that depend on light or dark are the page's. Labels are escaped, for plotly
reads a little HTML in them.
"""

from collections.abc import Iterable, Mapping, Sequence
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
_BAND = 0.84  # of a problem's row is taken by its attempts


def timeline(run: RunRecord) -> Figure:
    """A Gantt chart: a row for each problem, a bar for each attempt in it, code calls as dark lines, the end of each
    problem's time as a red mark and the end of the run's as a red line; above it problems decided over time."""
    problems = [p for p in run.problems.values() if p.attempts or p.prediction]
    data = [_progress(problems), *_even_pace(run, problems)]
    data += [*_attempt_bars(problems), _code_calls(problems), _deadlines(problems)]
    labels = [escape(one_line(problem.id, 24)) for problem in problems]
    layout = {
        "height": 260 + 26 * max(4, len(problems)),
        "barmode": "overlay",
        "xaxis": {"title": {"text": "seconds since the start"}, "rangemode": "tozero", "anchor": "y"},
        "yaxis": {
            "tickvals": list(range(len(problems))),
            "ticktext": labels,
            "range": [len(problems) - 0.5, -0.5],
            "domain": [0, 1 - 150 / (260 + 26 * max(4, len(problems)))],
            "zeroline": False,
        },
        "yaxis2": {
            "domain": [1 - 120 / (260 + 26 * max(4, len(problems))), 1],
            "title": {"text": "decided"},
            "rangemode": "tozero",
        },
        "shapes": [_vertical(at) for at in _run_limits(run)],
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    return {"data": data, "layout": layout}


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


def escape(text: str) -> str:
    """Text that plotly shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attempt_bars(problems: Sequence[ProblemRecord]) -> list[Figure]:
    traces: dict[str, Figure] = {}
    for row_number, problem in enumerate(problems):
        slots = max((row.attempt.index for row in problem.attempts), default=0) + 1
        for row in problem.attempts:
            kind = outcome(problem, row)
            trace = traces.setdefault(kind, _bars(kind))
            trace["y"].append(_slot(row_number, row.attempt.index, slots))
            trace["base"].append(round(row.started, 3))
            trace["x"].append(round(max(row.attempt.seconds, 1e-3), 3))
            trace["width"].append(_BAND / slots * 0.9)
            trace["customdata"].append([problem.id, row.attempt.index])
            trace["text"].append(_hover(problem, row))
    return [traces[kind] for kind in _COLOURS if kind in traces]


def _bars(kind: str) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "name": kind,
        "marker": {"color": _COLOURS[kind]},
        "y": [],
        "x": [],
        "base": [],
        "width": [],
        "customdata": [],
        "text": [],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(problem: ProblemRecord, row: AttemptRow) -> str:
    attempt = row.attempt
    answer = "no answer" if attempt.answer is None else f"answer {attempt.answer}"
    parts = [
        f"{escape(one_line(problem.id, 40))}, attempt {attempt.index}: {answer}{' (forced)' if attempt.forced else ''}",
        escape(attempt.stop_reason[:40]),
        f"{attempt.num_tokens} tokens, {len(attempt.executions)} code calls, {attempt.seconds:.1f} s",
    ]
    return "<br>".join(parts)


def _code_calls(problems: Sequence[ProblemRecord]) -> Figure:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for number, problem in enumerate(problems):
        slots = max((row.attempt.index for row in problem.attempts), default=0) + 1
        for row in problem.attempts:
            y = _slot(number, row.attempt.index, slots)
            for execution in row.attempt.executions:
                if execution.started is not None:
                    began = execution.started + row.offset
                    xs += [round(began, 3), round(began + max(execution.seconds, 1e-3), 3), None]
                    ys += [y, y, None]
    line = {"color": "#111111", "width": 3}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "code call",
        "x": xs,
        "y": ys,
        "line": line,
        "hoverinfo": "skip",
    }


def _deadlines(problems: Sequence[ProblemRecord]) -> Figure:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for number, problem in enumerate(problems):
        prediction = problem.prediction
        if prediction is not None and prediction.started is not None and prediction.budget_seconds is not None:
            end = prediction.started + problem.offset + prediction.budget_seconds
            xs += [round(end, 3)] * 2 + [None]
            ys += [number - 0.48, number + 0.48, None]
    line = {"color": "#e00000", "width": 2}
    name = "end of the problem's time"
    return {"type": "scatter", "mode": "lines", "name": name, "x": xs, "y": ys, "line": line, "hoverinfo": "skip"}


def _progress(problems: Sequence[ProblemRecord]) -> Figure:
    ends = sorted(
        p.prediction.started + p.offset + p.prediction.seconds
        for p in problems
        if p.prediction is not None and p.prediction.started is not None
    )
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "problems decided",
        "yaxis": "y2",
        "x": [0.0, *(round(end, 3) for end in ends)],
        "y": list(range(len(ends) + 1)),
        "line": {"shape": "hv", "color": "#0072B2"},
    }


def _even_pace(run: RunRecord, problems: Sequence[ProblemRecord]) -> list[Figure]:
    limits = _run_limits(run)
    if not limits or not problems:
        return []
    line = {"dash": "dot", "color": "#e00000"}
    xs, ys = [0.0, limits[0]], [0, len(problems)]
    return [{"type": "scatter", "mode": "lines", "name": "even pace", "yaxis": "y2", "x": xs, "y": ys, "line": line}]


def _run_limits(run: RunRecord) -> list[float]:
    """When each part of the run had to be done."""
    limits = []
    for header, offset in zip(run.headers, [0.0, *run.resumed_at], strict=False):
        budget = (header.get("config") or {}).get("budget") or {}
        seconds = budget.get("time_limit_seconds")
        if isinstance(seconds, int | float):
            limits.append(offset + seconds)
    return limits


def _vertical(at: float) -> Mapping[str, Any]:
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": "#e00000", "width": 2, "dash": "dot"},
    }


def _slot(row: int, index: int, slots: int) -> float:
    return round(row - _BAND / 2 + _BAND * (index + 0.5) / slots, 4)


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
