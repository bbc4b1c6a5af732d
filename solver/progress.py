"""What a person sees while a run goes on: a live view on a terminal, plain lines elsewhere; all on standard error.

The views only read `RunStatus`, a few times a second; the run knows nothing of them.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from solver.status import ProblemStatus, RunStatus
from solver.summary import describe
from solver.types import Prediction

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_HEARTBEAT_SECONDS = 15.0
_RATE_SECONDS = 10.0


@asynccontextmanager
async def show_progress(status: RunStatus, *, plain: bool, stream: TextIO | None = None) -> AsyncIterator[None]:
    """Show `status` while the block runs."""
    stream = stream or sys.stderr
    view = _follow_plainly(status, stream) if plain or not stream.isatty() else _follow_live(status, stream)
    task = asyncio.create_task(view)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def clock(seconds: float) -> str:
    """ "7:05" or "4:50:00"; "unlimited" where there is no limit."""
    if seconds == float("inf"):
        return "unlimited"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class _Lines:
    """The lines that a status has gained since the last look."""

    def __init__(self, status: RunStatus) -> None:
        self._status, self._seen, self._decided = status, 0, len(status.predictions)
        self._width = len(str(status.num_problems))

    def new(self) -> list[str]:
        events = self._status.events[self._seen :]
        self._seen += len(events)
        return [f"[{clock(seconds)}] {self._line(event)}" for seconds, event in events]

    def _line(self, event: str | Prediction) -> str:
        if isinstance(event, str):
            return event
        self._decided += 1
        place = f"{self._decided:>{self._width}}/{self._status.num_problems}"
        return f"{place}  {event.problem_id}: {describe(event)}"


class _Rate:
    """Tokens a second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, status: RunStatus) -> float:
        now = monotonic()
        self._seen.append((now, status.num_tokens))
        while now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        (since, before), (_, tokens) = self._seen[0], self._seen[-1]
        return (tokens - before) / (now - since) if now > since else 0.0


async def _follow_plainly(status: RunStatus, stream: TextIO) -> None:
    lines, rate, last = _Lines(status), _Rate(), monotonic()
    try:
        while True:
            speed = rate.of(status)
            new = lines.new()
            if not new and status.in_flight and monotonic() - last > _HEARTBEAT_SECONDS:
                new = [f"[{clock(status.seconds)}] {_headline(status, speed)}"]
            if new:
                last = monotonic()
                print(*new, sep="\n", file=stream, flush=True)
            await asyncio.sleep(0.2)
    finally:
        for line in lines.new():
            print(line, file=stream, flush=True)


async def _follow_live(status: RunStatus, stream: TextIO) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    lines, rate = _Lines(status), _Rate()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        try:
            while True:
                _print_lines(console, lines.new())
                live.update(_draw(status, rate.of(status)), refresh=True)
                await asyncio.sleep(0.25)
        finally:
            _print_lines(console, lines.new())


def _print_lines(console: "Console", lines: list[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _headline(status: RunStatus, speed: float) -> str:
    attempts = list(status.attempts())
    running = sum(not attempt.finished for attempt in attempts)
    left = status.deadline.remaining()
    parts = [
        f"{len(status.predictions)}/{status.num_problems} problems",
        f"{running} attempts running, {len(attempts) - running} finished",
        f"{speed:.0f} tokens/s",
        f"{clock(status.seconds)} used, {clock(left)} left",
    ]
    judged = [p.correct for p in status.predictions if p.correct is not None]
    if judged:
        parts.insert(1, f"{sum(judged)} right")
    return "  |  ".join(parts)


def _draw(status: RunStatus, speed: float) -> "RenderableType":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    if not status.in_flight:
        return Text(f"{status.stage}  ({clock(status.seconds)} used, {clock(status.deadline.remaining())} left)", "dim")
    table = Table.grid(padding=(0, 2), expand=False)
    for problem in list(status.in_flight.values()):
        table.add_row(*_problem_row(problem, status.num_problems))
    done = ProgressBar(total=status.num_problems, completed=len(status.predictions), width=60)
    return Group(Text(_headline(status, speed), style="bold"), done, table)


def _problem_row(problem: ProblemStatus, num_problems: int) -> tuple["RenderableType", ...]:
    from rich.text import Text

    attempts = list(problem.attempts.values())
    finished = sum(attempt.finished for attempt in attempts)
    in_code = sum(attempt.running_code for attempt in attempts)
    dots = "".join("●" if a.finished else "▶" if a.running_code else "○" for a in attempts)
    votes = "  ".join(f"{c.answer} {'▮' * min(c.votes, 16)}{c.votes}" for c in problem.candidates[:4]) or "no votes yet"
    state = f"{finished} done, {len(attempts) - finished} running" + (f", {in_code} in Python" if in_code else "")
    return (
        Text(f"{problem.number} of {num_problems}", style="cyan"),
        Text(problem.id[:24]),
        Text(dots[:64], style="green"),
        Text(state, style="dim"),
        Text(f"{sum(a.num_tokens for a in attempts)} tokens", style="dim"),
        Text(f"{clock(problem.deadline.remaining())} left", style="dim"),
        Text(votes, style="yellow"),
    )
