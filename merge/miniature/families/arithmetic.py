"""Powers, divisors, digits: number theory that a loop or one library call settles."""

from random import Random

from sympy import divisor_count, factorint

from merge.miniature.family import ANSWER_MAX, Case, family


def power_steps(a: int, n: int, m: int) -> str:
    """a^n mod m by squaring, as in `3^1 = 3, 3^2 = 9, 3^5 = 5 (mod 7)`: each exponent is twice the last, or one more."""
    exponents = [n >> shift for shift in range(n.bit_length() - 1, -1, -1)]
    return ", ".join(f"{a}^{k} = {pow(a, k, m)}" for k in exponents) + f" (mod {m})"


@family(
    "number theory",
    "When ${a}^{{{n}}}$ is divided by ${m}$, which remainder is left?",
    "What is ${a}^{{{n}}} \\bmod {m}$?",
    "Let $N = {a}^{{{n}}}$. If $N = {m}q + r$ with $0 \\le r < {m}$ and integer $q$, find $r$.",
    "A dial is marked 0 to {m1}. From 0 its hand moves ${a}^{{{n}}}$ steps forward. On which mark does it stop?",
    "The number ${a}^{{{n}}}$ of coins is shared equally among {m} pirates. How many coins are left over?",
)
def power_remainder(random: Random) -> Case:
    a, n = random.randint(2, 99), random.randint(20, random.choice([60, 300, 5000]))
    m = random.randint(11, random.choice([999, 99_991, 9_999_991]))
    answer = 1
    for _ in range(n):
        answer = answer * a % m
    if answer > ANSWER_MAX:
        return power_remainder(random)
    return Case(
        {"a": a, "n": n, "m": m, "m1": m - 1},
        answer,
        f"We square, and multiply by {a} where the exponent is odd: {power_steps(a, n, m)}. The remainder is {answer}.",
        (
            f"print(pow({a}, {n}, {m}))",
            f"print({a}**{n} % {m})",
            f"r = 1\nfor _ in range({n}):\n    r = r * {a} % {m}\nprint(r)",
        ),
    )


@family(
    "number theory",
    "What is the number of positive divisors of ${n}$?",
    "Find the number of positive integers $d$ such that $d$ divides ${n}$.",
    "In how many ways can ${n}$ be written as an ordered product $ab$ of two positive integers?",
    "A teacher wants to put {n} pupils in rows of equal length. How many row lengths are possible?",
)
def number_of_divisors(random: Random) -> Case:
    n = random.randint(2, 60) * random.choice([12, 24, 30, 36, 60, 72, 100])
    answer = sum(n % d == 0 for d in range(1, n + 1))
    factors = factorint(n)
    product = " * ".join(f"{p}^{e}" for p, e in factors.items())
    return Case(
        {"n": n},
        answer,
        f"{n} = {product}. The number of divisors is "
        + " * ".join(f"({e} + 1)" for e in factors.values())
        + f" = {divisor_count(n)}.",
        (
            f"print(sum({n} % d == 0 for d in range(1, {n} + 1)))",
            f"from sympy import divisor_count\nprint(divisor_count({n}))",
        ),
    )
