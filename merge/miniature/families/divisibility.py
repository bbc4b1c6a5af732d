"""Divisors, multiples, greatest common divisors: what divides what."""

from math import gcd, lcm
from random import Random

from sympy import divisors, factorint, totient

from merge.miniature.family import Case, family
from merge.miniature.idioms import count_expression, count_loop, search_loop, sum_expression, sum_loop, with_import


def factored(n: int) -> str:
    """`360 -> 2^3 * 3^2 * 5`"""
    return " * ".join(f"{p}^{e}" if e > 1 else str(p) for p, e in factorint(n).items())


def drawn_composite(random: Random) -> int:
    return random.randint(2, 60) * random.choice([12, 24, 30, 36, 60, 72, 100])


@family(
    "number theory",
    "How many positive integers not exceeding ${n}$ are divisible by ${a}$ or by ${b}$?",
    "Let $S$ be the set of integers $k$ with $1 \\le k \\le {n}$ such that ${a} \\mid k$ or ${b} \\mid k$. Find $|S|$.",
    "Lamps numbered 1 to {n} stand in a row, all dark. Anna, who is 12 years old, lights those whose number is a multiple of {a}; then Ben lights those whose number is a multiple of {b}, if they are still dark. How many lamps burn?",
    "Count the numbers from 1 to {n} that are multiples of {a}, multiples of {b}, or both.",
    "Determine the number of terms of the list $1, 2, 3, \\ldots, {n}$ that leave remainder $0$ on division by at least one of ${a}$ and ${b}$.",
    "From the tickets $1, 2, \\ldots, {n}$ one wins if its number can be divided by ${a}$ or ${b}$ without remainder. What is the number of winning tickets?",
)
def multiples_of_either(random: Random) -> Case:
    a, b = sorted(random.sample([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 21], 2))
    n = random.choice([random.randint(100, 2500), random.randint(100, 99_999)])
    answer = len({*range(a, n + 1, a), *range(b, n + 1, b)})
    both, loop = lcm(a, b), f"n in range(1, {n} + 1)"
    return Case(
        {"a": a, "b": b, "n": n},
        answer,
        f"There are {n // a} multiples of {a} and {n // b} multiples of {b}. Multiples of both are multiples of {both}: "
        f"there are {n // both}. So the count is {n // a} + {n // b} - {n // both} = {answer}.",
        (
            count_loop(loop, f"n % {a} == 0 or n % {b} == 0"),
            count_expression(loop, f"n % {a} == 0 or n % {b} == 0"),
        ),
    )


@family(
    "number theory",
    "What is the sum of all positive divisors of ${n}$?",
    "Compute $\\sum_{{d \\mid {n}}} d$, where $d$ runs over the positive divisors of ${n}$.",
    "Let $\\sigma(n)$ denote the sum of the positive divisors of $n$, with $1$ and $n$ included. Determine $\\sigma({n})$.",
    "Mia writes down every whole number that divides {n} without remainder, from 1 up to {n} itself, and adds them. What does she get?",
    "Find the total of all positive integers $d$ for which $\\frac{{{n}}}{{d}}$ is an integer.",
    "Suppose that $d_1 < d_2 < \\cdots < d_k$ are all the positive divisors of ${n}$. Evaluate $d_1 + d_2 + \\cdots + d_k$.",
)
def sum_of_divisors(random: Random) -> Case:
    n = drawn_composite(random)
    factors = factorint(n)
    answer = 1
    for p, e in factors.items():
        answer *= (p ** (e + 1) - 1) // (p - 1)
    sums = [(1 + sum(p**k for k in range(1, e + 1))) for p, e in factors.items()]
    return Case(
        {"n": n},
        answer,
        f"{n} = {factored(n)}. For each prime power we add its divisors: "
        + ", ".join(
            f"{' + '.join(str(p**k) for k in range(e + 1))} = {s}"
            for (p, e), s in zip(factors.items(), sums, strict=True)
        )
        + f". The product is {' * '.join(map(str, sums))} = {answer}.",
        (
            sum_loop(f"d in range(1, {n} + 1)", "d", f"{n} % d == 0"),
            sum_expression(f"d in range(1, {n} + 1)", "d", f"{n} % d == 0"),
            f"from sympy import divisors\nprint(sum(divisors({n})))",
        ),
    )


@family(
    "number theory",
    "What is the smallest positive integer divisible by each of ${a}$, ${b}$ and ${c}$?",
    "Find $\\mathrm{{lcm}}({a}, {b}, {c})$.",
    "Three bells ring together at noon. One rings every {a} minutes, one every {b} minutes and one every {c} minutes. After how many minutes do all three next ring together?",
    "Let $N > 0$ be the least integer such that ${a} \\mid N$, ${b} \\mid N$ and ${c} \\mid N$. Determine $N$.",
    "Compute the least common multiple of the numbers {a}, {b}, {c}.",
    "Beads of one kind come in bags of {a}, of a second kind in bags of {b}, of a third kind in bags of {c}. A bag costs 2 dollars. Tom wants equally many beads of each kind, with no bag opened. How many of each kind must he buy at least?",
)
def least_common_multiple(random: Random) -> Case:
    a, b, c = random.sample(range(6, 49), 3)
    answer = next(n for n in range(a, a * b * c + 1, a) if n % b == 0 and n % c == 0)
    ab = lcm(a, b)
    return Case(
        {"a": a, "b": b, "c": c},
        answer,
        f"{a} = {factored(a)}, {b} = {factored(b)}, {c} = {factored(c)}. lcm({a}, {b}) = {a} * {b} / {gcd(a, b)} = {ab}. "
        f"lcm({ab}, {c}) = {ab} * {c} / {gcd(ab, c)} = {answer}.",
        (
            search_loop("n", 1, f"n % {a} == 0 and n % {b} == 0 and n % {c} == 0"),
            f"from math import lcm\nprint(lcm({a}, {b}, {c}))",
        ),
    )


@family(
    "number theory",
    "Let $A = {a}^{{{m}}} - 1$ and $B = {a}^{{{n}}} - 1$. What is the greatest integer that divides both $A$ and $B$?",
    "Determine the greatest common divisor of ${a}^{{{m}}} - 1$ and ${a}^{{{n}}} - 1$.",
    "Suppose that $d$ is a common divisor of the numbers ${a}^{{{m}}} - 1$ and ${a}^{{{n}}} - 1$. How large can $d$ be?",
    "The numbers {a}^{m} - 1 and {a}^{n} - 1 count the red and the blue marbles in a huge box. All marbles are put into as many equal bags as possible. How many bags are there?",
    "What is $\\gcd(x, y)$ when $x = {a}^{{{m}}} - 1$ and $y = {a}^{{{n}}} - 1$?",
)
def common_divisor_of_powers(random: Random) -> Case:
    a = random.choice([2, 2, 2, 3, 3, 4, 5, 6, 7, 10])
    g = random.randint(1, max(k for k in range(1, 17) if a**k <= 99_999))
    k, j = random.choice([(2, 3), (3, 4), (2, 5), (3, 5), (4, 5), (1, 3), (5, 7), (4, 9), (1, 2), (5, 6)])
    m, n = random.choice([(g * k, g * j), (g * j, g * k)])
    answer = a**g - 1
    return Case(
        {"a": a, "m": m, "n": n},
        answer,
        f"gcd({a}^m - 1, {a}^n - 1) = {a}^gcd(m, n) - 1. Here gcd({m}, {n}) = {g}, so the answer is {a}^{g} - 1 = {answer}.",
        (
            f"a = {a}**{m} - 1\nb = {a}**{n} - 1\nwhile b > 0:\n    a, b = b, a % b\nprint(a)",
            f"from math import gcd\nprint(gcd({a}**{m} - 1, {a}**{n} - 1))",
        ),
    )


@family(
    "number theory",
    "How many of the integers from $1$ to ${n}$ have no common factor with ${n}$ except $1$?",
    "Find the number of integers $k$ with $1 \\le k \\le {n}$ and $\\gcd(k, {n}) = 1$.",
    "Let $\\varphi$ be Euler's function. Compute $\\varphi({n})$.",
    "How many fractions $\\frac{{k}}{{{n}}}$ with $1 \\le k \\le {n}$ are in lowest terms?",
    "On a ring of {n} chairs a child always moves forward by the same number $k$ of chairs, $1 \\le k \\le {n}$, and has a red cap on. For how many values of $k$ does it visit every chair? (This happens exactly if $k$ is coprime to {n}.)",
    "Determine how many positive integers up to {n} are relatively prime to {n}.",
)
def coprime_count(random: Random) -> Case:
    n = random.randint(20, 3000)
    answer = int(totient(n))
    factors = [f"(1 - 1/{p})" for p in factorint(n)]
    return Case(
        {"n": n},
        answer,
        f"{n} = {factored(n)}. The number of coprime integers is {n} * {' * '.join(factors)} = {answer}.",
        (
            with_import("from math import gcd", count_loop(f"k in range(1, {n} + 1)", f"gcd(k, {n}) == 1")),
            with_import("from math import gcd", count_expression(f"k in range(1, {n} + 1)", f"gcd(k, {n}) == 1")),
            f"from sympy import totient\nprint(totient({n}))",
        ),
    )


@family(
    "number theory",
    "What is the smallest positive integer with exactly ${k}$ positive divisors?",
    "Let $d(n)$ be the number of positive divisors of $n$. Find the least $n$ with $d(n) = {k}$.",
    "A number of tiles can be laid out as a full rectangle in exactly {k} ways, if rows and columns are told apart. What is the smallest possible number of tiles?",
    "Determine the minimal $n \\ge 1$ such that $n$ is divisible by exactly {k} positive integers.",
    "Among all positive integers that have {k} divisors, 1 and the number itself included, which is the smallest?",
    held_out=True,
)
def smallest_with_divisors(random: Random) -> Case:
    k = random.choice([6, 7, 8, 9, 10, 12, 14, 15, 16, 18, 20, 21, 24, 28, 30, 32])
    answer = next(n for n in range(1, 10_000) if len(divisors(n)) == k)
    return Case(
        {"k": k},
        answer,
        f"A number p^a * q^b * ... has (a + 1)(b + 1)... divisors. We need the product {k} with large exponents on small "
        f"primes. The best choice is {factored(answer)} = {answer}.",
        (
            search_loop("n", 1, f"sum(1 for d in range(1, n + 1) if n % d == 0) == {k}"),
            with_import("from sympy import divisor_count", search_loop("n", 1, f"divisor_count(n) == {k}")),
        ),
    )


@family(
    "number theory",
    "How many positive divisors of ${n}$ are {kind}?",
    "Find the number of divisors $d > 0$ of ${n}$ such that $d$ is {kind}.",
    "Of all whole numbers that divide {n}, {kind} ones are painted green, and the rest are painted grey. How many are green?",
    "Let $D$ be the set of positive divisors of ${n}$. Determine how many elements of $D$ are {kind}.",
    "For how many {kind} positive integers $d$ is $\\frac{{{n}}}{{d}}$ an integer?",
)
def divisors_of_a_kind(random: Random) -> Case:
    n = drawn_composite(random)
    kind = random.choice(["even", "odd"])
    answer = len([d for d in divisors(n) if d % 2 == (kind == "odd")])
    return Case({"n": n, "kind": kind}, answer, *divisors_of_parity(n, kind, answer))


def divisors_of_parity(n: int, kind: str, answer: int) -> tuple[str, tuple[str, ...]]:
    odd_part = n
    while odd_part % 2 == 0:
        odd_part //= 2
    odd = len(divisors(odd_part))
    solution = f"{n} = {factored(n)}. The odd divisors are those of {odd_part}: there are {odd}."
    if kind == "even":
        solution += f" All divisors: {len(divisors(n))}. Even ones: {len(divisors(n))} - {odd} = {answer}."
    test = f"d % 2 == {int(kind == 'odd')}"
    return solution, (
        count_loop(f"d in range(1, {n} + 1)", f"{n} % d == 0 and {test}"),
        with_import("from sympy import divisors", count_expression(f"d in divisors({n})", test)),
    )


@family(
    "number theory",
    "How many positive integers up to ${n}$ are divisible by both ${x}$ and ${y}$, or by neither of them?",
    "Of the numbers from 1 to {n}, keep those that are multiples of both {x} and {y} and those that are multiples of neither. How many are kept?",
    "For how many integers $k$ with $1 \\le k \\le {n}$ are the statements ${x} \\mid k$ and ${y} \\mid k$ either both true or both false?",
    "Doors 1 to {n} are shut. One boy toggles every door whose number is a multiple of {x}, another toggles every multiple of {y}. A door that is toggled twice is shut again. How many doors are shut at the end?",
    "Let $A$ and $B$ be the multiples of ${x}$ and of ${y}$ in $\\{{1, 2, \\ldots, {n}\\}}$. Determine how many elements of $\\{{1, 2, \\ldots, {n}\\}}$ lie in both of $A$ and $B$ or in none of them.",
)
def both_or_neither(random: Random) -> Case:
    x, y = random.sample(range(2, 16), 2)
    n = random.randint(50, 2500)
    both = n // lcm(x, y)
    answer = len(set(range(1, n + 1)) - (set(range(x, n + 1, x)) ^ set(range(y, n + 1, y))))
    return Case(
        {"x": x, "y": y, "n": n},
        answer,
        f"There are {n // x} multiples of {x}, {n // y} of {y}, and {both} of both. Exactly one of the conditions holds for "
        f"{n // x} + {n // y} - 2 * {both} = {n // x + n // y - 2 * both}. The rest is {n} - {n // x + n // y - 2 * both} = {answer}.",
        (
            count_loop(f"n in range(1, {n} + 1)", f"(n % {x} == 0) == (n % {y} == 0)"),
            count_expression(f"n in range(1, {n} + 1)", f"(n % {x} == 0) == (n % {y} == 0)"),
        ),
    )
