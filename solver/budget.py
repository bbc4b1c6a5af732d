"""How long a problem may take. Pure: the time left and the problems left go in, seconds come out; no clock is read.

Because nothing but the time really left enters, a problem that overran or finished early is accounted for at the next
call, and no schedule can promise more than there is.

Policies, with the published seconds (50 problems in 5 h, 360 s a problem) that scale to other contests:
  price  a problem goes on while a second more is expected to buy more here than elsewhere (`solver.price`; ours). What
         others did not need lowers the price for the rest; a share is kept for each of them, so that a run of hard
         problems starves none. Speed is measured from the first problem on (`Pace`).
  bank   350 s each; what earlier problems left over may be drawn, at most 210 s a problem (arXiv 2504.16891, 6.3.4).
  clamp  between 240 and 960 s, whatever leaves 240 s for each problem after it (the AIMO-3 base notebooks).
  even   an equal share of what is left.
"""

import math
from dataclasses import dataclass

from solver.config import BudgetConfig
from solver.price import LEARNED, TimeModel
from solver.types import Deadline as Deadline
from solver.types import ProblemBudget as ProblemBudget

_PUBLISHED_SHARE = 360.0
_KEPT = 0.35  # of an equal share, for every problem to come
_PRIOR_UNITS = 1.5  # of the expected length, that the pace starts with


@dataclass(frozen=True, slots=True)
class TimePlan:
    """A policy with its seconds settled for one contest."""

    policy: str
    base: float
    draw: float
    cap: float
    floor: float
    unit: float = math.inf
    """price: seconds an attempt is expected to take, until it is measured."""
    model: TimeModel = LEARNED


@dataclass(frozen=True, slots=True)
class Grant:
    """What a problem is given."""

    seconds: float
    """At the most."""
    price: float = 0.0
    """What a unit of time must buy, in right answers."""
    units: float = 0.0
    """What problems take on average at this price."""
    floor: float = 0.0
    model: TimeModel = LEARNED


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a unit takes, from the problems so far: their seconds over the units they were predicted to take. It
    corrects the expected speed, the expected length of attempts and the expected difficulty, all at once."""

    seconds: float = 0.0
    units: float = 0.0

    def after(self, seconds: float, given: Grant) -> "Pace":
        """With one problem more, which took so long."""
        return Pace(self.seconds + seconds, self.units + given.units)

    def unit(self, expected: float) -> float:
        """Seconds of a unit."""
        return (self.seconds + _PRIOR_UNITS * expected) / (self.units + _PRIOR_UNITS)


def plan_time(config: BudgetConfig, total_seconds: float, num_problems: int) -> TimePlan:
    """Scale the policy to a contest of `num_problems` in `total_seconds` (without the reserve; may be infinite)."""
    share = total_seconds / max(1, num_problems)
    scale = share / _PUBLISHED_SHARE
    base, draw, cap = {
        "price": (360, 0, math.inf),
        "bank": (350, 210, 560),
        "clamp": (240, 0, 960),
        "even": (360, 0, math.inf),
    }[config.policy]
    return TimePlan(
        policy=config.policy,
        base=config.base_seconds or base * scale,
        draw=draw * scale if config.draw_seconds is None else config.draw_seconds,
        cap=config.cap_seconds or cap * scale,
        floor=config.floor_seconds,
        unit=config.attempt_seconds or share,
    )


def allocate(plan: TimePlan, seconds_left: float, problems_left: int, pace: Pace | None = None) -> float:
    """Seconds for the next problem, of `problems_left` including it. Never more than `seconds_left`, never negative."""
    return grant(plan, seconds_left, problems_left, pace or Pace()).seconds


def grant(plan: TimePlan, seconds_left: float, problems_left: int, pace: Pace) -> Grant:
    """What the next problem is given. A problem that nobody expected (`problems_left` below 1) is not taken for the
    last one."""
    if seconds_left <= 0:
        return Grant(0.0)
    if math.isinf(seconds_left):
        return Grant(plan.cap)
    problems = problems_left if problems_left >= 1 else 2
    if plan.policy == "price":
        return _priced(plan, seconds_left, problems, pace)
    share = seconds_left / problems
    spare = seconds_left - plan.base * problems
    if plan.policy == "bank" and spare >= 0:
        share = min(plan.base + min(plan.draw, spare), plan.cap)
    elif plan.policy == "clamp" and spare >= 0:
        share = min(plan.base + spare, plan.cap)
    return Grant(min(max(share, plan.floor), seconds_left))


def goes_on(given: Grant, votes: int, finished: int, elapsed: float) -> bool:
    """Whether a problem is still worth its price, `elapsed` seconds after its start, with `votes` for its leader among
    `finished` attempts; asked whenever one finishes."""
    return elapsed < given.floor or given.price <= 0 or given.model.is_worth(votes, finished, given.price)


def _priced(plan: TimePlan, seconds_left: float, problems: int, pace: Pace) -> Grant:
    unit, share = pace.unit(plan.unit), seconds_left / problems
    price = plan.model.shadow_price(share / unit)
    most = min(plan.cap, seconds_left - _KEPT * share * (problems - 1))
    seconds = min(max(unit * plan.model.wait(price), plan.floor), most)
    seconds = max(seconds, min(plan.floor, seconds_left))
    return Grant(seconds, price, plan.model.units(price), plan.floor, plan.model)
