"""Counting by a loop and a condition: pairs, triples, permutations and strings, with a condition drawn from a list."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from math import gcd, isqrt
from random import Random
from typing import Any

from sympy import isprime

from merge.miniature.families.dice import m_plus_n, reduced
from merge.miniature.family import Case, family
from merge.miniature.idioms import chance_loop, nested_count, nested_count_expression, program


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition in words, as Python in the names of the loop, and as a test that is written independently of it."""

    text: str
    code: str
    holds: Callable[..., Any]


def condition_on_two(random: Random, n: int) -> Condition:
    d, s = random.randint(2, 9), random.randint(n, 3 * n)
    return random.choice(
        [
            Condition(f"$ab$ is divisible by ${d}$", f"a * b % {d} == 0", lambda a, b: not a * b % d),
            Condition(f"$a+b$ is a multiple of ${d}$", f"(a + b) % {d} == 0", lambda a, b: -a % d == b % d),
            Condition(
                f"$a^2+b^2$ is divisible by ${d}$", f"(a**2 + b**2) % {d} == 0", lambda a, b: -a * a % d == b * b % d
            ),
            Condition(f"$ab \\le {s}$", f"a * b <= {s}", lambda a, b: b <= s // a),
            Condition(
                f"$a^2+b^2 \\le {s * n // 2}$", f"a**2 + b**2 <= {s * n // 2}", lambda a, b: a * a <= s * n // 2 - b * b
            ),
            Condition("$a$ divides $b$", "b % a == 0", lambda a, b: gcd(a, b) == a),
            Condition(
                "$a$ and $b$ have no common factor above 1",
                "gcd(a, b) == 1",
                lambda a, b: Fraction(a, b).denominator == b,
            ),
            Condition(f"$|a-b|$ is at least ${d}$", f"abs(a - b) >= {d}", lambda a, b: not -d < a - b < d),
            Condition(f"${d}a+b$ equals ${s}$", f"{d} * a + b == {s}", lambda a, b: b == s - d * a),
            Condition(
                "$ab$ is a perfect square", "isqrt(a * b) ** 2 == a * b", lambda a, b: float(a * b) ** 0.5 % 1 == 0
            ),
            Condition("$a+b$ is a prime number", "isprime(a + b)", lambda a, b: isprime(a + b)),
            Condition(f"$a^2$ is greater than ${d}b$", f"a**2 > {d} * b", lambda a, b: b < a * a / d),
        ]
    )


@family(
    "combinatorics",
    "How many ordered pairs $(a,b)$ of integers with $1 \\le a \\le {n}$ and $1 \\le b \\le {m}$ are there such that "
    "{condition}?",
    "Let $a$ be one of the integers from 1 to {n} and $b$ one of those from 1 to {m}. In how many cases is it true that "
    "{condition}?",
    "Find the number of pairs $(a,b) \\in \\{{1,\\ldots,{n}\\}} \\times \\{{1,\\ldots,{m}\\}}$ for which {condition}.",
    "A red card shows a number $a$ from 1 to {n}, a blue card a number $b$ from 1 to {m}. Determine for how many choices of "
    "the two numbers {condition}.",
    "Count the points $(a,b)$ with integer coordinates, $0 < a \\le {n}$, $0 < b \\le {m}$, for which {condition}. What is "
    "the result?",
)
def pairs_with_condition(random: Random) -> Case:
    n, m = random.randint(5, 60), random.randint(5, 60)
    it = condition_on_two(random, max(n, m))
    counts = [sum(bool(it.holds(a, b)) for b in range(1, m + 1)) for a in range(1, n + 1)]
    listed = ", ".join(map(str, counts if n <= 15 else counts[:8])) + (", ..." if n > 15 else "")
    loops = (f"a in range(1, {n} + 1)", f"b in range(1, {m} + 1)")
    return Case(
        {"n": n, "m": m, "condition": it.text},
        sum(counts),
        f"For a = 1, 2, ..., {n} the numbers of good b are {listed}. The sum of all is {sum(counts)}.",
        (
            imported(nested_count(*loops, where=it.code)),
            imported(nested_count_expression(*loops, where=it.code)),
        ),
    )


def imported(text: str) -> str:
    return f"from sympy import isprime\n{text}" if "isprime(" in text else text


@family(
    "probability",
    "Integers $a$ and $b$ are chosen independently and uniformly from 1 to {n}. The probability that {condition} is "
    "$\\frac{{p}}{{q}}$ in lowest terms. Find $p+q$.",
    "{who} draws a number $a$ from a hat with the numbers 1 to {n}, puts it back and draws a number $b$. Let $p/q$ be the "
    "reduced chance that {condition}. What is $p+q$?",
    "For random $a, b \\in \\{{1,\\ldots,{n}\\}}$, drawn with replacement, it happens with probability p/q that "
    "{condition}, where p and q are relatively prime. Compute p + q.",
    "A computer picks two random integers $a$ and $b$ between 1 and {n}, both ends allowed and equal numbers too. Write "
    "the probability that {condition} as a fraction $\\frac{{p}}{{q}}$ in lowest terms and give $p+q$.",
    "Suppose that $a$ and $b$ are independent and uniform on the first ${n}$ positive integers. If {condition} with "
    "probability $p/q$ and $\\gcd(p,q)=1$, determine $p+q$.",
)
def chance_for_two_numbers(random: Random) -> Case:
    n = random.randint(4, 40)
    d = random.randint(2, 7)
    it = random.choice(
        [
            Condition("$a$ divides $b$", "b % a == 0", lambda a, b: gcd(a, b) == a),
            Condition("$a$ is greater than $b$", "a > b", lambda a, b: b - a < 0),
            Condition("$a$ and $b$ are coprime", "gcd(a, b) == 1", lambda a, b: Fraction(a, b).denominator == b),
            Condition(f"$|a-b| \\le {d}$", f"abs(a - b) <= {d}", lambda a, b: -d <= a - b <= d),
            Condition(f"$a$ is at least ${d}b$", f"a >= {d} * b", lambda a, b: a // d >= b),
            Condition(
                f"$a^2+b^2$ is divisible by ${d}$", f"(a**2 + b**2) % {d} == 0", lambda a, b: -a * a % d == b * b % d
            ),
            Condition("$a+b$ is odd", "(a + b) % 2 == 1", lambda a, b: a % 2 != b % 2),
        ]
    )
    count = sum(bool(it.holds(a, b)) for a, b in product(range(1, n + 1), repeat=2))
    return Case(
        {"n": n, "condition": it.text, "who": random.choice(["Alma", "Bruno", "Celia", "David"])},
        m_plus_n(Fraction(count, n * n)),
        f"There are {n} * {n} = {n * n} pairs. Going through a = 1 to {n}, we find {count} good pairs. "
        f"{reduced(count, n * n)}",
        (
            chance_loop(f"a in range(1, {n} + 1)", f"b in range(1, {n} + 1)", where=it.code),
            program(
                f"count = sum(1 for a in range(1, {n} + 1) for b in range(1, {n} + 1) if {it.code})",
                f"p = Fraction(count, {n}**2)",
                "print(p.numerator + p.denominator)",
            ),
        ),
    )


@family(
    "combinatorics",
    "How many triples $(a,b,c)$ of integers with $1 \\le a < b < c \\le {n}$ are there such that {condition}?",
    "Three different numbers $a<b<c$ are taken from $1, 2, \\ldots, {n}$. In how many ways can this be done so that "
    "{condition}?",
    "Find the number of three-element subsets $\\{{a,b,c\\}}$, $a<b<c$, of $\\{{1,\\ldots,{n}\\}}$ for which {condition}.",
    "{n} cards carry the numbers 1 to {n}. {who} takes three cards and sorts them: $a<b<c$. Determine for how many hands "
    "{condition}.",
    "Let $1 \\le a<b<c \\le {n}$ be integers for which {condition}. What is the number of possible triples?",
)
def triples_with_condition(random: Random) -> Case:
    n = random.randint(6, 40)
    d, s = random.randint(2, 7), random.randint(n // 2 + 6, 2 * n)
    it = random.choice(
        [
            Condition(f"$a+b+c={s}$", f"a + b + c == {s}", lambda a, b, c: s - c == a + b),
            Condition("$a+b=c$", "a + b == c", lambda a, b, c: c - b == a),
            Condition(
                "$a^2+b^2=c^2$",
                "a**2 + b**2 == c**2",
                lambda a, b, c: isqrt(a * a + b * b) == c and (c - a) * (c + a) == b * b,
            ),
            Condition("$ab=c$", "a * b == c", lambda a, b, c: c % a == 0 and c // a == b),
            Condition(f"$a+b+c$ is at most ${s}$", f"a + b + c <= {s}", lambda a, b, c: c <= s - a - b),
            Condition(f"$abc$ is not divisible by ${d}$", f"a * b * c % {d} != 0", lambda a, b, c: bool(a * b * c % d)),
            Condition(
                "$c$ is a multiple of both $a$ and $b$",
                "c % a == 0 and c % b == 0",
                lambda a, b, c: gcd(a, c) == a and gcd(b, c) == b,
            ),
        ]
    )
    by_largest = [sum(bool(it.holds(a, b, c)) for a, b in combinations(range(1, c), 2)) for c in range(3, n + 1)]
    listed = ", ".join(map(str, by_largest if n <= 15 else by_largest[:8])) + (", ..." if n > 15 else "")
    return Case(
        {"n": n, "condition": it.text, "who": random.choice(["Alma", "Bruno", "Celia", "David"])},
        sum(by_largest),
        f"For c = 3, 4, ..., {n} the numbers of good pairs (a, b) are {listed}. The sum of all is {sum(by_largest)}.",
        (
            nested_count(
                f"a in range(1, {n} + 1)",
                f"b in range(a + 1, {n} + 1)",
                f"c in range(b + 1, {n} + 1)",
                where=it.code,
            ),
            nested_count(f"a, b, c in combinations(range(1, {n} + 1), 3)", where=it.code),
        ),
    )


@family(
    "probability",
    "A fair die with faces 1 to {n} is rolled three times. The probability that every roll is larger than the one before is "
    "$\\frac{{p}}{{q}}$ in lowest terms. Find $p+q$.",
    "Three numbers are drawn one after another from 1, ..., {n}, each being put back. With probability $p/q$, reduced, they "
    "form a strictly increasing sequence. What is $p+q$?",
    "Let $x, y, z$ be independent and uniform on the integers from $1$ to ${n}$ and let $P(x<y<z) = \\frac{{p}}{{q}}$, where "
    "$\\gcd(p,q)=1$. Determine $p+q$.",
    "Anna, Ben and Cleo spin the same wheel with {n} equal fields, 1 to {n}. Write as p/q, in lowest terms, the chance that "
    "Ben beats Anna and Cleo beats Ben. Then give p + q.",
    held_out=True,
)
def increasing_rolls(random: Random) -> Case:
    n = random.randint(4, 30)
    count = sum((b - 1) * (n - b) for b in range(1, n + 1))
    return Case(
        {"n": n},
        m_plus_n(Fraction(count, n**3)),
        f"There are {n}^3 = {n**3} outcomes. The increasing ones are the choices of 3 of {n} numbers: C({n},3) = {count}. "
        f"{reduced(count, n**3)}",
        (
            chance_loop(*(f"{x} in range(1, {n} + 1)" for x in "abc"), where="a < b < c"),
            program(f"p = Fraction(comb({n}, 3), {n}**3)", "print(p.numerator + p.denominator)"),
        ),
    )
