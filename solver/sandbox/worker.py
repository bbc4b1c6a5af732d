"""A session's own loop, in a confined fork of the zygote: reads a block, runs it, answers. Standard library only.

Requests are {"id", "code"} and, first, {"seed"}; replies {"id", "kind", "error", "hint"} and, first, {"ready"} or
{"failed": why}. What a block writes to descriptors 1 and 2 goes to a pipe that the parent drains.
"""

import builtins
import gc
import io
import os
import random
import signal
import sys
from typing import Any, NoReturn

from solver.sandbox import wire
from solver.sandbox.cell import run_cell
from solver.sandbox.confine import Confinement, Plan, confine

_SOCKET = 3
_OUTPUT_COPY = 4


def main(socket: int, output: int, plan: Plan, session: Confinement, parent: int, base_bytes: int) -> NoReturn:
    """Become the session: take the descriptors, put on the layers, serve until the parent hangs up."""
    try:
        _take_descriptors(socket, output)
        try:
            confine(plan, session, parent, base_bytes)
        except (OSError, ValueError) as error:
            _send({"failed": f"{error}"})
            os._exit(1)
        namespace = _fresh_namespace()
        _send({"ready": True})
        _serve(namespace)
    finally:
        os._exit(0)


def _take_descriptors(socket: int, output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    high = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate((null, output, socket))]
    for fd, place in ((high[0], 0), (high[1], 1), (high[1], 2), (high[2], _SOCKET), (high[1], _OUTPUT_COPY)):
        os.dup2(fd, place, inheritable=False)
    os.closerange(_OUTPUT_COPY + 1, os.sysconf("SC_OPEN_MAX"))


def _fresh_namespace() -> dict[str, Any]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    # one stream for both: what is written to them stays in order, and a line is out before the next is computed
    raw = io.FileIO(1, "w", closefd=False)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    sys.argv = [""]
    sys.setrecursionlimit(3000)
    builtins.exit = builtins.quit = _leave_block  # type: ignore[assignment]  # site's own would close standard input
    gc.set_threshold(20_000, 10, 10)  # the first collection in a fork takes 10 ms: seldom needed by a short block
    gc.enable()
    return {"__name__": "__main__", "__builtins__": builtins}


def _leave_block(code: object = None) -> NoReturn:
    raise SystemExit(code)


def _serve(namespace: dict[str, Any]) -> None:
    while (request := _receive()) is not None:
        if "seed" in request:
            _reseed(request["seed"])
            continue
        for descriptor in (1, 2):  # an earlier block may have closed or replaced them
            os.dup2(_OUTPUT_COPY, descriptor, inheritable=False)
        outcome = run_cell(request["code"], request["id"], namespace)
        _send({"id": request["id"], "kind": outcome.kind, "error": outcome.error[:20_000], "hint": outcome.hint})


def _reseed(seed: int) -> None:
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed % 2**32)


def _receive() -> dict[str, Any] | None:
    header = _read(wire.HEADER)
    return wire.unpack(_read(wire.body_length(header))) if header else None


def _read(count: int) -> bytes:
    """Exactly `count` bytes, or none where the parent has hung up."""
    data = b""
    while len(data) < count:
        part = os.read(_SOCKET, count - len(data))
        if not part:
            return b""
        data += part
    return data


def _send(message: dict[str, Any]) -> None:
    data = wire.pack(message)
    while data:
        data = data[os.write(_SOCKET, data) :]
