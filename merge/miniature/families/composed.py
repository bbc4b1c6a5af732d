"""Composed problems: the result of one step is a number of the next."""

from random import Random

from sympy import divisor_count, divisors, isprime, prime, primerange

from merge.miniature.families.arithmetic import power_steps
from merge.miniature.families.digits import digit_sum, spelled_sum
from merge.miniature.families.divisibility import drawn_composite, factored
from merge.miniature.families.recurrences import coded, scaled
from merge.miniature.family import Case, family


@family(
    "number theory",
    "Let $a$ be the number of positive divisors of ${n}$. Find the remainder when ${b}^a$ is divided by ${m}$.",
    "Suppose that ${n}$ has exactly $k$ positive divisors. What is ${b}^k \\bmod {m}$?",
    "First count the positive divisors of {n}. Then raise {b} to that power. Which remainder does the result leave modulo {m}?",
    "Denote by $d(n)$ the number of positive divisors of $n$. Compute the remainder of ${b}^{{d({n})}}$ on division by ${m}$.",
    "A colony starts with one cell, and every hour each cell becomes {b} cells. It grows for as many hours as {n} has divisors. The cells are put in dishes of {m}. How many cells are left over?",
)
def divisors_then_power(random: Random) -> Case:
    n, b, m = drawn_composite(random), random.randint(2, 19), random.choice([100, 1000, 997, 101, 77, 99_991])
    k = sum(1 for d in range(1, n + 1) if n % d == 0)
    answer = pow(b, k, m)
    return Case(
        {"n": n, "b": b, "m": m},
        answer,
        f"{n} = {factored(n)}, so it has {int(divisor_count(n))} divisors. By squaring, {power_steps(b, k, m)}. The remainder is {answer}.",
        (
            f"a = sum(1 for d in range(1, {n} + 1) if {n} % d == 0)\nprint({b}**a % {m})",
            f"from sympy import divisor_count\na = int(divisor_count({n}))\nprint(pow({b}, a, {m}))",
        ),
    )


@family(
    "number theory",
    "Let $p$ be the ${k}$th prime number. What is the remainder when ${b}^p$ is divided by ${m}$? (The first prime is $2$.)",
    "The primes are $p_1 = 2$, $p_2 = 3$, $p_3 = 5$ and so on. Find ${b}^{{p_{{{k}}}}} \\bmod {m}$.",
    "Take prime number {k} in the list 2, 3, 5, 7, ... and use it as the exponent of {b}. Which remainder does this power leave when divided by {m}?",
    "Compute the remainder of ${b}^q$ modulo ${m}$, where $q$ is the {k}th prime in increasing order.",
)
def prime_then_power(random: Random) -> Case:
    k = random.choice([n for n in range(14, 200) if n % 10 > 3 or n % 100 in (11, 12, 13)])
    b, m = random.randint(2, 30), random.choice([100, 1000, 1009, 143, 9973])
    p = int(prime(k))
    answer = b**p % m
    return Case(
        {"k": k, "b": b, "m": m},
        answer,
        f"The {k}th prime is {p}. By squaring, {power_steps(b, p, m)}. The remainder is {answer}.",
        (
            f"from sympy import prime\np = prime({k})\nprint(pow({b}, p, {m}))",
            f"from sympy import prime\nprint({b}**prime({k}) % {m})",
        ),
    )


@family(
    "number theory",
    "Let $s$ be the sum of the digits of ${a}^{{{n}}}$. Find the remainder when ${b}^s$ is divided by ${m}$.",
    "Add up the digits of ${a}^{{{n}}}$ and call the result $s$. What is ${b}^s \\bmod {m}$?",
    "The digit sum of {a}^{n} is used as an exponent for the base {b}. Which remainder does the power leave when divided by {m}?",
    "Suppose the decimal digits of ${a}^{{{n}}}$ have the sum $s$. Determine the integer $r$ with $0 \\le r < {m}$ and $r \\equiv {b}^s \\pmod{{{m}}}$.",
    "Compute ${b}^{{S}} \\bmod {m}$, where $S$ is the digit sum of ${a}^{{{n}}}$.",
)
def digit_sum_then_power(random: Random) -> Case:
    a, n, b = random.choice([2, 3, 6, 7, 11, 13]), random.randint(5, 90), random.randint(2, 15)
    m = random.choice([100, 1000, 101, 9973, 90_001])
    s = digit_sum(a**n)
    answer = pow(b, s, m)
    return Case(
        {"a": a, "n": n, "b": b, "m": m},
        answer,
        f"The digits of {a}^{n} give s = {spelled_sum(a**n)} = {s}. By squaring, "
        f"{power_steps(b, s, m)}. The remainder is {answer}.",
        (
            f"s = sum(int(c) for c in str({a}**{n}))\nprint({b}**s % {m})",
            f"s = sum(int(c) for c in str({a}**{n}))\nprint(pow({b}, s, {m}))",
        ),
    )


@family(
    "sequences",
    "Let $a_1 = {a}$, $a_2 = {b}$ and $a_n = {rule}$ for $n \\ge 3$. Find the sum of the digits of $a_{{{k}}}$.",
    "The terms of a sequence are $a_1 = {a}$, $a_2 = {b}$ and from then on $a_n = {rule}$. Write out $a_{{{k}}}$ and add its digits. What is the sum?",
    "Suppose that $a_n = {rule}$ for $n > 2$, with $a_1 = {a}$ and $a_2 = {b}$. If $S$ is the digit sum of $a_{{{k}}}$, determine $S$.",
    "A machine shows {a}, then {b}, and after that always {p} times the last number plus the one before it. What do the digits of the {k}th number shown add up to?",
    "Given $a_1 = {a}$, $a_2 = {b}$, $a_n = {rule}$, what digit sum does the term with index ${k}$ have?",
)
def recurrence_then_digits(random: Random) -> Case:
    a, b, p = random.randint(1, 5), random.randint(1, 9), random.randint(1, 4)
    k = random.choice([n for n in range(9, 60) if n % 10 > 3])
    terms = [a, b]
    while len(terms) < k:
        terms.append(p * terms[-1] + terms[-2])
    answer = sum(int(c) for c in str(terms[-1]))
    return Case(
        {"a": a, "b": b, "p": p, "k": k, "rule": f"{scaled(p, 'a_{n-1}')} + a_{{n-2}}"},
        answer,
        f"The sequence goes {', '.join(map(str, terms[:6]))}, ... and a_{k} = {terms[-1]}. Its digits add up to {answer}.",
        (
            f"a, b = {a}, {b}\nfor n in range({k} - 2):\n    a, b = b, {coded(p, 1, 'b', 'a')}\nprint(sum(int(c) for c in str(b)))",
            f"a = [{a}, {b}]\nwhile len(a) < {k}:\n    a.append({coded(p, 1, 'a[-1]', 'a[-2]')})\nprint(sum(int(c) for c in str(a[-1])))",
        ),
    )


@family(
    "number theory",
    "Let $S$ be the sum of all primes less than ${n}$. How many positive divisors does $S$ have?",
    "Add up the prime numbers below {n}. By how many positive integers is the sum divisible?",
    "Denote by $S$ the sum $\\sum_{{p < {n}}} p$ over primes $p$. Find the number of divisors of $S$.",
    "The prime numbers smaller than {n} are thrown into one pot and added. The resulting number of beans is to be put into equal rows. How many different row lengths are possible?",
    "If $S = 2 + 3 + 5 + 7 + \\cdots$ contains every prime less than ${n}$ once, determine the number of positive integers $d$ with $d \\mid S$.",
    held_out=True,
)
def prime_sum_then_divisors(random: Random) -> Case:
    n = random.randint(10, 700)
    total = sum(p for p in range(2, n) if isprime(p))
    answer = len(divisors(total))
    return Case(
        {"n": n},
        answer,
        f"The primes below {n} have the sum S = {total} = {factored(total)}. We add 1 to each exponent and multiply. "
        f"The number of divisors is {answer}.",
        (
            f"from sympy import isprime\ns = sum(p for p in range(2, {n}) if isprime(p))\nprint(sum(1 for d in range(1, s + 1) if s % d == 0))",
            f"from sympy import divisor_count, primerange\nprint(divisor_count(sum(primerange(2, {n}))))",
        ),
    )


@family(
    "number theory",
    "Let $L$ be the least common multiple of $1, 2, 3, \\ldots, {n}$. Find the remainder when $L$ is divided by ${m}$.",
    "Let $L$ be the smallest positive integer divisible by every integer from $1$ to ${n}$. What is $L \\bmod {m}$?",
    "Find the smallest positive number that all of 1, 2, ..., {n} divide, and give its remainder on division by {m}.",
    "A baker wants a number of rolls that can be shared equally by 1, by 2, by 3, and so on up to {n} guests, and bakes as few as possible, at least one. He packs them in crates of {m}. How many rolls are left over?",
    "Put $L = \\mathrm{{lcm}}(1, 2, \\ldots, {n})$. Determine the integer $r$ with $0 \\le r < {m}$ and $L \\equiv r \\pmod{{{m}}}$.",
)
def lcm_then_remainder(random: Random) -> Case:
    n, m = random.randint(8, 60), random.choice([97, 101, 113, 997, 1009, 9973, 99_991])
    value, powers = 1, []
    for p in primerange(2, n + 1):
        power = p
        while power * p <= n:
            power *= p
        value *= power
        powers.append(str(power))
    shown = " * ".join(powers) if len(powers) <= 8 else f"{' * '.join(powers[:5])} * ... * {powers[-1]}"
    return Case(
        {"n": n, "m": m},
        value % m,
        f"L is the product of the largest prime powers up to {n}: {shown} = {value}. Modulo {m} it is {value % m}.",
        (
            f"from math import lcm\na = 1\nfor k in range(1, {n} + 1):\n    a = lcm(a, k)\nprint(a % {m})",
            f"from math import lcm\na = lcm(*range(1, {n} + 1))\nprint(a % {m})",
        ),
    )
