from pathlib import Path

import polars as pl
import pytest

from solver.errors import InputError, OutputError
from solver.problem import check_writable, read_answers, read_problems, write_answers
from solver.types import Problem


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_with_quoted_newlines_and_other_columns_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", 'source,id,problem,answer\nx,a,"two\nlines, and “quotes”",42\ny,b,plain,\n')
    assert read_problems(path) == [Problem("a", "two\nlines, and “quotes”", 42), Problem("b", "plain", None)]


def test_a_byte_order_mark_and_the_column_name_question_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", b"\xef\xbb\xbfid,question\r\n1,What?\r\n")
    assert read_problems(path) == [Problem("1", "What?", None)]


def test_parquet_is_read_and_written(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b"], "problem": ["x", "y"], "answer": [1, None]}).write_parquet(tmp_path / "p.parquet")
    assert read_problems(tmp_path / "p.parquet") == [Problem("a", "x", 1), Problem("b", "y", None)]
    write_answers(tmp_path / "s.parquet", [("a", 1), ("b", 10**15)])
    frame = pl.read_parquet(tmp_path / "s.parquet")
    assert frame.columns == ["id", "answer"]
    assert frame.rows() == [("a", 1), ("b", 10**15)]
    assert read_answers(tmp_path / "s.parquet") == {"a": 1, "b": 10**15}


BAD_FILES = [
    ("", "the file is empty"),
    ("problem,answer\nx,1\n", "no column 'id' (found problem, answer)"),
    ("id,text\n1,x\n", "no column 'problem' (found id, text)"),
    ("id,problem\n", "no problems, only a header"),
    ("id,problem\n1,x\n2,y\n1,z\n", "line 4: id '1' stands there twice"),
    ('id,problem\n1,"a\nb"\n2,\n', "line 4: problem '2' is empty"),
    ("id,problem\n1,  \n", "line 2: problem '1' is empty"),
    ("id,problem\n,x\n", "line 2: empty id"),
    ("id,problem,answer\n1,x,3.5\n", "line 2: answer '3.5' is not an integer"),
    ("id,problem,answer\n1,x,abc\n", "line 2: answer 'abc' is not an integer"),
    ("id,problem\n1,x,y\n", "line 2: 3 values for 2 columns"),
    ('id,problem\n1,"x\n', "unexpected end of data"),
    (b"id,problem\n1,ok\n2,caf\xe9\n", "line 3: not UTF-8 (byte 0xe9)"),
]


@pytest.mark.parametrize(("content", "message"), BAD_FILES)
def test_a_bad_file_is_told_in_one_line_with_its_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path / "p.csv", content)
    with pytest.raises(InputError) as error:
        read_problems(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_problems(tmp_path / "missing.csv")
    with pytest.raises(InputError, match="is a directory"):
        read_problems(tmp_path)
    with pytest.raises(InputError, match="is not a Parquet file"):
        read_problems(write(tmp_path / "p.parquet", "id,problem\n"))


def test_a_field_longer_than_the_csv_modules_own_limit_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "id,problem\n1," + "x" * 300_000 + "\n")
    assert len(read_problems(path)[0].text) == 300_000


def test_an_output_that_cannot_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a directory"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match="there is no folder"):
        check_writable(tmp_path / "missing" / "s.csv")
    with pytest.raises(OutputError, match="cannot write"):
        check_writable(Path("/proc/s.csv"))


def test_checking_an_output_leaves_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", "kept")
    check_writable(path)
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_earlier_file_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", "kept")
    with pytest.raises(ZeroDivisionError):
        write_answers(path, ((str(n), 1 // (1 - n)) for n in range(3)))
    assert path.read_text() == "kept"


def test_answers_are_written_in_the_order_given(tmp_path: Path) -> None:
    write_answers(tmp_path / "s.csv", [("b", 2), ("a,c", -1)])
    assert (tmp_path / "s.csv").read_text() == 'id,answer\nb,2\n"a,c",-1\n'
    assert read_answers(tmp_path / "s.csv") == {"b": 2, "a,c": -1}
