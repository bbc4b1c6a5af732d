"""What a person sees while a run goes on: a live view on a terminal (`solver.live`), one line that is written over in a
notebook, plain lines elsewhere; all on standard error.

The views only read `RunStatus`, a few times a second; the run knows nothing of them.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, TextIO

from solver.status import RunStatus
from solver.summary import describe
from solver.types import Prediction

_HEARTBEAT_SECONDS = 15.0
_RATE_SECONDS = 10.0


@asynccontextmanager
async def show_progress(status: RunStatus, *, plain: bool, stream: TextIO | None = None) -> AsyncIterator[None]:
    """Show `status` while the block runs."""
    stream = stream or sys.stderr
    task = asyncio.create_task(_choose(plain=plain, stream=stream)(status, stream))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _choose(*, plain: bool, stream: TextIO) -> Callable[[RunStatus, TextIO], Coroutine[Any, Any, None]]:
    if plain:
        return _follow_plainly
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from solver.live import follow_live

        return follow_live
    return _follow_in_notebook if "ipykernel" in sys.modules else _follow_plainly


def clock(seconds: float) -> str:
    """ "7:05" or "4:50:00"; "unlimited" where there is no limit."""
    if seconds == float("inf"):
        return "unlimited"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Lines:
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


class Rate:
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
    lines, rate, last = Lines(status), Rate(), monotonic()
    try:
        while True:
            speed = rate.of(status)
            new = lines.new()
            if not new and monotonic() - last > _HEARTBEAT_SECONDS:
                new = [f"[{clock(status.seconds)}] {headline(status, speed) if status.in_flight else waiting(status)}"]
            if new:
                last = monotonic()
                print(*new, sep="\n", file=stream, flush=True)
            await asyncio.sleep(0.2)
    finally:
        for line in lines.new():
            print(line, file=stream, flush=True)


async def _follow_in_notebook(status: RunStatus, stream: TextIO) -> None:
    """One line that is written over, as tqdm does it where there is no terminal; what is worth keeping stands above."""
    lines, rate = Lines(status), Rate()
    width = 0
    try:
        while True:
            for line in lines.new():
                print(f"\r{line.ljust(width)}", file=stream)
            line = headline(status, rate.of(status)) if status.in_flight else status.stage
            print(f"\r{line.ljust(width)}", end="", file=stream, flush=True)
            width = len(line)
            await asyncio.sleep(1.0)
    finally:
        for line in lines.new():
            print(f"\r{line.ljust(width)}", file=stream, flush=True)


def waiting(status: RunStatus) -> str:
    """What a start that takes minutes is at, and what is left."""
    left = status.deadline.remaining()
    return f"still {status.stage}" + ("" if left == float("inf") else f"; {clock(left)} left")


def headline(status: RunStatus, speed: float) -> str:
    running = sum(not attempt.finished for attempt in status.attempts())
    left = status.deadline.remaining()
    parts = [
        f"{len(status.predictions)}/{status.num_problems} problems",
        f"attempts: {running} running, {status.num_finished} ended",
        f"{speed:.0f} tokens/s",
        f"{clock(status.seconds)} used, {clock(left)} left",
    ]
    judged = [p.correct for p in status.predictions if p.correct is not None]
    if judged:
        parts.insert(1, f"{sum(judged)} right")
    return "  |  ".join(parts)
