"""Attempts to candidates, and whether the result is decided. Pure: no clock, no file, no log.

Stopping rules (source):
  quorum       k attempts agree (arXiv 2504.16891, 6.3.3: the first 4-5 of 16; AIMO-3 base notebooks: 4 of 8).
  uncatchable  the leader has more votes than the runner-up could still get (AIMO-3, second place). It cannot change a
               majority vote: ties included, because a lead that could still be equalled does not count.
"""

from collections.abc import Iterable, Sequence

from solver.config import ConsensusConfig
from solver.types import Attempt, Candidate, DecidedBy


def tally(attempts: Iterable[Attempt]) -> list[Candidate]:
    """One candidate for each answer, most votes first; equal votes go to the lower mean token entropy where the engine
    gave log-probabilities, then to the answer that was finished first (`attempts` stand in order of completion).
    Forced answers vote only where there are no others: in the BrUMO traces 32 of 58 were right, 56 of 58 finished ones.
    """
    answered = [attempt for attempt in attempts if attempt.answer is not None]
    free = [attempt for attempt in answered if not attempt.forced]
    voters: dict[int, list[Attempt]] = {}
    for attempt in free or answered:
        if attempt.answer is not None:
            voters.setdefault(attempt.answer, []).append(attempt)
    ranked = sorted(voters.items(), key=lambda item: (-len(item[1]), _mean_entropy(item[1])))
    return [Candidate(answer, len(group), tuple(a.index for a in group), not free) for answer, group in ranked]


def is_decided(candidates: Sequence[Candidate], pending: int, num_attempts: int, config: ConsensusConfig) -> bool:
    """Whether the leader may be handed out although `pending` of `num_attempts` attempts have not finished. One of
    forced answers never may."""
    if not candidates or candidates[0].forced:
        return False
    votes = candidates[0].votes
    if config.quorum is not None and votes >= min(config.quorum, num_attempts):
        return True
    runner_up = candidates[1].votes if len(candidates) > 1 else 0
    return config.uncatchable and pending > 0 and votes > runner_up + pending


def decision(
    candidates: Sequence[Candidate], pending: int, num_attempts: int, config: ConsensusConfig
) -> tuple[int, DecidedBy] | None:
    """The leader's answer and what decided it; None where no attempt gave an answer."""
    if not candidates:
        return None
    decided = is_decided(candidates, pending, num_attempts, config)
    return candidates[0].answer, "consensus" if decided else "majority"


def _mean_entropy(attempts: Sequence[Attempt]) -> float:
    known = [a.mean_entropy for a in attempts if a.mean_entropy is not None]
    return sum(known) / len(known) if known else 0.0
