"""The answers in examples/problems.csv, each found again by counting or by another route."""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, pairwise, product
from math import comb, factorial, gcd, isqrt

import pytest

from solver.problem import read_problems
from tests.conftest import PROJECT

PROBLEMS = {problem.id: problem for problem in read_problems(PROJECT / "examples" / "problems.csv")}


def power() -> int:
    value = 1
    for _ in range(2024):
        value = value * 7 % 1_000_003
    return value


def zeros() -> int:
    text = str_of_factorial(2025)
    return len(text) - len(text.rstrip("0"))


def str_of_factorial(n: int) -> str:
    import sys

    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(factorial(n))
    finally:
        sys.set_int_max_str_digits(limit)


def digit_sum() -> int:
    """Stars and bars over six digits, taking out those where a digit exceeds 9."""
    return sum((-1) ** k * comb(6, k) * comb(20 - 10 * k + 5, 5) for k in range(3))


def dice() -> int:
    hits = sum(a + b in (2, 3, 5, 7, 11) for a, b in product(range(1, 7), repeat=2))
    probability = Fraction(hits, 36)
    return probability.numerator + probability.denominator


def triangle() -> int:
    a, b, c = 13, 14, 15
    s = (a + b + c) // 2
    return isqrt(s * (s - a) * (s - b) * (s - c)) + a + b + c


def recurrence() -> int:
    """a_n = ((1 + sqrt 2)^n + (1 - sqrt 2)^n) / 2, in integers: the rational part of (1 + sqrt 2)^n."""
    whole, root = 1, 0
    for _ in range(50):
        whole, root = whole + 2 * root, whole + root
    return whole % 99_991


def dominoes() -> int:
    return sum(comb(12 - pairs, pairs) for pairs in range(7))  # each pair of horizontal dominoes takes two columns


def subsets() -> int:
    return sum(
        all(b - a > 1 for a, b in pairwise(chosen)) for size in range(16) for chosen in combinations(range(15), size)
    )


def committee() -> int:
    people = "t" * 7 + "s" * 9
    return sum(2 <= "".join(chosen).count("t") <= 3 for chosen in combinations(people, 5))


ROUTES: dict[str, Callable[[], int]] = {
    "digits": lambda: sum(map(int, str(1 << 100))),
    "farmyard": lambda: next(goats for goats in range(32) if 4 * goats + 2 * (31 - goats) == 88),
    "divisors": lambda: sum(factorial(10) % d == 0 for d in range(1, factorial(10) + 1)),
    "power": power,
    "zeros": zeros,
    "cubes": lambda: sum(x for x in range(-50, 51) if x**3 == 49 * x),
    "palindrome": lambda: next(n for n in range(10_000, 100_000) if str(n) == str(n)[::-1] and n % 7 == 0),
    "digit-sum": digit_sum,
    "dice": dice,
    "triangle": triangle,
    "recurrence": recurrence,
    "dominoes": dominoes,
    "gcd": lambda: gcd(2**30 - 1, 2**42 - 1),
    "prime": lambda: max(
        p for p in range(2, 111_112) if 111_111 % p == 0 and all(p % d for d in range(2, isqrt(p) + 1))
    ),
    "remainders": lambda: next(n for n in range(1, 1002) if (n % 7, n % 11, n % 13) == (2, 3, 5)),
    "stationery": lambda: 100 - 12 * 3 - 5 * 8,
    "squares": lambda: 60 * 61 * 121 // 6,
    "subsets": subsets,
    "committee": committee,
    "tank": lambda: int((Fraction(840, 6) - Fraction(840, 10)) * 9),
}


@pytest.mark.parametrize("problem_id", PROBLEMS)
def test_the_answer_is_right(problem_id: str) -> None:
    assert ROUTES[problem_id]() == PROBLEMS[problem_id].answer


def test_there_are_twenty_with_zero_five_digits_and_a_large_modulus() -> None:
    answers = [problem.answer for problem in PROBLEMS.values()]
    assert len(answers) == 20
    assert 0 in answers
    assert sum(answer is not None and 10_000 <= answer <= 99_999 for answer in answers) >= 3
    assert any("1000003" in problem.text for problem in PROBLEMS.values())
