"""From journals to one HTML file. Texts are compressed as they are read and decoded in the page when one is opened.

Everything a model wrote reaches the page as compressed data or JSON and becomes text nodes there; the template escapes
what it writes itself; a content security policy lets no other script run and nothing be fetched.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from itertools import combinations
from pathlib import Path
from typing import Any

from solver import __version__
from solver.errors import UsageError
from solver.problem import check_writable
from solver.report.charts import Figure, distributions, timeline
from solver.report.compare import compare
from solver.report.losses import CAUSES, Loss, find_losses, had_right_answer
from solver.report.read import AttemptRow, ProblemRecord, RunRecord, add_references, read_runs
from solver.report.transcript import segments
from solver.report.visible import one_line, visible
from solver.report.words import how_decided, selection_line
from solver.summary import summarize

_COMPRESSION = 5  # of zlib: 6 takes half as long again for 3 % less


@dataclass(frozen=True)
class _RunView:
    """A run as the template wants it."""

    name: str
    notes: list[str]
    cards: list[tuple[str, str, str]]
    problems: list[dict[str, Any]]
    losses: list[tuple[str, str, list[Loss]]]
    judged: dict[str, bool]
    timeline: Figure
    figures: dict[str, Figure]
    config: list[tuple[str, str]]


class _Texts:
    """Compressed transcripts by run, problem and place."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytes] = {}

    def take(self, _run: RunRecord, row: AttemptRow, text: str) -> None:
        parts = [[segment.kind, visible(segment.text.strip("\n"))] for segment in segments(text)]
        data = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
        self._blocks[id(row)] = zlib.compress(data, _COMPRESSION)

    def pop(self, row: AttemptRow) -> str:
        return base64.b64encode(self._blocks.pop(id(row), b"")).decode("ascii")


def write_report(journals: Sequence[Path], output: Path, reference: Path | None = None) -> list[str]:
    """Write the page; what is odd about the journals, a line each. `reference` is a file of problems whose answers
    and texts fill in what the journals do not tell.

    Raises:
        SolverError: a journal is none, the output cannot be written, or a library of the report is missing.
    """
    check_writable(output)
    if output.resolve() in {journal.resolve() for journal in journals}:
        raise UsageError(f"{output} is one of the journals: name another file with -o")
    template = _template()
    assets = _assets()
    texts = _Texts()
    runs = [run for journal in journals for run in read_runs(journal, texts.take)]
    _name_apart(runs)
    for run in runs:
        add_references(run, reference)
    views = [_view(number, run) for number, run in enumerate(runs)]
    page = template.stream(
        title=", ".join(view.name for view in views),
        version=__version__,
        runs=views,
        comparisons=list(_comparisons(views)),
        matrix=_matrix(views),
        data=_script_json({"runs": [_for_scripts(view) for view in views]}),
        blocks=_blocks(runs, texts),
        nonce=_nonce(views),
        **assets,
    )
    with output.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)
    return [f"{view.name}: {note}" for view in views for note in view.notes]


def require_libraries() -> None:
    """Raises UsageError where a library of the report is missing."""
    _template()
    _assets()


def _for_scripts(view: _RunView) -> dict[str, Any]:
    return {"problems": view.problems, "timeline": view.timeline, "figures": view.figures}


def _template() -> Any:
    try:
        import jinja2
    except ImportError:
        raise _missing("jinja2") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("solver.report", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["visible"] = visible
    environment.filters["one_line"] = one_line
    return environment.get_template("report.html")


def _assets() -> dict[str, str]:
    """Style and scripts of the page; plotly and KaTeX come from the packages that carry them."""
    folder = resources.files("solver.report") / "assets"
    scripts = ("transcript.js", "timeline.js", "charts.js", "report.js")
    try:
        plotly = (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    except (ImportError, OSError):
        raise _missing("plotly") from None
    return {
        "style": (folder / "report.css").read_text("utf-8"),
        "script": "\n".join((folder / name).read_text("utf-8") for name in scripts),
        "plotly": _packed(plotly),
        "katex": _packed(_katex()),
    }


def _katex() -> bytes:
    """KaTeX as `sphinxcontrib-katex` carries it: the script alone is needed, since MathML needs no fonts."""
    try:
        files = metadata.files("sphinxcontrib-katex") or []
        return next(file for file in files if file.name == "katex.min.js").locate().read_bytes()  # type: ignore[attr-defined,no-any-return]
    except (metadata.PackageNotFoundError, StopIteration, OSError):
        raise _missing("sphinxcontrib-katex") from None


def _missing(package: str) -> UsageError:
    return UsageError(f"a report needs the package {package}: pip install 'olympiad-solver[report]'")


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _script_json(value: Any) -> str:
    """JSON that may stand in a script element: no `<` in it can end one."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _nonce(views: Sequence[_RunView]) -> str:
    """Of the policy; from everything on the page, so that no text in it can know it."""
    return hashlib.blake2b(repr(views).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _name_apart(runs: Sequence[RunRecord]) -> None:
    seen: set[str] = set()
    for number, run in enumerate(runs, start=1):
        run.name = run.name if run.name not in seen else f"{run.name} [{number}]"
        seen.add(run.name)


def _view(number: int, run: RunRecord) -> _RunView:
    losses = {loss.problem_id: loss for loss in find_losses(list(run.problems.values()))}
    problems = [_problem_view(problem, losses.get(problem.id)) for problem in run.problems.values()]
    by_cause = [
        (cause, why, [loss for loss in losses.values() if loss.cause == cause]) for cause, why in CAUSES.items()
    ]
    figures = {f"{name.replace(' ', '-')}-{number}": figure for name, figure in distributions(run)}
    return _RunView(
        name=visible(run.name),
        notes=run.notes,
        cards=list(_cards(run)),
        problems=problems,
        losses=[group for group in by_cause if group[2]],
        judged={p.id: p.is_right for p in run.problems.values() if p.is_right is not None},
        timeline=timeline(run),
        figures=figures,
        config=sorted(_flat(run.headers[0]) if run.headers else []),
    )


def _cards(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Title, figure and a line of detail."""
    problems = list(run.problems.values())
    predictions = [p.prediction for p in problems if p.prediction is not None]
    rows = list(run.attempts())
    ended = (run.summary or {}).get("ended", "not ended by itself")
    seconds = run.offset + (run.summary or {}).get("seconds", run.latest - run.offset)
    facts = summarize(
        predictions, [r.attempt for r in rows], ended=ended, seconds=seconds, solving_seconds=0.0, engine=None
    )
    judged = [p.is_right for p in problems if p.is_right is not None]
    if judged:
        yield "score", f"{sum(judged)}/{len(judged)}", _score_detail(run, problems)
    expected = (run.headers[0].get("num_problems") if run.headers else None) or len(problems)
    decided = ", ".join(f"{n} by {kind}" for kind, n in sorted(facts["decided_by"].items())) or "none yet"
    yield "problems decided", f"{len(predictions)}/{expected}", decided
    fallbacks = facts["decided_by"].get("fallback", 0)
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(facts["fallback_reasons"].items()))
    yield "fallbacks", str(fallbacks), reasons or "every answer was voted for"
    limit = (run.config.get("budget") or {}).get("time_limit_seconds")
    parts = f" in {len(run.headers)} parts" if len(run.headers) > 1 else ""
    yield "time", _clock(seconds), (f"of {_clock(limit)}" if limit else "no limit") + f"{parts}; ended: {ended}"
    rate = _tokens_per_second(run)
    yield "tokens", f"{facts['tokens']:,}", f"{rate:,.1f} a second" if rate else "written by the model"
    stops = ", ".join(f"{n} {stop}" for stop, n in sorted(facts["stop_reasons"].items()))
    yield "attempts", str(facts["attempts"]), stops
    failed = facts["executions"] - facts["execution_status"].get("ok", 0)
    yield "code calls", f"{facts['executions']:,}", f"{failed} did not run to their end"
    if facts["forced_answers"]:
        yield "forced answers", str(facts["forced_answers"]), "made to answer at the end of their time or text"


def _tokens_per_second(run: RunRecord) -> float | None:
    """Of the last part, the only one whose time of solving is known."""
    solving = (run.summary or {}).get("solving_seconds")
    if not isinstance(solving, int | float) or solving <= 0:
        return None
    return sum(row.attempt.num_tokens for row in run.attempts() if row.part == len(run.headers) - 1) / float(solving)


def _score_detail(run: RunRecord, problems: Sequence[ProblemRecord]) -> str:
    found = [had for p in problems if (had := had_right_answer(p)) is not None]
    judged = [r for r in run.attempts() if run.problems[r.attempt.problem_id].reference is not None and r.is_finished]
    right = sum(r.attempt.answer == run.problems[r.attempt.problem_id].reference for r in judged)
    share = f"; {right / len(judged):.0%} of finished attempts right" if judged else ""
    return f"{sum(found)} had the right answer among their attempts{share}"


def _problem_view(problem: ProblemRecord, loss: Loss | None) -> dict[str, Any]:
    prediction = problem.prediction
    return {
        "id": visible(problem.id),
        "text": visible(problem.text or ""),
        "reference": None if problem.reference is None else str(problem.reference),
        "answer": None if prediction is None else str(prediction.answer),
        "right": problem.is_right,
        "decided_by": "undecided" if prediction is None else visible(prediction.decided_by),
        "why": "no decision is recorded" if prediction is None else _why(problem),
        "loss": None if loss is None else [loss.cause, visible(loss.detail)],
        "seconds": 0.0 if prediction is None else round(prediction.seconds, 1),
        "candidates": [
            {"answer": str(c.answer), "votes": c.votes, "forced": c.forced, "attempts": list(c.attempts)}
            for c in (prediction.candidates if prediction else ())
        ],
        "attempts": [_attempt_view(row) for row in problem.attempts],
        "extra": _shown(problem.extra),
    }


def _why(problem: ProblemRecord) -> str:
    prediction = problem.prediction
    if prediction is None:
        return ""
    parts = [
        f"{prediction.answer}, {how_decided(prediction)}",
        f"after {prediction.num_attempts} of {len(problem.final_attempts)} attempts and {prediction.seconds:.1f} s",
    ]
    if prediction.budget_seconds is not None:
        parts[-1] += f" of the {prediction.budget_seconds:.0f} s it had"
    if prediction.started is not None:
        parts.append(f"at {_clock(prediction.started + problem.offset + prediction.seconds)} of the run")
    cut = sum(row.attempt.stop_reason == "cancelled" for row in problem.final_attempts)
    if cut:
        parts.append(f"{cut} attempts still running were cancelled")
    if (chosen := selection_line(problem)) is not None:
        parts.append(chosen)
    return visible("; ".join(parts))


def _attempt_view(row: AttemptRow) -> dict[str, Any]:
    attempt = row.attempt
    return {
        "index": attempt.index,
        "part": row.part,
        "old": row.is_superseded,
        "mode": visible(attempt.mode),
        "answer": None if attempt.answer is None else str(attempt.answer),
        "forced": bool(attempt.forced),
        "stop": visible(attempt.stop_reason),
        "tokens": attempt.num_tokens,
        "tool_tokens": attempt.num_tool_tokens,
        "code": [[visible(e.status), round(e.seconds, 3)] for e in attempt.executions],
        "entropy": None if attempt.mean_entropy is None else round(attempt.mean_entropy, 3),
        "started": _clock(row.started),
        "seconds": round(attempt.seconds, 1),
        "chars": row.text_chars,
        "error": None if attempt.error is None else one_line(str(attempt.error), 500),
        "extra": _shown(row.extra),
    }


def _shown(extra: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields that this version does not know, as they stand in the journal."""
    return [(one_line(str(k), 80), one_line(json.dumps(v), 500)) for k, v in sorted(extra.items()) if v is not None]


def _comparisons(views: Sequence[_RunView]) -> Iterator[tuple[str, str, Any]]:
    for a, b in combinations(views, 2):
        yield a.name, b.name, compare(a.judged, b.judged)


def _matrix(views: Sequence[_RunView]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """A row for each problem on which runs differ, a cell for each run."""
    by_run = [{problem["id"]: problem for problem in view.problems} for view in views]
    names = dict.fromkeys(name for problems in by_run for name in problems)
    rows = [(name, [problems.get(name) for problems in by_run]) for name in names]
    return [row for row in rows if len({cell and cell["answer"] for cell in row[1]}) > 1]


def _blocks(runs: Iterable[RunRecord], texts: _Texts) -> Iterator[tuple[str, str]]:
    """One element for each problem, a line in it for each attempt: a browser's parser rests after every script element,
    and 800 rests are seconds on a busy machine."""
    for r, run in enumerate(runs):
        for p, problem in enumerate(run.problems.values()):
            yield f"t{r}-{p}", "\n".join(texts.pop(row) for row in problem.attempts)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in ("kind", "problem_ids"):
            yield one_line(f"{prefix}{name}", 120), one_line(str(value), 500)


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
