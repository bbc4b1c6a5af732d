import math
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.budget import Pace, allocate, goes_on, grant, plan_time
from solver.config import BudgetConfig
from solver.price import LEARNED, price_table

Policy = Literal["price", "bank", "clamp", "even"]
POLICIES: tuple[Policy, ...] = ("price", "bank", "clamp", "even")
ABORT_LATENCY = 3.0  # seconds: what a problem may overrun its grant by, and what the reserve is there for


@settings(max_examples=400)
@given(
    policy=st.sampled_from(POLICIES),
    total=st.floats(1, 50_000),
    shares=st.lists(st.one_of(st.just(1.0), st.floats(0, 1)), min_size=1, max_size=80),
    latency=st.floats(0, ABORT_LATENCY),
    floor=st.floats(0, 100),
    base=st.none() | st.floats(1, 2_000),
    surprise=st.integers(-5, 5),
)
def test_no_schedule_of_durations_overruns(
    policy: Policy, total: float, shares: list[float], latency: float, floor: float, base: float | None, surprise: int
) -> None:
    """Problems take any part of their grant plus the abort's latency, and there may be more or fewer than planned."""
    plan = plan_time(BudgetConfig(policy=policy, floor_seconds=floor, base_seconds=base), total, len(shares))
    clock, pace = 0.0, Pace()
    for number, share in enumerate(shares):
        given = grant(plan, total - clock, len(shares) + surprise - number, pace)
        assert 0 <= given.seconds <= max(0.0, total - clock) + 1e-6
        if given.seconds == 0:
            break
        taken = share * given.seconds + latency
        clock, pace = clock + taken, pace.after(taken, given)
    assert clock <= total + ABORT_LATENCY + 1e-6


@given(policy=st.sampled_from(POLICIES), total=st.floats(10, 50_000), problems=st.integers(1, 100))
def test_problems_that_take_their_whole_grant_leave_time_for_the_last(
    policy: Policy, total: float, problems: int
) -> None:
    plan = plan_time(BudgetConfig(policy=policy), total, problems)
    left, pace = total, Pace()
    for number in range(problems):
        given = grant(plan, left, problems - number, pace)
        assert given.seconds > 0
        if policy != "price":
            assert given.seconds >= 0.5 * total / problems
        left, pace = left - given.seconds, pace.after(given.seconds, given)
    assert left >= -1e-6


def test_the_bank_rule_gives_the_published_seconds_in_the_published_contest() -> None:
    plan = plan_time(BudgetConfig(policy="bank"), 18_000, 50)
    assert allocate(plan, 18_000, 50) == pytest.approx(560)  # 350 of its own, 210 of the 500 s that nobody claims
    assert allocate(plan, 350 * 10, 10) == pytest.approx(350)
    assert allocate(plan, 350 * 10 + 100, 10) == pytest.approx(450)
    assert allocate(plan, 1_000, 10) == pytest.approx(100)  # behind: an equal share of what is left


def test_the_clamp_rule_gives_the_published_seconds_and_never_more_than_there_is() -> None:
    plan = plan_time(BudgetConfig(policy="clamp"), 18_000, 50)
    assert allocate(plan, 18_000, 50) == pytest.approx(960)
    assert allocate(plan, 240 * 9 + 300, 10) == pytest.approx(300)
    assert allocate(plan, 30, 10) == pytest.approx(3)


def test_a_problem_gets_the_floor_while_there_is_time() -> None:
    plan = plan_time(BudgetConfig(policy="even", floor_seconds=10), 600, 200)
    assert allocate(plan, 590, 200) == 10
    assert allocate(plan, 4, 50) == 4
    assert allocate(plan, -1, 50) == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_limit_a_problem_may_take_for_ever(policy: Policy) -> None:
    plan = plan_time(BudgetConfig(policy=policy), math.inf, 3)
    given = grant(plan, math.inf, 3, Pace())
    assert given.seconds == math.inf
    assert goes_on(given, 1, 1, 1e6)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_problem_that_nobody_expected_is_not_taken_for_the_last(policy: Policy) -> None:
    plan = plan_time(BudgetConfig(policy=policy), 1_000, 1)
    assert 0 < allocate(plan, 100, 0) < 100
    assert 0 < allocate(plan, 100, -7) < 100


def test_the_price_rises_when_problems_take_longer_than_they_were_expected_to() -> None:
    plan = plan_time(BudgetConfig(policy="price", attempt_seconds=300), 18_000, 50)
    first = grant(plan, 18_000, 50, Pace())
    slow = Pace().after(3_000, first)
    assert grant(plan, 15_000, 49, slow).price > grant(plan, 15_000, 49, Pace().after(30, first)).price


def test_a_dear_minute_ends_a_problem_with_one_vote_and_a_cheap_one_does_not() -> None:
    scarce = grant(plan_time(BudgetConfig(attempt_seconds=900), 5_000, 50), 5_000, 50, Pace())
    plenty = grant(plan_time(BudgetConfig(attempt_seconds=10), 5_000, 50), 5_000, 50, Pace())
    assert not goes_on(scarce, 1, 1, 50)
    assert goes_on(plenty, 1, 1, 50)


@given(st.floats(0, 3))
def test_the_shadow_price_falls_as_time_grows_and_its_inverse_agrees(units: float) -> None:
    price = LEARNED.shadow_price(units)
    assert price >= LEARNED.shadow_price(units + 0.1) >= 0
    if LEARNED.price[0][0] <= units <= LEARNED.price[-1][0]:
        assert LEARNED.units(price) == pytest.approx(units, abs=1e-3)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), min_size=1))
def test_a_price_table_rises_in_time_and_falls_in_price(rows: list[tuple[float, float]]) -> None:
    table = price_table(rows)
    assert all(a[0] < b[0] + 1e-3 and a[1] >= b[1] for a, b in pairwise(table))
