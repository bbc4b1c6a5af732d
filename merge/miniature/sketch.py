"""Kinds of problems in short form, for breadth: numbers to draw, wordings, programs, and a check of the answer.

A small model that has seen a hundred kinds of problems writes one of their hundred programs, whatever it is asked. So
`sketches/*.toml` hold more than a thousand further kinds, a dozen lines each, that are trained in Python alone:

    [coins-in-a-jar]
    area = "word problems"
    draw = "n = randint(3, 40); who = choice(['Ana', 'Bo'])"
    require = "n % 2 == 0"                                  # may be left out; drawn again until it holds
    check = "answer = sum(2 for _ in range(n))"             # by a route of its own
    phrasings = ['<who> has <n> coins ...', ...]
    programs = ['print(2 * <n>)', ...]

`<name>` stands for what `draw` or `check` gave that name; anything else in angle brackets stays as it is.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from random import Random
from types import CodeType
from typing import Any

from merge.miniature.family import ANSWER_MAX

_COMMENT = re.compile(r"^ *# .*\n", re.MULTILINE)
_WORD = re.compile(r"[a-z]{4,}")
_NAME = re.compile(r"\b[A-Z]\w+")
_STEM = 4  # letters: "sells" and "selling" are one word
_PLACE = re.compile(r"<([a-z]\w*)>")
_PLAIN = (int, str, float, Fraction, list, tuple, dict, set)
_DRAWN = ("randint", "choice", "sample", "shuffle", "randrange")
_TRIES = 5000


@dataclass(frozen=True, slots=True)
class Sketch:
    name: str
    area: str
    draw: CodeType
    require: CodeType
    check: CodeType
    phrasings: tuple[str, ...]
    programs: tuple[str, ...]

    def instance(self, random: Random) -> tuple[dict[str, Any], int]:
        """What wordings and programs may name, and the answer. Raises ValueError where no draw fits."""
        functions = {name: getattr(random, name) for name in _DRAWN}
        for _ in range(_TRIES):
            scope: dict[str, Any] = dict(functions)
            exec(self.draw, scope)
            try:
                exec(self.check, scope)
            except ZeroDivisionError:  # no whole answer either
                continue
            answer = scope["answer"]
            if type(answer) is int and 0 <= answer <= ANSWER_MAX and eval(self.require, scope):
                names = (name for name in scope if not name.startswith("_") and name != "answer")
                return {name: scope[name] for name in names if isinstance(scope[name], _PLAIN)}, answer
        raise ValueError(
            f"the sketch {self.name}: of {_TRIES} draws none fits `require` with an int from 0 to {ANSWER_MAX}"
        )


def fill(text: str, values: Mapping[str, Any]) -> str:
    return _PLACE.sub(lambda place: str(values[place[1]]) if place[1] in values else place[0], text)


def without_strange_comments(program: str, problem: str) -> str:
    """Without the comments that name somebody, or use mostly words, that the problem has not: they were written for
    another wording's story."""
    known = {word[:_STEM] for word in _WORD.findall(problem.lower())}
    names = set(_NAME.findall(problem))

    def judged(comment: re.Match[str]) -> str:
        words = [word[:_STEM] in known for word in _WORD.findall(comment[0].lower())]
        is_of_it = 2 * sum(words) >= len(words) and names.issuperset(_NAME.findall(comment[0]))
        return comment[0] if is_of_it else ""

    return _COMMENT.sub(judged, program)


def parse_sketches(text: str) -> Iterator[Sketch]:
    """Raises KeyError, SyntaxError or TOMLDecodeError."""
    for name, entry in tomllib.loads(text).items():
        yield Sketch(
            name,
            entry["area"],
            compile(entry["draw"], f"{name}: draw", "exec"),
            compile(entry.get("require", "True"), f"{name}: require", "eval"),
            compile(entry["check"], f"{name}: check", "exec"),
            tuple(entry["phrasings"]),
            tuple(program.strip() for program in entry["programs"]),
        )


@cache
def sketches() -> tuple[Sketch, ...]:
    """All of them, by name."""
    folder = resources.files("merge.miniature") / "sketches"
    files = sorted((it for it in folder.iterdir() if it.name.endswith(".toml")), key=lambda it: it.name)
    found = [sketch for file in files for sketch in parse_sketches(file.read_text("utf-8"))]
    return tuple(sorted(found, key=lambda sketch: sketch.name))
