"""What happened, as JSON Lines on disk: one header, then a line for each attempt and each prediction.

Every line is flushed to the disk before anything depends on it, so a killed run loses no finished attempt. A torn last
line (the process died while writing) is left out when reading and cut off when continuing.

Lines: {"kind": "header" | "attempt" | "prediction" | "end", ...}; attempts and predictions have the fields
of `solver.types` and the hash of their problem's text, predictions the text and its reference answer too, so that a
report needs nothing but the journal. A resumed run adds a header of its own.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from solver.errors import JournalError
from solver.types import Attempt, Candidate, ExecutionResult, Prediction, Problem

JOURNAL_VERSION = 1
_KINDS = ("header", "attempt", "genselect", "prediction", "end")


def text_hash(problem: Problem) -> str:
    return hashlib.sha256(problem.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass
class Record:
    """What a journal holds about one problem."""

    attempts: list[Attempt] = field(default_factory=list)
    prediction: Prediction | None = None
    reference: int | None = None
    """The right answer, where the problems came with it."""
    selection: dict[str, Any] | None = None
    """What GenSelect did: the fields of `solver.genselect.Selection`."""

    def finished_attempts(self) -> list[Attempt]:
        """Attempts that a resumed run need not make again, the latest of each index."""
        done = {a.index: a for a in self.attempts if a.stop_reason in ("answered", "ended", "max_tokens", "loop")}
        return list(done.values())


@dataclass
class History:
    """A journal read back."""

    headers: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    text_hashes: dict[str, str] = field(default_factory=dict)
    intact_bytes: int = 0
    """Up to here the file is whole lines."""

    def record(self, problem_id: str) -> Record:
        return self.records.setdefault(problem_id, Record())


class Journal:
    """An open journal. `write_*` return when the line is on the disk, or `failure` says why it is not.

    Raises:
        JournalError: it cannot be written, or another run is writing it.
    """

    def __init__(self, path: Path, keep_bytes: int = 0, *, alone: bool = True) -> None:
        """`alone`: refuse where another run is writing it."""
        self.path = path
        self.failure: str | None = None
        """Why lines have been lost, where the disk refused them: a full disk must not end a contest run."""
        try:
            self._file = path.open("ab", buffering=0)
            if alone:
                _lock(path, self._file)  # until it is closed, or the process is gone
            if self._file.tell() > keep_bytes:
                self._file.truncate(keep_bytes)
        except OSError as error:
            raise JournalError(f"cannot write the journal {path}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write_header(self, **fields: Any) -> None:
        self._write({"kind": "header", "journal_version": JOURNAL_VERSION, **fields})

    def write_attempt(self, attempt: Attempt, problem: Problem) -> None:
        self._write({"kind": "attempt", "text_hash": text_hash(problem), **asdict(attempt)})

    def write_prediction(self, prediction: Prediction, problem: Problem) -> None:
        known = {"text_hash": text_hash(problem), "problem": problem.text, "reference": problem.answer}
        self._write({"kind": "prediction", **known, **asdict(prediction)})

    def write_selection(self, selection: Any, problem: Problem) -> None:
        """What GenSelect did at a problem, as a dataclass."""
        self._write({"kind": "genselect", "text_hash": text_hash(problem), **asdict(selection)})

    def write_end(self, **fields: Any) -> None:
        self._write({"kind": "end", **fields})

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.failure is not None:
            return  # after a torn line nothing could be read
        data = memoryview(json.dumps(line, ensure_ascii=True, default=str).encode() + b"\n")
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self.failure = f"cannot write the journal {self.path}: {error.strerror}"


def read_journal(path: Path) -> History:
    """Everything whole that the journal holds.

    Raises:
        JournalError: it cannot be read, is no journal, or comes from a newer version.
    """
    history = History()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                _take(history, _parse(path, number, line))
                history.intact_bytes += len(line)
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror}") from None
    return history


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        if isinstance(entry, dict) and entry.get("kind") in _KINDS:
            if entry.get("journal_version", 0) > JOURNAL_VERSION:
                raise JournalError(f"{path} was written by a newer version of the solver: update it to read this")
            return entry
    except ValueError:
        pass
    raise JournalError(f"{path}, line {number}: not a journal line; name another file with --journal")


def _take(history: History, entry: dict[str, Any]) -> None:
    kind = entry.pop("kind")
    if kind == "header":
        history.headers.append(entry)
    elif kind == "genselect":
        history.record(entry["problem_id"]).selection = entry
    elif kind in ("attempt", "prediction"):
        history.text_hashes[entry["problem_id"]] = entry.pop("text_hash")
        record = history.record(entry["problem_id"])
        if kind == "attempt":
            record.attempts.append(_attempt(entry))
        else:
            record.reference = entry.pop("reference", None)
            record.prediction = _prediction(entry)


def _attempt(entry: dict[str, Any]) -> Attempt:
    entry["executions"] = tuple(ExecutionResult(**e) for e in entry["executions"])
    entry["turn_seeds"] = tuple(entry["turn_seeds"])
    return Attempt(**_known(Attempt, entry))


def _prediction(entry: dict[str, Any]) -> Prediction:
    entry["candidates"] = tuple(Candidate(**{**c, "attempts": tuple(c["attempts"])}) for c in entry["candidates"])
    return Prediction(**_known(Prediction, entry))


def _known(record: type[Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields this version knows: the same journal version may gain fields."""
    return {name: entry[name] for name in record.__dataclass_fields__ if name in entry}


def refuse_if_in_use(path: Path) -> None:
    """Raises JournalError where another run is writing the journal."""
    try:
        with path.open("rb") as file:
            _lock(path, file)
    except OSError:
        return  # not there yet, or what can be told better when it is written


def _lock(path: Path, file: IO[bytes]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise JournalError(
            f"another run is writing the journal {path}: wait for its end, or name other files with -o or --journal"
        ) from None
    except OSError:
        return  # a file system without locks


def set_aside(path: Path) -> Path | None:
    """Rename an earlier run's journal out of the way; its new name, or None where there was none. Raises JournalError
    where a run is still writing it."""
    refuse_if_in_use(path)
    if not path.exists() or path.stat().st_size == 0:
        return None
    for aside in _free_names(path):
        path.rename(aside)
        return aside
    return None


def _free_names(path: Path) -> Iterator[Path]:
    number = 1
    while True:
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
        if not candidate.exists():
            yield candidate
        number += 1
