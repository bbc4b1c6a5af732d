"""Figures over problems: means with standard errors and 95 % intervals, and differences on the same problems. The
columns are those of table 10 of arXiv 2504.16891."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
COLUMNS = ("maj", "pass", "pass1", "tokens", "code")
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over problems with its standard error and 95 % interval."""

    value: float
    error: float
    low: float
    high: float

    def percent(self) -> str:
        return f"{100 * self.value:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f})"

    def number(self, digits: int) -> str:
        return f"{self.value:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Evaluation:
    num_problems: int
    attempts: int
    figures: Mapping[str, Figure]
    """maj: the majority's answer is right. pass: any attempt's is. pass1: the share of right attempts. tokens: what the
    model wrote, a solution. code: blocks of Python run, a solution."""
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """maj and pass1 of each problem, in the problems' order: two checkpoints are compared on the same problems."""
    tokens_per_second: float | None = None
    """None where the run was resumed: its clocks do not add up."""

    def cells(self) -> list[str]:
        """One for each of `columns`, with 95 % intervals: Wilson's for shares of problems, a bootstrap for means."""
        shares = [self.figures[name].percent() for name in ("maj", "pass", "pass1")]
        return [*shares, self.figures["tokens"].number(0), self.figures["code"].number(2)]


def columns(k: int) -> list[str]:
    return [f"maj@{k} %", f"pass@{k} %", "pass@1 %", "tokens a solution", "code blocks a solution"]


def summarize(rows: Rows) -> dict[str, Figure]:
    """Problems are what was drawn: shares of problems get Wilson's interval, means a bootstrap over problems."""
    figures = {}
    for column, values in zip(COLUMNS, rows.T, strict=True):
        interval = wilson if column in ("maj", "pass") else bootstrap
        low, high = interval(values)
        figures[column] = Figure(float(values.mean()), standard_error(values), low, high)
    return figures


def standard_error(values: Rows) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def difference(better: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of the differences on the same problems: how hard these are is then out of it."""
    values = np.asarray(better, float) - np.asarray(other, float)
    return float(values.mean()), standard_error(values)


def wilson(values: Rows, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, 1927): never empty, unlike the normal one at 0 and 1."""
    n, share = len(values), float(values.mean())
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Rows) -> tuple[float, float]:
    """The middle 95 % of means over problems drawn again, with a fixed seed."""
    generator = np.random.default_rng(0)
    means = values[generator.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
