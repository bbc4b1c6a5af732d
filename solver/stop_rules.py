"""When to stop attempting a problem: rules under one interface, chosen by name (`consensus.rule`). Pure.

A rule sees a `Standing`, asked each time an attempt finishes, and says whether the leader may be handed out.

  forecast              the leader will still lead when the pending attempts are in, with probability 1 - risk (ours).
  quorum                k equal answers (arXiv 2504.16891, 6.3.3: the first 4-5 of 16; AIMO-3 base notebooks: 4 of 8).
  margin                a lead of k among at least m finished (AIMO-3 write-up aneeshm11; tonghuikang/grpo_aimo2: 2-0).
  uncatchable           second + outstanding < leader (AIMO-3, second place). It cannot change a majority vote.
  adaptive-consistency  the leader's share against the runner-up is over one half, by a Beta posterior (2305.11860).
  esc                   a whole window of answers agrees (2401.10480).
  short-m               the first m finished vote (2505.17813; m = 1 is First Finish Search, 2505.18149).
  all                   every attempt.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from solver.config import ConsensusConfig, RuleName


@dataclass(frozen=True, slots=True)
class Standing:
    """A vote that is still going on, in numbers."""

    leader: int
    """Votes of the first candidate."""
    runner_up: int
    others: int
    """Finished attempts for neither: other answers, none, forced ones, duplicates."""
    pending: int
    """Attempts that have not finished."""
    expected: int
    """Of those, how many are expected to vote as the finished ones did."""
    num_attempts: int
    ties_held: float
    """The chance that the leader would win a tie."""
    recent: tuple[int | None, ...]
    """The last answers, at most a window of them."""

    @property
    def finished(self) -> int:
        return self.leader + self.runner_up + self.others

    @property
    def is_uncatchable(self) -> bool:
        """The pending attempts cannot change the winner; a tie is a change unless the leader is sure to win it."""
        lead = self.leader - self.runner_up - self.pending
        return self.pending > 0 and (lead > 0 or (lead == 0 and self.ties_held == 1.0))


Rule = Callable[[Standing, ConsensusConfig], bool]


def _forecast(now: Standing, config: ConsensusConfig) -> bool:
    if now.pending == 0 or now.leader < config.min_votes:
        return False
    held = holding_chance(now.leader, now.runner_up, now.others, now.expected, now.ties_held, config.prior)
    return held >= 1 - config.risk


def _quorum(now: Standing, config: ConsensusConfig) -> bool:
    return now.leader >= min(config.quorum or DEFAULT_QUORUM, now.num_attempts)


def _margin(now: Standing, config: ConsensusConfig) -> bool:
    return now.finished >= config.min_finished and now.leader - now.runner_up >= config.margin


def _uncatchable(now: Standing, _: ConsensusConfig) -> bool:
    return now.pending > 0 and now.leader > now.runner_up + now.pending


def _adaptive_consistency(now: Standing, config: ConsensusConfig) -> bool:
    return now.leader > 0 and majority_posterior(now.leader, now.runner_up) >= config.posterior


def _esc(now: Standing, config: ConsensusConfig) -> bool:
    window = now.recent[-config.window :]
    return now.finished % config.window == 0 and None not in window and len(set(window)) == 1


def _short_m(now: Standing, config: ConsensusConfig) -> bool:
    return now.finished >= config.first


DEFAULT_QUORUM = 4
RULES: Mapping[RuleName, Rule] = {
    "forecast": _forecast,
    "quorum": _quorum,
    "margin": _margin,
    "uncatchable": _uncatchable,
    "adaptive-consistency": _adaptive_consistency,
    "esc": _esc,
    "short-m": _short_m,
    "all": lambda _now, _config: False,
}


@lru_cache(maxsize=65_536)
def majority_posterior(leader: int, runner_up: int) -> float:
    """P(p > 1/2) for p ~ Beta(leader + 1, runner_up + 1): the stopping criterion of Adaptive-Consistency."""
    tosses = leader + runner_up + 1
    return float(sum(math.comb(tosses, heads) for heads in range(leader + 1)) / 2**tosses)


@lru_cache(maxsize=65_536)
def holding_chance(leader: int, runner_up: int, others: int, pending: int, ties_held: float, prior: float) -> float:
    """The probability that the leader is still ahead of the runner-up after `pending` more attempts.

    They are drawn from a Pólya urn with three colours, the leader, the runner-up and everything else (other answers and
    attempts without one), which starts with `prior` balls of each. Only the runner-up can overtake: a third answer
    would have further to go. O(pending^2).
    """
    lead = leader - runner_up
    if lead > pending or (lead == pending and ties_held == 1.0):
        return 1.0
    mine, theirs, rest = leader + prior, runner_up + prior, others + prior
    between_us = _beta_binomial(pending, mine + theirs, rest)
    held = 0.0
    for draws, chance in enumerate(between_us):
        if chance < 1e-9:
            continue
        for gained, share in enumerate(_beta_binomial(draws, mine, theirs)):
            ahead = lead + 2 * gained - draws
            held += chance * share * (1.0 if ahead > 0 else ties_held if ahead == 0 else 0.0)
    return min(1.0, held)


def _beta_binomial(draws: int, mine: float, theirs: float) -> list[float]:
    """P(k of `draws` are mine) for k = 0..draws, from an urn with `mine` and `theirs` balls."""
    chance = math.prod((theirs + i) / (mine + theirs + i) for i in range(draws))
    chances = [chance]
    for k in range(draws):
        chance *= (draws - k) / (k + 1) * (mine + k) / (theirs + draws - k - 1)
        chances.append(chance)
    return chances
