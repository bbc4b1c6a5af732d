"""The few shapes that the programs of all families share, so that a family never seen is solved by a shape seen often.

A condition is Python text; names such as `comb` or `permutations` bring their import line with them.
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
}


def program(*rows: str) -> str:
    """The rows as one program, after the imports that they need."""
    text = "\n".join(rows)
    imports = [f"from {module} import {name}" for name, module in MODULES.items() if re.search(rf"\b{name}\(", text)]
    return "\n".join([*imports, text])


def _nested(loops: tuple[str, ...], *body: str) -> list[str]:
    rows = ["    " * depth + f"for {loop}:" for depth, loop in enumerate(loops)]
    return rows + ["    " * len(loops) + row for row in body]


def count_loop(*loops: str, where: str) -> str:
    """`count_loop("a in range(1, 7)", where="a > 2")` counts in a plain loop, one `for` a loop given."""
    return program("count = 0", *_nested(loops, f"if {where}:", "    count += 1"), "print(count)")


def count_sum(*loops: str, where: str) -> str:
    """The same count as one expression."""
    return program(f"print(sum(1 {' '.join(f'for {loop}' for loop in loops)} if {where}))")


def chance_loop(*loops: str, where: str) -> str:
    """Prints m + n for the probability m/n in lowest terms of `where`, all turns of the loops equally likely."""
    body = _nested(loops, "total += 1", f"if {where}:", "    count += 1")
    return program("count = 0", "total = 0", *body, "p = Fraction(count, total)", "print(p.numerator + p.denominator)")


def chance_of(count: str, total: str) -> str:
    """The same from two expressions: the favourable cases and all cases."""
    return program(f"p = Fraction({count}, {total})", "print(p.numerator + p.denominator)")
