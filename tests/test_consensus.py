import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from solver.config import ConsensusConfig, load_config
from solver.consensus import decision, duplicates, is_decided, tally
from solver.errors import UsageError
from solver.stop_rules import RULES, holding_chance, majority_posterior
from solver.types import Attempt

QUORUM = ConsensusConfig(quorum=4, uncatchable=False)
UNCATCHABLE = ConsensusConfig(rule="all", uncatchable=True)
FORECAST = ConsensusConfig()


def attempt(index: int, answer: int | None, entropy: float | None = None, **fields: Any) -> Attempt:
    made = Attempt("p", index, 0, "cot", answer, "answered", "", 0, 100, 0, (), 0.0, 0.0, mean_entropy=entropy)
    return replace(made, **fields)


def attempts(answers: Sequence[int | None]) -> list[Attempt]:
    return [attempt(index, answer) for index, answer in enumerate(answers)]


def stops(
    answers: Sequence[int | None] | Sequence[Attempt], total: int, config: ConsensusConfig, running: Sequence[int] = ()
) -> bool:
    ballots = [a if isinstance(a, Attempt) else attempt(n, a) for n, a in enumerate(answers)]
    return is_decided(ballots, tally(ballots), total, config, running)


def test_forced_answers_vote_only_where_there_are_no_others() -> None:
    forced = [replace(attempt(index, 7), forced=True) for index in range(5)]
    assert [(c.answer, c.votes, c.forced) for c in tally([*forced, attempt(5, 3)])] == [(3, 1, False)]
    assert [(c.answer, c.votes, c.forced) for c in tally(forced)] == [(7, 5, True)]
    assert not stops(forced, 8, QUORUM)
    assert decision(tally(forced), decided=False) == (7, "majority")


@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_forced_answers_never_outvote_finished_ones(ballots: list[tuple[int | None, bool]]) -> None:
    made = [attempt(n, answer, forced=forced) for n, (answer, forced) in enumerate(ballots)]
    finished = tally([a for a in made if not a.forced])
    if finished:
        winner = tally(made)[0]
        assert winner.votes == finished[0].votes
        assert any(winner.answer == c.answer for c in finished if c.votes == finished[0].votes)


def test_forced_answers_break_a_tie_between_finished_ones() -> None:
    assert tally([attempt(0, 3), attempt(1, 7), attempt(2, 7, forced=True)])[0].answer == 7


def test_answers_that_code_confirmed_win_a_tie() -> None:
    assert tally([attempt(0, 3), attempt(1, 7, confirmed=True)])[0].answer == 7
    assert tally([attempt(0, 3), attempt(1, 3), attempt(2, 7, confirmed=True)])[0].answer == 3


def test_attempts_with_the_same_tokens_are_one_vote_and_the_engines_fault() -> None:
    same = [attempt(index, 7, fingerprint="a") for index in range(3)]
    ballots = [*same, attempt(3, 5, fingerprint="b"), attempt(4, 5)]
    assert [(c.answer, c.votes) for c in tally(ballots)] == [(5, 2), (7, 1)]
    assert duplicates(ballots) == [1, 2]


def test_votes_are_counted_and_attempts_without_an_answer_are_not() -> None:
    candidates = tally(attempts([5, None, 7, 5, None]))
    assert [(c.answer, c.votes, c.attempts) for c in candidates] == [(5, 2, (0, 3)), (7, 1, (2,))]


def test_zero_is_an_answer_like_any_other() -> None:
    assert tally(attempts([0, 0, 5]))[0].answer == 0


def test_equal_votes_go_to_the_answer_that_was_finished_first() -> None:
    assert tally(attempts([9, 3, 3, 9]))[0].answer == 9


def test_equal_votes_go_to_the_lower_entropy_where_it_is_known() -> None:
    assert tally([attempt(0, 9, 0.8), attempt(1, 3, 0.2)])[0].answer == 3


def test_a_quorum_decides() -> None:
    assert not stops([1, 1, 1], 8, QUORUM)
    assert stops([1, 2, 1, 1, 1], 8, QUORUM)


def test_without_a_number_a_quorum_is_four_or_all_there_are() -> None:
    config = ConsensusConfig(rule="quorum", uncatchable=False)
    assert not stops([1], 2, config)
    assert stops([1, 1], 2, config)


def test_a_leader_who_can_still_be_equalled_is_not_uncatchable_unless_a_tie_is_his() -> None:
    assert stops([1, 1], 4, UNCATCHABLE)  # the others can only tie, and 1 was finished first
    assert not stops([attempt(0, 1, 0.5), attempt(1, 1, 0.5)], 4, UNCATCHABLE)  # their entropy may be lower
    assert not stops([1, 1], 4, ConsensusConfig(rule="uncatchable", uncatchable=False))  # as published
    assert not stops([2, 1, 1], 4, UNCATCHABLE)
    assert stops([1, 1, 1], 4, ConsensusConfig(rule="uncatchable", uncatchable=False))


def test_a_margin_decides_once_enough_have_finished() -> None:
    config = ConsensusConfig(margin=2, uncatchable=False)
    assert not stops([1, 1], 8, config)
    assert stops([1, None, 1], 8, config)
    assert not stops([1, 2, 1], 8, config)


def test_adaptive_consistency_stops_at_the_published_thresholds() -> None:
    """Leader and runner-up at which the posterior first passes 0.95 (arXiv 2305.11860): 4-0, 6-1, 8-2, 9-3."""
    config = ConsensusConfig(rule="adaptive-consistency", uncatchable=False)
    for leader, runner_up in ((4, 0), (6, 1), (8, 2), (9, 3)):
        assert stops([1] * leader + [2] * runner_up, 40, config)
        assert not stops([1] * (leader - 1) + [2] * runner_up, 40, config)
    assert majority_posterior(1, 1) == 0.5


def test_esc_stops_when_a_whole_window_agrees() -> None:
    config = ConsensusConfig(rule="esc", window=3, uncatchable=False)
    assert stops([2, 1, 3, 1, 1, 1], 9, config)
    assert not stops([2, 1, 1, 1], 9, config)
    assert not stops([None, None, None], 9, config)


def test_short_m_takes_the_first_that_finish() -> None:
    config = ConsensusConfig(rule="short-m", first=3, uncatchable=False)
    assert not stops([1, 2], 8, config)
    assert stops([1, 2, 3], 8, config)


def test_the_forecast_asks_for_a_larger_lead_the_more_is_outstanding() -> None:
    assert stops([1, 1], 8, FORECAST)
    assert not stops([1], 8, FORECAST)
    assert not stops([1, 1, 2], 40, FORECAST)
    assert stops([1, 1, 1, 2], 8, FORECAST)


def test_stragglers_are_not_expected_to_vote_like_the_others() -> None:
    config = ConsensusConfig(risk=0.08)
    assert not stops([1, 2, 1, 1], 14, config, running=[120] * 10)
    assert stops([1, 2, 1, 1], 14, config, running=[900] * 10)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 25), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_holding_chance_is_a_probability_and_agrees_with_a_walk_through_all_futures(
    leader: int, runner_up: int, others: int, pending: int, ties: float
) -> None:
    leader += runner_up
    chance = holding_chance(leader, runner_up, others, pending, ties, 0.7)
    assert 0 <= chance <= 1 + 1e-9
    if pending <= 4:
        assert chance == pytest.approx(walk(leader, runner_up, others, pending, ties, 0.7), abs=1e-6)


def walk(leader: int, runner_up: int, others: int, pending: int, ties: float, prior: float) -> float:
    if pending == 0:
        return 1.0 if leader > runner_up else ties if leader == runner_up else 0.0
    balls = [leader + prior, runner_up + prior, others + prior]
    futures = [(leader + 1, runner_up, others), (leader, runner_up + 1, others), (leader, runner_up, others + 1)]
    return sum(
        weight / sum(balls) * walk(*future, pending - 1, ties, prior)
        for weight, future in zip(balls, futures, strict=True)
    )


def test_nothing_is_decided_by_nobody() -> None:
    for rule in RULES:
        assert not stops([], 4, ConsensusConfig(rule=rule))
        assert not stops([None], 4, ConsensusConfig(rule=rule))
    assert decision([], decided=False) is None


@pytest.mark.parametrize("rule", RULES)
@given(answers=st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=12))
def test_every_rule_answers_for_every_standing(rule: Any, answers: list[int | None]) -> None:
    assert stops(answers, 12, ConsensusConfig(rule=rule)) in (True, False)


def test_the_decision_says_whether_a_rule_or_the_end_made_it() -> None:
    assert decision(tally(attempts([1, 1, 1, 1])), decided=True) == (1, "consensus")
    assert decision(tally(attempts([1, 2, 1])), decided=False) == (1, "majority")


@given(st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_stopping_at_an_uncatchable_leader_never_changes_the_vote(
    answers: list[int | None], data: st.DataObject
) -> None:
    seen = data.draw(st.integers(1, len(answers)))
    if stops(answers[:seen], len(answers), UNCATCHABLE):
        assert tally(attempts(answers[:seen]))[0].answer == tally(attempts(answers))[0].answer


def test_a_setting_of_one_rule_chooses_it_and_another_rules_setting_is_refused() -> None:
    assert ConsensusConfig(quorum=5).rule == "quorum"
    assert ConsensusConfig(**ConsensusConfig(window=7).model_dump()).window == 7
    with pytest.raises(ValidationError, match="margin belongs to the rule 'margin'"):
        ConsensusConfig(rule="esc", margin=5)


IMPOSSIBLE = [
    (["consensus.quorum=9"], "consensus.quorum 9 is above attempts.num_attempts 8"),
    (["consensus.window=9"], "consensus.window 9 is above attempts.num_attempts 8"),
    (["consensus.rule=best"], "setting 'consensus.rule': input should be 'forecast', 'quorum'"),
    (["budget.base_seconds=500", "budget.cap_seconds=400"], "cap_seconds 400 is below base_seconds 500"),
]


@pytest.mark.parametrize(("settings", "message"), IMPOSSIBLE)
def test_an_impossible_rule_is_told_in_one_line(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        load_config("scripted", settings=settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_chance_of_a_long_race_is_found_quickly_enough_to_be_asked_live() -> None:
    assert math.isclose(holding_chance(20, 20, 0, 400, 0.5, 0.7), 0.5, abs_tol=1e-3)
