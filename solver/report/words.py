"""How a problem was decided, in words, for page and terminal. Pure."""

from collections import Counter

from solver.report.read import ProblemRecord
from solver.types import Prediction


def how_decided(prediction: Prediction) -> str:
    """ "by consensus, with 3 of 7 votes", or why it is a fallback."""
    if prediction.decided_by == "fallback":
        return f"the fallback ({prediction.fallback_reason or 'why is not recorded'})"
    by = f"by {prediction.decided_by}"
    votes = {candidate.answer: candidate.votes for candidate in prediction.candidates}
    if prediction.answer not in votes:
        return by
    forced = " of forced answers" if prediction.candidates[0].forced else ""
    return f"{by}, with {votes[prediction.answer]} of {sum(votes.values())} votes{forced}"


def votes_of(problem: ProblemRecord) -> str:
    """ "3/7": the votes for the answer handed out, of all; empty where there were none."""
    prediction = problem.prediction
    if prediction is None or not prediction.candidates:
        return ""
    own = sum(candidate.votes for candidate in prediction.candidates if candidate.answer == prediction.answer)
    forced = " forced" if prediction.candidates[0].forced else ""
    return f"{own}/{sum(candidate.votes for candidate in prediction.candidates)}{forced}"


def selection_line(problem: ProblemRecord) -> str | None:
    """What GenSelect was asked and said; None where it was not asked."""
    asked = problem.selection
    if asked is None:
        return None
    judgments = asked.get("judgments")
    judgments = judgments if isinstance(judgments, list) else []
    chosen = Counter(judgment for judgment in judgments if isinstance(judgment, int))
    votes = ", ".join(f"{count} for {answer}" for answer, count in chosen.most_common())
    unread = len(judgments) - chosen.total()
    unreadable = f"{unread} could not be read" if unread else ""
    said = "; ".join(part for part in (votes, unreadable) if part) or "no judgment is recorded"
    return f"GenSelect judged: {said}"
