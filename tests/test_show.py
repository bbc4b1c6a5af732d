"""`solver show`: a journal read in the terminal."""

from pathlib import Path
from typing import Any

import pytest

from solver.errors import UsageError
from solver.show import ShowOptions, show
from tests.conftest import run_solver
from tests.test_report import HEADER, attempt, journal, prediction

TEXT = "Let me see.\n<tool_call>\nprint(6 * 7)\n</tool_call>\n```output\n42\n```\nIt is \\boxed{42}. \x1b]0;owned\x07"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    executions = [{"status": "ok", "output": "42", "seconds": 0.25}]
    return journal(
        tmp_path / "run.jsonl",
        HEADER,
        attempt(0, 7, text="a guess"),
        attempt(1, 8, text=TEXT, executions=executions),
        prediction(8),
        attempt(0, 7, problem_id="q"),
        prediction(7, problem_id="q", decided_by="consensus"),
        {"kind": "end", "summary": {"ended": "done"}},
    )


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def shown(capsys: pytest.CaptureFixture[str], options: ShowOptions) -> str:
    assert show(options) == []
    return capsys.readouterr().out


def test_problems_are_listed_with_what_lost_them(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, ShowOptions(path)).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["✗", "p"], ["✓", "q"]]
    assert "not chosen" in lines[1]


@pytest.mark.parametrize("options", [{"wrong": True}, {"undecided": True}])
def test_wrong_and_undecided_leave_the_others_out(
    path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    lines = shown(capsys, ShowOptions(path, **options)).splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["p"]


def test_a_problem_lists_its_attempts_and_the_decision(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ShowOptions(path, "p"))
    assert "How many?" in text
    assert "the right answer is 7" in text
    assert "lost, not chosen" in text
    assert [line.split()[:2] for line in text.splitlines()[-3:-1]] == [["0", "7"], ["1", "8"]]


def test_the_list_tells_the_right_answer_and_the_votes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = [{"answer": 8, "votes": 3}, {"answer": 7, "votes": 1}]
    path = journal(tmp_path / "v.jsonl", HEADER, prediction(8, candidates=votes), {"kind": "end", "summary": {}})
    line = shown(capsys, ShowOptions(path)).splitlines()[1]
    assert line.split()[:6] == ["✗", "p", "8", "7", "majority", "3/4"]


def test_right_answers_come_from_a_file_where_the_journal_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = journal(tmp_path / "v.jsonl", HEADER, prediction(8, reference=None), {"kind": "end", "summary": {}})
    assert "--reference" in show(ShowOptions(path, wrong=True))[0]
    (tmp_path / "known.csv").write_text("id,problem,answer\np,How many?,7\n", "utf-8")
    capsys.readouterr()
    assert "✗  p" in shown(capsys, ShowOptions(path, wrong=True, reference=tmp_path / "known.csv"))


def test_a_transcript_shows_code_output_and_no_escape_sequence(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ShowOptions(path, "p", 1))
    assert "print(6 * 7)" in text
    assert "output: ok, 0.25 s" in text
    assert "⟦U+001B⟧]0;owned⟦U+0007⟧" in text
    assert "\x1b" not in text


def test_a_search_finds_attempts_whatever_the_case(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ShowOptions(path, search="LET ME"))
    assert text.splitlines()[0].startswith("p 1")
    assert text.splitlines()[-1] == "1 attempt"


def test_what_is_not_there_is_told_with_what_is(path: Path) -> None:
    with pytest.raises(UsageError, match="no problem 'pp'"):
        show(ShowOptions(path, "pp"))
    with pytest.raises(UsageError, match="no attempt 9 at 'p': there is 0, 1"):
        show(ShowOptions(path, "p", 9))


def test_the_command_reads_a_cut_journal_and_says_so(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"kind":')
    done = run_solver("show", path, "--wrong")
    assert done.returncode == 0
    assert "warning: the journal is cut" in done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["✗", "p"]
