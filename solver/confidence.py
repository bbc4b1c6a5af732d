"""How sure a vote is: the probability that its leader is the right answer, calibrated on recorded attempts. Pure.

A logistic model of four numbers that any vote has. It was fitted on all shared traces together, each set with the same
weight, so it says what a vote of this shape is worth over models and problems of many kinds; on one kind it may be off
(`bench/results/consensus.md` has the reliability table). It cannot see an attractor: attempts that agree on a wrong
answer look like attempts that agree.
"""

import math
from collections.abc import Sequence

from solver.stop_rules import Standing

COEFFICIENTS = (-2.7754, 7.3001, -6.8515, -0.8041, 1.0437)


def features(now: Standing) -> tuple[float, ...]:
    """Smoothed share of the leader, of the runner-up, log of the leader's votes, and of the finished attempts."""
    size = now.finished + 1.0
    return (1.0, now.leader / size, now.runner_up / size, math.log1p(now.leader), math.log1p(now.finished))


def confidence(now: Standing, coefficients: Sequence[float] = COEFFICIENTS) -> float:
    """The probability that the leader is right; 0 where nobody leads."""
    if not now.leader:
        return 0.0
    score = sum(c * f for c, f in zip(coefficients, features(now), strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def fit(rows: Sequence[tuple[float, ...]], right: Sequence[bool], weights: Sequence[float]) -> tuple[float, ...]:
    """Coefficients by weighted maximum likelihood with a small ridge (Newton's method). Weights sum to about the number
    of rows."""
    import numpy as np

    x, y, w = np.asarray(rows), np.asarray(right, dtype=float), np.asarray(weights)
    beta = np.zeros(x.shape[1])
    ridge = np.eye(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (y - p)) - ridge @ beta
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + ridge
        step = np.linalg.solve(hessian, gradient)
        beta += step
        if float(np.abs(step).max()) < 1e-8:
            break
    return tuple(round(float(value), 4) for value in beta)
