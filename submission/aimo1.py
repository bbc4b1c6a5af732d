"""AIMO-1's loop: `env.iter_test()` yields a problem and an empty answer, and goes on only after `env.predict`.

Kaggle's own module for it (`aimo`) exists on Kaggle alone; `LocalEnv` has its documented behaviour, for rehearsals.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from solver.types import Problem


class Env(Protocol):
    def iter_test(self) -> Iterator[tuple[Any, Any]]:
        """Pairs of one-row pandas frames: `id, problem` and `id, answer`."""

    def predict(self, sample_submission: Any) -> None: ...


class Answering(Protocol):
    def answer(self, problem_id: str, text: str) -> int: ...


def answer_all(env: Env, contest: Answering) -> int:
    """Answer every problem of `env`; how many there were."""
    count = 0
    for test, sample_submission in env.iter_test():
        row = test.iloc[0]
        sample_submission["answer"] = contest.answer(str(row["id"]), str(row["problem"]))
        env.predict(sample_submission)
        count += 1
    return count


class LocalEnv:
    """`make_env()` of AIMO-1, away from Kaggle."""

    def __init__(self, problems: Sequence[Problem], frame: Callable[[dict[str, list[Any]]], Any] | None = None) -> None:
        """`frame` makes a table of columns; None: pandas' DataFrame, as on Kaggle."""
        self._problems, self._frame = problems, frame or _pandas_frame
        self._is_answered = True
        self._has_begun = False
        self.answers: dict[str, int] = {}

    def iter_test(self) -> Iterator[tuple[Any, Any]]:
        """May be called once."""
        if self._has_begun:
            raise RuntimeError("iter_test() can be called once")
        self._has_begun = True
        for problem in self._problems:
            if not self._is_answered:
                raise RuntimeError("You must call `predict()` successfully before you can continue with `iter_test()`")
            self._is_answered = False
            yield (
                self._frame({"id": [problem.id], "problem": [problem.text]}),
                self._frame({"id": [problem.id], "answer": [0]}),
            )

    def predict(self, sample_submission: Any) -> None:
        if self._is_answered:
            raise RuntimeError("call iter_test() for the next problem first")
        row = sample_submission.iloc[0]
        self.answers[str(row["id"])] = int(row["answer"])
        self._is_answered = True


def _pandas_frame(columns: dict[str, list[Any]]) -> Any:
    import pandas as pd

    return pd.DataFrame(columns)
