"""GSM8K's training split as worked text and as Python: its calculator marks `<<48/2=24>>` are the program's lines.

Cobbe et al. 2021, arXiv 2110.14168 (MIT licence). The file is the user's; nothing of it is kept in the repository.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from merge.miniature.family import ANSWER_MAX
from merge.samples import Sample
from solver.errors import UsageError

_MARK = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_NUMBER = re.compile(r"(?<![\w.])\d*\.?\d+(?![\w.])")
_EXPRESSION = re.compile(r"[\d.+\-*/() ]+")


def read_gsm8k(path: Path) -> Iterator[tuple[Sample, Sample | None]]:
    """Each problem as worked text, and as Python where its marks are a program that gives the answer."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    for line in lines:
        record = json.loads(line)
        worked, _, last = record["answer"].rpartition("\n#### ")
        try:
            answer = int(last.replace(",", ""))
        except ValueError:
            continue
        if not 0 <= answer <= ANSWER_MAX:
            continue
        problem = record["question"].strip()
        text = _MARK.sub("", worked)
        cot = Sample(problem, "cot", (f"{text}\nThe answer is \\boxed{{{answer}}}.",), answer)
        program = as_program(problem, worked, answer)
        yield cot, Sample.of_program(problem, program, answer) if program else None


def as_program(problem: str, worked: str, answer: int) -> str | None:
    """One assignment a mark, each under a comment that says what it is; None where that does not give the answer.

    A number of the problem stays a number; any other that an earlier line gave becomes that line's name.
    """
    lines: list[str] = []
    given = {float(number) for number in _NUMBER.findall(problem.replace(",", ""))}
    names: dict[float, str] = {}
    count = 0
    for sentence in worked.splitlines():
        for mark in _MARK.finditer(sentence):
            expression, name = mark.group(1).replace(",", "").strip(), f"x{(count := count + 1)}"
            if not _EXPRESSION.fullmatch(expression):
                return None
            value = _value(expression)
            if value is None:
                return None
            lines += [f"# {comment}"] if (comment := _comment(sentence, mark)) else []
            known = {number: it for number, it in names.items() if number not in given}
            lines.append(
                f"{name} = {_NUMBER.sub(lambda n, known=known: known.get(float(n.group()), n.group()), expression)}"
            )
            names.pop(value, None)
            names[value] = name
    if not names or round(list(names)[-1], 6) != answer:
        return None
    last = names[list(names)[-1]]
    return "\n".join([*lines, f"print(round({last}))"])


def _comment(sentence: str, mark: re.Match[str]) -> str:
    """What the mark's result is, in the sentence's words: what follows the number, or else what leads to it."""
    after = re.sub(r"^[\d.,]+", "", sentence[mark.end() :].split("<<")[0])
    words = re.split(r"[.;=+*/]|, ", after)[0].strip(" ,%$")
    if not words or any(c.isdigit() for c in words):
        words = re.split(r"[\d$=(<]", sentence)[0].strip(" ,:%")
    return " ".join(words.split()[:10])


def _value(expression: str) -> float | None:
    try:
        return float(eval(expression, {"__builtins__": {}}))
    except (SyntaxError, ZeroDivisionError, TypeError, ValueError, OverflowError):
        return None
