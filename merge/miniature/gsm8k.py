"""GSM8K's training split as worked text and as Python: its calculator marks `<<48/2=24>>` are the program's lines.

Cobbe et al. 2021, arXiv 2110.14168 (MIT licence). The file is the user's; nothing of it is kept in the repository.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from merge.miniature.family import ANSWER_MAX
from merge.samples import Sample

_MARK = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_NUMBER = re.compile(r"(?<![\w.])\d*\.?\d+(?![\w.])")
_EXPRESSION = re.compile(r"[\d.+\-*/() ]+")


def read_gsm8k(path: Path) -> Iterator[tuple[Sample, Sample | None]]:
    """Each problem as worked text, and as Python where its marks are a program that gives the answer."""
    for line in path.read_text("utf-8").splitlines():
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
        program = as_program(worked, answer)
        yield cot, program and Sample.of_program(problem, program, answer)


def as_program(worked: str, answer: int) -> str | None:
    """One assignment a mark, each under a comment that says what it is; None where that does not give the answer."""
    lines: list[str] = []
    names: dict[float, str] = {}
    for sentence in worked.splitlines():
        for mark in _MARK.finditer(sentence):
            expression, name = mark.group(1).replace(",", "").strip(), f"x{len(names) + 1}"
            if not _EXPRESSION.fullmatch(expression):
                return None
            value = _value(expression)
            if value is None:
                return None
            after, _, _ = _MARK.sub("", sentence[mark.end() :]).partition(".")
            comment = " ".join(after.strip(" ,;%$").split()) or " ".join(sentence[: mark.start()].split()[:6])
            lines += [f"# {comment}"] if comment and not any(c.isdigit() for c in comment) else []
            lines.append(f"{name} = {_NUMBER.sub(lambda n, names=names: names.get(float(n.group()), n.group()), expression)}")
            names[value] = name
    if not names or round(list(names)[-1], 6) != answer:
        return None
    last = names[list(names)[-1]]
    return "\n".join([*lines, f"print(round({last}))"])


def _value(expression: str) -> float | None:
    try:
        return float(eval(expression, {"__builtins__": {}}))
    except (SyntaxError, ZeroDivisionError, TypeError, ValueError, OverflowError):
        return None
