"""Dice, coins, balls and tickets: the probability is m/n in lowest terms and the answer is m + n."""

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import comb, isqrt
from random import Random

from sympy import isprime

from merge.miniature.family import Case, family
from merge.miniature.idioms import chance_loop, chance_of, program


def m_plus_n(p: Fraction) -> int:
    return p.numerator + p.denominator


def reduced(count: int, total: int) -> str:
    """The last sentence of a worked text: the fraction, in lowest terms, and the sum."""
    p = Fraction(count, total)
    lowest = f"{count}/{total}" + f" = {p.numerator}/{p.denominator}" * (p.denominator < total)
    return f"p = {lowest}, so m + n = {p.numerator} + {p.denominator} = {m_plus_n(p)}."


def condition(random: Random, sides: int) -> tuple[str, str, Callable[[int], bool]]:
    """A property of the sum of two dice: in words, as Python about a and b, and as a test of the sum."""
    d = random.randint(3, 7)
    least = random.randint(sides - 1, 2 * sides - 1)
    squares = [s for s in range(2, 2 * sides + 1) if isqrt(s) ** 2 == s]
    primes = [s for s in range(2, 2 * sides + 1) if isprime(s)]
    options: list[tuple[str, str, Callable[[int], bool]]] = [
        (f"divisible by {d}", f"(a + b) % {d} == 0", lambda s: s % d == 0),
        ("a perfect square", f"a + b in {squares}", lambda s: s in squares),
        (f"at least {least}", f"a + b >= {least}", lambda s: s >= least),
        (f"less than {least}", f"a + b < {least}", lambda s: s < least),
        (f"equal to {least}", f"a + b == {least}", lambda s: s == least),
    ]
    if sides != 6:
        options.append(("a prime number", f"a + b in {primes}", lambda s: s in primes))
    return random.choice(options)


@family(
    "probability",
    "Two fair dice with faces 1 to {n} are rolled. The probability that their sum is {what} is $\\frac{{m}}{{n}}$ in "
    "lowest terms. Find $m+n$.",
    "Find $m+n$, where $m/n$ in lowest terms is the chance that two rolls of a fair {n}-sided die have a total that is "
    "{what}.",
    "Numbers $a$ and $b$ are chosen independently and uniformly from $\\{{1, \\ldots, {n}\\}}$. Let $p = \\frac{{m}}"
    "{{n}}$, with $\\gcd(m,n)=1$, be the probability that $a+b$ is {what}. What is $m+n$?",
    "{who} spins a wheel with {n} equal sectors, marked 1 to {n}, twice and adds the results. {who} wins if the total "
    "is {what}. Write the probability of a win as a reduced fraction m/n and give m + n.",
    "The sum of two independent rolls of a die with {n} faces, numbered from 1, is {what} with probability p/q, where "
    "p and q have no common factor. Determine p + q.",
)
def sum_of_two_dice(random: Random) -> Case:
    n = random.choice([4, 6, 8, 10, 12, 20])
    what, where, holds = condition(random, n)
    sums = [s for s in range(2, 2 * n + 1) if holds(s)]
    count = sum(holds(a + b) for a, b in product(range(1, n + 1), repeat=2))
    ways = [n - abs(n + 1 - s) for s in sums]
    listed = f"{', '.join(map(str, sums))}" if len(sums) < 9 else f"{sums[0]} to {sums[-1]}"
    counted = " + ".join(map(str, ways)) if 0 < len(sums) < 9 else f"{sum(ways)} in all"
    return Case(
        {"n": n, "what": what, "who": random.choice(["Kai", "Lea", "Omar", "Pia", "Ruth"])},
        m_plus_n(Fraction(count, n * n)),
        f"There are {n} * {n} = {n * n} outcomes. The good sums are {listed}; they come in {counted} ways. "
        f"{reduced(sum(ways), n * n)}",
        (
            chance_loop(f"a in range(1, {n} + 1)", f"b in range(1, {n} + 1)", where=where),
            program(
                f"count = sum(1 for a in range(1, {n} + 1) for b in range(1, {n} + 1) if {where})",
                f"p = Fraction(count, {n}**2)",
                "print(p.numerator + p.denominator)",
            ),
        ),
    )


@family(
    "probability",
    "Three fair {n}-sided dice, numbered from 1, are thrown. The probability that the numbers add up to {s} is "
    "$\\frac{{m}}{{n}}$ in lowest terms. Compute $m+n$.",
    "A die with the faces 1 to {n} is rolled three times. Let $\\frac{{p}}{{q}}$ be the reduced probability of a total of "
    "exactly ${s}$. Find $p+q$.",
    "In a board game you move by the total of three spins of a wheel with the numbers 1 to {n}, and you need exactly {s} "
    "to reach the treasure. Your chance is m/n in lowest terms. What is m + n?",
    "If $x, y, z$ are independent and uniform on the integers from $1$ to ${n}$ and $P(x+y+z={s}) = m/n$ with coprime $m$, "
    "$n$, determine $m+n$.",
    "Give the sum of numerator and denominator of the reduced fraction that is the probability that a red, a green and "
    "a white die, each with faces 1 to {n}, together show {s}.",
)
def sum_of_three_dice(random: Random) -> Case:
    n = random.choice([4, 6, 6, 8, 10])
    s = random.randint(3, 3 * n)
    count = sum(sum(roll) == s for roll in product(range(1, n + 1), repeat=3))
    ways = [max(0, n - abs(n + 1 - (s - a))) for a in range(1, n + 1)]
    r = f"range(1, {n} + 1)"
    return Case(
        {"n": n, "s": s},
        m_plus_n(Fraction(count, n**3)),
        f"There are {n}^3 = {n**3} outcomes. If the first is 1 to {n}, the other two need {s - 1} to {s - n}: "
        f"{' + '.join(map(str, ways))} = {sum(ways)} ways. {reduced(sum(ways), n**3)}",
        (
            chance_loop(f"a in {r}", f"b in {r}", f"c in {r}", where=f"a + b + c == {s}"),
            program(
                f"count = sum(1 for r in product({r}, repeat=3) if sum(r) == {s})",
                f"p = Fraction(count, {n}**3)",
                "print(p.numerator + p.denominator)",
            ),
        ),
    )


@family(
    "probability",
    "A fair coin is tossed {n} times. The probability of exactly {k} heads is $m/n$ in lowest terms. Find $m+n$.",
    "A couple has {n} children. Boys and girls are equally likely. The chance that exactly {k} of them are girls is "
    "a/b, reduced. What is a + b?",
    "Let $\\frac{{m}}{{n}}$, with $m$ and $n$ relatively prime, be the probability that a random binary string of "
    "length ${n}$ has exactly ${k}$ ones. Determine $m+n$.",
    "{who} answers {n} true-or-false questions by guessing. Write the probability that exactly {k} answers are right "
    "as p/q in lowest terms and compute p + q.",
    "What is $a+b$, if $\\frac{{a}}{{b}}$ is the simplest form of the probability that {k} of {n} fair coins, no more "
    "and no fewer, show tails?",
)
def exactly_k_heads(random: Random) -> Case:
    n = random.randint(3, 12)
    k = random.randint(0, n)
    count = sum(bin(s).count("1") == k for s in range(2**n))
    return Case(
        {"n": n, "k": k, "who": random.choice(["Zoe", "Max", "Ivy", "Noah"])},
        m_plus_n(Fraction(count, 2**n)),
        f"There are 2^{n} = {2**n} outcomes, and C({n},{k}) = {comb(n, k)} of them are good. "
        f"{reduced(comb(n, k), 2**n)}",
        (
            chance_loop(f"s in product((0, 1), repeat={n})", where=f"sum(s) == {k}"),
            chance_of(f"comb({n}, {k})", f"2**{n}"),
        ),
    )


@family(
    "probability",
    "Two fair {n}-sided dice, numbered from 1, are rolled. The probability that the product of the numbers is "
    "{what} is $\\frac{{m}}{{n}}$ in lowest terms. Find $m+n$.",
    "Choose $a$ and $b$ independently and uniformly from $1$ to ${n}$. If $ab$ is {what} with probability $m/n$, "
    "reduced, what is $m+n$?",
    "Write as m/n, in lowest terms, the chance that multiplying the results of two spins of a wheel with the equally "
    "likely numbers 1 to {n} gives a number that is {what}. Then m + n is ...?",
    "{who} multiplies the numbers on two dice that have {n} faces each, 1 up to {n}. With a reduced probability of p/q "
    "the outcome is {what}. Determine p + q.",
    held_out=True,
)
def product_of_two_dice(random: Random) -> Case:
    n = random.choice([4, 6, 8, 10, 12])
    d = random.choice([3, 4, 5, 6, 8, 9, 10, 12])
    bound = random.randint(n, n * n - 4)
    what, where = random.choice(
        [
            (f"divisible by {d}", f"a * b % {d} == 0"),
            (f"greater than {bound}", f"a * b > {bound}"),
            ("even", "a * b % 2 == 0"),
        ]
    )
    products = [a * b for a in range(1, n + 1) for b in range(1, n + 1)]
    good = {"divisible": lambda x: x % d == 0, "greater": lambda x: x > bound, "even": lambda x: x % 2 == 0}[
        what.split()[0]
    ]
    count = sum(map(good, products))
    return Case(
        {"n": n, "what": what, "who": random.choice(["Ada", "Carl", "Emmy", "Paul"])},
        m_plus_n(Fraction(count, n * n)),
        f"There are {n} * {n} = {n * n} outcomes. Going through them, the product is {what} in {count}. "
        f"{reduced(count, n * n)}",
        (
            chance_loop(f"a in range(1, {n} + 1)", f"b in range(1, {n} + 1)", where=where),
            program(
                f"count = sum(1 for a in range(1, {n} + 1) for b in range(1, {n} + 1) if {where})",
                f"p = Fraction(count, {n}**2)",
                "print(p.numerator + p.denominator)",
            ),
        ),
    )
