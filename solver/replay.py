"""Recorded attempts decided again under any rule: no model, no clock, thousands of problem-runs a second. Pure.

The attempts come in the order in which they finished, and the rule of the live run is asked after each. What was not
recorded cannot be replayed: a run that stopped early knows nothing of the attempts it cut.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from solver.budget import plan_time
from solver.config import ConsensusConfig, SolverConfig, load_config
from solver.consensus import is_decided, tally
from solver.simulate import play, profile
from solver.traces import Trace


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one problem-run is decided, and at what cost."""

    trace: Trace
    answer: int | None
    right: bool
    decided: bool
    """Whether a rule stopped it before all attempts had finished."""
    num_samples: int
    num_tokens: int
    """Of the attempts that had finished."""

    @property
    def label(self) -> str:
        return "" if self.answer is None else self.trace.labels[self.answer]


@dataclass(frozen=True, slots=True)
class SetReport:
    """All problem-runs of one set under one rule."""

    set_name: str
    problem_runs: int
    problems: int
    num_right: float
    num_samples: float
    num_tokens: float
    error: float
    """Standard error of `accuracy`; runs at the same problem count as one observation."""

    @property
    def accuracy(self) -> float:
        """Percent of the problem-runs."""
        return 100 * self.num_right / self.problem_runs

    @property
    def samples(self) -> float:
        """Attempts used, for a problem-run."""
        return self.num_samples / self.problem_runs

    @property
    def tokens(self) -> float:
        return self.num_tokens / self.problem_runs


def replay(trace: Trace, config: ConsensusConfig, num_attempts: int | None = None) -> Outcome:
    """Decide one problem-run with its first `num_attempts` samples (None: all)."""
    samples = trace.samples[:num_attempts]
    total = used = len(samples)
    candidates = None
    decided = False
    if config.rule != "all" or config.uncatchable:
        for used in range(1, total + 1):
            seen = samples[:used]
            candidates = tally(seen)
            if is_decided(seen, candidates, total, config):
                decided = used < total
                break
    candidates = tally(samples) if candidates is None else candidates
    answer = candidates[0].answer if candidates else None
    tokens = sum(sample.num_tokens for sample in samples[:used])
    return Outcome(trace, answer, answer in trace.right, decided, used, tokens)


def resolve_policy(
    traces: Sequence[Trace],
    preset: str | None,
    file: Path | None,
    settings: Sequence[str],
    attempts: int | None,
) -> SolverConfig:
    """The policy to replay. Where neither a file, a setting nor `attempts` says how many attempts a problem has, it has
    all that were recorded.

    Raises:
        UsageError: an unknown setting, or a rule that the attempts can never meet, in one line.
    """
    flags: dict[str, int] = {}
    if attempts is not None:
        flags = {"attempts.num_attempts": attempts}
    elif preset is None and file is None and not any(it.startswith("attempts.num_attempts") for it in settings):
        flags = {"attempts.num_attempts": max(len(trace.samples) for trace in traces)}
    return load_config(preset, file, settings, flags, tree={} if preset is None and file is None else None)


def policy_line(config: SolverConfig) -> str:
    """What decides, so that two results can be told apart later."""
    rules = config.consensus.model_dump(mode="json", exclude_defaults=True) | {"rule": config.consensus.rule}
    said = ", ".join(f"{name} {value}" for name, value in sorted(rules.items(), reverse=True))
    return f"{said}; at most {config.attempts.num_attempts} attempts; time policy {config.budget.policy}"


def shuffled(trace: Trace, order: random.Random) -> Trace:
    """The same samples as if they had finished in another order."""
    samples = list(trace.samples)
    order.shuffle(samples)
    return replace(trace, samples=tuple(samples))


def report(outcomes: Iterable[Outcome]) -> list[SetReport]:
    """Sums for each set, in the order in which the sets come."""
    sets: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        sets.setdefault(outcome.trace.set_name, []).append(outcome)
    return [_set_report(name, group) for name, group in sets.items()]


def report_lines(traces: Sequence[Trace], config: ConsensusConfig, num_attempts: int | None) -> list[str]:
    """A line for each set: accuracy with its standard error, and the attempts and tokens used for a problem-run."""
    outcomes = [replay(trace, config, num_attempts) for trace in traces]
    lines = []
    for line in report(outcomes):
        known = [outcome for outcome in outcomes if outcome.trace.set_name == line.set_name and outcome.trace.judged]
        what = "problems" if line.problems == line.problem_runs else "problem-runs"
        right = f"{line.num_right:g} of {line.problem_runs} {what} right, {line.accuracy:.2f} % +- {line.error:.2f}"
        right = right if known else f"{line.problem_runs} {what}, right answers not known"
        lines.append(f"{line.set_name}: {right}; {line.samples:.2f} attempts and {line.tokens:,.0f} tokens each")
    return lines


def each_lines(traces: Sequence[Trace], config: ConsensusConfig, num_attempts: int | None) -> list[str]:
    """A line for each problem-run."""
    lines = []
    for trace in traces:
        outcome = replay(trace, config, num_attempts)
        mark = "" if not trace.judged else "  right" if outcome.right else "  wrong"
        how = "decided" if outcome.decided else "all"
        lines.append(f"{trace.problem_id}  {outcome.label or '-'}  {how} {outcome.num_samples}{mark}")
    return lines


def clock_lines(
    traces: Sequence[Trace],
    config: SolverConfig,
    seconds: float,
    tokens_per_second: float,
    num_attempts: int | None,
    slots: int | None,
    shuffle: int | None,
) -> list[str]:
    """Each set's runs as one contest on a simulated clock, in their order or in a random one."""
    sets: dict[str, list[Trace]] = {}
    for trace in traces:
        sets.setdefault(f"{trace.set_name} {trace.run}".strip(), []).append(trace)
    lines = []
    for name, group in sets.items():
        order = random.Random(shuffle or 0)
        if shuffle is not None:
            order.shuffle(group)
        number = num_attempts or max(len(trace.samples) for trace in group)
        profiles = [profile(trace, config.consensus, number, order, slots) for trace in group]
        total = seconds * tokens_per_second
        played = play(profiles, plan_time(config.budget, total, len(group)), total, len(group))
        used = played.used / tokens_per_second
        lines.append(f"{name}: {played.score} of {len(group)} right, {used:,.0f} s of {seconds:,.0f} s used")
    return lines


def _set_report(name: str, outcomes: Sequence[Outcome]) -> SetReport:
    clusters: dict[str, list[bool]] = {}
    for outcome in outcomes:
        clusters.setdefault(outcome.trace.problem_id, []).append(outcome.right)
    return SetReport(
        set_name=name,
        problem_runs=len(outcomes),
        problems=len(clusters),
        num_right=sum(outcome.right for outcome in outcomes),
        num_samples=sum(outcome.num_samples for outcome in outcomes),
        num_tokens=sum(outcome.num_tokens for outcome in outcomes),
        error=_clustered_error(list(clusters.values())),
    )


def _clustered_error(clusters: Sequence[Sequence[bool]]) -> float:
    """Standard error of the percentage right, by problem: the runs at one problem stand or fall together."""
    total = sum(map(len, clusters))
    mean = sum(map(sum, clusters)) / total
    spread = sum((sum(cluster) - mean * len(cluster)) ** 2 for cluster in clusters)
    correction = len(clusters) / max(1, len(clusters) - 1)
    return 100 * math.sqrt(spread * correction) / total
