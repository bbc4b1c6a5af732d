"""What a second is worth: the expected gain of going on with a problem, and the shadow price of time. Pure.

Time is counted in units, which `solver.budget.Pace` measures. LEARNED comes from recorded attempts (`solver tune`
prints it): how many right answers a unit more buys, while a problem waits for its first attempt and in each standing of
its vote, and which price uses up a given time for each problem. It holds for a model as far as the spread of its
attempts' lengths about their mean is like that of the recorded ones.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

EDGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Times, in units, at which `TimeModel.waiting` is known; it is linear between them and constant behind the last."""
STANDINGS = ("first vote", "split", "scattered", "leading")
"""Of a vote that no rule has decided: one attempt has answered; the first few disagree; many do, or none answers;
an answer has two votes or more."""


def standing_of(votes: int, finished: int) -> int:
    """Which of STANDINGS a vote is in, once `finished` attempts have finished and the leader has `votes`."""
    if votes >= 2:
        return 3
    if votes == 0 or finished >= 5:
        return 2
    return 0 if finished == 1 else 1


@dataclass(frozen=True, slots=True)
class TimeModel:
    waiting: tuple[float, ...]
    """Right answers that a unit more buys while no attempt has finished yet, at EDGES; never rising."""
    voting: tuple[float, ...]
    """The same once some have, for each of STANDINGS."""
    price: tuple[tuple[float, float], ...]
    """Units for each problem, rising, and the price at which problems take just that."""

    def shadow_price(self, units_each: float) -> float:
        """Right answers a unit, where `units_each` are left for each problem; 0 where that is more than they use."""
        place = bisect_right([units for units, _ in self.price], units_each)
        if place == 0:
            return self.price[0][1]
        if place == len(self.price):
            return 0.0
        (low, dear), (high, cheap) = self.price[place - 1 : place + 1]
        return dear + (cheap - dear) * (units_each - low) / (high - low)

    def units(self, price: float) -> float:
        """What a problem takes on average at `price`; the inverse of `shadow_price`."""
        for (low, dear), (high, cheap) in pairwise(self.price):
            if cheap <= price <= dear:
                return high if dear == cheap else low + (high - low) * (dear - price) / (dear - cheap)
        return self.price[0][0] if price > self.price[0][1] else self.price[-1][0]

    def wait(self, price: float) -> float:
        """For how many units the first attempt is worth waiting for at `price`."""
        if price <= self.waiting[-1]:
            return math.inf
        place = next(n for n, gain in enumerate(self.waiting) if gain < price)
        if place == 0:
            return EDGES[1]
        before, after = self.waiting[place - 1], self.waiting[place]
        return EDGES[place - 1] + (EDGES[place] - EDGES[place - 1]) * (before - price) / (before - after)

    def is_worth(self, votes: int, finished: int, price: float) -> bool:
        """Whether a problem is worth going on with at `price`."""
        return finished == 0 or self.voting[standing_of(votes, finished)] >= price


def price_table(rows: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Rows of (units, price), rising in units and falling in price; of equal units the lowest price."""
    kept: list[tuple[float, float]] = []
    for units, price in sorted(rows, key=lambda row: -row[1]):
        while kept and kept[-1][0] >= units - 1e-9:
            kept.pop()
        kept.append((round(units, 4), round(price, 4)))
    return tuple(kept)


# From the traces with token counts (169 problem-runs of gpt-oss and DeepSeek models), middling mix.
LEARNED = TimeModel(
    waiting=(0.7498, 0.7049, 0.5128, 0.4092, 0.36, 0.0, 0.0),
    voting=(0.4605, 0.9649, 0.0163, 0.3499),
    price=(
        (0.0949, 0.7315),
        (0.3029, 0.5958),
        (0.3873, 0.4853),
        (0.5598, 0.3953),
        (0.6673, 0.322),
        (0.6961, 0.2622),
        (0.7166, 0.2136),
        (0.732, 0.174),
        (0.7441, 0.1417),
        (0.7528, 0.1154),
        (0.7595, 0.094),
        (0.7676, 0.0624),
        (0.7745, 0.0337),
        (0.777, 0.0224),
        (0.8005, 0.0),
    ),
)
