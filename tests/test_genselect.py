import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.config import GenSelectConfig
from solver.engine.scripted import Entry, ScriptedEngine
from solver.genselect import is_worthwhile, parse_judgment
from solver.run import RunResult
from solver.types import Attempt, Candidate
from tests.clock import Clock
from tests.conftest import journal_lines

Solve = Callable[..., RunResult]
PROBLEM = [("a", "What is 6*7?", 42)]
ON = (
    *("genselect.enabled=true", "genselect.prompt='genselect'"),
    *("genselect.judgments=3", "genselect.max_leader_share=0.8"),
)
EVERY = ("consensus.rule='all'", "consensus.uncatchable=false")


@pytest.mark.parametrize(
    "text", ["Judgment: 3", "Judgment: [3]", "So it is 3.\nJudgment: [3]\n", "Judgment: [3]  \n\n"]
)
def test_a_judgment_is_a_number_in_the_last_line(text: str) -> None:
    assert parse_judgment(text, 4) == 3


VAGUE = [
    "",
    "3",
    "Judgment: 4",
    "Judgment: [3",
    "Judgment: three",
    "judgment: 3",
    "Judgment: 3 or 2",
    "**Judgment: 3**",
]
VAGUE += [
    "Judgment: 3\nbut I am not sure",
    "The best is Judgment: 3",
    "Judgment: -1",
    "Judgment: [IDX]",
    "Judgment: 3.",
]


@pytest.mark.parametrize("text", VAGUE)
def test_nothing_vaguer_is_a_judgment(text: str) -> None:
    assert parse_judgment(text, 4) is None


@given(st.text(), st.integers(1, 16))
def test_reading_a_judgment_never_raises_and_stays_in_range(text: str, number: int) -> None:
    for ending in (text, f"{text}\nJudgment: {text}", f"{text}\nJudgment: [{number}]"):
        chosen = parse_judgment(ending, number)
        assert chosen is None or 0 <= chosen < number


def split(*votes: int) -> tuple[list[Candidate], list[Attempt]]:
    attempts: list[Attempt] = []
    candidates = []
    for answer, count in enumerate(votes):
        indices = tuple(range(len(attempts), len(attempts) + count))
        attempts += [Attempt("p", i, 0, "cot", answer, "answered", "work", 0, 9, 0, (), 0.0, 0.0) for i in indices]
        candidates.append(Candidate(answer, count, indices))
    return candidates, attempts


def test_it_is_asked_only_where_the_vote_is_split_and_time_is_left() -> None:
    on = GenSelectConfig(enabled=True)
    assert is_worthwhile(*split(4, 3), 60, on)
    assert not is_worthwhile(*split(4, 3), 60, GenSelectConfig())
    assert not is_worthwhile(*split(8), 60, on)
    assert not is_worthwhile(*split(7, 1), 60, on)
    assert not is_worthwhile(*split(4, 3), 5, on)
    assert not is_worthwhile([], [], 60, on)


class Reader:
    """In place of a script: attempts give `answers` in turn; comparisons are won by the solution with `choose`."""

    def __init__(self, answers: list[int], choose: int, judge: str = "Judgment: {}") -> None:
        self.answers, self.choose, self.judge = answers, choose, judge
        self.comparisons: list[int] = []
        self.summaries = self.alone = self.started = 0
        self.spoilt_summary = False

    def __call__(self, _: ScriptedEngine, prompt: str, seed: int) -> tuple[Entry, str]:
        return Entry(("",)), self.say(prompt)

    def say(self, prompt: str) -> str:
        if "Write that work up" in prompt:
            self.summaries += 1
            found = re.findall(r"boxed\{(\d+)\}", prompt)[-1]
            return "no idea" if self.spoilt_summary else f"In short, SUMMARY \\boxed{{{found}}}"
        if "Decide whether the solution is right" in prompt:
            self.alone += 1
            return f"Judgment: {int(f'boxed{{{self.choose}}}' in prompt)}"
        if "the number of the solution you choose" in prompt:
            blocks = re.split(r"Solution (\d+):\n", prompt)
            self.comparisons.append(len(blocks) // 2)
            right = [
                n for n, block in zip(blocks[1::2], blocks[2::2], strict=True) if f"boxed{{{self.choose}}}" in block
            ]
            return "Let me see.\n" + self.judge.format(right[0] if right else 0)
        self.started += 1
        return f"I find \\boxed{{{self.answers[(self.started - 1) % len(self.answers)]}}}"


def run(
    solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reader: Reader, *settings: str
) -> tuple[dict[str, Any], dict[str, Any] | None, RunResult]:
    monkeypatch.setattr(ScriptedEngine, "_choose", lambda self, prompt, seed: reader(self, prompt, seed))
    result = solve(PROBLEM, [{"texts": ["unused"]}], *EVERY, *ON, *settings)
    journal = tmp_path / "submission.journal.jsonl"
    selections = journal_lines(journal, "genselect")
    return journal_lines(journal, "prediction")[0], selections[0] if selections else None, result


def test_the_chosen_solution_wins_whatever_place_it_was_shown_in(
    solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = Reader([41, 41, 42, 43], choose=42)
    prediction, selection, result = run(solve, monkeypatch, tmp_path, reader)
    assert (prediction["answer"], prediction["decided_by"], prediction["correct"]) == (42, "genselect", True)
    assert selection is not None
    assert (selection["majority"], selection["judgments"]) == (41, [42, 42, 42])
    assert selection["num_tokens"] > 0
    assert reader.summaries == 3
    assert reader.comparisons == [3, 3, 3]
    assert result.summary["genselect"]["changed"] == 1
    assert result.summary["score_by"] == {"genselect": 1}


def test_judgments_in_brackets_count_too(solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prediction, *_ = run(solve, monkeypatch, tmp_path, Reader([41, 41, 42], choose=42, judge="Judgment: [{}]"))
    assert prediction["answer"] == 42


def test_judgments_that_cannot_be_read_leave_the_majority(
    solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = Reader([41, 41, 42], choose=42, judge="I like number {} best.")
    prediction, selection, result = run(solve, monkeypatch, tmp_path, reader)
    assert (prediction["answer"], prediction["decided_by"]) == (41, "majority")
    assert selection is not None
    assert selection["judgments"] == [None, None, None]
    assert result.summary["genselect"]["unreadable"] == 1


def test_a_unanimous_vote_is_never_asked_about(solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prediction, selection, _ = run(solve, monkeypatch, tmp_path, Reader([41], choose=42))
    assert (prediction["answer"], selection) == (41, None)


def test_many_candidates_meet_in_a_knockout(solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reader = Reader([40, 41, 42, 43, 44], choose=43)
    prediction, selection, _ = run(solve, monkeypatch, tmp_path, reader, "genselect.group_size=2")
    assert prediction["answer"] == 43
    assert selection is not None
    assert set(reader.comparisons) == {2}
    assert len(reader.comparisons) >= 9


def test_traces_are_shown_where_summaries_are_not_wanted(
    solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = Reader([41, 41, 42], choose=42)
    prediction, *_ = run(solve, monkeypatch, tmp_path, reader, "genselect.show='traces'")
    assert (prediction["answer"], reader.summaries) == (42, 0)


def test_a_summary_that_loses_the_answer_is_not_shown(
    solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = Reader([41, 41, 42], choose=42)
    reader.spoilt_summary = True
    prediction, *_ = run(solve, monkeypatch, tmp_path, reader)
    assert (prediction["answer"], reader.summaries) == (42, 2)


def test_the_hybrid_judges_the_finalists_alone(solve: Solve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reader = Reader([41, 41, 42], choose=42)
    prediction, *_ = run(solve, monkeypatch, tmp_path, reader, "genselect.judge_finalists=2")
    assert (prediction["answer"], reader.alone) == (42, 6)


def test_time_that_runs_out_leaves_the_majority(solve: Solve, tmp_path: Path, clock: Clock) -> None:
    script = [
        {"when": "Below are a mathematics problem", "texts": ["x" * 9000], "tokens_per_second": 5},
        {"texts": ["\\boxed{41}", "\\boxed{42}"]},
    ]
    settings = ("budget.time_limit_seconds=600", "budget.reserve_seconds=200", "sandbox.spares=0")
    result = solve(PROBLEM, script, *EVERY, *ON, *settings)
    assert result.predictions[0].decided_by == "majority"
    selection = journal_lines(tmp_path / "submission.journal.jsonl", "genselect")[0]
    assert selection["judgments"] == []
    assert selection["num_tokens"] > 0


def test_an_engine_that_dies_while_comparing_leaves_the_majority(solve: Solve, tmp_path: Path) -> None:
    script = [
        {"when": "Below are a mathematics problem", "texts": ["x" * 50], "fault": "error", "fault_after": 3},
        {"texts": ["\\boxed{41}", "\\boxed{42}"]},
    ]
    result = solve(PROBLEM, script, *EVERY, *ON)
    assert result.predictions[0].decided_by == "majority"
    assert result.exit_code == 1


def test_a_question_that_does_not_fit_counts_for_nobody(solve: Solve, tmp_path: Path) -> None:
    long = [("a", "What is 6*7? " + "really " * 60, 42)]
    script = [{"texts": ["\\boxed{41}", "\\boxed{42}"]}]
    result = solve(long, script, *EVERY, *ON, "engine.max_model_len=900")
    assert result.predictions[0].decided_by == "majority"
    assert result.exit_code == 0
