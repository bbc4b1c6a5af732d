"""Where an engine's core lives: a thread that outlasts the calls made in it, and the child process forked from it."""

import asyncio
import contextlib
import ctypes
import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


class children_of_ours:
    """While open, a forked child dies with the forking thread, leaves our process group and writes to `log`."""

    _log: Path | None = None
    _registered = False

    def __init__(self, log: Path) -> None:
        self._new_log = log

    def __enter__(self) -> None:
        cls = children_of_ours
        if not cls._registered:  # a hook cannot be taken back
            os.register_at_fork(after_in_child=cls._prepare)
            cls._registered = True
        cls._log = self._new_log

    def __exit__(self, *exception: object) -> None:
        children_of_ours._log = None

    @classmethod
    def _prepare(cls) -> None:
        if cls._log is None:
            return
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The event loop's signal handling came along: through it, a signal to the child would interrupt the solver.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        descriptor = os.open(cls._log, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)


class EngineThread:
    """A thread that runs calls one after another until it is told to end. It is a daemon, so a load that hangs cannot
    hold the process back, and it runs no event loop, so AsyncLLM binds to the solver's loop on its first request."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        outcome: list[T | Exception] = []  # emptied by who reads it, so that nothing here keeps the engine alive

        def work() -> None:
            try:
                outcome.append(function())
            except Exception as error:  # noqa: BLE001  carried to whoever awaits the call
                outcome.append(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, done)

        self._calls.put(work)
        await done
        result = outcome.pop()
        if isinstance(result, Exception):
            raise result
        return result

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # it holds the engine


def _settle(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
