"""Recorded attempts, from a journal or from CSV traces, in the form that replay, tune and the benches work on.

A trace file has the columns set, model, run, problem_id, sample, order, answer, gold, correct, tokens, chars, seconds,
entropy, conf, py_calls, status; empty means not known. Needed are `problem_id`, `answer` and one of `correct` and
`gold`. Answers may be any text: within a problem they are numbered, and rules only ask which are equal.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from solver.answer import parse_integer
from solver.errors import UsageError
from solver.journal import Record, read_journal
from solver.types import Attempt

_CHARS_PER_TOKEN = 4.0  # where a source counts characters alone
_SPELLINGS = re.compile(r"\s|\\left|\\right|\\[,;!]|\$")

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded attempt; a `Ballot` as `solver.consensus` takes it."""

    index: int
    answer: int | None
    """The number of its answer within the problem-run; None: it gave none."""
    num_tokens: int
    """1 where the source counts neither tokens nor characters."""
    seconds: float | None = None
    mean_entropy: float | None = None
    forced: bool = False
    confirmed: bool = False
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """Every recorded attempt of one run at one problem, in order of completion."""

    set_name: str
    run: str
    problem_id: str
    samples: tuple[Sample, ...]
    labels: tuple[str, ...]
    """The answers by their numbers."""
    right: frozenset[int]
    """The numbers of the right ones."""
    judged: bool = True
    """Whether it is known which answers are right."""


def read_traces(path: Path) -> list[Trace]:
    """The problem-runs of a trace file (`*.csv`), of a journal (any other file), or of every `*.csv` and `*.jsonl` in
    a folder.

    Raises:
        UsageError: nothing to read, a missing column, a value that is no number, a sample that comes twice; in one
            line that names it.
        JournalError: a journal that cannot be read.
    """
    return [
        trace for file in _files(path) for trace in (_read_csv(file) if file.suffix == ".csv" else _read_journal(file))
    ]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in (".csv", ".jsonl"))
    if not files:
        raise UsageError(f"no recorded attempts in {path}: neither a trace file (*.csv) nor a journal (*.jsonl)")
    return files


def trace_notes(path: Path) -> list[str]:
    """What the recorded attempts cannot tell, a line each."""
    notes = []
    for file in _files(path):
        if file.suffix == ".csv":
            if "run" not in _columns(file):
                notes.append(f"{file} has no column run: all rows of a problem count as one run")
        elif cut := cut_attempts(file):
            notes.append(
                f"{file}: {cut} attempts were cut when their problem was decided: what they would have said is lost"
            )
    return notes


def _columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file).fieldnames or [])


def _read_csv(path: Path) -> list[Trace]:
    groups: dict[tuple[str, ...], list[tuple[int, Row]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            _check_columns(path, reader.fieldnames or [])
            for number, row in enumerate(reader, start=2):
                key = (row.get("set") or path.stem, row.get("run") or "", row["problem_id"])
                groups.setdefault(key, []).append((number, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read the traces {path}: {getattr(error, 'strerror', None) or error}") from None
    if not groups:
        raise UsageError(f"{path} has no rows")
    return [_trace(path, key, rows) for key, rows in groups.items()]


def _check_samples(path: Path, key: tuple[str, ...], rows: Sequence[tuple[int, Row]]) -> None:
    """Runs put together would count as one with twice the attempts."""
    seen = set()
    for at, row in rows:
        sample = row.get("sample") or None
        if sample is not None and sample in seen:
            remedy = "tell runs apart in a column run" if not key[1] else f"run {key[1]!r} may hold it once"
            raise UsageError(f"{path}, line {at}: sample {sample} of problem {key[2]!r} comes again: {remedy}")
        seen.add(sample)


def _check_columns(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in ("problem_id", "answer") if name not in names]
    if "correct" not in names and "gold" not in names:
        missing.append("correct (or gold)")
    if missing:
        raise UsageError(f"{path} is no trace file: it has no column {', '.join(missing)}")


def _trace(path: Path, key: tuple[str, ...], rows: list[tuple[int, Row]]) -> Trace:
    def number(at: int, row: Row, name: str) -> float | None:
        if not (text := row.get(name) or ""):
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UsageError(f"{path}, line {at}: {name} {text!r} is not a number")
        return value

    def order(numbered: tuple[int, Row]) -> float:
        given = number(numbered[0], numbered[1], "order")
        return math.inf if given is None else given

    _check_samples(path, key, rows)
    rows.sort(key=order)
    labels: dict[str, int] = {}
    right: set[int] = set()
    samples = []
    for index, (at, row) in enumerate(rows):
        label = _label(row["answer"])
        answer = None if label is None else labels.setdefault(label, len(labels))
        if answer is not None and _is_correct(row, label):
            right.add(answer)
        tokens = number(at, row, "tokens") or (number(at, row, "chars") or 0) / _CHARS_PER_TOKEN
        samples.append(
            Sample(
                index=index,
                answer=answer,
                num_tokens=max(1, round(tokens)),
                seconds=number(at, row, "seconds"),
                mean_entropy=number(at, row, "entropy"),
                forced="forced" in (row.get("status") or ""),
            )
        )
    name, run, problem_id = key
    return Trace(name, run, problem_id, tuple(samples), tuple(labels), frozenset(right))


@lru_cache(maxsize=65_536)
def _label(text: str) -> str | None:
    """One spelling for one answer, as far as that is safe."""
    if not text.strip():
        return None
    value = parse_integer(text)
    return str(value) if value is not None else _SPELLINGS.sub("", text).replace("\\dfrac", "\\frac")


def _is_correct(row: Row, label: str | None) -> bool:
    if correct := row.get("correct"):
        return correct.strip().lower() in ("1", "true", "1.0")
    return label is not None and label == _label(row.get("gold") or "")


def _read_journal(path: Path) -> list[Trace]:
    history = read_journal(path)
    traces = []
    for problem_id, record in history.records.items():
        attempts = [a for a in record.attempts if a.stop_reason not in ("cancelled", "error")]
        if attempts:
            # as they stand: the journal's order is the one in which the live run decided
            traces.append(_from_attempts(path.stem, problem_id, attempts, record))
    if not traces:
        raise UsageError(f"{path} records no finished attempt")
    return traces


def cut_attempts(path: Path) -> int:
    """How many attempts of a journal were ended because their problem was decided; 0 for other files."""
    if path.suffix != ".jsonl":
        return 0
    records = read_journal(path).records.values()
    return sum(attempt.stop_reason == "cancelled" for record in records for attempt in record.attempts)


def _from_attempts(name: str, problem_id: str, attempts: list[Attempt], record: Record) -> Trace:
    labels: dict[int, int] = {}
    samples = tuple(
        Sample(
            index=attempt.index,
            answer=None if attempt.answer is None else labels.setdefault(attempt.answer, len(labels)),
            num_tokens=attempt.num_tokens,
            seconds=attempt.seconds,
            mean_entropy=attempt.mean_entropy,
            forced=attempt.forced,
            confirmed=attempt.confirmed,
            fingerprint=attempt.fingerprint,
        )
        for attempt in attempts
    )
    known = record.reference
    if known is None and record.prediction is not None and record.prediction.correct:
        known = record.prediction.answer
    right = frozenset(number for answer, number in labels.items() if answer == known)
    return Trace(name, "", problem_id, samples, tuple(map(str, labels)), right, judged=known is not None)
