"""A clock that runs ahead while the scripted engine sleeps, so that limits pass at once, and in the same order on any
machine: pauses of a script, faults that hang, starts and closes that take a minute.

A loop that has something to do does it. Where every task waits while the engine sleeps, the clock is put forward to the
next timer instead of waiting for it. Python sessions are processes and take real time: a script that is played under
this clock calls no code, and has "sandbox.spares=0".
"""

import asyncio
import selectors
import sys
import time
from typing import Any

import pytest

import solver.engine.scripted
import solver.run  # noqa: F401  it and the next have the clock by name, and must be there to be given another
import solver.service  # noqa: F401

_monotonic = time.monotonic


class Clock:
    """In place of `time.monotonic`."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds that it has been put forward; 0 makes it the real one again."""
        self._sleepers = 0

    def __call__(self) -> float:
        return _monotonic() + self.ahead

    def start(self, patch: pytest.MonkeyPatch) -> None:
        """Put it wherever the real one is looked up: in event loops and in our modules."""
        clock = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> Any:
                if not clock._sleepers or timeout is None or timeout <= 0:
                    return super().select(timeout)
                if not (events := super().select(0)):
                    clock.ahead += timeout
                return events

        class Asyncio:
            def __getattr__(self, name: str) -> Any:
                return clock._sleep if name == "sleep" else getattr(asyncio, name)

        patch.setattr(selectors, "DefaultSelector", Selector)
        patch.setattr(solver.engine.scripted, "asyncio", Asyncio())
        patch.setattr(time, "monotonic", clock)
        for name, module in list(sys.modules.items()):
            if name.startswith(("solver", "submission")) and getattr(module, "monotonic", None) is _monotonic:
                patch.setattr(module, "monotonic", clock)

    async def _sleep(self, seconds: float) -> None:
        self._sleepers += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._sleepers -= 1
