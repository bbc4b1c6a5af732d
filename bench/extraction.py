"""How long it takes to find the answer in a megabyte: an ordinary text, and texts made to be slow."""

import argparse
import json
from pathlib import Path
from time import perf_counter

from bench.report import table, write_report
from solver.answer import extract_answer
from solver.competition import COMPETITIONS

_MIB = 2**20
_ORDINARY = (
    "So $a_{n+1} = \\frac{a_{n}}{2} + \\sqrt{b_{n}}$ and the set is $\\{1, 2, 3\\}$; let me check that.\n"
    "<tool_call>\nprint({n: n**2 for n in range(9)})\n</tool_call>\n```output\n{0: 0, 1: 1}\n```\n"
)
_PIECES = {
    "ordinary text with code": _ORDINARY,
    "open braces": "{",
    "pairs of braces": "{}",
    "unclosed boxes": "\\boxed{",
    "unclosed boxes full of braces": "\\boxed{{}{}" + "{}" * 440,
    "boxes without braces": "\\fbox ",
    "fences": "```python\n",
    "calls": "<tool_call>",
    "the word box": "box ",
}
_CASES = Path(__file__).parent.parent / "tests" / "data" / "extraction.jsonl"


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="python -m bench extraction", description=__doc__).parse_args(arguments)
    rows = [[name, *(f"{_milliseconds(text):.2f}" for text in _texts(piece))] for name, piece in _PIECES.items()]
    cases = [json.loads(line) for line in _CASES.read_text("utf-8").splitlines()]
    right = sum(extract_answer(case["text"], COMPETITIONS["open"]) == case["answer"] for case in cases)
    body = "Milliseconds for 1 MiB, the best of five; goal: under 50.\n\n"
    body += table(["1 MiB of", "no answer", "answer at the end", "answer at the start", "all inside one box"], rows)
    body += f"\n{right} of {len(cases)} cases of tests/data/extraction.jsonl are read as recorded.\n"
    write_report("extraction", body, arguments)


def _texts(piece: str) -> list[str]:
    text = piece * (_MIB // len(piece))
    return [text, text + r" \boxed{17}", r"\boxed{17} " + text, rf"\boxed{{{text}}}"]


def _milliseconds(text: str) -> float:
    best = float("inf")
    for _ in range(5):
        began = perf_counter()
        extract_answer(text, COMPETITIONS["open"])
        best = min(best, perf_counter() - began)
    return best * 1000
