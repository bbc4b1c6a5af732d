from pathlib import Path

import pytest

from solver.errors import JournalError
from solver.journal import Journal, read_journal, refuse_if_in_use, set_aside
from solver.types import Attempt, Candidate, ExecutionResult, Prediction, Problem

PROBLEM = Problem("a", "What is 6*7?", 42)
ATTEMPT = Attempt(
    "a", 3, 17, "tir", 42, "answered", "é \ud800 \x00", 10, 20, 5, (ExecutionResult("ok", "42", 0.1),), 1.0, 2.0,
    turn_seeds=(17, 18),
)  # fmt: skip
PREDICTION = Prediction("a", 42, "consensus", (Candidate(42, 4, (0, 1, 2, 3)),), 3.0, num_attempts=4, correct=True)


def written(path: Path) -> Path:
    with Journal(path) as journal:
        journal.write_header(config={})
        journal.write_attempt(ATTEMPT, PROBLEM)
        journal.write_prediction(PREDICTION, PROBLEM)
    return path


def test_what_was_written_is_read_back_equal(tmp_path: Path) -> None:
    history = read_journal(written(tmp_path / "run.jsonl"))
    assert history.records["a"].attempts == [ATTEMPT]
    assert history.records["a"].prediction == PREDICTION
    assert history.headers[0]["config"] == {}


def test_a_journal_torn_at_any_byte_loses_only_its_last_line(tmp_path: Path) -> None:
    whole = written(tmp_path / "run.jsonl").read_bytes()
    torn = tmp_path / "torn.jsonl"
    for size in range(len(whole)):
        torn.write_bytes(whole[:size])
        history = read_journal(torn)
        assert history.intact_bytes == whole.rfind(b"\n", 0, size) + 1
        assert (
            len(history.headers) + sum(len(r.attempts) for r in history.records.values())
            >= whole[:size].count(b"\n") - 1
        )


def test_a_torn_line_is_cut_off_before_the_journal_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl")
    path.write_bytes(path.read_bytes() + b'{"kind": "attempt", "ind')
    with Journal(path, keep_bytes=read_journal(path).intact_bytes) as journal:
        journal.write_end(summary={})
    assert read_journal(path).records["a"].prediction == PREDICTION


def test_attempts_that_were_cut_are_made_again(tmp_path: Path) -> None:
    from dataclasses import replace

    with Journal(tmp_path / "run.jsonl") as journal:
        journal.write_attempt(ATTEMPT, PROBLEM)
        journal.write_attempt(replace(ATTEMPT, index=4, stop_reason="cancelled", answer=None), PROBLEM)
        journal.write_attempt(replace(ATTEMPT, index=5, stop_reason="deadline", answer=None), PROBLEM)
    assert read_journal(tmp_path / "run.jsonl").records["a"].finished_attempts() == [ATTEMPT]


def test_what_is_no_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    with pytest.raises(JournalError, match="line 1: not a journal line"):
        read_journal(path)
    path.write_text('{"kind": "header", "journal_version": 99}\n')
    with pytest.raises(JournalError, match="newer version"):
        read_journal(path)


def test_a_journal_has_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Journal(path) as journal:
        journal.write_header()
        for take in (Journal, set_aside, refuse_if_in_use):
            with pytest.raises(JournalError, match="another run is writing"):
                take(path)
        assert len(read_journal(path).headers) == 1  # reading is free
    refuse_if_in_use(path)
    refuse_if_in_use(tmp_path / "none.jsonl")
    assert set_aside(path) is not None


def test_an_earlier_journal_is_set_aside_and_never_lost(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    assert set_aside(path) is None
    for number in (1, 2):
        path.write_text(f"{number}")
        assert set_aside(path) == tmp_path / f"run.{number}.jsonl"
    assert (tmp_path / "run.1.jsonl").read_text() == "1"


def test_a_full_disk_does_not_end_the_run_but_is_told(tmp_path: Path) -> None:
    with Journal(Path("/dev/full")) as journal:
        journal.write_header()
        assert journal.failure is not None
        assert "No space left" in journal.failure
