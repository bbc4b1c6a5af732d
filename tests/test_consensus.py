from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from solver.config import ConsensusConfig
from solver.consensus import decision, is_decided, tally
from solver.types import Attempt

QUORUM = ConsensusConfig(quorum=4, uncatchable=False)
UNCATCHABLE = ConsensusConfig(quorum=None, uncatchable=True)


def attempt(index: int, answer: int | None, entropy: float | None = None) -> Attempt:
    return Attempt("p", index, 0, "cot", answer, "answered", "", 0, 0, 0, (), 0.0, 0.0, mean_entropy=entropy)


def test_forced_answers_vote_only_where_there_are_no_others() -> None:
    forced = [replace(attempt(index, 7), forced=True) for index in range(5)]
    assert [(c.answer, c.votes, c.forced) for c in tally([*forced, attempt(5, 3)])] == [(3, 1, False)]
    assert [(c.answer, c.votes, c.forced) for c in tally(forced)] == [(7, 5, True)]
    assert not is_decided(tally(forced), 3, 8, QUORUM)
    assert decision(tally(forced), 0, 5, QUORUM) == (7, "majority")


def attempts(answers: Sequence[int | None]) -> list[Attempt]:
    return [attempt(index, answer) for index, answer in enumerate(answers)]


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
    assert not is_decided(tally(attempts([1, 1, 1])), 5, 8, QUORUM)
    assert is_decided(tally(attempts([1, 2, 1, 1, 1])), 3, 8, QUORUM)


def test_a_quorum_above_the_number_of_attempts_means_all_of_them() -> None:
    assert not is_decided(tally(attempts([1])), 1, 2, QUORUM)
    assert is_decided(tally(attempts([1, 1])), 0, 2, QUORUM)


def test_a_leader_who_can_still_be_equalled_is_not_uncatchable() -> None:
    assert not is_decided(tally(attempts([1, 1])), 2, 4, UNCATCHABLE)
    assert is_decided(tally(attempts([1, 1, 1])), 1, 4, UNCATCHABLE)
    assert not is_decided(tally(attempts([1, 2, 1])), 1, 4, UNCATCHABLE)


def test_nothing_is_decided_by_nobody() -> None:
    assert not is_decided([], 3, 4, UNCATCHABLE)
    assert decision([], 0, 4, UNCATCHABLE) is None


def test_the_decision_says_whether_a_rule_or_the_end_made_it() -> None:
    assert decision(tally(attempts([1, 1, 1, 1])), 4, 8, QUORUM) == (1, "consensus")
    assert decision(tally(attempts([1, 2, 1])), 0, 3, UNCATCHABLE) == (1, "majority")


@given(st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_stopping_at_an_uncatchable_leader_never_changes_the_vote(
    answers: list[int | None], data: st.DataObject
) -> None:
    seen = data.draw(st.integers(1, len(answers)))
    early, full = tally(attempts(answers[:seen])), tally(attempts(answers))
    if is_decided(early, len(answers) - seen, len(answers), UNCATCHABLE):
        assert early[0].answer == full[0].answer
