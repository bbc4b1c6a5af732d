"""The live view: a header, the current problem's attempts as rows, its votes as bars; on a terminal, redrawn as it is
resized. It reads `RunStatus` and slows down where drawing takes long, so that it never costs more than a hundredth of
one core.
"""

import asyncio
from collections import Counter
from time import thread_time
from typing import TYPE_CHECKING, TextIO

from solver.progress import Lines, Rate, clock, headline
from solver.status import AttemptStatus, ProblemStatus, RunStatus

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_LEAST_SECONDS = 0.25  # between two drawings
_PAUSE_FOR_WORK = 120  # times what a drawing took of the processor
_COLUMN = 60  # characters of one column of attempts
_BAR = 30
_STYLES = {"thinking": "cyan", "running code": "magenta", "done": "green", "cut": "dim", "no answer": "yellow"}


async def follow_live(status: RunStatus, stream: TextIO) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    lines, rate = Lines(status), Rate()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        try:
            while True:
                began = thread_time()
                _print_lines(console, lines.new())
                live.update(draw(status, rate.of(status), *console.size), refresh=True)
                await asyncio.sleep(max(_LEAST_SECONDS, _PAUSE_FOR_WORK * (thread_time() - began)))
        finally:
            _print_lines(console, lines.new())


def draw(status: RunStatus, speed: float, width: int, height: int) -> "RenderableType":
    """The whole view, for a terminal of `width` by `height` characters."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    if not status.in_flight:
        left = clock(status.deadline.remaining())
        return Text(f"{status.stage}  ({clock(status.seconds)} used, {left} left)", "dim")
    done = Table.grid()  # a bar by itself ends no line
    bar = ProgressBar(total=status.num_problems, completed=len(status.predictions), width=min(60, max(10, width - 46)))
    done.add_row(bar, Text(f"  {_shares(status)}", "dim", no_wrap=True, overflow="ellipsis"))
    parts: list[RenderableType] = [Text(headline(status, speed), "bold", no_wrap=True, overflow="ellipsis")]
    parts += [Text(_machinery(status), "dim", no_wrap=True, overflow="ellipsis"), done]
    problems = list(status.in_flight.values())
    room = height - 6 - 2 * len(problems[1:])  # header, bar, and what is printed below
    parts += _problem(problems[0], status.num_problems, width, room)
    for problem in problems[1:]:
        parts += [_title(problem, status.num_problems), *_votes(problem, 1)]
    return Group(*parts)


def _shares(status: RunStatus) -> str:
    """Of problems and of time: whether the run is ahead of its clock."""
    problems = f"{len(status.predictions) / max(1, status.num_problems):.0%} of the problems"
    left = status.deadline.remaining()
    if left == float("inf"):
        return problems
    return f"{problems} in {status.seconds / max(1e-9, status.seconds + left):.0%} of the time"


def _machinery(status: RunStatus) -> str:
    """The engine's and the sandbox's state in one line."""
    running = [attempt for attempt in status.attempts() if not attempt.finished]
    held = sum(attempt.num_prompt_tokens + attempt.num_tokens for attempt in running)
    room = status.engine.kv_cache_tokens if status.engine is not None else None
    kv = f"KV cache {held:,} of {room:,} tokens ({held / room:.0%})" if room else f"{held:,} tokens held"
    failed = status.num_failed_calls
    blocks = f"{status.num_code_calls} blocks, {failed} failed" if failed else f"{status.num_code_calls} blocks"
    return f"{kv}  |  sandbox: {status.count_sessions()} sessions, {blocks}"


def _title(problem: ProblemStatus, num_problems: int) -> "Text":
    from rich.text import Text

    attempts = list(problem.attempts.values())
    finished = sum(attempt.finished for attempt in attempts)
    in_code = sum(attempt.running_code for attempt in attempts)
    state = f"{finished} done, {len(attempts) - finished} running" + (f", {in_code} in Python" if in_code else "")
    tokens = sum(attempt.num_tokens for attempt in attempts)
    return Text.assemble(
        (f"{problem.number} of {num_problems}  ", "cyan"),
        (problem.id[:30], "bold"),
        f"  {state}  {tokens} tokens  {clock(problem.deadline.remaining())} left",
        no_wrap=True,
        overflow="ellipsis",
    )


def _problem(problem: ProblemStatus, num_problems: int, width: int, room: int) -> "list[RenderableType]":
    from rich.table import Table
    from rich.text import Text

    votes = _votes(problem, 4)
    columns = max(1, min(4, width // _COLUMN))
    attempts = list(problem.attempts.items())
    shown = max(2, room - len(votes) - 2) * columns
    if len(attempts) > shown:
        attempts.sort(key=lambda item: (item[1].finished, item[0]))  # those that still move
    table = Table.grid(padding=(0, 3))
    rows = [_attempt(index, attempt) for index, attempt in attempts[:shown]]
    height = -(-len(rows) // columns)
    for number in range(height):
        table.add_row(*rows[number::height])
    parts: list[RenderableType] = [_title(problem, num_problems), table]
    if hidden := attempts[shown:]:
        states = ", ".join(f"{n} {state}" for state, n in Counter(_state(a) for _, a in hidden).items())
        parts.append(Text(f"and {len(hidden)} more: {states}", "dim"))
    return [*parts, *votes]


def _attempt(index: int, attempt: AttemptStatus) -> "Text":
    from rich.text import Text

    state = _state(attempt)
    code = f"{attempt.num_code_calls} code" + (f" ({attempt.num_failed_calls}!)" if attempt.num_failed_calls else "")
    answer = "" if attempt.answer is None else f"{attempt.answer}{' forced' if attempt.forced else ''}"
    return Text.assemble(
        (f"{index:>3} ", "dim"),
        (f"{state:<12} ", _STYLES[state]),
        f"{attempt.num_tokens:>6} tok  {code:<12}{attempt.seconds:>6.1f} s  ",
        (answer[:16], "bold"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _state(attempt: AttemptStatus) -> str:
    if not attempt.finished:
        return "running code" if attempt.running_code else "thinking"
    if attempt.stop_reason in ("deadline", "cancelled", "error"):
        return "cut"
    return "no answer" if attempt.answer is None else "done"


def _votes(problem: ProblemStatus, most: int) -> "list[Text]":
    from rich.text import Text

    leading = problem.candidates[0].votes if problem.candidates else 0
    return [
        Text.assemble(
            (f"{candidate.answer:>12} ", "bold"),
            ("▮" * max(1, round(_BAR * candidate.votes / max(leading, _BAR))), "yellow"),
            f" {candidate.votes}{' forced' if candidate.forced else ''}",
            no_wrap=True,
        )
        for candidate in problem.candidates[:most]
    ]


def _print_lines(console: "Console", lines: list[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
