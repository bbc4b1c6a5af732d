"""A journal read in a terminal: its problems, a problem's attempts, an attempt's transcript, and a search through all.

Everything that a model wrote goes through `visible`: an escape sequence in it is shown, never obeyed.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from solver.errors import UsageError, nearest
from solver.report.losses import find_losses
from solver.report.read import AttemptRow, ProblemRecord, RunRecord, add_references, read_runs
from solver.report.transcript import Segment, segments
from solver.report.visible import one_line, visible
from solver.report.words import how_decided, selection_line, votes_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Filter = Literal["wrong", "undecided"]
_AROUND = 50  # characters on either side of what was searched for


@dataclass(frozen=True, slots=True)
class ShowOptions:
    journal: Path
    problem: str | None = None
    attempt: int | None = None
    wrong: bool = False
    """Only problems with a wrong answer."""
    undecided: bool = False
    """Only problems that no stopping rule decided."""
    search: str | None = None
    reference: Path | None = None
    """Problems with their right answers, where the journal does not tell them."""


@dataclass
class _Texts:
    """What of the journal's texts is wanted, taken as they are read: a long run's do not fit the memory."""

    options: ShowOptions
    transcript: str | None = None
    hits: list[tuple[RunRecord, AttemptRow, str]] = field(default_factory=list)

    def take(self, run: RunRecord, row: AttemptRow, text: str) -> None:
        options = self.options
        if options.problem is not None and row.attempt.problem_id != options.problem:
            return
        if row.attempt.index == options.attempt:
            self.transcript = text
        if options.search and (at := text.lower().find(options.search.lower())) >= 0:
            around = text[max(0, at - _AROUND) : at + len(options.search) + _AROUND]
            self.hits.append((run, row, one_line(around, 4 * _AROUND)))


def show(options: ShowOptions, console: "Console | None" = None) -> list[str]:
    """Write what `options` ask for to the console; what is odd about the journal, a line each.

    Raises:
        SolverError: the journal cannot be read, or has no such problem or attempt.
    """
    texts = _Texts(options)
    runs = read_runs(options.journal, texts.take)
    for run in runs:
        add_references(run, options.reference)
    notes = [note for run in runs for note in run.notes]
    if options.wrong and not any(p.is_right is not None for run in runs for p in run.problems.values()):
        notes.append("the right answers are not known: give a file that has them with --reference")
    console = console or _console()
    if options.search:
        for renderable in _hits(texts, options):
            console.print(renderable)
    elif options.problem is None:
        for run in runs:
            console.print(_problems(run, options, is_titled=len(runs) > 1))
    else:
        run, problem = _find(runs, options.problem)
        if options.attempt is None:
            for renderable in _problem(run, problem):
                console.print(renderable)
        else:
            row = _find_attempt(problem, options.attempt)
            for renderable in _transcript(problem, row, segments(texts.transcript or "")):
                console.print(renderable)
    return notes


def _console() -> "Console":
    """Colours on a terminal; elsewhere plain text that is not cut to a terminal's width."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else 160
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _find(runs: list[RunRecord], problem_id: str) -> tuple[RunRecord, ProblemRecord]:
    for run in reversed(runs):
        if problem_id in run.problems:
            return run, run.problems[problem_id]
    known = [name for run in runs for name in run.problems]
    raise UsageError(
        f"no problem '{problem_id}' in the journal: {nearest(problem_id, known) if known else 'it is empty'}"
    )


def _find_attempt(problem: ProblemRecord, index: int) -> AttemptRow:
    for row in reversed(problem.attempts):
        if row.attempt.index == index:
            return row
    known = ", ".join(str(number) for number in sorted({row.attempt.index for row in problem.attempts}))
    raise UsageError(f"no attempt {index} at '{problem.id}': there is {known or 'none'}")


def _problems(run: RunRecord, options: ShowOptions, *, is_titled: bool) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    causes = {loss.problem_id: loss.cause for loss in find_losses(list(run.problems.values()))}
    heads = ("", "problem", "answer", "right", "decided", "votes", "attempts", "tokens", "seconds", "lost")
    table = Table(*heads, box=None)
    table.title = visible(run.name) if is_titled else None
    for problem in run.problems.values():
        if not _is_wanted(problem, options):
            continue
        prediction = problem.prediction
        mark, style = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}[problem.is_right]
        table.add_row(
            Text(mark, style),
            Text(one_line(problem.id, 40)),
            Text("—" if prediction is None else str(prediction.answer)),
            Text("" if problem.reference is None else str(problem.reference)),
            Text("undecided" if prediction is None else one_line(prediction.decided_by, 20)),
            Text(votes_of(problem)),
            Text(str(len(problem.final_attempts)), justify="right"),
            Text(f"{sum(row.attempt.num_tokens for row in problem.attempts):,}", justify="right"),
            Text("" if prediction is None else f"{prediction.seconds:.1f}", justify="right"),
            Text(causes.get(problem.id, ""), "red"),
        )
    return table if table.row_count else Text("no problem to show")


def _is_wanted(problem: ProblemRecord, options: ShowOptions) -> bool:
    if options.wrong and problem.is_right is not False:
        return False
    return not options.undecided or problem.prediction is None or problem.prediction.decided_by != "consensus"


def _problem(run: RunRecord, problem: ProblemRecord) -> Iterator["RenderableType"]:
    from rich.table import Table
    from rich.text import Text

    yield Text(one_line(problem.id, 80), "bold")
    if problem.text:
        yield Text(visible(problem.text))
    yield Text(f"\n{_decision(problem)}", "cyan")
    for loss in find_losses([problem]):
        yield Text(f"lost, {loss.cause}: {visible(loss.detail)}", "red")
    if (selected := selection_line(problem)) is not None:
        yield Text(visible(selected))
    for name, value in problem.extra.items():
        if value is not None:
            yield Text(f"{one_line(str(name), 40)}: {one_line(str(value), 200)}", "dim")
    tells = _told_apart(problem)
    table = Table("attempt", "answer", "ended", "tokens", "code", "seconds", *tells, box=None)
    for row in problem.attempts:
        attempt = row.attempt
        failed = sum(execution.status != "ok" for execution in attempt.executions)
        table.add_row(
            Text(f"{attempt.index}" + (" (made again)" if row.is_superseded else "")),
            Text("—" if attempt.answer is None else f"{attempt.answer}{' forced' if attempt.forced else ''}"),
            Text(one_line(f"{attempt.stop_reason}: {attempt.error}" if attempt.error else attempt.stop_reason, 60)),
            Text(f"{attempt.num_tokens:,}", justify="right"),
            Text(f"{len(attempt.executions)}" + (f", {failed} failed" if failed else "")),
            Text(f"{attempt.seconds:.1f}", justify="right"),
            *(Text(tell(row)) for tell in tells.values()),
        )
    yield table
    if len(problem.attempts) > 1:
        yield Text("in the order in which they ended", "dim")


def _told_apart(problem: ProblemRecord) -> dict[str, Callable[[AttemptRow], str]]:
    """The columns that not every journal has something to say in."""
    attempts = [row.attempt for row in problem.attempts]
    columns: dict[str, Callable[[AttemptRow], str]] = {}
    if len({attempt.mode for attempt in attempts}) > 1:
        columns["mode"] = lambda row: one_line(row.attempt.mode, 10)
    if any(attempt.mean_entropy is not None for attempt in attempts):
        columns["entropy"] = lambda row: "" if row.attempt.mean_entropy is None else f"{row.attempt.mean_entropy:.3f}"
    return columns


def _decision(problem: ProblemRecord) -> str:
    prediction = problem.prediction
    if prediction is None:
        return "no decision is recorded"
    mark = {True: "right: ", False: "wrong: ", None: ""}[problem.is_right]
    line = visible(f"{mark}{prediction.answer}, {how_decided(prediction)}, after {prediction.seconds:.1f} s")
    return line + ("" if problem.reference is None else f"; the right answer is {problem.reference}")


def _transcript(problem: ProblemRecord, row: AttemptRow, parts: list[Segment]) -> Iterator["RenderableType"]:
    from rich.syntax import Syntax
    from rich.text import Text

    attempt = row.attempt
    answer = "no answer" if attempt.answer is None else f"answer {attempt.answer}"
    head = f"{problem.id}, attempt {attempt.index}: {answer}, {attempt.stop_reason}, {attempt.num_tokens} tokens"
    yield Text(one_line(head, 200), "bold")
    ran = iter(attempt.executions)
    before = ""
    for kind, raw in parts:
        text = visible(raw).strip("\n")
        if kind not in ("code", "output") and before in ("code", "output"):
            yield Text("──", "dim")
        before = kind
        if kind == "code":
            yield Text("── python", "dim")
            yield Syntax(text, "python", theme="ansi_dark", background_color="default", word_wrap=True)
        elif kind == "output":
            result = next(ran, None)
            how = "" if result is None else f": {visible(result.status)}, {result.seconds:.2f} s"
            yield Text(f"── output{how}", "dim")
            yield Text(text, "green" if result is None or result.status == "ok" else "red")
        else:
            yield Text(text, {"thinking": "dim", "note": "magenta", "marker": "blue"}.get(kind, ""))
    if not parts:
        yield Text("nothing was written", "dim")


def _hits(texts: _Texts, options: ShowOptions) -> Iterator["RenderableType"]:
    from rich.text import Text

    shown = [
        (row, around) for run, row, around in texts.hits if _is_wanted(run.problems[row.attempt.problem_id], options)
    ]
    for row, around in shown:
        line = Text(f"{one_line(row.attempt.problem_id, 40)} {row.attempt.index}  ", "cyan")
        found = Text(around)
        found.highlight_words([one_line(options.search or "", 200)], "bold reverse", case_sensitive=False)
        yield line.append_text(found)
    yield Text("1 attempt" if len(shown) == 1 else f"{len(shown)} attempts", "dim")
