"""What a family of problems is: how an instance is drawn, worded, solved in words, and solved by programs.

A family draws a `Case`: the numbers of one instance, its answer, a worked text and programs. Its phrasings word the
same case in different shapes. Few stand with the family; the files in `phrasings/`, one for a module of families, hold
more. The last phrasing that stands with a family is held out: no training sample is worded by it.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import Any, Literal

Area = Literal["number theory", "combinatorics", "algebra", "sequences", "probability", "geometry", "word problems"]

ANSWER_MAX = 99_999  # answers are integers from 0 to this, as in AIMO-3


@dataclass(frozen=True, slots=True)
class Case:
    """One instance before it is worded.

    Attributes:
        values: What the phrasings' `{names}` stand for.
        answer: Found by a route of its own (brute force, a library), not by `solution` or `programs`.
        solution: A worked text in a few short steps, without the final sentence that boxes the answer.
        programs: One to three different Python programs, each of which prints the answer and nothing else.
    """

    values: Mapping[str, Any]
    answer: int
    solution: str
    programs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    area: Area
    phrasings: tuple[str, ...]
    draw: Callable[[Random], Case]
    held_out: bool = False

    @property
    def trained_phrasings(self) -> tuple[str, ...]:
        return self.phrasings[:-1]

    @property
    def held_out_phrasing(self) -> str:
        return self.phrasings[-1]


FAMILIES: dict[str, Family] = {}


def family(
    area: Area, *phrasings: str, held_out: bool = False
) -> Callable[[Callable[[Random], Case]], Callable[[Random], Case]]:
    """Registers a family under its function's name. At least four phrasings, of different shape; the last is held out.

    Braces of a phrasing stand for the case's values, as in `str.format`; LaTeX braces are doubled. The file in
    `phrasings/` named as the function's module adds to those that are trained.
    """

    def register(draw: Callable[[Random], Case]) -> Callable[[Random], Case]:
        name = draw.__name__.replace("_", "-")
        if name in FAMILIES or len(phrasings) < 4:
            raise ValueError(f"the family {name} is there twice, or has fewer than four phrasings")
        *trained, last = phrasings
        more = more_phrasings(draw.__module__.rpartition(".")[2]).get(name, [])
        FAMILIES[name] = Family(name, area, (*trained, *more, last), draw, held_out)
        return draw

    return register


@cache
def more_phrasings(module: str) -> dict[str, list[str]]:
    """Further phrasings by family, of one module of families; empty where there is no file."""
    file = resources.files("merge.miniature") / "phrasings" / f"{module}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
