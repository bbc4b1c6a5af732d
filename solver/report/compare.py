"""Two runs over the same problems: is one better, or was it luck? Pure; paired by problem.

McNemar's exact test asks of the problems that only one run solved whether they fall evenly (two-sided binomial test,
Biometrika 1947; the mid-p and chi-square forms are off at the few dozen problems a contest has). The interval is the
paired bootstrap's percentile interval, resampling problems (Efron & Tibshirani 1993, chapter 13).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

_ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """What run B has over run A, on the problems that both have judged."""

    problems: int
    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    """McNemar's exact, two-sided: how likely a split at least this uneven is between equal runs."""
    low: float
    high: float
    """95 % interval of B's score less A's, in problems."""

    @property
    def difference(self) -> int:
        return self.only_b - self.only_a

    @property
    def verdict(self) -> str:
        if self.only_a + self.only_b == 0:
            return "the same problems solved"
        if self.p_value < 0.05:
            return "better" if self.difference > 0 else "worse"
        return "no difference that these problems could show"


def compare(a: Mapping[str, bool], b: Mapping[str, bool], seed: int = 0) -> Comparison:
    """`a` and `b` tell of each problem whether the run was right."""
    shared = [name for name in a if name in b]
    only_a = sum(a[name] and not b[name] for name in shared)
    only_b = sum(b[name] and not a[name] for name in shared)
    both = sum(a[name] and b[name] for name in shared)
    differences = [int(b[name]) - int(a[name]) for name in shared]
    low, high = bootstrap_interval(differences, seed)
    neither = len(shared) - both - only_a - only_b
    return Comparison(len(shared), both, only_a, only_b, neither, mcnemar_exact(only_a, only_b), low, high)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The two-sided p-value of a split at least as uneven as this one."""
    total, least = only_a + only_b, min(only_a, only_b)
    tail = sum(comb(total, k) for k in range(least + 1))
    return min(1.0, 2 * tail / (1 << total))  # exact until the last division, which never overflows


def bootstrap_interval(differences: Sequence[int], seed: int = 0, rounds: int = _ROUNDS) -> tuple[float, float]:
    """The 95 % percentile interval of the sum of paired differences of -1, 0 and 1."""
    if not differences:
        return 0.0, 0.0
    import numpy as np

    # Only the counts matter, so a resample of the problems is one multinomial draw.
    n = len(differences)
    shares = [differences.count(value) / n for value in (-1, 0, 1)]
    draws = np.random.default_rng(seed).multinomial(n, shares, size=rounds)
    low, high = np.percentile(draws[:, 2] - draws[:, 0], [2.5, 97.5], method="nearest").tolist()
    return float(low), float(high)
