"""How long a problem may take. Pure: the time left and the problems left go in, seconds come out; no clock is read.

Because nothing but the time really left enters, a problem that overran or finished early is accounted for at the next
call, and no schedule can promise more than there is.

Policies, with the published seconds (50 problems in 5 h, 360 s a problem) that scale to other contests:
  bank   350 s each; what earlier problems left over may be drawn, at most 210 s a problem (arXiv 2504.16891, 6.3.4).
  clamp  between 240 and 960 s, whatever leaves 240 s for each problem after it (the AIMO-3 base notebooks).
  even   an equal share of what is left.
"""

import math
from dataclasses import dataclass

from solver.config import BudgetConfig
from solver.types import Deadline as Deadline
from solver.types import ProblemBudget as ProblemBudget

_PUBLISHED_SHARE = 360.0


@dataclass(frozen=True, slots=True)
class TimePlan:
    """A policy with its seconds settled for one contest."""

    policy: str
    base: float
    draw: float
    cap: float
    floor: float


def plan_time(config: BudgetConfig, total_seconds: float, num_problems: int) -> TimePlan:
    """Scale the policy to a contest of `num_problems` in `total_seconds` (without the reserve; may be infinite)."""
    scale = total_seconds / max(1, num_problems) / _PUBLISHED_SHARE
    base, draw, cap = {"bank": (350, 210, 560), "clamp": (240, 0, 960), "even": (360, 0, math.inf)}[config.policy]
    return TimePlan(
        policy=config.policy,
        base=config.base_seconds or base * scale,
        draw=draw * scale if config.draw_seconds is None else config.draw_seconds,
        cap=config.cap_seconds or cap * scale,
        floor=config.floor_seconds,
    )


def allocate(plan: TimePlan, seconds_left: float, problems_left: int) -> float:
    """Seconds for the next problem, of `problems_left` including it. Never more than `seconds_left`, never negative."""
    if seconds_left <= 0:
        return 0.0
    if math.isinf(seconds_left):
        return plan.cap
    share = seconds_left / max(1, problems_left)
    spare = seconds_left - plan.base * problems_left
    if plan.policy == "bank" and spare >= 0:
        share = min(plan.base + min(plan.draw, spare), plan.cap)
    elif plan.policy == "clamp" and spare >= 0:
        share = min(plan.base + spare, plan.cap)
    return min(max(share, plan.floor), seconds_left)
