"""The few shapes of program that the families share, so that a small model meets the same idioms everywhere.

`loop` is what stands between `for` and the colon, as in `n in range(1, 100 + 1)`. Programs made by `program` bring the
imports that their names need.
"""

import re

MODULES = {
    "Fraction": "fractions",
    "combinations": "itertools",
    "permutations": "itertools",
    "product": "itertools",
    "comb": "math",
    "factorial": "math",
    "gcd": "math",
    "isqrt": "math",
    "lcm": "math",
}


def count_loop(loop: str, condition: str) -> str:
    return f"count = 0\nfor {loop}:\n    if {condition}:\n        count += 1\nprint(count)"


def count_expression(loop: str, condition: str) -> str:
    return f"print(sum(1 for {loop} if {condition}))"


def sum_loop(loop: str, term: str, condition: str = "") -> str:
    if not condition:
        return f"total = 0\nfor {loop}:\n    total += {term}\nprint(total)"
    return f"total = 0\nfor {loop}:\n    if {condition}:\n        total += {term}\nprint(total)"


def sum_expression(loop: str, term: str, condition: str = "") -> str:
    return f"print(sum({term} for {loop}{' if ' * bool(condition)}{condition}))"


def search_loop(name: str, start: int | str, condition: str, step: str = "+= 1") -> str:
    """Goes up from `start` to the first number that satisfies the condition."""
    return f"{name} = {start}\nwhile not ({condition}):\n    {name} {step}\nprint({name})"


def with_import(line: str, program: str) -> str:
    return f"{line}\n{program}"


def program(*rows: str) -> str:
    """The rows as one program, after the imports that they need."""
    text = "\n".join(rows)
    imports = [f"from {module} import {name}" for name, module in MODULES.items() if re.search(rf"\b{name}\(", text)]
    return "\n".join([*imports, text])


def _nested(loops: tuple[str, ...], *body: str) -> list[str]:
    rows = ["    " * depth + f"for {loop}:" for depth, loop in enumerate(loops)]
    return rows + ["    " * len(loops) + row for row in body]


def nested_count(*loops: str, where: str) -> str:
    """Counts with one `for` a loop given, the first one outermost."""
    return program("count = 0", *_nested(loops, f"if {where}:", "    count += 1"), "print(count)")


def nested_count_expression(*loops: str, where: str) -> str:
    """The same count as one expression."""
    return program(f"print(sum(1 {' '.join(f'for {loop}' for loop in loops)} if {where}))")


def chance_loop(*loops: str, where: str) -> str:
    """Prints m + n for the probability m/n in lowest terms of `where`, all turns of the loops equally likely."""
    body = _nested(loops, "total += 1", f"if {where}:", "    count += 1")
    return program("count = 0", "total = 0", *body, "p = Fraction(count, total)", "print(p.numerator + p.denominator)")


def chance_of(count: str, total: str) -> str:
    """The same from two expressions: the favourable cases and all cases."""
    return program(f"p = Fraction({count}, {total})", "print(p.numerator + p.denominator)")
