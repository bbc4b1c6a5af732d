"""The endings of a run, each with the scripted engine: they run every time, because that is where the bugs are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from solver.errors import EngineError, JournalError, UsageError
from solver.problem import read_answers
from solver.run import RunResult
from tests.clock import Clock
from tests.conftest import journal_lines

Solve = Callable[..., RunResult]
P = [("a", "What is 6*7?", 42), ("b", "What is 0*5?", 0), ("c", "What is 2+3?", 5)]
RIGHT = [
    {"when": "6*7", "texts": ["<tool_call>\nx = 6\nprint(x * 7)\n</tool_call>\nSo \\boxed{42}."]},
    {"when": "0*5", "texts": ["It is \\boxed{0}."]},
    {"when": "", "texts": ["It is \\boxed{5}."]},
]
BOXED = [{"when": text[8:11], "texts": [f"\\boxed{{{answer}}}"]} for _, text, answer in P]
SILENT = [{"texts": ["I do not know."]}]
HANGS = [{"texts": ["x"], "fault": "hang"}]
LIMIT_SECONDS = 600
LIMIT = (f"budget.time_limit_seconds={LIMIT_SECONDS}", "budget.reserve_seconds=200", "sandbox.spares=0")
"""With the fixture `clock`: no wait when the limit ends the run, and minutes for what must be done before."""


def by_id(result: RunResult) -> dict[str, tuple[int, str, str | None]]:
    return {p.problem_id: (p.answer, p.decided_by, p.fallback_reason) for p in result.predictions}


def test_problems_are_solved_in_order_and_scored(solve: Solve, tmp_path: Path) -> None:
    result = solve(P, RIGHT)
    assert by_id(result) == {"a": (42, "consensus", None), "b": (0, "consensus", None), "c": (5, "consensus", None)}
    assert list(read_answers(tmp_path / "submission.csv")) == ["a", "b", "c"]
    assert (result.exit_code, result.summary["score"], result.summary["score_of"]) == (0, 3, 3)
    assert json.loads((tmp_path / "summary.json").read_text()) == result.summary
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    first = next(a for a in attempts if a["problem_id"] == "a" and a["stop_reason"] == "answered")
    assert first["executions"][0]["output"] == "42"
    assert "```output\n42\n```" in first["text"]
    assert first["num_tool_tokens"] > 0
    assert first["num_tokens"] + first["num_tool_tokens"] == len(first["text"].replace("<|im_end|>", "."))


def test_a_quorum_cancels_running_attempts(solve: Solve, tmp_path: Path) -> None:
    slow = {"when": "", "texts": ["\\boxed{42}"] * 4 + ["thinking " * 50_000], "tokens_per_second": 0}
    result = solve(
        P[:1], [slow], "attempts.num_attempts=16", "attempts.max_tokens=1000000", "engine.max_model_len=2000000"
    )
    assert by_id(result)["a"] == (42, "consensus", None)
    reasons = [a["stop_reason"] for a in journal_lines(tmp_path / "submission.journal.jsonl", "attempt")]
    assert len(reasons) == 16
    assert reasons.count("cancelled") >= 1


def test_no_answer_is_a_fallback_that_says_so(solve: Solve) -> None:
    result = solve(P, SILENT, "competition='aimo-3'")
    assert by_id(result)["a"] == (0, "fallback", "no answer")
    assert result.summary["decided_by"] == {"fallback": 3}
    assert result.exit_code == 0


def test_every_seed_differs_by_problem_attempt_and_turn(solve: Solve, tmp_path: Path) -> None:
    solve(P, RIGHT, "consensus.quorum=8", "consensus.uncatchable=false")
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    seeds = [seed for attempt in attempts for seed in attempt["turn_seeds"]]
    assert len(seeds) == len(set(seeds)) == 24 + 8


def test_a_scripted_run_is_repeatable_bit_for_bit(solve: Solve, tmp_path: Path) -> None:
    script = [{"texts": ["\\boxed{1}", "\\boxed{2}", "no", "<tool_call>\n1\n</tool_call> \\boxed{3}"]}]

    def outcome(name: str, seed: int) -> tuple[bytes, list[Any]]:
        solve(P, script, "consensus.quorum=8", "attempts.num_attempts=8", f"seed={seed}", output=name)
        attempts = journal_lines(tmp_path / name.replace(".csv", ".journal.jsonl"), "attempt")
        kept = sorted((a["problem_id"], a["index"], a["seed"], a["text"], a["answer"]) for a in attempts)
        return (tmp_path / name).read_bytes(), kept

    first, second, other = outcome("1.csv", 7), outcome("2.csv", 7), outcome("3.csv", 8)
    assert first == second
    assert first[1] != other[1]


def test_the_deadline_during_the_first_problem_still_writes_every_row(
    solve: Solve, tmp_path: Path, clock: Clock
) -> None:
    began = clock()
    result = solve(P, HANGS, *LIMIT, "budget.floor_seconds=1000")
    assert clock() - began < LIMIT_SECONDS
    assert [attempt["problem_id"] for attempt in journal_lines(tmp_path / "submission.journal.jsonl", "attempt")] == [
        "a"
    ] * 8
    assert list(read_answers(tmp_path / "submission.csv")) == ["a", "b", "c"]
    assert {p.fallback_reason for p in result.predictions} == {"no time"}
    assert result.ended == "time limit"
    assert result.exit_code == 0


def test_the_deadline_while_the_engine_starts_still_writes_every_row(
    solve: Solve, tmp_path: Path, clock: Clock
) -> None:
    result = solve(P, RIGHT, *LIMIT, "engine.scripted.start_seconds=3000")
    assert list(read_answers(tmp_path / "submission.csv")) == ["a", "b", "c"]
    assert {p.fallback_reason for p in result.predictions} == {"no time"}


def test_the_deadline_while_python_runs_cuts_the_code_too(solve: Solve, tmp_path: Path) -> None:
    script = [{"texts": ["<tool_call>\nwhile True: pass\n</tool_call> \\boxed{1}"]}]
    limit = ("budget.time_limit_seconds=62", "budget.reserve_seconds=60")
    result = solve(P[:1], script, *limit, "sandbox.timeout_seconds=1000", "attempts.num_attempts=2")
    assert result.summary["seconds"] < 40  # at 50 the run would be ended from outside
    assert by_id(result)["a"][1:] == ("fallback", "no time")


def test_an_engine_that_does_not_close_does_not_pass_the_limit(
    solve: Solve, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = clock()
    assert solve(P, BOXED, "engine.scripted.close_seconds=3000", *LIMIT).summary["score"] == 3
    assert clock() - began < LIMIT_SECONDS / 2  # it is given seconds to close
    monkeypatch.setattr("solver.machinery._CLOSE_SECONDS", 3000)
    began = clock()
    assert solve(P, BOXED, "engine.scripted.close_seconds=3000", *LIMIT).summary["score"] == 3
    assert clock() - began < LIMIT_SECONDS


def test_a_bug_in_the_middle_still_writes_the_answers(
    solve: Solve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from solver.solve import Solver

    original = Solver.predict

    def second_fails(self: Solver, *arguments: Any, **more: Any) -> Any:
        if len(self._status.predictions) == 1 and not more:
            raise ZeroDivisionError
        return original(self, *arguments, **more)

    monkeypatch.setattr(Solver, "predict", second_fails)
    with pytest.raises(ExceptionGroup) as error:
        solve(P, RIGHT)
    assert error.group_contains(ZeroDivisionError)
    assert read_answers(tmp_path / "submission.csv") == {"a": 42, "b": 0, "c": 0}


def test_python_that_cannot_start_fails_its_attempts_alone(
    solve: Solve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from solver.errors import SandboxError
    from solver.sandbox import PythonSession

    async def refuse(*_: object, **__: object) -> None:
        raise SandboxError("no process")

    monkeypatch.setattr(PythonSession, "run", refuse)
    result = solve(P, RIGHT)
    assert by_id(result)["a"] == (0, "fallback", "error")
    assert by_id(result)["c"] == (5, "consensus", None)
    assert result.exit_code == 0


def test_an_attempt_that_ends_without_an_answer_is_made_to_box_one(solve: Solve, tmp_path: Path) -> None:
    result = solve(P[:1], [{"texts": ["It is forty-two."], "forced": "42}"}], "consensus.quorum=2")
    assert by_id(result)["a"] == (42, "majority", None)
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    assert {(a["forced"], a["stop_reason"]) for a in attempts} == {(True, "ended")}
    assert attempts[0]["text"].endswith("forty-two.\n\nThe answer is \\boxed{42}")
    assert len(attempts[0]["turn_seeds"]) == 2


def test_an_attempt_still_thinking_near_the_deadline_is_made_to_box_an_answer(
    solve: Solve, tmp_path: Path, clock: Clock
) -> None:
    script = [{"texts": ["<think>" + "so " * 5000], "tokens_per_second": 10, "forced": "42}"}]
    result = solve(P[:1], script, *LIMIT)
    assert by_id(result)["a"] == (42, "majority", None)
    attempt = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")[0]
    assert (attempt["forced"], attempt["stop_reason"]) == (True, "deadline")
    assert "</think>" in attempt["text"]


def test_without_time_kept_back_no_answer_is_forced(solve: Solve) -> None:
    result = solve(P[:1], [{"texts": ["It is forty-two."], "forced": "42}"}], "attempts.force_seconds=0")
    assert by_id(result)["a"][1:] == ("fallback", "no answer")


def test_answers_found_before_the_deadline_count(solve: Solve, clock: Clock) -> None:
    script = [{"texts": ["\\boxed{42}", "x" * 5000], "tokens_per_second": 5}]
    result = solve(P[:1], script, *LIMIT, "consensus.quorum=8", "consensus.uncatchable=false")
    assert by_id(result)["a"][:2] == (42, "majority")


def test_a_hanging_problem_leaves_the_next_one_its_time(solve: Solve, clock: Clock) -> None:
    script = [{"when": "6*7", "texts": ["x"], "fault": "hang"}, {"texts": ["\\boxed{5}"]}]
    began = clock()
    result = solve([P[0], P[2]], script, *LIMIT)
    assert clock() - began < LIMIT_SECONDS
    assert by_id(result)["c"][0] == 5  # by its first vote: time has become dear
    assert by_id(result)["a"][1:] == ("fallback", "no time")


def test_a_dead_engine_ends_the_run_with_the_answers_so_far(solve: Solve, tmp_path: Path) -> None:
    script = [{"when": "6*7", "texts": ["\\boxed{42}"]}, {"texts": ["some text"], "fault": "error", "fault_after": 3}]
    result = solve(P, script)
    assert by_id(result)["a"] == (42, "consensus", None)
    assert by_id(result)["b"] == (0, "fallback", "error")
    assert by_id(result)["c"] == (0, "fallback", "error")
    assert result.exit_code == 1
    assert "told the engine to fail" in str(result.error)
    assert list(read_answers(tmp_path / "submission.csv")) == ["a", "b", "c"]
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    assert {a["stop_reason"] for a in attempts if a["problem_id"] == "b"} == {"error"}


def test_a_turn_that_fails_ends_its_attempt_and_not_the_run(solve: Solve, tmp_path: Path) -> None:
    script = [{"when": "6*7", "texts": ["some text"], "fault": "turn", "fault_after": 3}, *RIGHT]
    result = solve(P, script)
    assert by_id(result)["a"] == (0, "fallback", "error")
    assert by_id(result)["c"] == (5, "consensus", None)
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    assert {(a["stop_reason"], a["error"]) for a in attempts if a["problem_id"] == "a"} == {
        ("error", "the script told the turn to fail")
    }


def test_an_engine_that_does_not_start_writes_nothing_over(solve: Solve, tmp_path: Path) -> None:
    (tmp_path / "submission.csv").write_text("kept")
    with pytest.raises(EngineError, match="no GPU"):
        solve(P, RIGHT, "engine.scripted.start_error='no GPU'")
    assert (tmp_path / "submission.csv").read_text() == "kept"


def test_a_limit_inside_the_reserve_is_refused(solve: Solve) -> None:
    with pytest.raises(UsageError, match="leaves nothing"):
        solve(P, RIGHT, "budget.time_limit_seconds=5")


def test_the_token_limit_counts_the_output_of_code(solve: Solve, tmp_path: Path) -> None:
    script = [{"texts": ["<tool_call>\nprint('y' * 900)\n</tool_call>" * 5]}]
    solve(P[:1], script, "attempts.max_tokens=1500", "attempts.num_attempts=1")
    attempt = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")[0]
    assert attempt["stop_reason"] == "max_tokens"
    assert attempt["num_tokens"] < 200 < 900 < attempt["num_tool_tokens"]


def test_after_its_last_code_call_the_model_writes_on_without_python(solve: Solve, tmp_path: Path) -> None:
    script = [{"texts": ["<tool_call>\n1\n</tool_call> a <tool_call>\n2\n</tool_call> b \\boxed{42}"]}]
    result = solve(P[:1], script, "chat.max_code_calls=1", "attempts.num_attempts=1")
    attempt = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")[0]
    assert len(attempt["executions"]) == 1
    assert by_id(result)["a"][0] == 42
    assert "run out of code executions" in attempt["text"]


def test_an_output_fence_that_the_model_forges_is_not_an_answer(solve: Solve) -> None:
    result = solve(P[:1], [{"texts": ["```output\n\\boxed{13}\n```\nI am unsure."]}])
    assert by_id(result)["a"][1:] == ("fallback", "no answer")


def test_a_prompt_longer_than_the_context_fails_its_problem_alone(solve: Solve) -> None:
    problems = [("long", "x" * 5000, 1), P[2]]
    result = solve(problems, RIGHT, "engine.max_model_len=2000")
    assert by_id(result)["long"][1:] == ("fallback", "no answer")
    assert by_id(result)["c"][0] == 5


def test_the_share_of_attempts_that_may_run_python_is_kept(solve: Solve, tmp_path: Path) -> None:
    solve(P[:1], SILENT, "attempts.tir_share=0.5")
    attempts = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")
    modes = [a["mode"] for a in sorted(attempts, key=lambda a: a["index"])]
    assert modes.count("tir") == 4
    assert modes[:2].count("tir") == 1


def test_concurrent_problems_decide_the_same_as_one_by_one(solve: Solve, tmp_path: Path) -> None:
    alone = by_id(solve(P, RIGHT, "concurrent_problems=1"))
    together = by_id(solve(P, RIGHT, "concurrent_problems=3", "engine.max_num_seqs=64"))
    assert alone == together
    assert list(read_answers(tmp_path / "submission.csv")) == ["a", "b", "c"]


def test_resuming_repeats_no_finished_problem_and_no_finished_attempt(solve: Solve, tmp_path: Path) -> None:
    dies = [{"when": "6*7", "texts": ["\\boxed{42}"]}, {"texts": ["some text"], "fault": "error", "fault_after": 3}]
    solve(P, dies)
    result = solve(P, RIGHT, resume=True)
    assert by_id(result) == {"a": (42, "consensus", None), "b": (0, "consensus", None), "c": (5, "consensus", None)}
    assert result.exit_code == 0
    journal = tmp_path / "submission.journal.jsonl"
    assert [p["problem_id"] for p in journal_lines(journal, "prediction") if p["fallback_reason"] is None] == [
        "a",
        "b",
        "c",
    ]
    assert len(journal_lines(journal, "header")) == 2
    assert result.summary["attempts"] == len(journal_lines(journal, "attempt"))


def test_a_finished_run_is_resumed_without_an_engine_or_a_line_of_journal(
    solve: Solve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = solve(P, RIGHT)
    journal = tmp_path / "submission.journal.jsonl"
    before = journal.read_bytes()
    (tmp_path / "submission.csv").unlink()
    capsys.readouterr()
    again = solve(P, SILENT, resume=True)
    assert (by_id(again), again.exit_code) == (by_id(result), 0)
    assert list(read_answers(tmp_path / "submission.csv")) == ["a", "b", "c"]
    assert journal.read_bytes() == before
    assert {name: again.summary[name] for name in ("attempts", "tokens", "score")} == {
        name: result.summary[name] for name in ("attempts", "tokens", "score")
    }
    said = capsys.readouterr().err
    assert "nothing is left to solve" in said
    assert "starting" not in said


def test_resuming_with_another_problem_under_the_same_id_is_refused(solve: Solve) -> None:
    solve(P, RIGHT)
    with pytest.raises(JournalError, match="problem 'a' had another text"):
        solve([("a", "What is 1*1?", 1)], RIGHT, resume=True)


def test_a_second_run_keeps_the_first_runs_journal(solve: Solve, tmp_path: Path) -> None:
    solve(P, RIGHT)
    first = (tmp_path / "submission.journal.jsonl").read_bytes()
    solve(P, RIGHT)
    assert (tmp_path / "submission.journal.1.jsonl").read_bytes() == first


def test_bad_input_leaves_the_earlier_answers_alone(solve: Solve, tmp_path: Path) -> None:
    solve(P, RIGHT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match="unknown setting"):
        solve(P, RIGHT, "sampling.temprature=1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_resumed_run_that_ends_before_its_engine_is_up_keeps_the_earlier_answers(solve: Solve, clock: Clock) -> None:
    dies = [
        {"when": "6*7", "texts": ["\\boxed{42}"]},
        {"texts": ["\\boxed{7}", "text " * 99], "tokens_per_second": 0.5},
    ]
    solve(P[:2], dies, *LIMIT, "consensus.quorum=8", "consensus.uncatchable=false", "attempts.force_seconds=0")
    result = solve(P[:2], RIGHT, *LIMIT, "engine.scripted.start_seconds=3000", resume=True)
    assert by_id(result)["a"][0] == 42
    assert by_id(result)["b"][:2] == (7, "majority")


def test_a_prompt_that_does_not_fit_is_told_in_the_journal(solve: Solve, tmp_path: Path) -> None:
    solve([("long", "x" * 5000, 1)], RIGHT, "engine.max_model_len=2000")
    attempt = journal_lines(tmp_path / "submission.journal.jsonl", "attempt")[0]
    assert "the context 2000" in attempt["error"]


def test_a_resumed_run_tells_which_settings_are_others(solve: Solve, capsys: pytest.CaptureFixture[str]) -> None:
    solve(P[:1], RIGHT)
    solve(P[:2], RIGHT, resume=True)
    assert "other settings" not in capsys.readouterr().err
    solve(P, RIGHT, "sampling.temperature=0.1", resume=True)
    assert "other settings than in the run to be resumed: sampling.temperature 0.7 -> 0.1" in capsys.readouterr().err
