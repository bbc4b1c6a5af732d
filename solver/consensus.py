"""Attempts to candidates, and whether the result is decided. Pure: no clock, no file, no log.

The live run, `replay`, `tune` and `bench` all come through here; the stopping rules stand in `stop_rules.py`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Protocol

from solver.config import ConsensusConfig
from solver.stop_rules import RULES, Standing
from solver.types import Candidate, DecidedBy


class Ballot(Protocol):
    """What a vote needs of a finished attempt; `solver.types.Attempt` and recorded samples have it."""

    @property
    def index(self) -> int: ...
    @property
    def answer(self) -> int | None: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def mean_entropy(self) -> float | None: ...
    @property
    def forced(self) -> bool: ...
    @property
    def confirmed(self) -> bool: ...
    @property
    def fingerprint(self) -> str | None: ...


def tally(ballots: Iterable[Ballot]) -> list[Candidate]:
    """One candidate for each answer, most votes first (`ballots` stand in order of completion).

    Forced answers vote only where there are no others: in the BrUMO traces 32 of 58 were right, 56 of 58 finished ones.
    Attempts with the same tokens are one vote. Equal votes go to the answer that executed code confirmed more often,
    then to the one that more forced answers support, then to the lower mean token entropy where the engine gave
    log-probabilities, then to the answer that was finished first.
    """
    answered = [ballot for ballot in _distinct(ballots) if ballot.answer is not None]
    free = [ballot for ballot in answered if not ballot.forced]
    voters: dict[int, list[Ballot]] = {}
    for ballot in free or answered:
        if ballot.answer is not None:
            voters.setdefault(ballot.answer, []).append(ballot)
    backing = Counter(ballot.answer for ballot in answered if ballot.forced) if len(free) < len(answered) else {}
    candidates = [
        _candidate(answer, group, backing.get(answer, 0) if free else None) for answer, group in voters.items()
    ]
    return sorted(candidates, key=_rank) if len(candidates) > 1 else candidates


def standing(
    ballots: Sequence[Ballot],
    candidates: Sequence[Candidate],
    num_attempts: int,
    config: ConsensusConfig,
    running: Sequence[int] = (),
) -> Standing:
    """What the rules look at. `candidates` is the ballots' tally; `running` holds the tokens that each attempt still
    running has written (not known: empty)."""
    leader = candidates[0].votes if candidates else 0
    runner_up = candidates[1].votes if len(candidates) > 1 else 0
    pending = max(0, num_attempts - len(ballots))
    return Standing(
        leader=leader,
        runner_up=runner_up,
        others=len(ballots) - leader - runner_up,
        pending=pending,
        expected=pending - _silent(ballots, running, config),
        num_attempts=num_attempts,
        ties_held=_ties_held(ballots, candidates),
        recent=tuple(ballot.answer for ballot in ballots[-config.window :]),
    )


def is_decided(
    ballots: Sequence[Ballot],
    candidates: Sequence[Candidate],
    num_attempts: int,
    config: ConsensusConfig,
    running: Sequence[int] = (),
) -> bool:
    """Whether the leader may be handed out although not all of `num_attempts` have finished. A leader of forced answers
    never may."""
    if not candidates or candidates[0].forced:
        return False
    now = standing(ballots, candidates, num_attempts, config, running)
    return RULES[config.rule](now, config) or (config.uncatchable and now.is_uncatchable)


def decision(candidates: Sequence[Candidate], *, decided: bool) -> tuple[int, DecidedBy] | None:
    """The leader's answer and what decided it; None where no attempt gave an answer."""
    if not candidates:
        return None
    return candidates[0].answer, "consensus" if decided else "majority"


def duplicates(ballots: Iterable[Ballot]) -> list[int]:
    """Indices of attempts whose tokens begin as an earlier one's do, under another seed: the engine's fault."""
    ballots = list(ballots)
    distinct = {id(ballot) for ballot in _distinct(ballots)}
    return [ballot.index for ballot in ballots if id(ballot) not in distinct]


def _distinct(ballots: Iterable[Ballot]) -> list[Ballot]:
    seen: set[str] = set()
    kept: list[Ballot] = []
    for ballot in ballots:
        if ballot.fingerprint is not None:
            if ballot.fingerprint in seen:
                continue
            seen.add(ballot.fingerprint)
        kept.append(ballot)
    return kept


def _candidate(answer: int, group: Sequence[Ballot], forced_votes: int | None) -> Candidate:
    """`forced_votes`: of the forced answers, how many agree; None where the group itself is of forced answers."""
    known = [ballot.mean_entropy for ballot in group if ballot.mean_entropy is not None]
    return Candidate(
        answer=answer,
        votes=len(group),
        attempts=tuple([ballot.index for ballot in group]),
        forced=forced_votes is None,
        confirmed=sum(ballot.confirmed for ballot in group),
        forced_votes=forced_votes or 0,
        mean_entropy=sum(known) / len(known) if known else None,
    )


def _rank(candidate: Candidate) -> tuple[float, ...]:
    return (-candidate.votes, *_evidence(candidate))


def _evidence(candidate: Candidate) -> tuple[float, float, float]:
    return (-candidate.confirmed, -candidate.forced_votes, candidate.mean_entropy or 0.0)


def _ties_held(ballots: Sequence[Ballot], candidates: Sequence[Candidate]) -> float:
    """The chance that the leader keeps a tie: certain or none where the order of completion alone decides."""
    if any(_evidence(candidate) != (0.0, 0.0, 0.0) for candidate in candidates):
        return 0.5
    if len(candidates) == 1:
        return 1.0
    rivals = {c.answer for c in candidates[1:] if c.votes == candidates[1].votes}
    contenders = rivals | {c.answer for c in candidates[:1]}
    first = next((ballot.answer for ballot in ballots if ballot.answer in contenders), None)
    return 0.0 if first in rivals else 1.0


def _silent(ballots: Sequence[Ballot], running: Sequence[int], config: ConsensusConfig) -> int:
    """How many of the attempts still running are not expected to vote: stragglers, far longer than the finished ones.
    Of those some end without an answer, and the others scatter."""
    if not running or config.straggler_weight == 1:
        return 0
    lengths = [ballot.num_tokens for ballot in ballots if ballot.answer is not None and not ballot.forced]
    if not lengths or not (typical := median(lengths)):
        return 0
    stragglers = sum(tokens > config.straggler_ratio * typical for tokens in running)
    return int(stragglers * (1 - config.straggler_weight))
