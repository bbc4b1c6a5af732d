"""Remainders: congruences, powers and systems of them."""

from math import gcd
from random import Random

from sympy import n_order
from sympy.ntheory.modular import crt

from merge.miniature.families.arithmetic import power_steps
from merge.miniature.family import Case, family
from merge.miniature.idioms import count_expression, count_loop, search_loop, sum_expression, sum_loop


@family(
    "number theory",
    "What is the least positive integer $n$ such that $n \\equiv {r} \\pmod{{{a}}}$, $n \\equiv {s} \\pmod{{{b}}}$ and $n \\equiv {t} \\pmod{{{c}}}$?",
    "A number of soldiers is unknown. In rows of {a}, {r} are left over; in rows of {b}, {s} are left over; in rows of {c}, {t} are left over. What is the smallest possible number of soldiers, if there is at least one?",
    "Suppose that $x$ is a positive integer with $x \\bmod {a} = {r}$, $x \\bmod {b} = {s}$, $x \\bmod {c} = {t}$. Find the minimum value of $x$.",
    "Divided by {a} a positive number gives remainder {r}, divided by {b} it gives {s}, and divided by {c} it gives {t}. Which is the smallest such number?",
    "Solve the system $x \\equiv {r} \\pmod{{{a}}}$, $x \\equiv {s} \\pmod{{{b}}}$, $x \\equiv {t} \\pmod{{{c}}}$ in positive integers and state the least solution.",
    "Determine the smallest $n \\ge 1$ for which ${a} \\mid n - {r}$, ${b} \\mid n - {s}$ and ${c} \\mid n - {t}$.",
)
def three_remainders(random: Random) -> Case:
    a, b, c = sorted(
        random.choice([(3, 5, 7), (5, 7, 9), (7, 9, 11), (4, 9, 11), (5, 8, 13), (9, 11, 17), (11, 16, 19)])
    )
    r, s, t = random.randrange(a), random.randrange(b), random.randrange(c)
    answer = int(crt([a, b, c], [r, s, t])[0]) or a * b * c
    ab = next(n for n in range(r, a * b + r, a) if n % b == s)
    return Case(
        {"a": a, "b": b, "c": c, "r": r, "s": s, "t": t},
        answer,
        f"Numbers with remainder {r} mod {a} go up in steps of {a}; the first with remainder {s} mod {b} is {ab}. "
        f"From {ab} we go in steps of {a * b} until the remainder mod {c} is {t}. This gives {answer}.",
        (
            search_loop("n", 1, f"n % {a} == {r} and n % {b} == {s} and n % {c} == {t}"),
            f"print(next(n for n in range(1, {a} * {b} * {c} + 1) if n % {a} == {r} and n % {b} == {s} and n % {c} == {t}))",
        ),
    )


@family(
    "number theory",
    "Find the smallest positive integer $x$ with ${a}x \\equiv {b} \\pmod{{{m}}}$.",
    "What is the least $x > 0$ such that ${m}$ divides ${a}x - {b}$?",
    "A wheel has {m} positions, 0 to {m1}. Each turn of a crank moves it {a} positions forward, starting from 0. After how many turns does it first stand at {b}?",
    "Let $x$ be the smallest positive integer for which ${a}x$ leaves remainder ${b}$ on division by ${m}$. Determine $x$.",
    "How many times, at least once, must {a} be added to 0 until the sum has remainder {b} modulo {m}?",
)
def linear_congruence(random: Random) -> Case:
    m = random.randint(20, 1500)
    a = random.choice([k for k in range(2, min(m, 100)) if gcd(k, m) == 1])
    b = random.randint(1, m - 1)
    inverse = pow(a, -1, m)
    answer = inverse * b % m
    return Case(
        {"a": a, "b": b, "m": m, "m1": m - 1},
        answer,
        f"The inverse of {a} mod {m} is {inverse}, since {a} * {inverse} = {a * inverse} leaves remainder 1. "
        f"So x = {inverse} * {b} = {inverse * b}, and mod {m} this is {answer}.",
        (
            search_loop("x", 1, f"{a} * x % {m} == {b}"),
            f"print(pow({a}, -1, {m}) * {b} % {m})",
        ),
    )


@family(
    "number theory",
    "Find the remainder when $1^{k} + 2^{k} + 3^{k} + \\cdots + {n}^{k}$ is divided by ${m}$.",
    "Let $S = \\sum_{{i=1}}^{{{n}}} i^{k}$. What is $S \\bmod {m}$?",
    "Each number from 1 to {n} is raised to the power {k} and the results are added. Dividing the sum by {m}, what remainder is left?",
    "Compute $\\left(1^{k} + 2^{k} + \\cdots + {n}^{k}\\right) \\bmod {m}$.",
    "The cells of a strip hold the numbers $1^{k}, 2^{k}, \\ldots, {n}^{k}$. Their total is $S = {m}q + r$ with $0 \\le r < {m}$. Determine $r$.",
)
def power_sum_remainder(random: Random) -> Case:
    k, n, m = random.randint(2, 9), random.randint(10, 1000), random.choice([random.randint(7, 999), 1000])
    answer = sum(pow(i, k, m) for i in range(1, n + 1)) % m
    total = sum(i**k for i in range(1, n + 1))
    first = " + ".join(str(i**k % m) for i in range(1, 5))
    return Case(
        {"k": k, "n": n, "m": m},
        answer,
        f"Modulo {m} the first terms are {first} + ... and so on up to {n}^{k}. "
        f"The whole sum is {total}, and mod {m} it is {answer}.",
        (
            f"total = 0\nfor i in range(1, {n} + 1):\n    total += i**{k}\nprint(total % {m})",
            f"print(sum(i**{k} for i in range(1, {n} + 1)) % {m})",
            f"print(sum(pow(i, {k}, {m}) for i in range(1, {n} + 1)) % {m})",
        ),
    )


@family(
    "number theory",
    "What are the last three digits of ${a}^{{{n}}} + {b}^{{{m}}}$, read as a number?",
    "Find the remainder when ${a}^{{{n}}} + {b}^{{{m}}}$ is divided by $1000$.",
    "Let $N = {a}^{{{n}}} + {b}^{{{m}}}$. Determine $N \\bmod 1000$.",
    "Two huge heaps hold {a}^{n} and {b}^{m} grains. They are thrown together and packed in sacks of 1000 grains. How many grains do not fill a sack?",
    "The number ${a}^{{{n}}}$ is added to ${b}^{{{m}}}$. Which number from $0$ to $999$ is congruent to the sum modulo $1000$?",
)
def last_three_digits(random: Random) -> Case:
    a, b = random.sample(range(2, 40), 2)
    n, m = random.randint(5, 300), random.randint(5, 300)
    x, y = pow(a, n, 1000), pow(b, m, 1000)
    answer = (x + y) % 1000
    return Case(
        {"a": a, "b": b, "n": n, "m": m},
        answer,
        f"{power_steps(a, n, 1000)} and {power_steps(b, m, 1000)}. "
        f"The sum is {x} + {y} = {x + y}, and mod 1000 it is {answer}.",
        (
            f"print(({a}**{n} + {b}**{m}) % 1000)",
            f"x = pow({a}, {n}, 1000)\ny = pow({b}, {m}, 1000)\nprint((x + y) % 1000)",
        ),
    )


@family(
    "number theory",
    "How many integers $n$ with $1 \\le n \\le {top}$ make $n^2 + {b}n + {c}$ divisible by ${m}$?",
    "Find the number of positive integers $n \\le {top}$ for which ${m} \\mid n^2 + {b}n + {c}$.",
    "Count the solutions of $n^2 + {b}n + {c} \\equiv 0 \\pmod{{{m}}}$ among $n = 1, 2, \\ldots, {top}$.",
    "A field $n$ of a board with fields 1 to {top} is red if $n^2 + {b}n + {c}$ is a multiple of {m}, else white. How many fields are red?",
    "For how many $n \\in \\{{1, 2, \\ldots, {top}\\}}$ is $\\frac{{n^2 + {b}n + {c}}}{{{m}}}$ an integer?",
)
def quadratic_divisible(random: Random) -> Case:
    m = random.choice([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17])
    b, c, top = random.randint(1, 12), random.randint(1, 30), random.randint(50, 3000)
    residues = [r for r in range(m) if (r * r + b * r + c) % m == 0]
    answer = sum(len(range(r or m, top + 1, m)) for r in residues)
    loop, condition = f"n in range(1, {top} + 1)", f"(n**2 + {b} * n + {c}) % {m} == 0"
    found = f"n mod {m} in {{{', '.join(map(str, residues))}}}" if residues else "no residue"
    return Case(
        {"m": m, "b": b, "c": c, "top": top},
        answer,
        f"Trying n = 0, 1, ..., {m - 1} modulo {m}, the condition holds for {found}. "
        f"Counting such n from 1 to {top} gives {answer}.",
        (count_loop(loop, condition), count_expression(loop, condition)),
    )


@family(
    "number theory",
    "Find the sum of all positive integers less than ${top}$ that leave remainder ${r}$ when divided by ${m}$.",
    "What is the sum of the numbers $n$ with $1 \\le n < {top}$ and $n \\equiv {r} \\pmod{{{m}}}$?",
    "Seats are numbered from 1 upwards, and all numbers are less than {top}. A seat is broken if its number leaves remainder {r} modulo {m}. Add the numbers of the broken seats.",
    "Determine the sum of the elements of $\\{{n : 0 < n < {top},\\ n \\bmod {m} = {r}\\}}$.",
    "Every positive number of the form ${m}k + {r}$, $k \\ge 0$, that is smaller than {top} is put on a list. Compute the total of the list.",
)
def sum_of_a_class(random: Random) -> Case:
    m = random.randint(3, 40)
    r, top = random.randint(1, m - 1), random.randint(5 * m, min(1200, 40 * m))
    terms = range(r, top, m)
    answer, loop = sum(terms), f"n in range(1, {top})"
    return Case(
        {"m": m, "r": r, "top": top},
        answer,
        f"The numbers are {r}, {r + m}, ..., {terms[-1]}: there are ({terms[-1]} - {r}) / {m} + 1 = {len(terms)} of them. "
        f"Their sum is {len(terms)} * ({r} + {terms[-1]}) / 2 = {answer}.",
        (
            sum_loop(loop, "n", f"n % {m} == {r}"),
            sum_expression(loop, "n", f"n % {m} == {r}"),
            f"print(sum(range({r}, {top}, {m})))",
        ),
    )


@family(
    "number theory",
    "What is the smallest positive integer $n$ for which ${a}^n$ leaves remainder $1$ when divided by ${m}$?",
    "Find the order of ${a}$ modulo ${m}$, that is, the least $n \\ge 1$ with ${a}^n \\equiv 1 \\pmod{{{m}}}$.",
    "Starting from 1, a computer multiplies by {a} again and again and keeps only the remainder modulo {m}. After how many multiplications does it show 1 for the first time?",
    "Let $n > 0$ be minimal such that ${m}$ divides ${a}^n - 1$. Determine $n$.",
    "How many different values does ${a}^k \\bmod {m}$ take for $k = 0, 1, 2, \\ldots$?",
    held_out=True,
)
def multiplicative_order(random: Random) -> Case:
    m = random.randint(7, 2000)
    a = random.choice([k for k in range(2, min(m, 40)) if gcd(k, m) == 1])
    answer = int(n_order(a, m))
    powers = ", ".join(str(pow(a, k, m)) for k in range(1, min(answer, 6) + 1))
    return Case(
        {"a": a, "m": m},
        answer,
        f"The powers of {a} modulo {m} are {powers}{', ...' * (answer > 6)} and 1 first comes at the exponent {answer}.",
        (
            search_loop("n", 1, f"pow({a}, n, {m}) == 1"),
            f"from sympy import n_order\nprint(n_order({a}, {m}))",
        ),
    )


@family(
    "number theory",
    "Find the remainder when the product ${product}$ is divided by ${m}$.",
    "What is ${product} \\bmod {m}$?",
    "Let $P = {product}$. Determine the integer $r$ with $0 \\le r < {m}$ and $P \\equiv r \\pmod{{{m}}}$.",
    "Crates stand in a block of ${product}$; each holds one melon. The melons are sold in lots of {m}. How many remain at the end?",
    "Divide ${product}$ by ${m}$. Which remainder do you get?",
)
def product_remainder(random: Random) -> Case:
    factors = [random.randint(101, 9999) for _ in range(3)]
    m = random.randint(7, 300)
    a, b, c = (x % m for x in factors)
    answer = a * b * c % m
    return Case(
        {"product": " \\cdot ".join(map(str, factors)), "m": m},
        answer,
        f"Modulo {m} the factors are {a}, {b}, {c}. {a} * {b} = {a * b} -> {a * b % m}. "
        f"{a * b % m} * {c} = {a * b % m * c} -> {answer}.",
        (
            f"print({factors[0]} * {factors[1]} * {factors[2]} % {m})",
            f"r = 1\nfor x in [{', '.join(map(str, factors))}]:\n    r = r * x % {m}\nprint(r)",
        ),
    )
