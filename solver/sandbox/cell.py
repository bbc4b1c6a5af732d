"""One block of Python, run as a notebook cell would be. Child side: standard library only.

The value of a last expression is shown, `%` and `!` lines are answered with a note, top-level `await` works,
exit() ends the block alone, and an error is told by the block's own lines. Nothing here is a wall: that is
`solver.sandbox.confine`; the clock is the parent's.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` wraps: its enums cost a third of a small block
import ast
import asyncio
import inspect
import linecache
import re
import sys
import traceback
from dataclasses import dataclass
from typing import Any

_ERROR_CHARS = 500
_FIRST_FRAMES, _LAST_FRAMES = 2, 4
_MAGIC = re.compile(r"^(\s*)([%!])(.*)$")

_NO_SHELL = "[shell commands do not run here: left out '!{}'; use Python]"
_NO_MAGIC = "[notebook magics do not run here: left out '%{}']"
_REFUSED = "[this Python has no network, no other processes, and no files but its own folder's]"

Names = dict[str, Any]


@dataclass
class Outcome:
    """What one block did. `kind`: ok, error, memory, or interrupted (by SIGINT)."""

    kind: str
    error: str = ""
    hint: str = ""
    """How to see something, where the block showed nothing."""


def run_cell(code: str, number: int, names: Names) -> Outcome:
    """Run a block in `names`. Returns whatever it raises as text; anything still printed by it is flushed."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    hint = ""
    try:
        try:
            _accept_interrupts()
            tree = _parse(code, name)
            hint = _hint(tree)
            _execute(tree, name, names, is_quiet=code.rstrip().endswith(";"))
        finally:
            _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
            _flush()
    except SystemExit:
        return Outcome("ok", hint="[no output: the block ended itself with exit()]")
    except KeyboardInterrupt as raised:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        return Outcome("interrupted", _explain(raised))
    except MemoryError as raised:
        return Outcome("memory", _explain(raised))
    except BaseException as raised:  # noqa: BLE001  whatever the block raises is its result
        return Outcome("error", _explain(raised))
    return Outcome("ok", hint=hint)


def _accept_interrupts() -> None:
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _parse(code: str, name: str) -> ast.Module:
    try:
        return ast.parse(code, name)
    except SyntaxError:
        plain, notes = without_magics(code)
        if not notes:
            raise
        tree = ast.parse(plain, name)
    sys.stdout.write("".join(f"{note}\n" for note in notes))
    return tree


def without_magics(code: str) -> tuple[str, list[str]]:
    """The block with `pass` in place of `%` and `!` lines, and a note about each of those."""
    lines, notes = [], []
    for line in code.splitlines():
        if match := _MAGIC.match(line):
            notes.append((_NO_SHELL if match[2] == "!" else _NO_MAGIC).format(match[3].strip()[:100]))
            line = f"{match[1]}pass"
        lines.append(line)
    return "\n".join(lines), notes


def _hint(tree: ast.Module) -> str:
    if not tree.body:
        return "[no output: the block holds no code]"
    last = tree.body[-1]
    if isinstance(last, ast.Assign | ast.AugAssign | ast.AnnAssign):
        target = last.targets[0] if isinstance(last, ast.Assign) else last.target
        shown = target.id if isinstance(target, ast.Name) else ast.unparse(target)[:80]
        return f"[no output: the last line was an assignment; print({shown}) shows its value]"
    if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"[no output: {last.name} is defined but was not called or printed]"
    if isinstance(last, ast.Expr):
        return "[no output: the last line's value was None; print(...) shows a value]"
    return "[no output: the last line was a statement; print(...) shows a value]"


def _execute(tree: ast.Module, name: str, names: Names, *, is_quiet: bool) -> None:
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if tree.body:
        _evaluate(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if isinstance(last, ast.Expr):
        expression = ast.Expression(last.value)
        value = _evaluate(compile(expression, name, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if value is not None and not is_quiet:
            sys.stdout.write(f"{value!r}\n")


def _evaluate(code: Any, names: Names) -> Any:
    value = eval(code, names)
    if not code.co_flags & inspect.CO_COROUTINE:
        return value
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(value)
    finally:
        loop.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _explain(error: BaseException) -> str:
    """The traceback as the block's author needs it: the block's own lines, then the error."""
    try:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<cell ")]
        left_out = len(frames) - _FIRST_FRAMES - _LAST_FRAMES
        lines = traceback.format_list(frames if left_out <= 0 else frames[:_FIRST_FRAMES])
        if left_out > 0:
            lines += [f"  [... {left_out:,} calls left out ...]\n", *traceback.format_list(frames[-_LAST_FRAMES:])]
        if isinstance(error, KeyboardInterrupt):
            return "".join(["Interrupted at:\n", *lines]) if lines else ""
        head = ["Traceback (most recent call last):\n"] if lines else []
        last = "".join(traceback.format_exception_only(error))
        return "".join(head + lines) + _cut(last) + _note(error)
    except BaseException as second:  # noqa: BLE001  a hostile __str__ must not end the session
        return f"{type(error).__name__} (its text cannot be shown: {type(second).__name__})"


def _cut(text: str) -> str:
    if len(text) <= _ERROR_CHARS:
        return text
    half = _ERROR_CHARS // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters left out ...] {text[-half:]}"


def _note(error: BaseException) -> str:
    return f"{_REFUSED}\n" if isinstance(error, PermissionError) else ""
