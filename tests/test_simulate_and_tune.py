import random
from pathlib import Path

import pytest

from solver.budget import plan_time
from solver.config import BudgetConfig, ConsensusConfig
from solver.errors import UsageError
from solver.price import TimeModel
from solver.simulate import draw_contest, level, play, profile
from solver.traces import Sample, Trace, read_traces
from solver.tune import Policy, Score, Setting, TuneReport, front_svg, pareto_front, split, tune, tune_lines
from tests.conftest import run_solver

WHOLE = ConsensusConfig(rule="all", uncatchable=False)


def trace(name: str, answers: list[int | None], tokens: list[int]) -> Trace:
    samples = tuple(Sample(n, a, t) for n, (a, t) in enumerate(zip(answers, tokens, strict=True)))
    return Trace("s", "r", name, samples, ("0", "1", "2"), frozenset({1}))


def contest_traces(number: int = 24) -> list[Trace]:
    order = random.Random(0)
    return [
        trace(
            f"p{n}",
            [1 if order.random() < n % 3 / 2 else order.choice([0, 2, None]) for _ in range(8)],
            [order.randint(1_000, 9_000) for _ in range(8)],
        )
        for n in range(number)
    ]


def test_the_shorter_attempts_finish_first_and_slots_make_the_others_wait() -> None:
    made = trace("p", [0, 1, 1], [300, 100, 200])
    at_once = profile(made, WHOLE, 3, random.Random(0))
    assert [moment.at for moment in at_once.moments] == [100, 200, 300]
    assert [moment.right for moment in at_once.moments] == [True, True, True]
    assert profile(made, WHOLE, 3, random.Random(0), slots=1).end == 600


def test_a_contest_gives_each_problem_its_grant_and_no_more() -> None:
    long = profile(trace("p", [1, 1, 1], [500, 600, 700]), WHOLE, 3, random.Random(0))
    plan = plan_time(BudgetConfig(policy="even"), 1_000, 4)
    result = play([long] * 4, plan, 1_000, 4)
    assert (result.score, result.used, result.overrun) == (0, 1_000, 0)
    assert play([long] * 2, plan_time(BudgetConfig(policy="even"), 1_400, 2), 1_400, 2).score == 2


def test_levels_are_drawn_with_their_shares() -> None:
    traces = contest_traces()
    drawn = draw_contest(traces, (1.0, 0.0, 0.0), 50, random.Random(0))
    assert {level(t) for t in drawn} == {"easy"}


def test_no_problem_is_in_both_halves() -> None:
    train, test = split(contest_traces(), 0)
    assert {t.problem_id for t in train}.isdisjoint(t.problem_id for t in test)
    with pytest.raises(UsageError, match="4 are needed"):
        split(contest_traces(3), 0)


def test_tuning_reports_scores_a_front_and_settings_that_load() -> None:
    result = tune(contest_traces(), Setting(num_problems=6, seconds=300, tokens_per_second=60, contests=3), (4,))
    assert result.front == pareto_front(result.tested)
    assert all(0 <= score.score <= 6 and score.hours <= 300 / 3600 + 1e-9 for score in result.tested)
    lines = tune_lines(result)
    assert any(line.startswith("policy = ") for line in lines)
    assert front_svg(result).startswith("<svg")


def test_no_more_attempts_are_tried_than_were_recorded_and_equal_results_are_one_line() -> None:
    setting = Setting(num_problems=4, seconds=100_000, tokens_per_second=60, contests=2)  # no time policy ever cuts
    result = tune(contest_traces(12), setting, (4, 8, 16))
    assert {score.policy.num_attempts for score in result.tested} == {4, 8}
    table = [line for line in tune_lines(result) if "+-" in line]
    assert all(line.endswith("more alike)") for line in table)


def test_it_is_said_where_the_attempts_cannot_tell_policies_apart() -> None:
    policy = Policy((("rule", "all"),), 8, "even")
    scores = [Score(policy, 0.0, 0.0, hours) for hours in (1.0, 2.0)]
    assert any("same score" in line for line in tune_lines(TuneReport(scores, scores[:1], scores[0])))


def test_nobody_on_the_front_is_beaten() -> None:
    policy = Policy((("rule", "all"),), 8, "even")
    scores = [Score(policy, *numbers) for numbers in ((3, 0, 1), (2, 0, 2), (5, 0, 3), (5, 0, 4))]
    assert [(score.score, score.hours) for score in pareto_front(scores)] == [(3, 1), (5, 3)]


def test_the_command_prints_the_toml_and_draws_the_front(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = ["set,problem_id,answer,correct,tokens"]
    for t in contest_traces(12):
        rows += [f"s,{t.problem_id},{s.answer},{int(s.answer == 1)},{s.num_tokens}" for s in t.samples]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    assert len(read_traces(path)) == 12
    plot = tmp_path / "front.svg"
    small = ("--problems", "4", "--contests", "2", "--time-limit", "60s")
    result = run_solver("tune", path, *small, "--plot", plot)
    assert result.returncode == 0, result.stderr
    assert "[consensus]" in result.stdout
    assert "<svg" in plot.read_text()
    learned = run_solver("tune", path, "--learn").stdout
    assert "by the standing of the vote: " in learned
    exec(learned, {"TimeModel": TimeModel})  # it can be pasted
    wrong = run_solver("tune", path, "--mix", "hrd")
    assert wrong.returncode == 2
    assert "did you mean 'hard'" in wrong.stderr
