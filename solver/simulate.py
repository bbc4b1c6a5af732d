"""Contests played with recorded attempts on a simulated clock: the policies of `budget.py` and the rules of
`consensus.py`, a thousand contests in seconds. Pure but for the random numbers it is given.

All attempts at a problem start at once and write at one speed, so the shorter finish first; time is counted in tokens
of one attempt. Cut attempts leave nothing (forced answers are not simulated). What the model of time leaves out: that
many attempts at once are slower than one, and what code takes to run.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from solver.budget import Grant, Pace, TimePlan, goes_on, grant
from solver.config import ConsensusConfig
from solver.consensus import is_decided, tally
from solver.traces import Sample, Trace

LEVELS = ("easy", "medium", "hard")
MIXES = {"easy": (0.7, 0.2, 0.1), "middling": (0.45, 0.3, 0.25), "hard": (0.25, 0.35, 0.4)}
"""Shares of problems at which at least two thirds, some, and few (under a tenth) of the attempts are right."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An attempt has finished."""

    at: float
    votes: int
    """Of the leader."""
    right: bool
    decided: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """One problem as a clock sees it: what stands when, and when a rule ends it."""

    moments: tuple[Moment, ...]
    lengths: tuple[float, ...]
    """Of all its attempts."""

    @property
    def end(self) -> float:
        return self.moments[-1].at


@dataclass(frozen=True, slots=True)
class ContestResult:
    score: int
    used: float
    overrun: float
    """By how much the limit was passed, the last abort's latency aside."""


def level(trace: Trace) -> str:
    share = sum(sample.answer in trace.right for sample in trace.samples) / len(trace.samples)
    return "easy" if share >= 2 / 3 else "medium" if share >= 0.1 else "hard"


def profile(
    trace: Trace, config: ConsensusConfig, num_attempts: int, order: random.Random, slots: int | None = None
) -> Profile:
    """A run of the problem with attempts drawn from its samples without replacement, at most `slots` at a time."""
    samples = order.sample(trace.samples, min(num_attempts, len(trace.samples)))
    ends = _ends([sample.num_tokens for sample in samples], slots or len(samples))
    places = sorted(range(len(samples)), key=ends.__getitem__)
    seen: list[Sample] = []
    moments = []
    for done, place in enumerate(places, start=1):
        seen.append(samples[place])
        candidates = tally(seen)
        leader = candidates[0] if candidates else None
        running = [int(ends[place]) - ends[n] + samples[n].num_tokens for n in places[done:]]
        decided = done == len(samples) or is_decided(seen, candidates, len(samples), config, running)
        right = leader is not None and leader.answer in trace.right
        moments.append(Moment(float(ends[place]), leader.votes if leader else 0, right, decided))
        if decided:
            break
    return Profile(tuple(moments), tuple(float(sample.num_tokens) for sample in samples))


def _ends(lengths: Sequence[int], slots: int) -> list[int]:
    """When each attempt ends, where the next starts as soon as a slot is free."""
    free = [0] * slots
    ends = []
    for length in lengths:
        ends.append(heapq.heappop(free) + length)
        heapq.heappush(free, ends[-1])
    return ends


def play(
    profiles: Sequence[Profile],
    plan: TimePlan,
    total: float,
    expected: int,
    latency: random.Random | None = None,
    abort: float = 0.0,
) -> ContestResult:
    """One contest in `total` time, planned for `expected` problems. Each problem takes up to `abort` more than it was
    granted, at random."""
    clock, score, pace = 0.0, 0, Pace()
    for number, problem in enumerate(profiles):
        left = total - clock
        if left <= 0:
            break
        given = grant(plan, left, expected - number, pace)
        taken, right = spend(problem, given)
        score += right
        clock += taken + (latency.uniform(0, abort) if latency else 0.0)
        pace = pace.after(taken, given)
    return ContestResult(score, clock, max(0.0, clock - abort - total))


def spend(problem: Profile, given: Grant) -> tuple[float, bool]:
    """Time taken with this grant, and whether the answer then is right."""
    right = False
    for finished, moment in enumerate(problem.moments, start=1):
        if moment.at > given.seconds:
            return given.seconds, right
        right = moment.right
        if moment.decided or not goes_on(given, moment.votes, finished, moment.at):
            return moment.at, right
    return problem.end, right


def draw_contest(traces: Sequence[Trace], mix: Sequence[float], num_problems: int, order: random.Random) -> list[Trace]:
    """Problems of a contest, each level with its share, in random order; a problem may come more than once."""
    levels = {name: [trace for trace in traces if level(trace) == name] for name in LEVELS}
    names = order.choices(LEVELS, weights=mix, k=num_problems)
    return [order.choice(levels[name] or traces) for name in names]
