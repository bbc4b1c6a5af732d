"""The tables of `solver.price`, learned from recorded attempts. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from solver.budget import Grant
from solver.price import EDGES, STANDINGS, TimeModel, price_table, standing_of
from solver.simulate import Profile, spend

_PRICES = tuple(round(1.5 * 0.95**step, 4) for step in range(90))
_SHRINK = 0.05  # units that would have bought nothing, for each run, in every estimate


@dataclass(frozen=True, slots=True)
class Weighted:
    profile: Profile
    weight: float


def learn_time_model(runs: Sequence[Weighted]) -> TimeModel:
    """Gains and prices from many runs of many problems, weighted as a contest would mix them.

    Raises:
        ValueError: there are no runs.
    """
    if not runs:
        raise ValueError("nothing to learn from")
    unit = _unit(runs)
    waiting = _falling(_waiting(runs, edge * unit, unit) for edge in EDGES)
    voting = tuple(_voting(runs, unit, number) for number in range(len(STANDINGS)))
    model = TimeModel(waiting, voting, ((0.0, 1.0),))
    return TimeModel(waiting, voting, _prices(runs, unit, model))


def _unit(runs: Sequence[Weighted]) -> float:
    """Time of all attempts until their problem is decided, over those that finish."""
    time = sum(run.weight * sum(min(length, run.profile.end) for length in run.profile.lengths) for run in runs)
    return time / sum(run.weight * len(run.profile.moments) for run in runs)


def _waiting(runs: Sequence[Weighted], since: float, unit: float) -> float:
    """Right answers in the end, over the units until then, where nothing had finished by `since`."""
    rest = [run for run in runs if run.profile.moments[0].at > since]
    gained = sum(run.weight * run.profile.moments[-1].right for run in rest)
    return _rate(gained, sum(run.weight * (run.profile.end - since) for run in rest) / unit, runs)


def _voting(runs: Sequence[Weighted], unit: float, standing: int) -> float:
    """Right answers more in the end than now, over the units until then."""
    gained = spent = 0.0
    for run in runs:
        moments = run.profile.moments
        for finished, moment in enumerate(moments[:-1], start=1):
            if standing_of(moment.votes, finished) == standing:
                gained += run.weight * (moments[-1].right - moment.right)
                spent += run.weight * (run.profile.end - moment.at) / unit
    return _rate(gained, spent, runs)


def _rate(gained: float, spent: float, runs: Sequence[Weighted]) -> float:
    return round(max(0.0, gained / (spent + _SHRINK * sum(run.weight for run in runs))), 4)


def _falling(values: Iterable[float]) -> tuple[float, ...]:
    lowest = math.inf
    return tuple(lowest := min(lowest, value) for value in values)


def _prices(runs: Sequence[Weighted], unit: float, model: TimeModel) -> tuple[tuple[float, float], ...]:
    total = sum(run.weight for run in runs)
    rows = []
    for price in (*_PRICES, 0.0):
        given = Grant(unit * model.wait(price), price, model=model)
        taken = sum(run.weight * spend(run.profile, given)[0] for run in runs)
        rows.append((taken / unit / total, price))
    return price_table(rows)
