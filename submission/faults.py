"""What can go wrong inside a run, on purpose: injected below `predict`, which must answer all the same.

For rehearsals, tests and the bench; nothing here is loaded in a run of Kaggle's.
"""

import asyncio
import errno
import time
from collections.abc import Callable
from typing import Any

from solver.errors import EngineError, SandboxError, UsageError, nearest
from solver.journal import Journal
from solver.solve import Solver
from solver.types import Prediction, Problem, ProblemBudget

Fault = Callable[[Solver, Problem, ProblemBudget], Any]


async def _exception(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    raise RuntimeError("injected\n" + "with a very long text\n" * 1000)


async def _hang(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    await asyncio.sleep(3600)
    raise AssertionError


async def _blocked_loop(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    time.sleep(10)  # noqa: ASYNC251  # what a call into C that never returns does
    raise RuntimeError


async def _slow(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    await asyncio.sleep(budget.deadline.remaining() + 0.5)
    return await _solve(solver, problem, budget)


async def _engine_crash(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    solver.failure = EngineError("injected: the engine is gone")
    return solver.predict(problem, 0.0, cut_short="error")


async def _sandbox_gone(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    raise SandboxError("injected: no Python session can be started")


async def _memory(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    raise MemoryError


async def _exit(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    raise SystemExit(3)


async def _wrong_shape(solver: Solver, problem: Problem, budget: ProblemBudget) -> Any:
    return [problem.id, "seven"]


async def _huge_answer(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    return Prediction(problem.id, 2**70, "majority", (), 0.0)


class _FullDisk:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        self._file.close()


async def _disk_full(solver: Solver, problem: Problem, budget: ProblemBudget) -> Prediction:
    journal: Journal = solver._journal
    journal._file = _FullDisk(journal._file)  # type: ignore[assignment]
    return await _solve(solver, problem, budget)


FAULTS: dict[str, Fault] = {
    "exception": _exception,
    "hang": _hang,
    "blocked-loop": _blocked_loop,
    "slow": _slow,
    "engine-crash": _engine_crash,
    "sandbox-gone": _sandbox_gone,
    "out-of-memory": _memory,
    "sys-exit": _exit,
    "wrong-shape": _wrong_shape,
    "huge-answer": _huge_answer,
    "disk-full": _disk_full,
}
_solve = Solver.solve


def parse_fault(text: str) -> tuple[str, int]:
    """ "hang@2": the fault and the number of the problem. Raises UsageError."""
    name, _, number = text.partition("@")
    if name not in FAULTS:
        raise UsageError(f"no fault '{name}': {nearest(name, FAULTS)}")
    if not (number or "1").isdigit():
        raise UsageError(f"--fault {text}: write it as {name}@2, with the number of a problem")
    return name, int(number or "1")


def inject(choose: Callable[[int], str | None]) -> None:
    """From here on every solver of this process fails at a problem as `choose` says for its number, from 1 (each id
    counts once, the canary not at all)."""
    numbers: dict[str, int] = {}

    async def solve(self: Solver, problem: Problem, budget: ProblemBudget, *rest: Any) -> Any:
        if problem.id == "canary":
            return await _solve(self, problem, budget, *rest)
        number = numbers.get(problem.id)
        if number is not None:
            return await _solve(self, problem, budget, *rest)  # the second try, after a restart
        numbers[problem.id] = number = len(numbers) + 1
        fault = choose(number)
        if fault is None:
            return await _solve(self, problem, budget, *rest)
        return await FAULTS[fault](self, problem, budget)

    Solver.solve = solve  # type: ignore[method-assign, assignment]


def stop_injecting() -> None:
    Solver.solve = _solve  # type: ignore[method-assign]
