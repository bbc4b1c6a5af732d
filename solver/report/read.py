"""Journals as a report needs them: tolerant of what is missing or unknown, and without a run's texts in memory.

`solver.journal` reads what a run continues from and refuses what it does not understand; here everything that can be
shown is, with a note about what cannot. Texts are handed on as they are read (100 MB of them is an ordinary run).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solver.answer import final_part, last_boxed
from solver.errors import InputError, JournalError
from solver.journal import JOURNAL_VERSION
from solver.problem import read_problems
from solver.report.entries import last_number, parse_attempt, parse_prediction, unknown_fields
from solver.types import Attempt, Prediction

_TAIL = 4_000  # characters: an answer that extraction missed stands at the end


@dataclass(slots=True)
class AttemptRow:
    """An attempt without its text."""

    attempt: Attempt
    part: int
    """Which part of a resumed run made it, from 0."""
    offset: float
    """Seconds to add to `attempt.started`: a resumed run's clock starts again."""
    text_chars: int
    boxed: str | None
    """The last complete box of its text, as it stands there."""
    tail_number: str | None
    """The last number of its text."""
    extra: dict[str, Any]
    """Fields that this version does not know."""
    is_superseded: bool = False
    """A resumed run made an attempt of this index again."""

    @property
    def started(self) -> float:
        return self.attempt.started + self.offset

    @property
    def is_finished(self) -> bool:
        return self.attempt.stop_reason in ("answered", "ended", "max_tokens", "loop")


@dataclass(slots=True)
class ProblemRecord:
    id: str
    attempts: list[AttemptRow] = field(default_factory=list)
    """In order of completion."""
    prediction: Prediction | None = None
    offset: float = 0.0
    """Seconds to add to `prediction.started`."""
    text: str | None = None
    reference: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    text_hashes: set[str] = field(default_factory=set)
    selection: dict[str, Any] | None = None
    """What GenSelect did: the fields of `solver.genselect.Selection`."""

    @property
    def final_attempts(self) -> list[AttemptRow]:
        """The latest of each index."""
        return [row for row in self.attempts if not row.is_superseded]

    @property
    def is_right(self) -> bool | None:
        """None where nothing was predicted or the reference is not known."""
        if self.prediction is None:
            return None
        if self.prediction.correct is not None:
            return self.prediction.correct
        return None if self.reference is None else self.prediction.answer == self.reference


@dataclass(slots=True)
class RunRecord:
    """One run, with its resumptions."""

    name: str
    headers: list[dict[str, Any]] = field(default_factory=list)
    problems: dict[str, ProblemRecord] = field(default_factory=dict)
    """In the order of their file, where the header tells it; else of their first line."""
    summary: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    """What is wrong with the journal, for its reader."""
    offset: float = 0.0
    latest: float = 0.0
    """The latest moment that any line tells, on the run's own clock."""
    resumed_at: list[float] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.headers[0].get("config") or {}) if self.headers else {}

    def problem(self, problem_id: str) -> ProblemRecord:
        return self.problems.setdefault(problem_id, ProblemRecord(problem_id))

    def attempts(self) -> Iterator[AttemptRow]:
        for problem in self.problems.values():
            yield from problem.final_attempts


TakeText = Callable[[RunRecord, AttemptRow, str], None]


def read_runs(path: Path, take_text: TakeText | None = None) -> list[RunRecord]:
    """The runs that a journal holds: one, or several where their files were put together. What is odd about the file
    stands in each run's `notes`.

    Raises:
        JournalError: the file cannot be read, or holds no line of a journal.
    """
    reader = _Reader(path, take_text)
    try:
        with path.open("rb") as file:
            for line in file:
                reader.take(line)
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror}") from None
    return reader.finish()


def add_references(run: RunRecord, reference: Path | None) -> None:
    """Answers and texts that the journal lacks: from the file that the user named, else from the run's own problems."""
    named = run.headers[0].get("problems") if run.headers else None
    path = reference or (Path(named) if isinstance(named, str) else None)
    if path is None or (reference is None and all(p.text for p in run.problems.values())):
        return
    try:
        problems = read_problems(path)
    except InputError:
        if reference is not None:
            raise
        return  # the run's own file is not here any more: what the journal tells is all there is
    for problem in problems:
        record = run.problems.get(problem.id)
        if record is not None:
            record.text = record.text or problem.text
            record.reference = problem.answer if record.reference is None else record.reference


class _Reader:
    def __init__(self, path: Path, take_text: TakeText | None) -> None:
        self._path, self._take_text = path, take_text
        self._runs: list[RunRecord] = []
        self._num_lines = 0
        self._bad_lines: Counter[str] = Counter()
        self._is_torn = False
        self._newer = 0
        self._by_index: dict[tuple[int, str, int], AttemptRow] = {}

    def take(self, line: bytes) -> None:
        self._num_lines += 1
        if not line.endswith(b"\n"):
            self._is_torn = True
            return
        try:
            entry = json.loads(line)
            kind = entry["kind"]
            self._newer = max(self._newer, int(entry.get("journal_version", 0)))
            if kind == "header":
                self._header(entry)
            elif kind == "attempt":
                self._attempt(self._run(), entry)
            elif kind == "prediction":
                self._prediction(self._run(), entry)
            elif kind == "genselect":
                self._run().problem(str(entry["problem_id"])).selection = entry
            elif kind == "end":
                self._run().summary = dict(entry.get("summary") or {})
            else:
                self._bad_lines[f"of an unknown kind ({str(kind)[:20]})"] += 1
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            self._bad_lines["that could not be read"] += 1

    def finish(self) -> list[RunRecord]:
        if self._num_lines and not self._runs and not self._is_torn and not self._newer > JOURNAL_VERSION:
            raise JournalError(f"{self._path} is no journal: name the .journal.jsonl file that `solver solve` wrote")
        runs = self._runs or [RunRecord(self._path.name)]
        for note in self._file_notes(len(self._runs)):
            runs[0].notes.append(note)
        for run in runs:
            run.problems = _in_file_order(run)
            run.notes += _run_notes(run)
        return runs

    def _run(self) -> RunRecord:
        if not self._runs:
            self._runs.append(RunRecord(self._path.name))
        return self._runs[-1]

    def _header(self, entry: dict[str, Any]) -> None:
        resumed = bool(entry.get("resumed")) and bool(self._runs)
        if not resumed and not (len(self._runs) == 1 and not self._runs[0].headers):
            number = len(self._runs) + 1
            self._runs.append(RunRecord(self._path.name if number == 1 else f"{self._path.name} ({number})"))
        run = self._run()
        if run.headers:
            run.offset = run.latest
            run.resumed_at.append(run.offset)
        run.headers.append(entry)

    def _attempt(self, run: RunRecord, entry: dict[str, Any]) -> None:
        text = str(entry.get("text", ""))
        attempt = parse_attempt(entry)
        answerless = attempt.answer is None
        row = AttemptRow(
            attempt,
            part=max(0, len(run.headers) - 1),
            offset=run.offset,
            text_chars=len(text),
            boxed=last_boxed(final_part(text)[-_TAIL:]) if answerless else None,
            tail_number=last_number(text[-_TAIL:]) if answerless else None,
            extra=unknown_fields(entry, Attempt),
        )
        problem = run.problem(attempt.problem_id)
        _add_hash(problem, entry)
        key = (len(self._runs), attempt.problem_id, attempt.index)
        if (before := self._by_index.get(key)) is not None:
            before.is_superseded = True
        self._by_index[key] = row
        problem.attempts.append(row)
        run.latest = max(run.latest, row.started + attempt.seconds)
        if self._take_text is not None:
            self._take_text(run, row, text)

    def _prediction(self, run: RunRecord, entry: dict[str, Any]) -> None:
        prediction = parse_prediction(entry)
        problem = run.problem(prediction.problem_id)
        _add_hash(problem, entry)
        problem.prediction, problem.offset = prediction, run.offset
        problem.text = entry["problem"] if isinstance(entry.get("problem"), str) else problem.text
        reference = entry.get("reference")
        problem.reference = reference if isinstance(reference, int) else problem.reference
        if problem.reference is None and prediction.correct:
            problem.reference = prediction.answer
        problem.extra = unknown_fields(entry, Prediction)
        if prediction.started is not None:
            run.latest = max(run.latest, prediction.started + run.offset + prediction.seconds)

    def _file_notes(self, num_runs: int) -> Iterator[str]:
        if self._num_lines == 0:
            yield "the journal is empty: the run ended before anything was recorded"
        if self._newer > JOURNAL_VERSION:
            yield (
                f"the journal is of a newer version ({self._newer}, this program knows {JOURNAL_VERSION}): "
                "what it understands is shown; update it to see the rest"
            )
        if self._is_torn:
            yield "the journal is cut: its last line is not whole and was left out"
        for what, count in self._bad_lines.items():
            yield f"{count} {'line' if count == 1 else 'lines'} {what} left out"
        if num_runs > 1:
            yield f"the file holds {num_runs} runs, one after another: they are shown side by side"


def _run_notes(run: RunRecord) -> Iterator[str]:
    if not run.headers and run.problems:
        yield "the journal has no header: settings and hardware of the run are not known"
    if run.headers and run.summary is None:
        yield "the run did not end by itself: it was killed, or is still running"
    mixed = [problem.id for problem in run.problems.values() if len(problem.text_hashes) > 1]
    if mixed:
        yield f"mixed from two runs: {len(mixed)} ids stand for different problems, the first {mixed[0]!r}"


def _in_file_order(run: RunRecord) -> dict[str, ProblemRecord]:
    listed = run.headers[0].get("problem_ids") if run.headers else None
    known = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    names = dict.fromkeys([*known, *run.problems])
    return {name: run.problems[name] for name in names if name in run.problems}


def _add_hash(problem: ProblemRecord, entry: Mapping[str, Any]) -> None:
    if isinstance(entry.get("text_hash"), str):
        problem.text_hashes.add(entry["text_hash"])
