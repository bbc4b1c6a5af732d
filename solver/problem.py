"""Problems in, answers out: the files at the two ends of a run.

A problem file is CSV (UTF-8) or Parquet with the columns `id` and `problem` (or `question`) and, where the answers are
known, `answer`; other columns are left alone. An answer file is CSV or Parquet with `id` and `answer`, in input order.
"""

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from solver.errors import InputError, OutputError
from solver.types import Problem

_TEXT_COLUMNS = ("problem", "question")
Row = tuple[str, dict[str, Any]]
"""Where it stands ("line 7") and its values by column."""


def read_problems(path: Path) -> list[Problem]:
    """Every problem of the file, in order.

    Raises:
        InputError: the file or one of its rows cannot be used; the message names the file, the line and what is wrong.
    """
    columns, rows = _read_table(path)
    text_column = next((name for name in _TEXT_COLUMNS if name in columns), None)
    if "id" not in columns or text_column is None:
        missing = "id" if "id" not in columns else "problem"
        raise InputError(f"{path}: no column '{missing}' (found {', '.join(columns) or 'none'})")
    problems: dict[str, Problem] = {}
    for where, row in rows:
        problem_id = str(row["id"] if row["id"] is not None else "").strip()
        if not problem_id:
            raise InputError(f"{path}, {where}: empty id")
        if problem_id in problems:
            raise InputError(f"{path}, {where}: id '{problem_id}' stands there twice")
        text = str(row[text_column] if row[text_column] is not None else "")
        if not text.strip():
            raise InputError(f"{path}, {where}: problem '{problem_id}' is empty")
        answer = _parse_answer(row.get("answer"), f"{path}, {where}")
        problems[problem_id] = Problem(problem_id, text, answer)
    if not problems:
        raise InputError(f"{path}: no problems, only a header")
    return list(problems.values())


def read_answers(path: Path) -> dict[str, int]:
    """`id` to `answer` of a submission or reference file. Raises InputError as `read_problems` does."""
    columns, rows = _read_table(path)
    for name in ("id", "answer"):
        if name not in columns:
            raise InputError(f"{path}: no column '{name}' (found {', '.join(columns) or 'none'})")
    answers: dict[str, int] = {}
    for where, row in rows:
        problem_id = str(row["id"]).strip()
        if problem_id in answers:
            raise InputError(f"{path}, {where}: id '{problem_id}' stands there twice")
        answer = _parse_answer(row["answer"], f"{path}, {where}")
        if answer is None:
            raise InputError(f"{path}, {where}: no answer for '{problem_id}'")
        answers[problem_id] = answer
    return answers


def check_writable(path: Path) -> None:
    """Raises OutputError where `path` could not be written later; leaves what is there as it is."""
    if path.is_dir():
        raise OutputError(f"{path} is a directory: name a file to write")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file: name a file to write")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"cannot write {path}: it is write-protected")


def check_answers_file(path: Path) -> None:
    """`check_writable`, and OutputError for a suffix that promises what `write_answers` does not write."""
    check_writable(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise OutputError(f"{path}: answers are written as CSV or Parquet; name a file that ends in .csv or .parquet")


def write_answers(path: Path, answers: Iterable[tuple[str, int]]) -> None:
    """Write `id,answer` rows, as Parquet where the suffix says so, whole or not at all."""
    rows = list(answers)
    if path.suffix.lower() == ".parquet":
        import polars as pl

        buffer = io.BytesIO()
        columns = {"id": [row[0] for row in rows], "answer": [row[1] for row in rows]}
        pl.DataFrame(columns, schema={"id": pl.String, "answer": pl.Int64}).write_parquet(buffer)
        content = buffer.getvalue()
    else:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("id", "answer"), *rows])
        content = text.getvalue().encode("utf-8")
    write_atomically(path, content)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` (what it links to, where it is a link) by `content` in one step, flushed to disk.

    Raises:
        OutputError: it cannot be written.
    """
    path = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None


def _read_table(path: Path) -> tuple[Sequence[str], Iterator[Row]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    return _parquet_rows(path, content) if path.suffix.lower() == ".parquet" else _csv_rows(path, content)


def _csv_rows(path: Path, content: bytes) -> tuple[Sequence[str], Iterator[Row]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x})") from None
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)

    def rows() -> Iterator[Row]:
        start = reader.line_num + 1
        try:
            for values in reader:
                where, start = f"line {start}", reader.line_num + 1
                if not values:
                    continue
                if len(values) != len(columns):
                    raise InputError(f"{path}, {where}: {len(values)} values for {len(columns)} columns")
                yield where, dict(zip(columns, values, strict=True))
        except csv.Error as error:
            raise InputError(f"{path}, line {start}: {error}") from None

    try:
        columns = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{path}, line 1: {error}") from None
    if not columns:
        raise InputError(f"{path}: the file is empty")
    return columns, rows()


def _parquet_rows(path: Path, content: bytes) -> tuple[Sequence[str], Iterator[Row]]:
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None
    return frame.columns, ((f"row {n}", row) for n, row in enumerate(frame.iter_rows(named=True), start=1))


def _parse_answer(value: object, where: str) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return int(str(value).strip().removesuffix(".0"))  # ".0": what pandas makes of integers beside a gap
    except ValueError:
        raise InputError(f"{where}: answer '{value}' is not an integer") from None
