"""What a contest allows as an answer, how long it takes and how it scores."""

from dataclasses import dataclass
from typing import Literal

from solver.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Competition:
    """`modulus` is applied to every answer before the range is checked; None where the contest's rules imply none
    (in AIMO-3 a modulus stands in the problem's text or nowhere)."""

    name: str
    answer_min: int
    answer_max: int
    modulus: int | None
    fallback: int
    expected_problems: int | None
    time_limit: float | None
    """Seconds of wall clock for the whole contest."""
    scoring: Literal["accuracy", "two-run"]
    """two-run: the notebook runs twice; a problem counts 1, 1/2 or 0."""

    def admits(self, value: int) -> int | None:
        """`value` as this contest takes it, or None where it is no answer here."""
        if self.modulus is not None:
            value %= self.modulus
        return value if self.answer_min <= value <= self.answer_max else None

    def judge(self, answer: int, reference: int | None) -> bool | None:
        """Whether `answer` is right; None where the reference answer is not known."""
        if reference is None:
            return None
        return answer in (reference, self.admits(reference))


COMPETITIONS = {
    competition.name: competition
    for competition in (
        # As wide as a signed 64-bit column of a submission file can hold with room to spare.
        Competition("open", -(10**18), 10**18, None, 0, None, None, "accuracy"),
        Competition("aimo-1", 0, 999, 1000, 0, 50, 9 * 3600.0, "accuracy"),
        Competition("aimo-2", 0, 999, 1000, 0, 50, 5 * 3600.0, "accuracy"),
        Competition("aimo-3", 0, 99_999, None, 0, 50, 5 * 3600.0, "two-run"),
    )
}


def find_competition(name: str) -> Competition:
    if name not in COMPETITIONS:
        raise UsageError(f"no competition '{name}': {nearest(name, COMPETITIONS)}")
    return COMPETITIONS[name]
