"""What a merge is doing, on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import Any, Self


class Progress:
    """`step` names what begins; `percent` says how far it is."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._text, self._told = "", 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, text: str) -> None:
        self._text, self._told = text, 0
        if self._bar is None:
            self._line(text)
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(text, total=None)

    def percent(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, total=100, completed=done)
        elif done >= self._told + 25 and done < 100:
            self._told = done
            self._line(f"{self._text}: {done} %")

    def note(self, text: str) -> None:
        """Something to know, that stays."""
        if self._bar is not None:
            self._bar.console.print(f"note: {text}", markup=False, highlight=False)
        else:
            self._line(f"note: {text}")

    @staticmethod
    def _line(text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
