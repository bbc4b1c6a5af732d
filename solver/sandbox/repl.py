"""`python -m solver python`: the sandbox as the model sees it, block by block. What it prints is exactly an
`ExecutionResult.output`, so a block that puzzles a model can be tried by hand."""

import asyncio
import codeop
import contextlib
import sys
from collections.abc import Callable
from time import monotonic

from solver.config import SandboxLimits
from solver.sandbox.pool import SandboxPool
from solver.types import ExecutionResult

_HELP = "A block ends where Python would run it; an indented one with an empty line. Ctrl-D leaves."

Say = Callable[[str], None]


def run_repl(limits: SandboxLimits, say: Say, note: Say, code: str | None = None) -> int:
    """Run `code`, or blocks from standard input until it ends. `say` gets outputs, `note` all else.

    Returns the exit code: 1 where `code`, or standard input that is no terminal, did not end as ok.

    Raises:
        SandboxError: code cannot be confined on this machine.
    """
    if code is None and not sys.stdin.isatty():
        code = sys.stdin.read()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_repl(limits, say, note, code))
    return 130


async def _repl(limits: SandboxLimits, say: Say, note: Say, code: str | None) -> int:
    pool = SandboxPool(limits)
    try:
        report = await pool.start()
        async with pool.session() as session:
            if code is not None:
                result = await session.run(code)
                say(result.output)
                note(_summary(result))
                return 0 if result.status == "ok" else 1
            for line in report.lines():
                note(line)
            note(_HELP)
            while (block := await asyncio.to_thread(_read_block)) is not None:
                if block.strip():
                    began = monotonic()
                    result = await session.run(block)
                    say(result.output)
                    note(f"{_summary(result)}, {monotonic() - began:.3f} s in all")
    finally:
        await pool.close()
    return 0


def _read_block() -> str | None:
    """One block from the terminal, or None at its end."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input("... " if lines else ">>> "))
        except EOFError:
            return None
        source = "\n".join(lines)
        try:
            is_complete = codeop.compile_command(source, symbol="exec") is not None
        except (SyntaxError, ValueError, OverflowError):
            return source  # the sandbox says what is wrong with it
        if is_complete and (len(lines) == 1 or not lines[-1].strip() or not lines[-1][:1].isspace()):
            return source


def _summary(result: ExecutionResult) -> str:
    kept = "" if result.state_kept else ", variables lost"
    return f"[{result.status}, {result.seconds:.3f} s{kept}]"
