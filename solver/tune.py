"""Searches policies on simulated contests: what a rule, a number of attempts and a time policy are worth together.

Problems are drawn from recorded attempts at a chosen mix of difficulty; a policy is chosen on one half of the problems
and reported on the other, so no problem is in both. A contest is played twice and scored 1, 1/2 or 0 a problem, as in
AIMO-3. Intervals are over contests.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from solver.budget import plan_time
from solver.config import BudgetConfig, ConsensusConfig
from solver.errors import UsageError, nearest
from solver.learn import Weighted, learn_time_model
from solver.price import EDGES, STANDINGS, TimeModel
from solver.simulate import LEVELS, MIXES, Profile, draw_contest, level, play, profile
from solver.traces import Trace

RULES: tuple[dict[str, object], ...] = (
    {"rule": "forecast"},
    {"rule": "forecast", "risk": 0.05},
    {"rule": "forecast", "risk": 0.2},
    {"rule": "quorum", "quorum": 3},
    {"rule": "quorum", "quorum": 4},
    {"rule": "adaptive-consistency"},
    {"rule": "short-m", "first": 1},
    {"rule": "all"},
)
POLICIES = ("price", "bank", "clamp", "even")


@dataclass(frozen=True, slots=True)
class Setting:
    """Contests as they are simulated."""

    mix: str = "middling"
    num_problems: int = 50
    seconds: float = 18_000.0
    tokens_per_second: float = 100.0
    """Of one attempt among the others."""
    contests: int = 40
    seed: int = 0

    @property
    def total(self) -> float:
        """Of the contest, in tokens of one attempt."""
        return self.seconds * self.tokens_per_second


@dataclass(frozen=True, slots=True)
class Policy:
    consensus: tuple[tuple[str, object], ...]
    num_attempts: int
    budget: str

    @property
    def name(self) -> str:
        rule = dict(self.consensus).get("rule")
        told = [str(value) if key in ("rule", rule) else f"{key} {value}" for key, value in self.consensus]
        return f"{' '.join(told)}, {self.num_attempts} attempts, {self.budget}"

    def toml(self) -> str:
        """The settings, to be pasted into a configuration."""
        rules = "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in self.consensus)
        attempts = f"[attempts]\nnum_attempts = {self.num_attempts}\n"
        return f'{attempts}\n[consensus]\n{rules}\n\n[budget]\npolicy = "{self.budget}"\n'


@dataclass(frozen=True, slots=True)
class Score:
    policy: Policy
    score: float
    """Expected, of two runs."""
    interval: float
    """Half the width of the 95 % confidence interval."""
    hours: float
    """Used, on average."""


@dataclass(frozen=True, slots=True)
class TuneReport:
    tested: list[Score]
    """On problems that nothing was chosen on, best first on the others."""
    front: list[Score]
    """Of those, whom no other beats in both score and time; cheapest first."""
    best: Score


def tune(traces: Sequence[Trace], setting: Setting, attempts: Sequence[int] = (4, 8, 16)) -> TuneReport:
    """Of `attempts`, no more are tried than were recorded.

    Raises:
        UsageError: the traces cannot be timed, or are of too few problems.
    """
    train, test = split(traces, setting.seed)
    most = max(len(trace.samples) for trace in [*train, *test])
    policies = list(_policies(sorted({min(number, most) for number in attempts})))
    chosen = _scores(train, policies, setting)
    ranking = sorted(policies, key=lambda policy: -chosen[policy].score)
    tested = _scores(test, ranking, setting)
    front = pareto_front(list(tested.values()))
    return TuneReport([tested[policy] for policy in ranking], front, tested[ranking[0]])


def check_mix(name: str) -> None:
    """Raises UsageError where there is no such mix."""
    if name not in MIXES:
        raise UsageError(f"no mix '{name}': {nearest(name, MIXES)}")


def tune_lines(report: TuneReport) -> list[str]:
    """The policies that are worth having, the best and its settings, as a person reads them."""
    lines = [
        "# expected score (95 % interval) and time used, on problems that nothing was chosen on;",
        "# in the order of the other half, on which the first was chosen;",
        "# differences within the interval are noise",
    ]
    for alike in _alike(report.tested)[:10]:
        score = alike[0]
        mark = "*" if any(it in report.front for it in alike) else " "
        more = f" (and {len(alike) - 1} more alike)" if len(alike) > 1 else ""
        told = f"{score.score:6.2f} +- {score.interval:.2f}  {_time(score.hours)}  {score.policy.name}{more}"
        lines.append(f"# {mark} {told}")
    if len({score.score for score in report.tested}) == 1:
        lines.append("# every policy has the same score here: these attempts do not tell which is better")
    lines.append("# the Pareto front of score against time, marked * above:")
    lines += [f"#   {_time(score.hours)}  {score.score:6.2f}  {score.policy.name}" for score in report.front]
    return [
        *lines,
        "# the policy chosen on the other half of the problems:",
        "",
        *report.best.policy.toml().splitlines(),
    ]


def _alike(scores: Sequence[Score]) -> list[list[Score]]:
    """In their order, those with equal score and time together: where no rule fires and no time runs out, many are."""
    groups: dict[tuple[float, float], list[Score]] = {}
    for score in scores:
        groups.setdefault((round(score.score, 4), round(score.hours, 4)), []).append(score)
    return list(groups.values())


def _time(hours: float) -> str:
    return f"{hours:5.2f} h" if hours >= 0.5 else f"{60 * hours:5.2f} min"


def learn_lines(model: TimeModel) -> list[str]:
    """The time model as a person reads it, and as it stands in `solver.price`."""
    waiting = ", ".join(f"{gain:.2f} after {edge:g}" for edge, gain in zip(EDGES, model.waiting, strict=True))
    voting = ", ".join(f"{gain:.2f} {name}" for name, gain in zip(STANDINGS, model.voting, strict=True))
    rows = [f"        {row}," for row in model.price]
    return [
        "# right answers that a unit of time more buys; a unit is what an attempt takes (solver.budget.Pace)",
        f"#   while no attempt has finished, by the units waited: {waiting}",
        f"#   by the standing of the vote: {voting}",
        "# in solver/price.py:",
        "LEARNED = TimeModel(",
        f"    waiting={model.waiting},",
        f"    voting={model.voting},",
        "    price=(",
        *rows,
        "    ),",
        ")",
    ]


def split(traces: Sequence[Trace], seed: int) -> tuple[list[Trace], list[Trace]]:
    """Two halves without a common problem, of what can be timed: several samples, with tokens or characters.

    Raises:
        UsageError: too few problems are left.
    """
    usable = [t for t in traces if t.judged and len(t.samples) >= 3 and max(s.num_tokens for s in t.samples) > 1]
    problems = sorted({(t.set_name, t.problem_id) for t in usable})
    if len(problems) < 4:
        raise UsageError(f"{len(problems)} problems with three samples or more and their tokens: 4 are needed to tune")
    random.Random(seed).shuffle(problems)
    first = set(problems[::2])
    halves: tuple[list[Trace], list[Trace]] = ([], [])
    for trace in usable:
        halves[(trace.set_name, trace.problem_id) not in first].append(trace)
    return halves


def learned_from(traces: Sequence[Trace], mix: str, seed: int, runs: int = 6, num_attempts: int = 8) -> TimeModel:
    """The time model of these traces, each level weighted as in the mix."""
    order, config = random.Random(seed), ConsensusConfig()
    counts = {name: sum(level(trace) == name for trace in traces) for name in LEVELS}
    shares = dict(zip(LEVELS, MIXES[mix], strict=True))
    return learn_time_model(
        [
            Weighted(profile(trace, config, num_attempts, order), shares[name] / counts[name])
            for trace in traces
            for name in [level(trace)]
            for _ in range(runs)
        ]
    )


def pareto_front(scores: Sequence[Score]) -> list[Score]:
    """Whom no other beats in both score and time; cheapest first."""
    front: list[Score] = []
    for score in sorted(scores, key=lambda s: (s.hours, -s.score)):
        if not front or score.score > front[-1].score:
            front.append(score)
    return front


def front_svg(report: TuneReport) -> str:
    """Score against time of every policy tested, the front joined up, as an SVG picture."""
    width, height, edge = 720, 440, 60
    hours = [score.hours for score in report.tested]
    points = [score.score for score in report.tested]

    def place(score: Score) -> tuple[float, float]:
        across = (score.hours - min(hours)) / (max(hours) - min(hours) or 1)
        up = (score.score - min(points)) / (max(points) - min(points) or 1)
        return edge + across * (width - 2 * edge), height - edge - up * (height - 2 * edge)

    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{"#c33" if score in report.front else "#999"}">'
        f"<title>{score.policy.name}: {score.score:.2f}, {score.hours:.2f} h</title></circle>"
        for score in report.tested
        for x, y in [place(score)]
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, report.front))
    text = '<text x="{}" y="{}" font-family="sans-serif" font-size="13">{}</text>'
    labels = text.format(edge, height - 20, f"hours used, {min(hours):.2f} to {max(hours):.2f}")
    labels += text.format(10, 30, f"expected score, {min(points):.2f} to {max(points):.2f}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><rect width="100%" height="100%" '
        f'fill="white"/><polyline points="{line}" fill="none" stroke="#c33"/>{dots}{labels}</svg>\n'
    )


def _policies(attempts: Sequence[int]) -> Iterator[Policy]:
    for rule, number, budget in itertools.product(RULES, attempts, POLICIES):
        needed = rule.get("quorum", 1)
        if isinstance(needed, int) and needed <= number:
            yield Policy(tuple(rule.items()), number, budget)


def _scores(traces: Sequence[Trace], policies: Sequence[Policy], setting: Setting) -> dict[Policy, Score]:
    """Every policy on the same contests."""
    order = random.Random(setting.seed)
    contests = [draw_contest(traces, MIXES[setting.mix], setting.num_problems, order) for _ in range(setting.contests)]
    scores = {}
    for (rule, number), group in itertools.groupby(policies_by_rule(policies), lambda p: (p.consensus, p.num_attempts)):
        config = ConsensusConfig.model_validate(dict(rule))
        played = [
            [[profile(trace, config, number, order) for trace in contest] for _ in range(2)] for contest in contests
        ]
        for policy in group:
            scores[policy] = _score(policy, played, setting)
    return scores


def policies_by_rule(policies: Sequence[Policy]) -> list[Policy]:
    """In an order in which those with the same attempts stand together."""
    return sorted(policies, key=lambda policy: (str(policy.consensus), policy.num_attempts))


def _score(policy: Policy, played: Sequence[Sequence[Sequence[Profile]]], setting: Setting) -> Score:
    plan = plan_time(BudgetConfig.model_validate({"policy": policy.budget}), setting.total, setting.num_problems)
    results = [[play(run, plan, setting.total, setting.num_problems) for run in runs] for runs in played]
    totals = [mean(result.score for result in pair) for pair in results]
    used = mean(result.used for pair in results for result in pair)
    half = 1.96 * stdev(totals) / math.sqrt(len(totals)) if len(totals) > 1 else math.inf
    return Score(policy, mean(totals), half, used / setting.tokens_per_second / 3600)
