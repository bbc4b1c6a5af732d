"""The child's side of a Python session: runs blocks one after another in one namespace. Standard library only.

Started by `solver.sandbox.session` as a script with the memory limit in MiB and a random seed. Requests
({"id", "code"}) and replies ({"id", "status", "error"}) are length-prefixed JSON on what were standard input and
output; what a block writes goes to standard error's file, which the parent owns and reads.
"""

import ast
import builtins
import ctypes
import json
import linecache
import os
import random
import resource
import signal
import struct
import sys
import traceback
from typing import Any

_ERROR_CHARS = 500
_FRAMES = 6


def main() -> None:
    memory_mib, seed = int(sys.argv[1]), int(sys.argv[2])
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _limit(memory_mib)
    random.seed(seed)
    sys.argv = [""]
    builtins.exit = builtins.quit = _leave_block  # type: ignore[assignment]  # site's own would close standard input
    sys.setrecursionlimit(3000)
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (request := _receive(requests)) is not None:
        status, error = _run(request["code"], f"<block {request['id']}>", namespace)
        _send(replies, {"id": request["id"], "status": status, "error": error})


def _leave_block(code: object = None) -> None:
    raise SystemExit(code)


def _limit(memory_mib: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the solver
    if os.getppid() == 1:
        sys.exit()
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  no pathlib: its import is not needed here
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: mapped + memory_mib * 2**20,
        resource.RLIMIT_FSIZE: 16 * 2**20,
        resource.RLIMIT_CORE: 0,
    }
    for name, value in limits.items():
        resource.setrlimit(name, (value, value))


def _run(code: str, name: str, namespace: dict[str, Any]) -> tuple[str, str]:
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    status, error = "ok", ""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            _execute(code, name, namespace)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.stdout.flush()
            sys.stderr.flush()
    except SystemExit:
        pass
    except KeyboardInterrupt:
        status = "timeout"
    except MemoryError:
        status, error = "memory", "MemoryError: the memory limit of this session is used up"
    except BaseException as raised:  # noqa: BLE001  whatever the model's code raises is its result
        status, error = "error", _explain(raised, name)
    return status, error


def _execute(code: str, name: str, namespace: dict[str, Any]) -> None:
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
        if value is not None:
            sys.stdout.write(f"{value!r}\n")


def _explain(error: BaseException, name: str) -> str:
    """The traceback as the block's author needs it: its own frames alone."""
    try:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<block ")]
        lines = traceback.format_list(frames[-_FRAMES:])
        head = ["Traceback (most recent call last):\n"] if lines else []
        tail = "".join(traceback.format_exception_only(error))
        return "".join(head + lines) + tail[-_ERROR_CHARS:]
    except BaseException as second:  # noqa: BLE001  a hostile __str__ must not end the session
        return f"{type(error).__name__} (its text cannot be shown: {type(second).__name__})"


def _receive(requests: int) -> dict[str, Any] | None:
    size = _read(requests, 4)
    body = size and _read(requests, struct.unpack(">I", size)[0])
    return json.loads(body) if body else None


def _read(descriptor: int, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        part = os.read(descriptor, count - len(data))
        if not part:
            return None
        data += part
    return data


def _send(replies: int, reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode("ascii")
    data = struct.pack(">I", len(body)) + body
    while data:
        data = data[os.write(replies, data) :]


if __name__ == "__main__":
    main()
