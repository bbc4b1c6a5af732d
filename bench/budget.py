"""Time policies on simulated contests: expected score at three mixes of difficulty; whether a schedule overruns."""

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from bench.report import table, write_report
from solver.budget import Pace, grant, plan_time
from solver.config import BudgetConfig, ConsensusConfig
from solver.price import TimeModel
from solver.simulate import MIXES, Profile, draw_contest, play, profile
from solver.traces import Trace, read_traces
from solver.tune import learned_from, split

_POLICIES = ("price", "bank", "clamp", "even")
_ABORT = 3.0  # seconds that a problem may take more than its grant
_PROBLEMS = 50
_SECONDS = 18_000.0


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench budget", description=__doc__)
    parser.add_argument("traces", type=Path, help="a folder of trace files, or one")
    parser.add_argument("--contests", type=int, default=60, help="for each mix, speed and half of the problems")
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--speeds", type=float, nargs="+", default=[67.0, 83.0, 106.0, 139.0])
    options = parser.parse_args(arguments)
    halves = split(read_traces(options.traces), seed=3)
    results = {(mix, speed): _scores(halves, mix, speed, options.contests) for mix in MIXES for speed in options.speeds}
    body = "\n" + _summary(results) + _details(results) + _overruns(options.schedules)
    write_report("budget", body, ["TRACES", *arguments[1:]])


Results = Mapping[tuple[str, float], Mapping[str, Sequence[tuple[float, float]]]]
"""For each mix and speed, each policy's score and share of the time used, contest by contest."""


def _scores(
    halves: tuple[list[Trace], list[Trace]], mix: str, speed: float, contests: int
) -> dict[str, list[tuple[float, float]]]:
    """Contests of one half's problems, with a time model learned from the other half's at the middling mix."""
    results: dict[str, list[tuple[float, float]]] = {policy: [] for policy in _POLICIES}
    total, rules = _SECONDS * speed, ConsensusConfig()
    for test, train in (halves, halves[::-1]):
        model = learned_from(train, "middling", seed=3)
        order = random.Random(7)
        for _ in range(contests):
            drawn = draw_contest(test, MIXES[mix], _PROBLEMS, order)
            runs = [[profile(trace, rules, 8, order) for trace in drawn] for _ in range(2)]
            for policy in _POLICIES:
                results[policy].append(_play(runs, policy, model, total, speed))
    return results


def _play(
    runs: Sequence[Sequence[Profile]], policy: str, model: TimeModel, total: float, speed: float
) -> tuple[float, float]:
    plan = plan_time(BudgetConfig.model_validate({"policy": policy}), total, _PROBLEMS)
    plan = replace(plan, model=model)
    played = [play(run, plan, total, _PROBLEMS, random.Random(1), _ABORT * speed) for run in runs]
    return mean(result.score for result in played), mean(result.used for result in played) / total


def _summary(results: Results) -> str:
    text = (
        "## Expected score of 50 problems in 5 h\n\nEach contest is played twice and scored 1, 1/2 or 0 a problem; 8 "
        "attempts; the time model of `price` is learned on problems that the contest does not have. The mean over all "
        "speeds below, because a policy is not told how fast its machine is; differences are taken contest by contest, "
        "with 95 % intervals.\n\n"
    )
    rows = []
    for mix in MIXES:
        merged = {
            policy: [score for (m, _), by in results.items() if m == mix for score, _ in by[policy]]
            for policy in _POLICIES
        }
        cells = [f"{mean(merged[policy]):.2f}" for policy in _POLICIES]
        rows.append([mix, *cells, *(_difference(merged["price"], merged[other]) for other in ("bank", "clamp"))])
    return text + table(["mix", "price (ours)", "bank", "clamp", "even", "ours - bank", "ours - clamp"], rows)


def _details(results: Results) -> str:
    rows = []
    for (mix, speed), by in results.items():
        cells = [f"{mean(s for s, _ in by[p]):.2f} ({mean(u for _, u in by[p]):.0%})" for p in _POLICIES]
        ours = [score for score, _ in by["price"]]
        gaps = [_difference(ours, [score for score, _ in by[other]]) for other in ("bank", "clamp")]
        rows.append([mix, f"{speed:g}", *cells, *gaps])
    head = ["mix", "tokens/s of an attempt", "price (ours)", "bank", "clamp", "even", "ours - bank", "ours - clamp"]
    return "\n### At each speed (share of the time used)\n\n" + table(head, rows)


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    return f"{mean(gaps):+.2f} +- {1.96 * stdev(gaps) / len(gaps) ** 0.5:.2f}"


def _overruns(schedules: int) -> str:
    """Random contests whose problems take any part of their grant and up to the abort's latency more."""
    order = random.Random(0)
    rows = []
    for policy in _POLICIES:
        worst = max(_overrun(policy, order) for _ in range(schedules))
        rows.append([policy, f"{schedules:,}", f"{max(0.0, worst):.3f}", 0 if worst <= 1e-6 else "SOME"])
    text = f"\n## Overruns\n\nSeconds behind the limit, beyond one abort's latency of {_ABORT:g} s (the reserve).\n\n"
    return text + table(["policy", "schedules", "worst", "overruns"], rows)


def _overrun(policy: str, order: random.Random) -> float:
    total, number = order.uniform(1, 40_000), order.randint(1, 80)
    expected = max(1, number + order.randint(-5, 5))
    settings = {"policy": policy, "floor_seconds": order.choice([0.0, order.uniform(0, 100)])}
    plan = plan_time(BudgetConfig.model_validate(settings), total, expected)
    clock, pace, full = 0.0, Pace(), order.random() < 0.3
    for done in range(number):
        given = grant(plan, total - clock, expected - done, pace)
        if given.seconds <= 0:
            break
        taken = given.seconds * (1.0 if full else order.random()) + order.uniform(0, _ABORT)
        clock, pace = clock + taken, pace.after(taken, given)
    return clock - _ABORT - total
