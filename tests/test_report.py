"""The report without a browser: reading journals in any state, losses, statistics, and what stands in the file."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.errors import JournalError
from solver.report import write_report
from solver.report.charts import distributions, timeline
from solver.report.compare import bootstrap_interval, compare, mcnemar_exact
from solver.report.losses import find_losses
from solver.report.read import read_runs
from solver.report.transcript import segments
from solver.report.visible import one_line, visible
from solver.run import RunResult
from tests.conftest import run_solver

HEADER: dict[str, Any] = {"kind": "header", "journal_version": 1, "config": {}, "num_problems": 1, "resumed": False}


def attempt(index: int, answer: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "attempt",
        "text_hash": "h",
        "problem_id": "p",
        "index": index,
        "answer": answer,
        "text": "",
        "stop_reason": "answered" if answer is not None else "ended",
        "executions": [],
        "started": 1.0,
        "seconds": 2.0,
        "num_tokens": 10,
        **more,
    }


def prediction(answer: int, reference: int | None = 7, **more: Any) -> dict[str, Any]:
    correct = None if reference is None else answer == reference
    return {
        "kind": "prediction",
        "text_hash": "h",
        "problem_id": "p",
        "answer": answer,
        "decided_by": "majority",
        "candidates": [],
        "seconds": 3.0,
        "reference": reference,
        "problem": "How many?",
        "correct": correct,
        **more,
    }


def journal(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def notes(path: Path) -> str:
    return "\n".join(note for run in read_runs(path) for note in run.notes)


def cause(folder: Path, *lines: dict[str, Any]) -> str:
    path = journal(folder / "cause.jsonl", HEADER, *lines)
    (loss,) = find_losses(list(read_runs(path)[0].problems.values()))
    return loss.cause


def test_a_report_of_a_real_run_holds_its_answers_and_opens_without_a_network(
    solve: Callable[..., RunResult], tmp_path: Path
) -> None:
    solve([("p1", "What is 1+1?", 2)], [{"texts": ["It is \\boxed{2}", "It is \\boxed{3}"]}])
    assert write_report([tmp_path / "submission.journal.jsonl"], tmp_path / "run.html") == []
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "What is 1+1?" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for fetching in ('src="http', "<link", "@import", "url(http"):
        assert fetching not in page


def test_the_command_writes_the_page_and_tells_what_is_odd(tmp_path: Path) -> None:
    path = journal(tmp_path / "cut.jsonl", HEADER, attempt(0, 7))
    path.write_text(path.read_text() + '{"kind": "att', "utf-8")
    done = run_solver("report", path, "-o", tmp_path / "run.html")
    assert done.returncode == 0
    assert "warning: cut.jsonl: the journal is cut" in done.stderr
    assert "the journal is cut" in (tmp_path / "run.html").read_text("utf-8")


def test_a_file_that_is_no_journal_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("id,answer\n1,2\n", "utf-8")
    done = run_solver("report", tmp_path / "other.txt", "-o", tmp_path / "run.html")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is no journal" in done.stderr
    assert done.stderr.count("\n") == 1
    with pytest.raises(JournalError, match="cannot read"):
        read_runs(tmp_path / "missing.jsonl")


def test_an_empty_journal_makes_a_page_that_says_so(tmp_path: Path) -> None:
    path = journal(tmp_path / "empty.jsonl")
    assert any("empty" in note for note in write_report([path], tmp_path / "run.html"))
    assert "the journal is empty" in (tmp_path / "run.html").read_text("utf-8")


def test_a_journal_of_a_newer_version_is_shown_as_far_as_it_is_understood(tmp_path: Path) -> None:
    newer = {**HEADER, "journal_version": 99}
    path = journal(tmp_path / "new.jsonl", newer, attempt(0, 7, invented=[1]), {"kind": "surprise"}, prediction(7))
    run = read_runs(path)[0]
    assert "newer version (99" in notes(path)
    assert "1 line of an unknown kind (surprise)" in notes(path)
    assert run.problems["p"].attempts[0].extra == {"invented": [1]}


def test_files_put_together_are_taken_apart_into_runs(tmp_path: Path) -> None:
    path = journal(tmp_path / "two.jsonl", HEADER, prediction(7), HEADER, prediction(8))
    assert [run.problems["p"].is_right for run in read_runs(path)] == [True, False]
    assert "holds 2 runs" in notes(path)


def test_lines_of_different_problems_under_one_id_are_told(tmp_path: Path) -> None:
    path = journal(tmp_path / "mixed.jsonl", HEADER, attempt(0, 7), attempt(1, 7, text_hash="other"))
    assert "mixed from two runs" in notes(path)


def test_a_resumed_run_goes_on_where_the_first_part_stopped(tmp_path: Path) -> None:
    resumed = {**HEADER, "resumed": True}
    path = journal(
        tmp_path / "r.jsonl", HEADER, attempt(0, None, stop_reason="cancelled"), resumed, attempt(0, 7), prediction(7)
    )
    (run,) = read_runs(path)
    first, second = run.problems["p"].attempts
    assert (first.is_superseded, second.is_superseded) == (True, False)
    assert second.started == first.started + first.attempt.seconds + 1.0
    assert [row.attempt.answer for row in run.attempts()] == [7]


@given(data=st.data())
def test_any_damage_to_a_journal_is_survived(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("damage") / "run.jsonl"
    whole = journal(path, HEADER, attempt(0, 7), prediction(8), {"kind": "end", "summary": {}}).read_bytes()
    start = data.draw(st.integers(len(json.dumps(HEADER)) + 1, len(whole)))
    path.write_bytes(whole[:start] + data.draw(st.binary(max_size=20)) + whole[start + data.draw(st.integers(0, 9)) :])
    for run in read_runs(path):
        timeline(run)
        distributions(run)
        find_losses(list(run.problems.values()))


@pytest.mark.parametrize(
    "bad",
    [{"num_tokens": "many"}, {"started": None}, {"seconds": float("inf")}, {"executions": [3]}, {"index": {}}],
)
def test_a_line_with_values_that_cannot_be_is_left_out_and_counted(tmp_path: Path, bad: dict[str, Any]) -> None:
    path = journal(tmp_path / "bad.jsonl", HEADER, {**attempt(0), **bad}, attempt(1))
    assert "1 line that could not be read" in notes(path)
    assert len(read_runs(path)[0].problems["p"].attempts) == 1


def test_every_loss_has_the_first_cause_that_applies(tmp_path: Path) -> None:
    cut = [attempt(n, None, stop_reason="deadline") for n in range(3)]
    long = [attempt(n, None, stop_reason="max_tokens") for n in range(3)]
    broken = [attempt(n, 5, executions=[{"status": "timeout", "output": "", "seconds": 6}]) for n in range(3)]
    engine = prediction(0, decided_by="fallback", fallback_reason="error")
    assert cause(tmp_path, attempt(0, 7), attempt(1, 8), attempt(2, 8), prediction(8)) == "not chosen"
    assert cause(tmp_path, attempt(0, text="so it is \\boxed{7 \\text{ or } 8}? No: 7"), prediction(8)) == "extraction"
    assert cause(tmp_path, attempt(0, text="the answer is 7."), prediction(8)) == "extraction"
    assert cause(tmp_path, *broken, prediction(5)) == "tool"
    assert cause(tmp_path, *cut, prediction(0)) == "time"
    assert cause(tmp_path, *long, prediction(0)) == "length"
    assert cause(tmp_path, attempt(0, None, stop_reason="error", error="gone"), engine) == "engine"
    assert cause(tmp_path, attempt(0, 5), attempt(1, 6), prediction(5)) == "never found"
    assert cause(tmp_path, prediction(0, decided_by="fallback", fallback_reason="no time")) == "time"


def test_an_attempt_that_was_cut_with_the_right_number_is_lost_by_what_cut_it(tmp_path: Path) -> None:
    for stop, lost in (("cancelled", "stopped early"), ("deadline", "time"), ("max_tokens", "length")):
        near = attempt(0, None, text="so it is 7", stop_reason=stop)
        assert cause(tmp_path, near, attempt(1, 8), attempt(2, 8), prediction(8)) == lost


def test_a_broken_tool_is_told_by_what_python_said_last(tmp_path: Path) -> None:
    said = "Traceback (most recent call last):\n  ...\nSyntaxError: unmatched ')'\n"
    broken = [attempt(n, 5, executions=[{"status": "error", "output": said, "seconds": 1}]) for n in range(2)]
    path = journal(tmp_path / "tool.jsonl", HEADER, *broken, prediction(5))
    (loss,) = find_losses(list(read_runs(path)[0].problems.values()))
    assert loss.detail == "2 of 2, such as SyntaxError: unmatched ')'"


def test_what_genselect_did_is_told_and_no_unknown_line(tmp_path: Path) -> None:
    asked = {"kind": "genselect", "problem_id": "p", "majority": 8, "answer": 7, "judgments": [7, None, 7]}
    chosen = prediction(7, decided_by="genselect", candidates=[{"answer": 8, "votes": 2}, {"answer": 7, "votes": 1}])
    end = {"kind": "end", "summary": {}}
    path = journal(tmp_path / "g.jsonl", HEADER, attempt(0, 7), attempt(1, 8), attempt(2, 8), asked, chosen, end)
    assert write_report([path], tmp_path / "run.html") == []
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "by genselect, with 1 of 3 votes" in page
    assert "GenSelect judged: 2 for 7; 1 could not be read" in page


def test_problems_stand_in_the_order_of_their_file(tmp_path: Path) -> None:
    header = {**HEADER, "problem_ids": ["b", "a", "never begun", 3]}
    path = journal(tmp_path / "o.jsonl", header, prediction(7, problem_id="a"), prediction(7, problem_id="b"))
    assert list(read_runs(path)[0].problems) == ["b", "a"]


def test_a_part_of_a_run_that_made_no_attempt_adds_no_time_to_the_timeline(tmp_path: Path) -> None:
    header = {**HEADER, "config": {"budget": {"time_limit_seconds": 60}}}
    path = journal(tmp_path / "o.jsonl", header, attempt(0, 7), prediction(7), {**header, "resumed": True})
    assert timeline(read_runs(path)[0])["limits"] == [60]


def test_code_calls_are_counted_in_whole_numbers_and_forced_answers_are_answers(tmp_path: Path) -> None:
    cut = attempt(1, 8, forced=True, stop_reason="deadline")
    run = read_runs(journal(tmp_path / "d.jsonl", HEADER, attempt(0, 7), cut, prediction(7)))[0]
    assert [bar[4] for bar in timeline(run)["bars"]] == ["right answer", "cut by time"]
    figures = dict(distributions(run))
    assert [trace["name"] for trace in figures["tokens"]["data"]] == ["right answer", "other answer"]
    assert figures["code calls"]["data"][0]["xbins"] == {"size": 1, "start": -0.5}


def test_losses_need_a_reference(tmp_path: Path) -> None:
    path = journal(tmp_path / "r.jsonl", HEADER, attempt(0, 5), prediction(5, reference=None))
    assert find_losses(list(read_runs(path)[0].problems.values())) == []
    (tmp_path / "ref.csv").write_text("id,problem,answer\np,How many?,6\n", "utf-8")
    write_report([path], tmp_path / "run.html", tmp_path / "ref.csv")
    assert "never found" in (tmp_path / "run.html").read_text("utf-8")


def test_mcnemar_is_the_binomial_test() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(3, 3) == 1.0
    assert mcnemar_exact(0, 5) == pytest.approx(2 / 32)
    assert mcnemar_exact(600, 600) == 1.0
    from scipy.stats import binomtest

    for only_a, only_b in [(1, 8), (12, 3), (20, 31)]:
        assert mcnemar_exact(only_a, only_b) == pytest.approx(binomtest(only_a, only_a + only_b).pvalue)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_a_comparison_counts_every_shared_problem_once_and_is_antisymmetric(pairs: list[tuple[bool, bool]]) -> None:
    a = {str(n): pair[0] for n, pair in enumerate(pairs)}
    b = {str(n): pair[1] for n, pair in enumerate(pairs)}
    there, back = compare(a, b | {"only here": True}), compare(b, a)
    assert there.both + there.only_a + there.only_b + there.neither == there.problems == len(pairs)
    assert (there.difference, there.p_value) == (-back.difference, back.p_value)
    assert there.low <= there.difference <= there.high


def test_the_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, covered = random.Random(5), 0
    for round_number in range(200):
        differences = rng.choices([-1, 0, 1], weights=[0.15, 0.6, 0.25], k=50)
        low, high = bootstrap_interval(differences, round_number, rounds=1_000)
        covered += low <= 0.10 * 50 <= high
    assert 180 <= covered <= 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <think>b</think> c", [("prose", "a "), ("thinking", "b"), ("prose", " c")]),
        ("in thought</think>out", [("thinking", "in thought"), ("prose", "out")]),
        ("x<tool_call>\n1+1\n</tool_call>y", [("prose", "x"), ("code", "1+1"), ("prose", "y")]),
        ("```python\nprint(1)\n```\n```output\n1\n```\n", [("code", "print(1)"), ("output", "1")]),
        ("```system\n3 left\n```", [("note", "3 left")]),
        ('<tool_call>\n{"name": "p", "arguments": {"code": "a\\nb"}}\n</tool_call>', [("code", "a\nb")]),
        ("<tool_call><function=python><parameter=code>\n2\n</parameter></function></tool_call>", [("code", "2")]),
        ("<tool_response>\n4\n</tool_response><|im_end|>", [("output", "4"), ("marker", "<|im_end|>")]),
        ("<tool_call>cut", [("code", "cut")]),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>done<|return|>",
            [
                ("marker", "<|channel|>analysis<|message|>"),
                ("thinking", "hm"),
                ("marker", "<|start|>assistant<|channel|>final<|message|>"),
                ("prose", "done"),
            ],
        ),
    ],
)
def test_a_transcript_is_cut_into_its_parts(text: str, expected: Sequence[tuple[str, str]]) -> None:
    assert [tuple(segment) for segment in segments(text)] == expected


@given(st.text(st.sampled_from("<think>/tool_cal|`py\no{}$")))
def test_any_text_is_cut_without_an_error_and_nothing_is_invented(text: str) -> None:
    for segment in segments(text):
        assert segment.text in text or segment.kind == "code"


def test_hidden_characters_are_made_visible() -> None:
    assert visible("a\x1b[31mb\u202ec\ud800\n\td") == "a⟦U+001B⟧[31mb⟦U+202E⟧c⟦U+D800⟧\n\td"
    assert visible("é∑数") == "é∑数"
    assert one_line("a\nb" * 100, 10) == "a ba ba b…"


@given(st.text())
def test_visible_text_can_be_written_and_holds_nothing_hidden(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown
