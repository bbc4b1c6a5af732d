"""What a person reads while a run goes on, as plain lines."""

import asyncio
import io
import re
from time import monotonic

import pytest

from solver import progress
from solver.progress import headline, show_progress
from solver.status import AttemptStatus, ProblemStatus, RunStatus
from solver.types import NEVER, Deadline, Prediction


def plain_lines(status: RunStatus) -> list[str]:
    async def follow() -> None:
        async with show_progress(status, plain=True, stream=stream):
            await asyncio.sleep(0.01)

    stream = io.StringIO()
    asyncio.run(follow())
    return stream.getvalue().splitlines()


def test_a_start_that_takes_long_says_what_it_is_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_HEARTBEAT_SECONDS", -1.0)
    status = RunStatus(num_problems=2, deadline=Deadline(monotonic() + 3630))
    status.stage = "starting vllm"
    assert re.fullmatch(r"\[0:\d\d\] still starting vllm; 1:00:\d\d left", plain_lines(status)[0])
    status.deadline = NEVER
    assert re.fullmatch(r"\[0:\d\d\] still starting vllm", plain_lines(status)[0])


def test_attempts_that_have_ended_stay_counted_when_their_problem_is_decided() -> None:
    status = RunStatus(num_problems=2)
    for name in ("a", "b"):
        status.in_flight[name] = ProblemStatus(name, 1, NEVER, {n: AttemptStatus(finished=n == 0) for n in range(3)})
    assert "4 attempts running, 2 ended" in headline(status, 0.0)
    status.finish(Prediction("a", 7, "consensus", (), 1.0))
    assert "2 attempts running, 4 ended" in headline(status, 0.0)
