"""What a person reads while a run goes on, as plain lines."""

import asyncio
import io
import re
from time import monotonic

import pytest
from rich.console import Console

from solver import progress
from solver.live import draw
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
    assert "attempts: 4 running, 2 ended" in headline(status, 0.0)
    status.finish(Prediction("a", 7, "consensus", (), 1.0))
    assert "attempts: 2 running, 4 ended" in headline(status, 0.0)


@pytest.mark.parametrize("width", [30, 60, 80, 132])
def test_the_live_view_keeps_to_the_terminal_and_its_columns_to_a_line(width: int) -> None:
    now = monotonic()
    status = RunStatus(num_problems=4, process_start=now - 50, deadline=Deadline(now + 50))
    status.predictions = [Prediction("a", 7, "consensus", (), 1.0)]
    attempts = {n: AttemptStatus(num_tokens=900, num_code_calls=2, num_failed_calls=n, began=now - 9) for n in (0, 1)}
    status.in_flight["b"] = ProblemStatus("b", 2, NEVER, attempts)
    console = Console(width=width, height=24, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(draw(status, 10.0, width, 24))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines)
    if width >= 80:
        assert "25% of the problems in 50% of the time" in lines[2]
        rows = re.findall(r" tok .*?\d s", "\n".join(lines))
        assert [len(row) for row in rows] == [len(rows[0])] * 2
