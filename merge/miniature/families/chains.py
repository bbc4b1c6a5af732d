"""Composed problems: a first step gives a number A (or two of them), and the question is about that number."""

from itertools import pairwise
from math import comb, gcd
from random import Random

from sympy import divisor_count, factorint

from merge.miniature.family import Case, family
from merge.miniature.idioms import program
from merge.miniature.steps import first_step, two_steps, words


@family(
    "combinatorics",
    "Let $A$ be {first}. Find the sum of the digits of $A^2$.",
    "{First} is squared. What do the decimal digits of the result add up to?",
    "First find $A$, {first}. Then compute the digit sum of $A \\cdot A$.",
    "What is the digit sum of the square of $A$, where $A$ is {first}?",
    "Denote by $A$ {first}, and by $S(n)$ the sum of the digits of $n$. Determine $S(A^2)$.",
)
def digit_sum_of_squared_count(random: Random) -> Case:
    step = first_step(random)
    square, answer = step.value**2, 0
    while square:
        square, digit = divmod(square, 10)
        answer += digit
    digits = str(step.value**2)
    return Case(
        words(step),
        answer,
        f"A = {step.why}. Its square is {digits}. The digits add up to {' + '.join(digits)} = {sum(map(int, digits))}.",
        (
            program(f"a = {step.code}", "print(sum(int(d) for d in str(a**2)))"),
            program(f"a = ({step.code}) ** 2", "s = 0", "while a > 0:", "    s += a % 10", "    a //= 10", "print(s)"),
        ),
    )


@family(
    "combinatorics",
    "Let $A$ be {first}. How many positive divisors does $A$ have?",
    "{First} is called $A$. Find the number of positive integers that divide $A$.",
    "A teacher has $A$ sweets, where $A$ is {first}. For how many group sizes can the sweets be shared equally, each child "
    "of the group getting a whole number of them?",
    "Find $A$, {first}, and then the number of pairs $(x,y)$ of positive integers with $xy=A$.",
    "Suppose that $A$ equals {first}. Determine how many numbers from $1$ to $A$ are divisors of $A$.",
)
def divisors_of_count(random: Random) -> Case:
    step = first_step(random, 9999)
    answer = sum(step.value % d == 0 for d in range(1, step.value + 1))
    factors = factorint(step.value)
    return Case(
        words(step),
        answer,
        f"A = {step.why} = {' * '.join(f'{p}^{e}' for p, e in factors.items())}. The number of divisors is "
        f"{' * '.join(f'({e} + 1)' for e in factors.values())} = {divisor_count(step.value)}.",
        (
            program(f"a = {step.code}", "print(sum(1 for d in range(1, a + 1) if a % d == 0))"),
            program("from sympy import divisor_count", f"print(divisor_count({step.code}))"),
        ),
    )


@family(
    "combinatorics",
    "Let $A$ be {first}. Find the remainder when ${b}^A$ is divided by ${m}$.",
    "What remainder does ${b}^A$ leave on division by {m} if $A$ is {first}?",
    "{First} is used as the exponent $A$. Compute ${b}^A \\bmod {m}$.",
    "Find $A$, {first}. A number game starts with 1 and multiplies by {b} exactly $A$ times, always keeping only the "
    "remainder modulo {m}. Which number comes out?",
    "Suppose that $A$ is {first} and that $R$ with $0 \\le R < {m}$ is congruent to ${b}^A$ modulo ${m}$. Determine $R$.",
)
def power_with_count(random: Random) -> Case:
    step = first_step(random, 20_000)
    b, m = random.randint(2, 19), random.choice([random.randint(7, 200), 1000, random.randint(1000, 99_999)])
    answer = 1 % m
    for _ in range(step.value):
        answer = answer * b % m
    return Case(
        words(step) | {"b": b, "m": m},
        answer,
        f"A = {step.why}. By repeated squaring modulo {m}: {b}^2 = {b**2 % m}, {b}^4 = {pow(b, 4, m)}, {b}^8 = "
        f"{pow(b, 8, m)}. Going on, {b}^{step.value} leaves {pow(b, step.value, m)}.",
        (
            program(f"a = {step.code}", f"print(pow({b}, a, {m}))"),
            program(f"a = {step.code}", "r = 1", "for _ in range(a):", f"    r = r * {b} % {m}", "print(r)"),
        ),
    )


@family(
    "combinatorics",
    "Let $A$ be {first}. In how many ways can 2 of $A$ people be chosen?",
    "At a meeting there are $A$ guests, where $A$ is {first}. Everyone shakes hands once with everyone else. How many "
    "handshakes are there?",
    "{First} is the number $A$ of teams in a league. Each two teams play one match. Find the number of matches.",
    "Find $A$, {first}. Then compute $\\binom{{A}}{{2}}$.",
    "A set has $A$ elements, $A$ being {first}. Determine the number of its subsets with exactly two elements.",
)
def pairs_of_count(random: Random) -> Case:
    step = first_step(random, 440)
    answer = sum(range(step.value))
    a = step.value
    return Case(
        words(step),
        answer,
        f"A = {step.why}. The number of pairs is {a} * {a - 1} / 2 = {a * (a - 1) // 2}.",
        (
            program(f"a = {step.code}", "print(a * (a - 1) // 2)"),
            program(f"print(comb({step.code}, 2))"),
        ),
    )


@family(
    "combinatorics",
    "Let $A$ be {first} and let $B$ be {second}. Find $|A-B|$.",
    "By how much do $A$ and $B$ differ if $A$ is {first} and $B$ is {second}?",
    "Compute the difference, larger minus smaller, of {first} and {second}.",
    "On one card stands {first}, on another {second}. How far apart are the two numbers?",
    "{First} and {second} are marked on a number line. Determine their distance.",
)
def difference_of_counts(random: Random) -> Case:
    one, two = two_steps(random)
    low, high = sorted([one.value, two.value])
    return Case(
        words(one) | {"second": two.text},
        high - low,
        f"A = {one.why}. B = {two.why}. The difference is {high} - {low} = {high - low}.",
        (
            program(f"a = {one.code}", f"b = {two.code}", "print(abs(a - b))"),
            program(f"print(abs({one.code} - {two.code}))"),
        ),
    )


@family(
    "combinatorics",
    "Let $A$ be {first} and let $B$ be {second}. Find $\\gcd(A,B)$.",
    "What is the largest integer that divides both {first} and {second}?",
    "{First} and {second} are the sides, in mm, of a sheet that is to be cut into equal squares without waste. How long "
    "can the side of these squares be at most, in mm?",
    "The fraction $\\frac{{A}}{{B}}$, where $A$ is {first} and $B$ is {second}, is reduced to lowest terms. By which number "
    "are $A$ and $B$ divided?",
    held_out=True,
)
def gcd_of_counts(random: Random) -> Case:
    one, two = two_steps(random)
    answer = max(d for d in range(1, one.value + 1) if one.value % d == two.value % d == 0)
    return Case(
        words(one) | {"second": two.text},
        answer,
        f"A = {one.why}. B = {two.why}. Their greatest common divisor is {gcd(one.value, two.value)}.",
        (
            program(f"a = {one.code}", f"b = {two.code}", "print(gcd(a, b))"),
            program(f"a = {one.code}", f"b = {two.code}", "while b:", "    a, b = b, a % b", "print(a)"),
        ),
    )


@family(
    "combinatorics",
    "Let $N$ be the number of ways to choose {k} of {n} people. Find the remainder when $N$ is divided by 1000.",
    "A box holds {n} different stones and {k} of them are taken out. The number of possible choices ends in three digits. "
    "Which number do these three digits form?",
    "Find the last three digits of $\\binom{{{n}}}{{{k}}}$, as a number from 0 to 999.",
    "A lottery draws {k} of the numbers 1 to {n}. If $N$ different draws are possible, what is $N \\bmod 1000$?",
    "{n} trees stand in a park and {k} of them are to be cut, in one of $N$ ways. Determine the remainder of $N$ on "
    "division by 1000.",
)
def choices_modulo(random: Random) -> Case:
    n = random.randint(14, 60)
    k = random.randint(4, min(n - 3, 14))
    row = [1]
    for _ in range(n):
        row = [1, *(x + y for x, y in pairwise(row)), 1]
    count = comb(n, k)
    return Case(
        {"n": n, "k": k},
        row[k] % 1000,
        f"N = C({n},{k}) = {count}. Its last three digits give the remainder {count % 1000}.",
        (
            program(f"print(comb({n}, {k}) % 1000)"),
            program(f"n = factorial({n}) // factorial({k}) // factorial({n} - {k})", "print(n % 1000)"),
        ),
    )
