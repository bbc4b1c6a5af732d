import random
from collections.abc import Callable
from pathlib import Path

import pytest

from solver.config import ConsensusConfig
from solver.errors import UsageError
from solver.replay import replay, report, resolve_policy, shuffled
from solver.run import RunResult
from solver.traces import cut_attempts, read_traces, trace_notes
from tests.conftest import journal_lines, run_solver

HEAD = "set,model,run,problem_id,sample,order,answer,gold,correct,tokens,status\n"
ROWS = [
    "s,m,r,p1,0,1,7,7,1,200,completed",
    "s,m,r,p1,1,0,5,7,0,100,completed",
    "s,m,r,p1,2,2,007,7,1,300,completed",
    "s,m,r,p1,3,3,,7,0,900,noanswer",
    "s,m,r,p2,0,0,\\frac{1}{2},x,0,50,forced_after_truncation",
    "s,m,r,p2,1,1,\\dfrac{1}{2},x,0,60,completed",
]
Solve = Callable[..., RunResult]


def traces_file(path: Path, rows: list[str] | None = None, head: str = HEAD) -> Path:
    path.write_text(head + "\n".join(ROWS if rows is None else rows) + "\n", "utf-8")
    return path


def test_samples_come_in_order_of_completion_and_equal_answers_are_one(tmp_path: Path) -> None:
    first, second = read_traces(traces_file(tmp_path / "t.csv"))
    assert first.labels == ("5", "7")
    assert [sample.answer for sample in first.samples] == [0, 1, 1, None]
    assert first.right == {1}
    assert second.labels == ("\\frac{1}{2}",)
    assert [sample.forced for sample in second.samples] == [True, False]


def test_a_problem_is_decided_again_under_any_rule(tmp_path: Path) -> None:
    trace = read_traces(traces_file(tmp_path / "t.csv"))[0]
    whole = replay(trace, ConsensusConfig(rule="all", uncatchable=False))
    assert (whole.label, whole.right, whole.num_samples, whole.num_tokens) == ("7", True, 4, 1500)
    first = replay(trace, ConsensusConfig(first=1))
    assert (first.label, first.right, first.num_samples, first.num_tokens) == ("5", False, 1, 100)
    assert replay(trace, ConsensusConfig(rule="all", uncatchable=False), 3).num_samples == 3
    line = report([whole, first])[0]
    assert (line.accuracy, line.samples) == (50.0, 2.5)


def test_shuffling_keeps_the_samples(tmp_path: Path) -> None:
    trace = read_traces(traces_file(tmp_path / "t.csv"))[0]
    assert sorted(s.index for s in shuffled(trace, random.Random(0)).samples) == [0, 1, 2, 3]


BAD = [
    ("problem_id,tokens,correct\n", ["p,3,1"], "it has no column answer"),
    ("answer,tokens\n", ["3,4"], "it has no column problem_id, correct (or gold)"),
    ("problem_id,answer,correct,tokens\n", ["p,3,1,many"], "line 2: tokens 'many' is not a number"),
    ("problem_id,answer,correct\n", [], "has no rows"),
    ("problem_id,sample,answer,correct\n", ["p,0,3,1", "p,0,4,0"], "line 3: sample 0 of problem 'p' comes again"),
]


@pytest.mark.parametrize(("head", "rows", "message"), BAD)
def test_a_bad_trace_file_is_one_line_that_names_the_column(
    tmp_path: Path, head: str, rows: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        read_traces(traces_file(tmp_path / "t.csv", rows, head))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_may_hold_traces_and_journals(solve: Solve, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"neither a trace file \(\*.csv\) nor a journal \(\*.jsonl\)"):
        read_traces(folder)
    solve([("a", "What is 6*7?", 42)], [{"texts": ["\\boxed{42}"]}])
    (tmp_path / "submission.journal.jsonl").rename(folder / "run.jsonl")
    traces_file(folder / "t.csv", ["p,3,1"], "problem_id,answer,correct\n")
    assert [trace.problem_id for trace in read_traces(folder)] == ["a", "p"]
    assert "t.csv has no column run" in trace_notes(folder)[-1]


def test_a_journal_is_replayed_under_another_rule(solve: Solve, tmp_path: Path) -> None:
    script = [{"texts": ["\\boxed{41}", "\\boxed{42}", "\\boxed{42}"]}]
    settings = ("consensus.rule='all'", "consensus.uncatchable=false")
    solve([("a", "What is 6*7?", 42)], script, *settings)
    trace = read_traces(tmp_path / "submission.journal.jsonl")[0]
    assert len(trace.samples) == 8
    assert trace.judged
    assert replay(trace, ConsensusConfig(first=1)).num_samples == 1


def test_the_command_prints_sets_problems_or_a_clock(tmp_path: Path) -> None:
    path = traces_file(tmp_path / "t.csv")
    by_set = run_solver("replay", path, "--set", "consensus.rule=all", "--set", "consensus.uncatchable=false")
    assert by_set.stdout.startswith("s: 1 of 2 problems right, 50.00 %")
    assert "rule all; at most 4 attempts" in by_set.stderr
    assert "3.00 attempts" in by_set.stdout
    assert "p1  7  all 4  right" in run_solver("replay", path, "--set", "consensus.rule=all", "--each").stdout
    assert "of 2 right" in run_solver("replay", path, "--time-limit", "1m", "--slots", "2", "--shuffle", "1").stdout
    wrong = run_solver("replay", path, "--set", "consensus.rule=best")
    assert wrong.returncode == 2
    assert "consensus.rule" in wrong.stderr


def test_a_run_replayed_under_its_own_rule_gives_its_own_answers(solve: Solve, tmp_path: Path) -> None:
    texts = [f"\\boxed{{{40 + number % 3}}}" for number in range(8)]
    settings = ("consensus.rule='quorum'", "consensus.quorum=2")
    result = solve([(name, f"What is {name}?", 42) for name in "abcdef"], [{"texts": texts}], *settings)
    path = tmp_path / "submission.journal.jsonl"
    rules = ConsensusConfig(rule="quorum", quorum=2)
    assert [replay(trace, rules).label for trace in read_traces(path)] == [str(p.answer) for p in result.predictions]
    cut = [line for line in journal_lines(path, "attempt") if line["stop_reason"] == "cancelled"]
    assert cut_attempts(path) == len(cut)


def test_the_number_of_attempts_comes_from_the_option_the_settings_or_the_file(tmp_path: Path) -> None:
    traces = read_traces(traces_file(tmp_path / "t.csv"))
    most = max(len(trace.samples) for trace in traces)
    (tmp_path / "p.toml").write_text("[attempts]\nnum_attempts = 2\n", "utf-8")
    assert resolve_policy(traces, None, None, (), None).attempts.num_attempts == most
    assert resolve_policy(traces, None, None, (), 3).attempts.num_attempts == 3
    assert resolve_policy(traces, None, None, ("attempts.num_attempts=1",), None).attempts.num_attempts == 1
    assert resolve_policy(traces, None, tmp_path / "p.toml", (), None).attempts.num_attempts == 2
    with pytest.raises(UsageError, match="quorum 9 is above"):
        resolve_policy(traces, None, None, ("consensus.quorum=9",), 3)
