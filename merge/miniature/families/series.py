"""Sums of terms that a formula gives: arithmetic, geometric, squares, fractions that telescope."""

from fractions import Fraction
from math import isqrt
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import count_expression, count_loop, sum_expression, sum_loop

TERMS = {
    "squares": ("k^2", "k**2", "n(n + 1)(2n + 1)/6"),
    "cubes": ("k^3", "k**3", "(n(n + 1)/2)^2"),
    "products": ("k(k+1)", "k * (k + 1)", "n(n + 1)(n + 2)/3"),
    "odd squares": ("(2k-1)^2", "(2 * k - 1)**2", "n(2n - 1)(2n + 1)/3"),
}


@family(
    "sequences",
    "Compute ${a} + {a2} + {a3} + \\cdots + {last}$, where consecutive terms differ by ${d}$.",
    "Find the sum of the arithmetic progression ${a}, {a2}, {a3}, \\ldots, {last}$.",
    "A theatre with a red curtain has {a} seats in the first row, and each row has {d} seats more than the row before. The last row has {last} seats. How many seats are there?",
    "An arithmetic sequence begins with ${a}$, has common difference ${d}$ and ends with ${last}$. What is the sum of all its terms?",
    "Let $a_1 = {a}$ and $a_{{k+1}} = a_k + {d}$. Evaluate $a_1 + a_2 + \\cdots + a_{{{n}}}$.",
    "Suppose that a runner covers {a} m on the first day and every day {d} m more than on the previous day. Determine the total number of metres after {n} days.",
)
def arithmetic_series(random: Random) -> Case:
    a, d, n = random.randint(1, 60), random.randint(2, 25), random.randint(5, 70)
    last = a + (n - 1) * d
    answer = n * (a + last) // 2
    loop = f"k in range({a}, {last} + 1, {d})"
    return Case(
        {"a": a, "a2": a + d, "a3": a + 2 * d, "d": d, "n": n, "last": last},
        answer,
        f"There are ({last} - {a}) / {d} + 1 = {n} terms. The sum is {n} * ({a} + {last}) / 2 = {n} * {a + last} / 2 = {answer}.",
        (sum_loop(loop, "k"), f"print(sum(range({a}, {last} + 1, {d})))"),
    )


@family(
    "sequences",
    "Evaluate $\\sum_{{k=1}}^{{{n}}} {term}$.",
    "For $k = 1, 2, \\ldots, {n}$ the numbers ${term}$ are added. What is their sum?",
    "Let $a_k = {term}$. Find $a_1 + a_2 + \\cdots + a_{{{n}}}$.",
    "In a tower, layer $k$ counted from the top consists of ${term}$ blocks. The tower has {n} layers and stands on a 2 m high base. How many blocks does it have?",
    "Determine the value of $S = \\sum {term}$, where $k$ runs through all integers from 1 to {n}.",
    "Sum the expression ${term}$ over $1 \\le k \\le {n}$.",
)
def sum_of_term_formula(random: Random) -> Case:
    term, code, formula = TERMS[random.choice(sorted(TERMS))]
    n = random.randint(4, {"k^3": 24, "(2k-1)^2": 41}.get(term, 60))
    closed = {
        "k^2": n * (n + 1) * (2 * n + 1) // 6,
        "k^3": (n * (n + 1) // 2) ** 2,
        "k(k+1)": n * (n + 1) * (n + 2) // 3,
        "(2k-1)^2": n * (4 * n * n - 1) // 3,
    }
    return Case(
        {"term": term, "n": n},
        closed[term],
        f"The formula for this sum is {formula}. With n = {n} it gives {closed[term]}.",
        (sum_loop(f"k in range(1, {n} + 1)", code), sum_expression(f"k in range(1, {n} + 1)", code)),
    )


@family(
    "sequences",
    "What is $1 + {r} + {r}^2 + \\cdots + {r}^{{{n}}}$?",
    "Find the sum of the first {terms} terms of the geometric progression with first term $1$ and ratio ${r}$.",
    "A chain letter is sent by one person in week 0. Each letter of one week causes {r} letters in the next week. How many letters are sent in weeks 0 to {n} together?",
    "Compute $\\sum_{{k=0}}^{{{n}}} {r}^k$.",
    "Let $g_0 = 1$ and $g_{{k+1}} = {r}g_k$. Determine $g_0 + g_1 + \\cdots + g_{{{n}}}$.",
)
def geometric_series(random: Random) -> Case:
    r = random.randint(2, 12)
    n = random.randint(2, max(k for k in range(2, 17) if (r ** (k + 1) - 1) // (r - 1) <= 99_999))
    answer = (r ** (n + 1) - 1) // (r - 1)
    return Case(
        {"r": r, "n": n, "terms": n + 1},
        answer,
        f"The sum is ({r}^{n + 1} - 1) / ({r} - 1) = {r ** (n + 1) - 1} / {r - 1} = {answer}.",
        (sum_loop(f"k in range({n} + 1)", f"{r}**k"), f"print(({r}**({n} + 1) - 1) // ({r} - 1))"),
    )


@family(
    "sequences",
    "The sum $\\frac{{1}}{{{a} \\cdot {b}}} + \\frac{{1}}{{{b} \\cdot {c}}} + \\cdots + \\frac{{1}}{{{y} \\cdot {z}}}$ equals $\\frac{{m}}{{n}}$ in lowest terms. Find $m + n$.",
    "Write $\\sum_{{k={a}}}^{{{y}}} \\frac{{1}}{{k(k+1)}}$ as a reduced fraction $\\frac{{p}}{{q}}$. What is $p + q$?",
    "Find the sum of the numerator and the denominator of $\\frac{{1}}{{{a} \\cdot {b}}} + \\frac{{1}}{{{b} \\cdot {c}}} + \\cdots + \\frac{{1}}{{{y} \\cdot {z}}}$ after complete reduction.",
    "On day $k$ a snail that weighs 5 g climbs $\\frac{{1}}{{k(k+1)}}$ metres. From day {a} to day {y} it climbs $\\frac{{m}}{{n}}$ metres, where $m$ and $n$ are coprime. Determine $m + n$.",
    "Let $\\frac{{m}}{{n}}$, with $\\gcd(m, n) = 1$, be the sum of the fractions $\\frac{{1}}{{k(k+1)}}$ for $k = {a}, {b}, \\ldots, {y}$. Compute $m + n$.",
)
def telescoping_fractions(random: Random) -> Case:
    a = random.randint(1, 12)
    y = a + random.randint(3, 150)
    total = Fraction(1, a) - Fraction(1, y + 1)
    answer = total.numerator + total.denominator
    return Case(
        {"a": a, "b": a + 1, "c": a + 2, "y": y, "z": y + 1},
        answer,
        f"Since 1/(k(k+1)) = 1/k - 1/(k+1), the sum telescopes to 1/{a} - 1/{y + 1} = {total} in lowest terms. "
        f"So m + n = {total.numerator} + {total.denominator} = {answer}.",
        (
            f"from fractions import Fraction\ntotal = Fraction(0)\nfor k in range({a}, {y} + 1):\n    total += Fraction(1, k * (k + 1))\nprint(total.numerator + total.denominator)",
            f"from fractions import Fraction\ns = Fraction(1, {a}) - Fraction(1, {y} + 1)\nprint(s.numerator + s.denominator)",
        ),
    )


@family(
    "sequences",
    "Find the sum of all positive integers up to ${n}$ that are divisible by ${a}$ but not by ${b}$.",
    "The multiples of ${a}$ from ${a}$ to at most ${n}$ are written in a row, and those divisible by ${b}$ are erased. What is the sum of the remaining numbers?",
    "Let $M = \\{{k : 1 \\le k \\le {n},\\ {a} \\mid k,\\ {b} \\nmid k\\}}$. Compute $\\sum_{{k \\in M}} k$.",
    "From shelves numbered 1 to {n}, Paul oils every shelf with a multiple of {a}, except those with a multiple of {b}. The oil costs 4 dollars. What do the numbers of the oiled shelves add up to?",
    "Add all numbers between 1 and {n} inclusive which leave remainder 0 modulo {a} and a nonzero remainder modulo {b}. What do you get?",
)
def multiples_without(random: Random) -> Case:
    a, b = random.sample([2, 3, 4, 5, 6, 7, 9, 10, 11, 13], 2)
    if a % b == 0:
        a, b = b, a
    n = random.randint(20, 600)
    kept = [k for k in range(a, n + 1, a) if k % b]
    everything = sum(range(a, n + 1, a))
    loop, condition = f"n in range(1, {n} + 1)", f"n % {a} == 0 and n % {b} != 0"
    return Case(
        {"a": a, "b": b, "n": n},
        sum(kept),
        f"The multiples of {a} up to {n} have the sum {everything}. Among them those divisible by {b} have the sum "
        f"{everything - sum(kept)}. The difference is {everything} - {everything - sum(kept)} = {sum(kept)}.",
        (sum_loop(loop, "n", condition), sum_expression(loop, "n", condition)),
    )


@family(
    "sequences",
    "Let $\\lfloor x \\rfloor$ be the greatest integer not above $x$. Compute $\\lfloor \\sqrt{{1}} \\rfloor + \\lfloor \\sqrt{{2}} \\rfloor + \\cdots + \\lfloor \\sqrt{{{n}}} \\rfloor$.",
    "Evaluate $\\sum_{{k=1}}^{{{n}}} \\lfloor \\sqrt{{k}} \\rfloor$.",
    "For each integer from 1 to {n} take the square root and cut off everything after the decimal point. What is the sum of the results?",
    "From $k$ tiles, a mason lays the largest possible square and writes down its side length. He does so for $k = 1, 2, \\ldots, {n}$. What is the sum of the lengths he writes?",
    "Find the sum of the integer parts of $\\sqrt{{1}}, \\sqrt{{2}}, \\sqrt{{3}}, \\ldots, \\sqrt{{{n}}}$.",
)
def floor_of_roots(random: Random) -> Case:
    n = random.randint(10, 1500)
    top = isqrt(n)
    answer = sum(j * (2 * j + 1) for j in range(1, top)) + top * (n - top * top + 1)
    return Case(
        {"n": n},
        answer,
        f"The value j occurs 2j + 1 times as long as j < {top}, and {top} occurs {n} - {top * top} + 1 = {n - top * top + 1} times. "
        f"The sum is {answer - top * (n - top * top + 1)} + {top * (n - top * top + 1)} = {answer}.",
        (
            "from math import isqrt\n" + sum_loop(f"k in range(1, {n} + 1)", "isqrt(k)"),
            "from math import isqrt\n" + sum_expression(f"k in range(1, {n} + 1)", "isqrt(k)"),
        ),
    )


@family(
    "sequences",
    "In an arithmetic sequence the term number ${i}$ is ${p}$ and the term number ${j}$ is ${q}$. What is the term number ${k}$?",
    "Let $(a_n)$ be an arithmetic progression with $a_{{{i}}} = {p}$ and $a_{{{j}}} = {q}$. Find $a_{{{k}}}$.",
    "A candle factory makes the same number of candles more each day than the day before. On day {i} it made {p} candles, on day {j} it made {q}. How many will it make on day {k}?",
    "Suppose that the numbers $a_1, a_2, a_3, \\ldots$ grow by a constant amount and that $a_{{{i}}} = {p}$, $a_{{{j}}} = {q}$. Determine $a_{{{k}}}$.",
    "The steps of a stair carry numbers with equal gaps. Step {i} has the number {p} and step {j} has {q}. Which number is on step {k}?",
)
def term_of_a_progression(random: Random) -> Case:
    first, d = random.randint(1, 50), random.randint(2, 40)
    i, j, k = sorted(random.sample(range(2, 60), 3))
    k += random.choice([0, 100, 1000])
    p, q = first + (i - 1) * d, first + (j - 1) * d
    answer = first + (k - 1) * d
    return Case(
        {"i": i, "j": j, "k": k, "p": p, "q": q},
        answer,
        f"The difference is d = ({q} - {p}) / ({j} - {i}) = {d}. From term {j} to term {k} there are {k - j} steps: "
        f"{q} + {k - j} * {d} = {answer}.",
        (
            f"d = ({q} - {p}) // ({j} - {i})\na = {p}\nfor n in range({i}, {k}):\n    a += d\nprint(a)",
            f"d = ({q} - {p}) // ({j} - {i})\nprint({p} + ({k} - {i}) * d)",
        ),
    )


@family(
    "sequences",
    "Compute ${n}^2 - {n1}^2 + {n2}^2 - {n3}^2 + \\cdots + 2^2 - 1^2$.",
    "Find the value of $\\sum_{{k=1}}^{{{n}}} (-1)^k k^2$.",
    "Starting at 0, a frog jumps $1^2$ steps back, $2^2$ forward, $3^2$ back, $4^2$ forward, and so on up to ${n}^2$ forward. How far in front of its start does it end?",
    "Let $T = 2^2 + 4^2 + \\cdots + {n}^2$ and $U = 1^2 + 3^2 + \\cdots + {n1}^2$. What is $T - U$?",
    "The squares of the numbers $1$ to ${n}$ are written with alternating signs, $-1 + 4 - 9 + 16 - \\cdots + {n}^2$. Determine the total.",
    held_out=True,
)
def alternating_squares(random: Random) -> Case:
    n = 2 * random.randint(4, 220)
    answer = n * (n + 1) // 2
    return Case(
        {"n": n, "n1": n - 1, "n2": n - 2, "n3": n - 3},
        answer,
        f"k^2 - (k-1)^2 = k + (k-1), so the sum is 1 + 2 + ... + {n} = {n} * {n + 1} / 2 = {answer}.",
        (
            sum_loop(f"k in range(1, {n} + 1)", "(-1)**k * k**2"),
            sum_expression(f"k in range(1, {n} + 1)", "(-1)**k * k**2"),
        ),
    )


@family(
    "sequences",
    "How many terms of the sequence $a_k = {a}k^2 + {b}$, $k = 1, 2, 3, \\ldots$, are less than ${n}$?",
    "Let $a_k = {a}k^2 + {b}$. Find the number of $k \\ge 1$ with $a_k < {n}$.",
    "On day $k$ a virus has infected ${a}k^2 + {b}$ plants of a field with 12 rows. On how many days, counted from day 1, are fewer than {n} plants infected?",
    "For how many positive integers $k$ does ${a}k^2 + {b}$ stay below ${n}$?",
    "The numbers ${a} \\cdot 1^2 + {b},\\ {a} \\cdot 2^2 + {b},\\ {a} \\cdot 3^2 + {b}, \\ldots$ are listed. Determine how many of them are smaller than ${n}$.",
)
def terms_below(random: Random) -> Case:
    a, b, n = random.randint(1, 9), random.randint(1, 50), random.randint(40, 99_999)
    answer = isqrt((n - b - 1) // a) if n > b else 0
    return Case(
        {"a": a, "b": b, "n": n},
        answer,
        f"We need {a}k^2 < {n} - {b} = {n - b}, so k^2 is at most {max(n - b - 1, 0) // a}. "
        f"{answer}^2 = {answer**2} fits and {answer + 1}^2 = {(answer + 1) ** 2} does not. The number is {answer}.",
        (
            count_loop(f"k in range(1, {n})", f"{a} * k**2 + {b} < {n}"),
            count_expression(f"k in range(1, {n})", f"{a} * k**2 + {b} < {n}"),
        ),
    )
