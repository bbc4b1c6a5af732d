"""What a check of the doctor says."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from solver.config import SolverConfig
from solver.errors import SolverError

State = Literal["ok", "warning", "problem"]
Check = Callable[[SolverConfig], Iterator["Line"]]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    state: State
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:<8} {self.name}: {self.detail}" + (f" -> {self.remedy}" if self.remedy else "")


def caught(name: str, check: Check, config: SolverConfig) -> Iterator[Line]:
    """The check's lines; what a part refuses with becomes one with its remedy."""
    try:
        yield from check(config)
    except SolverError as error:
        what, _, remedy = str(error).partition(": ")
        yield Line(name, "problem", what, remedy)


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def installed_version(package: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None
