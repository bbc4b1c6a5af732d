"""Polynomials and functions: roots, coefficients, values, extremes."""

from math import comb
from random import Random

from merge.miniature.families.equations import polynomial
from merge.miniature.families.recurrences import coded
from merge.miniature.family import ANSWER_MAX, Case, family
from merge.miniature.idioms import count_expression, count_loop

SYMBOL = 'x = symbols("x")'


@family(
    "algebra",
    "Let $r$ and $s$ be the roots of $x^2 - {p}x + {q}$. Find $r^{k} + s^{k}$.",
    "If $\\alpha$ and $\\beta$ are the solutions of $x^2 + {q} = {p}x$, what is $\\alpha^{k} + \\beta^{k}$?",
    "Two numbers, not necessarily integers, have sum {p} and product {q}. What is the sum of their {k}th powers?",
    "Suppose $x + y = {p}$ and $xy = {q}$. Compute $x^{k} + y^{k}$.",
    "The equation $x^2 - {p}x + {q} = 0$ has two roots. Each of them is raised to the power ${k}$ and the results are added. Determine this sum.",
)
def powers_of_roots(random: Random) -> Case:
    p, k = random.randint(2, 15), random.choice([4, 5, 6, 4, 5])
    q = random.randint(1, max(1, p * p // 4))
    sums = [2, p]
    while len(sums) <= k:
        sums.append(p * sums[-1] - q * sums[-2])
    if not 0 <= sums[k] <= ANSWER_MAX or p * p == 4 * q:
        return powers_of_roots(random)
    steps = ", ".join(f"S{n} = {p} * {sums[n - 1]} - {q} * {sums[n - 2]} = {sums[n]}" for n in range(2, k + 1))
    return Case(
        {"p": p, "q": q, "k": k},
        sums[k],
        f"Let Sn be the sum of the n-th powers. S0 = 2, S1 = {p}, and Sn = {p} S(n-1) - {q} S(n-2). {steps}.",
        (
            f"a, b = 2, {p}\nfor n in range({k} - 1):\n    a, b = b, {coded(p, -q, 'b', 'a')}\nprint(b)",
            f"from sympy import expand, solve, symbols\n{SYMBOL}\nr, s = solve(x**2 - {p} * x + {q}, x)\nprint(expand(r**{k} + s**{k}))",
        ),
    )


@family(
    "algebra",
    "If $x + \\frac{{1}}{{x}} = {p}$, what is $x^{k} + \\frac{{1}}{{x^{k}}}$?",
    "A real number $x$ and its reciprocal add up to ${p}$. Find the sum of the {ordinal} power of $x$ and the {ordinal} power of its reciprocal.",
    "Let $x$ be a nonzero number with $x + x^{{-1}} = {p}$. Determine $x^{k} + x^{{-{k}}}$.",
    "Given $t = x + 1/x = {p}$, compute the value of $x^{k} + 1/x^{k}$.",
    "Suppose $x^2 - {p}x + 1 = 0$. Evaluate $x^{k} + \\frac{{1}}{{x^{k}}}$.",
    held_out=True,
)
def reciprocal_powers(random: Random) -> Case:
    p = random.randint(3, 20)
    k = random.choice([n for n in range(2, 9) if p**n <= ANSWER_MAX])
    sums = [2, p]
    while len(sums) <= k:
        sums.append(p * sums[-1] - sums[-2])
    ordinal = ["second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"][k - 2]
    steps = ", ".join(f"S{n} = {p} * {sums[n - 1]} - {sums[n - 2]} = {sums[n]}" for n in range(2, k + 1))
    return Case(
        {"p": p, "k": k, "ordinal": ordinal},
        sums[k],
        f"Let Sn = x^n + 1/x^n. S0 = 2, S1 = {p}, and Sn = {p} S(n-1) - S(n-2). {steps}.",
        (
            f"a, b = 2, {p}\nfor n in range({k} - 1):\n    a, b = b, {p} * b - a\nprint(b)",
            f"from sympy import expand, solve, symbols\n{SYMBOL}\nr, s = solve(x**2 - {p} * x + 1, x)\nprint(expand(r**{k} + s**{k}))",
        ),
    )


@family(
    "algebra",
    "What is the coefficient of $x^{k}$ in the expansion of $({ax} + {b})^{{{n}}}$?",
    "Expand $({ax} + {b})^{{{n}}}$. Find the number in front of $x^{k}$.",
    "Let $P(x) = ({ax} + {b})^{{{n}}} = c_0 + c_1x + c_2x^2 + \\cdots$. Determine $c_{k}$.",
    "A computer multiplies out the product of {n} brackets, each of them ({ax} + {b}), in 2 seconds and collects equal powers. With which factor does x^{k} appear?",
    "Compute the coefficient that belongs to the power $x^{k}$ when $({b} + {ax})^{{{n}}}$ is written as a polynomial.",
)
def binomial_coefficient(random: Random) -> Case:
    a, b, n = random.randint(1, 5), random.randint(1, 5), random.randint(3, 14)
    k = random.randint(1, min(n - 1, 9))
    coefficients = [1]
    for _ in range(n):
        coefficients = [b * c + a * d for c, d in zip([*coefficients, 0], [0, *coefficients], strict=True)]
    if coefficients[k] > ANSWER_MAX:
        return binomial_coefficient(random)
    return Case(
        {"a": a, "b": b, "n": n, "k": k, "ax": "x" if a == 1 else f"{a}x"},
        coefficients[k],
        f"By the binomial theorem it is C({n}, {k}) * {a}^{k} * {b}^{n - k} = {comb(n, k)} * {a**k} * {b ** (n - k)} = {coefficients[k]}.",
        (
            f"from math import comb\nprint(comb({n}, {k}) * {a}**{k} * {b}**({n} - {k}))",
            f"from sympy import expand, symbols\n{SYMBOL}\nprint(expand(({a} * x + {b})**{n}).coeff(x, {k}))",
        ),
    )


@family(
    "algebra",
    "Find the sum of all coefficients of the polynomial $({a}x + {b})^{n}({c}x + {d})^{m}$ after multiplying out.",
    "The product $({a}x + {b})^{n}({c}x + {d})^{m}$ is expanded and like powers of $x$ are collected. What do the coefficients add up to?",
    "Let $({a}x + {b})^{n}({c}x + {d})^{m} = c_0 + c_1x + \\cdots + c_{{{degree}}}x^{{{degree}}}$. Compute $c_0 + c_1 + \\cdots + c_{{{degree}}}$.",
    "What is the total of the coefficients, constant term included, of $Q(x) = ({a}x + {b})^{n} \\cdot ({c}x + {d})^{m}$ in expanded form?",
    held_out=True,
)
def sum_of_coefficients(random: Random) -> Case:
    a, b, c, d = (random.randint(2, 5) for _ in range(4))
    n, m = random.randint(2, 4), random.randint(2, 4)
    coefficients = [1]
    for slope, constant in [(a, b)] * n + [(c, d)] * m:
        coefficients = [constant * x + slope * y for x, y in zip([*coefficients, 0], [0, *coefficients], strict=True)]
    if sum(coefficients) > ANSWER_MAX:
        return sum_of_coefficients(random)
    code = f"({a} * x + {b})**{n} * ({c} * x + {d})**{m}"
    return Case(
        {"a": a, "b": b, "c": c, "d": d, "n": n, "m": m, "degree": n + m},
        sum(coefficients),
        f"The sum of the coefficients is the value at x = 1: ({a} + {b})^{n} * ({c} + {d})^{m} = {a + b}^{n} * {c + d}^{m} "
        f"= {(a + b) ** n} * {(c + d) ** m} = {sum(coefficients)}.",
        (
            f"x = 1\nprint({code})",
            f"from sympy import Poly, symbols\n{SYMBOL}\nprint(sum(Poly({code}, x).all_coeffs()))",
        ),
    )


@family(
    "algebra",
    "Find the remainder when the polynomial ${p}$ is divided by $x - {a}$.",
    "Let $P(x) = {p}$. What number is left over in the division of $P(x)$ by $x - {a}$?",
    "If ${p} = (x - {a})Q(x) + r$ for all $x$, with a polynomial $Q$ and a number $r$, determine $r$.",
    "The height of a curve above the point $x$ is ${p}$. How high is the curve above $x = {a}$?",
    "Evaluate ${p}$ at $x = {a}$.",
)
def polynomial_remainder(random: Random) -> Case:
    a = random.randint(2, 9)
    coefficients = [
        random.randint(1, 5),
        *(random.randint(-9, 9) for _ in range(random.randint(2, 3))),
        random.randint(-9, 30),
    ]
    steps, value = [], coefficients[0]
    for c in coefficients[1:]:
        steps.append(f"{value} * {a} {'-' if c < 0 else '+'} {abs(c)} = {value * a + c}")
        value = value * a + c
    if not 0 <= value <= ANSWER_MAX:
        return polynomial_remainder(random)
    code = polynomial(coefficients, latex=False)
    return Case(
        {"p": polynomial(coefficients), "a": a},
        value,
        f"The remainder is the value at x = {a}. Horner's scheme: {', '.join(steps)}.",
        (
            f"x = {a}\nprint({code})",
            f"from sympy import rem, symbols\n{SYMBOL}\nprint(rem({code}, x - {a}))",
        ),
    )


@family(
    "algebra",
    "For how many integers $k$ with $1 \\le k \\le {top}$ does $x^2 + kx + {c} = 0$ have {what}?",
    "Count the integers $k$ from $1$ to ${top}$ such that the equation $x^2 + kx + {c} = 0$ has {what}.",
    "A pupil writes down $x^2 + kx + {c}$ for $k = 1, 2, \\ldots, {top}$, one polynomial a line, in blue ink. How many of these polynomials have {what}?",
    "Let $K$ be the set of all positive integers $k \\le {top}$ for which the polynomial $x^2 + kx + {c}$ has {what}. Find $|K|$.",
    "If $k$ runs from 1 to {top}, how often does the parabola $y = x^2 + kx + {c}$ have {what}?",
)
def discriminant_count(random: Random) -> Case:
    top, c = random.randint(5, 200), random.randint(2, 300)
    what, sign = random.choice([("two different real zeros", ">"), ("no real zero", "<")])
    tests = [k * k - 4 * c for k in range(1, top + 1)]
    answer = sum(d > 0 for d in tests) if sign == ">" else sum(d < 0 for d in tests)
    edge = next(k for k in range(1, 10_000) if k * k >= 4 * c)
    loop, condition = f"k in range(1, {top} + 1)", f"k**2 - 4 * {c} {sign} 0"
    return Case(
        {"top": top, "c": c, "what": what},
        answer,
        f"The discriminant is k^2 - {4 * c}, and it must be {'positive' if sign == '>' else 'negative'}. "
        f"{edge - 1}^2 = {(edge - 1) ** 2} is below {4 * c} and {edge}^2 = {edge**2} is not. The number of k is {answer}.",
        (count_loop(loop, condition), count_expression(loop, condition)),
    )
