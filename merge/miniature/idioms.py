"""The few shapes of program that the families share, so that a small model meets the same idioms everywhere.

`loop` is what stands between `for` and the colon, as in `n in range(1, 100 + 1)`.
"""


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
