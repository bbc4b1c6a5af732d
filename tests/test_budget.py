import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.budget import allocate, plan_time
from solver.config import BudgetConfig

POLICIES: tuple[Literal["bank", "clamp", "even"], ...] = ("bank", "clamp", "even")
ABORT_LATENCY = 3.0  # seconds: what a problem may overrun its grant by, and what the reserve is there for


@given(
    policy=st.sampled_from(POLICIES),
    total=st.floats(1, 50_000),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=80),
    latencies=st.lists(st.floats(0, ABORT_LATENCY), min_size=80, max_size=80),
    floor=st.floats(0, 100),
    base=st.none() | st.floats(1, 2_000),
    surprise=st.integers(-5, 5),
)
def test_no_schedule_of_durations_overruns(
    policy: Literal["bank", "clamp", "even"],
    total: float,
    shares: list[float],
    latencies: list[float],
    floor: float,
    base: float | None,
    surprise: int,
) -> None:
    """Problems take any part of their grant plus the abort's latency, and there may be more or fewer than planned."""
    config = BudgetConfig(policy=policy, floor_seconds=floor, base_seconds=base)
    plan = plan_time(config, total, max(1, len(shares) + surprise))
    clock = 0.0
    for number, (share, latency) in enumerate(zip(shares, latencies, strict=False)):
        grant = allocate(plan, total - clock, len(shares) - number)
        assert 0 <= grant <= max(0.0, total - clock) + 1e-6
        if grant == 0:
            break
        clock += share * grant + latency
    assert clock <= total + ABORT_LATENCY + 1e-6


@given(policy=st.sampled_from(POLICIES), total=st.floats(10, 50_000), problems=st.integers(1, 100))
def test_problems_that_take_their_whole_grant_leave_time_for_the_last(
    policy: Literal["bank", "clamp", "even"], total: float, problems: int
) -> None:
    plan = plan_time(BudgetConfig(policy=policy), total, problems)
    left = total
    for number in range(problems):
        grant = allocate(plan, left, problems - number)
        assert grant >= 0.5 * total / problems
        left -= grant


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
def test_without_a_limit_a_problem_may_take_for_ever(policy: Literal["bank", "clamp", "even"]) -> None:
    plan = plan_time(BudgetConfig(policy=policy), math.inf, 3)
    assert allocate(plan, math.inf, 3) == math.inf
