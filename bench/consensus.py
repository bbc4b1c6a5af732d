"""Every stopping rule on recorded attempts: accuracy and what it cost, next to all attempts and the oracle."""

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import process_time

from bench.report import table, write_report
from solver.confidence import features, fit
from solver.config import ConsensusConfig
from solver.consensus import standing, tally
from solver.replay import Outcome, SetReport, replay, report, shuffled
from solver.traces import Trace, read_traces

OURS = "forecast (ours)"
ALL = "all samples"
RULES: Mapping[str, ConsensusConfig] = {
    ALL: ConsensusConfig(rule="all", uncatchable=False),
    OURS: ConsensusConfig(),
    "quorum 4": ConsensusConfig(quorum=4, uncatchable=False),
    "quorum 5": ConsensusConfig(quorum=5, uncatchable=False),
    "margin 2, from the 2nd": ConsensusConfig(margin=2, min_finished=2, uncatchable=False),
    "margin 2, from the 3rd": ConsensusConfig(margin=2, uncatchable=False),
    "uncatchable": ConsensusConfig(rule="uncatchable", uncatchable=False),
    "adaptive-consistency 0.95": ConsensusConfig(rule="adaptive-consistency", uncatchable=False),
    "esc 5": ConsensusConfig(rule="esc", uncatchable=False),
    "esc 8": ConsensusConfig(window=8, uncatchable=False),
    "short-1": ConsensusConfig(first=1, uncatchable=False),
    "short-3": ConsensusConfig(first=3, uncatchable=False),
}
_LARGE = 100  # problems from which a set can tell rules apart

Table = dict[str, dict[str, SetReport]]
"""Rule, then set."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench consensus", description=__doc__)
    parser.add_argument("traces", type=Path, help="a folder of trace files, or one")
    parser.add_argument("--orders", type=int, default=20, help="random orders of completion, besides the recorded one")
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args(arguments)
    traces = read_traces(options.traces)
    recorded, speed = _measure(traces)
    order = random.Random(0)
    mixed = [shuffled(trace, order) for _ in range(options.orders) for trace in traces]
    average, _ = _measure(mixed)
    body = "\n" + _speed(speed) + _accuracy(traces, recorded, average) + _must_show(recorded, average)
    body += _cross_validation(traces, options.orders, options.folds) + _calibration(traces, options.folds)
    write_report("consensus", body, ["TRACES", *arguments[1:]])


def _measure(traces: Sequence[Trace]) -> tuple[Table, dict[str, float]]:
    """Every rule on `traces`, and its problem-runs a second."""
    results: Table = {}
    speed = {}
    for name, config in RULES.items():
        began = process_time()
        outcomes = [replay(trace, config) for trace in traces]
        speed[name] = len(traces) / (process_time() - began)
        results[name] = {line.set_name: line for line in report(outcomes)}
    return results, speed


def _speed(speed: Mapping[str, float]) -> str:
    rows = [[name, f"{rate:,.0f}"] for name, rate in speed.items()]
    return "## Problem-runs a second, on one core (CPU time)\n\n" + table(["rule", "a second"], rows)


def _accuracy(traces: Sequence[Trace], recorded: Table, average: Table) -> str:
    text = (
        "\n## Accuracy and cost\n\nAccuracy in percent of the problem-runs, +- one standard error by problem, in the "
        "recorded order of completion; then its mean over random orders. Samples and tokens a problem-run, of the "
        "attempts that had finished, over random orders. Tokens are a quarter of the characters where a source counts "
        "only those.\n"
    )
    for name, whole in recorded[ALL].items():
        oracle = sum(bool(t.right) for t in traces if t.set_name == name) / whole.problem_runs
        text += f"\n### {name}: {whole.problem_runs} problem-runs of {whole.problems} problems, oracle {oracle:.1%}\n\n"
        rows = [
            [rule, f"{line[name].accuracy:.2f} +- {line[name].error:.2f}", *_means(mean)]
            for rule, line in recorded.items()
            if (mean := average[rule][name])
        ]
        text += table(["rule", "recorded order", "random orders", "samples", "tokens"], rows)
    return text


def _means(mean: SetReport) -> list[str]:
    return [f"{mean.accuracy:.2f}", f"{mean.samples:.2f}", f"{mean.tokens:,.0f}"]


def _must_show(recorded: Table, average: Table) -> str:
    rows = []
    for name, whole in recorded[ALL].items():
        allowed = max(0.5, 100 / whole.problem_runs)
        losses = [results[ALL][name].accuracy - results[OURS][name].accuracy for results in (recorded, average)]
        cells = [name, *(f"{loss:+.2f}" for loss in losses), "yes" if max(losses) <= allowed + 1e-9 else "NO"]
        large = whole.problems > _LARGE
        cells.append(", ".join(_dominating(recorded, average, name)) or "none" if large else "set too small to tell")
        rows.append(cells)
    head = ["set", "loss, recorded order", "loss, random orders", "within 0.5 or one problem"]
    return "\n## The default against all samples, in points\n\n" + table(
        [*head, "published rules as accurate and cheaper"], rows
    )


def _dominating(recorded: Table, average: Table, name: str) -> list[str]:
    found = []
    for rule in RULES:
        for label, results in (("recorded", recorded), ("random", average)):
            ours, theirs = results[OURS][name], results[rule][name]
            if rule not in (ALL, OURS) and theirs.accuracy >= ours.accuracy and theirs.samples < ours.samples:
                found.append(f"{rule} ({label} order)")
    return found


_GRID = [(prior, risk) for prior in (0.3, 0.5, 0.7, 1.0) for risk in (0.03, 0.06, 0.09, 0.12, 0.15)]


def _cross_validation(traces: Sequence[Trace], orders: int, folds: int) -> str:
    """Choose the forecast's parameters on the other folds' problems; report on the fold's own."""
    order = random.Random(1)
    mixed = [shuffled(trace, order) for _ in range(max(1, orders // 4)) for trace in traces]
    fold = _folds(traces, folds)
    outcomes = {
        point: [replay(trace, ConsensusConfig(prior=point[0], risk=point[1])) for trace in mixed] for point in _GRID
    }
    whole = [replay(trace, RULES[ALL]) for trace in mixed]
    chosen, tested, compared = [], [], []
    for number in range(folds):
        inside = [fold[_problem(trace)] == number for trace in mixed]
        point = min(_GRID, key=lambda p: _objective(outcomes[p], whole, inside))
        chosen.append(point)
        tested += [outcome for outcome, held_out in zip(outcomes[point], inside, strict=True) if held_out]
        compared += [outcome for outcome, held_out in zip(whole, inside, strict=True) if held_out]
    rows = [
        [ours.set_name, f"{ours.accuracy:.2f}", f"{every.accuracy:.2f}", f"{ours.samples:.2f}", f"{every.samples:.2f}"]
        for ours, every in zip(report(tested), report(compared), strict=True)
    ]
    return (
        f"\n## Cross-validated by problem ({folds} folds)\n\nPrior and risk chosen on the other folds: "
        f"{', '.join(map(str, chosen))}.\n\n"
        + table(["set", "accuracy", "all samples", "samples", "all samples"], rows)
    )


def _objective(ours: Sequence[Outcome], whole: Sequence[Outcome], held_out: Sequence[bool]) -> float:
    """Share of the samples used, mean over sets, where no set loses more than half a point; the loss where one does."""
    mine = report(o for o, held in zip(ours, held_out, strict=True) if not held)
    every = report(o for o, held in zip(whole, held_out, strict=True) if not held)
    excess = sum(
        max(0.0, a.accuracy - m.accuracy - max(0.5, 100 / a.problems)) for m, a in zip(mine, every, strict=True)
    )
    return 1_000 * excess + sum(m.samples / a.samples for m, a in zip(mine, every, strict=True)) / len(mine)


def _calibration(traces: Sequence[Trace], folds: int) -> str:
    """Brier score and reliability of the confidence, each problem judged by a model fitted without its fold."""
    rows, right, names, place = [], [], [], []
    fold, config = _folds(traces, folds), RULES[OURS]
    for trace in traces:
        used = trace.samples[: replay(trace, config).num_samples]
        candidates = tally(used)
        if candidates and not candidates[0].forced:
            rows.append(features(standing(used, candidates, len(trace.samples), config)))
            right.append(candidates[0].answer in trace.right)
            names.append(trace.set_name)
            place.append(fold[_problem(trace)])
    weights = [len(rows) / len(set(names)) / names.count(name) for name in names]
    said = [0.0] * len(rows)
    for number in range(folds):
        keep = [i for i, p in enumerate(place) if p != number]
        model = fit([rows[i] for i in keep], [right[i] for i in keep], [weights[i] for i in keep])
        for i, p in enumerate(place):
            if p == number:
                said[i] = _predicted(rows[i], model)
    return _reliability(said, right, weights, names)


def _predicted(row: tuple[float, ...], model: Sequence[float]) -> float:
    return 1 / (1 + math.exp(-sum(c * f for c, f in zip(model, row, strict=True))))


def _reliability(said: Sequence[float], right: Sequence[bool], weights: Sequence[float], names: Sequence[str]) -> str:
    def brier(indices: Sequence[int], *, constant: bool = False) -> float:
        total = sum(weights[i] for i in indices)
        base = sum(weights[i] * right[i] for i in indices) / total
        return sum(weights[i] * ((base if constant else said[i]) - right[i]) ** 2 for i in indices) / total

    text = "\n## Calibration of the confidence at the moment of decision (cross-validated by problem)\n\n"
    everything = range(len(said))
    text += (
        f"Brier score {brier(everything):.3f}, each set with the same weight "
        f"(always saying the base rate: {brier(everything, constant=True):.3f}).\n\n"
    )
    rows = []
    for low in range(0, 10, 2):
        inside = [i for i in everything if low <= min(9.999, 10 * said[i]) < low + 2]
        if inside:
            total = sum(weights[i] for i in inside)
            rows.append(
                [f"{low / 10:.1f} to {low / 10 + 0.2:.1f}", len(inside)]
                + [f"{sum(weights[i] * v[i] for i in inside) / total:.3f}" for v in (said, right)]
            )
    text += table(["said", "problem-runs", "mean said", "really right"], rows) + "\n"
    sets = [
        [
            name,
            len(inside),
            *(f"{sum(v[i] for i in inside) / len(inside):.3f}" for v in (said, right)),
            f"{brier(inside):.3f}",
        ]
        for name in dict.fromkeys(names)
        if (inside := [i for i in everything if names[i] == name])
    ]
    return text + table(["set", "problem-runs", "mean said", "really right", "Brier"], sets)


def _problem(trace: Trace) -> str:
    return f"{trace.set_name}/{trace.problem_id}"


def _folds(traces: Sequence[Trace], folds: int) -> dict[str, int]:
    problems = sorted({_problem(trace) for trace in traces})
    random.Random(2).shuffle(problems)
    return {problem: number % folds for number, problem in enumerate(problems)}
