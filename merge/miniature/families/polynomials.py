"""Polynomials and functions: roots, coefficients, values, extremes."""

from math import comb
from random import Random

from merge.miniature.families.equations import polynomial
from merge.miniature.families.recurrences import coded
from merge.miniature.family import ANSWER_MAX, Case, family
from merge.miniature.idioms import count_expression, count_loop, search_loop

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
    "Let $f(x) = {f}$ and $g(x) = {g}$. Find $f(g({k}))$.",
    "If $g(x) = {g}$ and $f(x) = {f}$, what is the value of $f(g({k}))$?",
    "One machine turns a number $x$ into ${g}$, a second one turns $x$ into ${f}$. The number {k} goes through the first machine, and the result through the second. What comes out?",
    "For $f(x) = {f}$, $g(x) = {g}$ and $h = f \\circ g$, determine $h({k})$.",
    "Put $y = {gk}$ with $k = {k}$ and then $z = {fy}$. Compute $z$.",
)
def composition(random: Random) -> Case:
    f = [random.randint(1, 4), random.randint(-9, 9), random.randint(0, 30)]
    g, k = [random.randint(2, 9), random.randint(1, 20)], random.randint(1, 12)
    inner = g[0] * k + g[1]
    answer = (f[0] * inner + f[1]) * inner + f[2]
    f_text, g_text = polynomial(f), polynomial(g)
    f_code, g_code = polynomial(f, latex=False), polynomial(g, latex=False)
    if not 0 <= answer <= ANSWER_MAX:
        return composition(random)
    terms = polynomial(f, latex=False).replace("x", str(inner)).replace("**", "^")
    return Case(
        {"f": f_text, "g": g_text, "k": k, "gk": g_text.replace("x", "k"), "fy": f_text.replace("x", "y")},
        answer,
        f"g({k}) = {g[0]} * {k} + {g[1]} = {inner}. f({inner}) = {terms} = {answer}.",
        (
            f"x = {k}\nx = {g_code}\nx = {f_code}\nprint(x)",
            f"def f(x):\n    return {f_code}\ndef g(x):\n    return {g_code}\nprint(f(g({k})))",
        ),
    )


@family(
    "algebra",
    "Let $f(x) = {p}x {sign} {c}$. What is $f(f(\\cdots f({x}) \\cdots))$, if $f$ is applied ${n}$ times?",
    "A number starts as {x}. It is multiplied by {p}, then {c} is {word}, and both are repeated until they have been done {n} times. What is the final number?",
    "For $f(x) = {p}x {sign} {c}$ let $f^{{(1)}} = f$ and $f^{{(k+1)}} = f \\circ f^{{(k)}}$. Find $f^{{({n})}}({x})$.",
    "Every night the {x} gold coins of a chest become {p} times as many, and every morning {c} coins are {word}. How many coins are there after {n} nights and mornings?",
    "Determine the value that results from ${x}$ after ${n}$ successive replacements $x \\to {p}x {sign} {c}$.",
)
def repeated_map(random: Random) -> Case:
    p, n = random.randint(2, 6), random.randint(2, 9)
    sign, word = random.choice([("+", "added"), ("-", "taken away")])
    c, x = random.randint(1, 12), random.randint(13, 25)
    values = [x]
    for _ in range(n):
        values.append(p * values[-1] + (c if sign == "+" else -c))
    if values[-1] > ANSWER_MAX:
        return repeated_map(random)
    return Case(
        {"p": p, "n": n, "sign": sign, "word": word, "c": c, "x": x},
        values[-1],
        "We apply the rule step by step: " + ", ".join(map(str, values)) + f". After {n} steps we have {values[-1]}.",
        (
            f"x = {x}\nfor n in range({n}):\n    x = {p} * x {sign} {c}\nprint(x)",
            f"def f(x, n):\n    return x if n == 0 else f({p} * x {sign} {c}, n - 1)\nprint(f({x}, {n}))",
        ),
    )


@family(
    "algebra",
    "What is the greatest value of $n({b} - {a}n)$ for integers $n$?",
    "Find the maximum of $f(n) = {b}n - {a}n^2$ over all integers $n$.",
    "If a cinema with 2 exits asks for $n$ dollars a ticket, with $n$ a whole number, it sells ${b} - {a}n$ tickets. What is the largest possible income in dollars?",
    "Let $n$ run through the integers. How large can the expression $-{a}n^2 + {b}n$ become?",
    "Determine the largest element of the set $\\{{{b}n - {a}n^2 : n \\in \\mathbb{{Z}}\\}}$.",
)
def largest_value(random: Random) -> Case:
    a, b = random.randint(2, 9), random.randint(20, 800)
    best = (b + a) // (2 * a)
    answer = b * best - a * best * best
    if answer > ANSWER_MAX:
        return largest_value(random)
    return Case(
        {"a": a, "b": b},
        answer,
        f"The vertex is at n = {b} / {2 * a} = {b / (2 * a):.2f}. The nearest integer is n = {best}. "
        f"The value there is {best} * ({b} - {a} * {best}) = {best} * {b - a * best} = {answer}.",
        (
            f"best = 0\nfor n in range(1, {b}):\n    if n * ({b} - {a} * n) > best:\n        best = n * ({b} - {a} * n)\nprint(best)",
            f"print(max(n * ({b} - {a} * n) for n in range(1, {b})))",
        ),
    )


@family(
    "algebra",
    "A polynomial $P$ of degree 2 satisfies $P(1) = {u}$, $P(2) = {v}$ and $P(3) = {w}$. Find $P({k})$.",
    "Let $f(x) = ax^2 + bx + c$ with $f(1) = {u}$, $f(2) = {v}$, $f(3) = {w}$. What is $f({k})$?",
    "A ball's height in cm after $t$ seconds is a quadratic polynomial in $t$. After 1, 2 and 3 seconds it is {u}, {v} and {w}. What does the formula give for {k} seconds?",
    "The parabola $y = ax^2 + bx + c$ passes through $(1, {u})$, $(2, {v})$ and $(3, {w})$. Determine its $y$-coordinate at $x = {k}$.",
    "A sequence with constant second differences begins ${u}, {v}, {w}$. Compute its term with number ${k}$.",
)
def quadratic_through_points(random: Random) -> Case:
    a, b, c, k = random.randint(1, 9), random.randint(-5, 20), random.randint(0, 30), random.randint(4, 80)
    u, v, w, answer = (a * x * x + b * x + c for x in (1, 2, 3, k))
    if answer > ANSWER_MAX or min(u, v, w) < 0:
        return quadratic_through_points(random)
    return Case(
        {"u": u, "v": v, "w": w, "k": k},
        answer,
        f"The differences are {v - u} and {w - v}, the second difference is {w - 2 * v + u} = 2a, so a = {a}. "
        f"Then b = {v - u} - 3 * {a} = {b} and c = {u} - {a} {'-' if b >= 0 else '+'} {abs(b)} = {c}. The value at {k} is {answer}.",
        (
            f"f, d, e = {u}, {v} - {u}, {w} - 2 * {v} + {u}\nfor n in range(1, {k}):\n    f += d\n    d += e\nprint(f)",
            f"from sympy import interpolate\nprint(interpolate([(1, {u}), (2, {v}), (3, {w})], {k}))",
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
    "Solve $\\sqrt{{{a} + \\sqrt{{x + {b}}}}} = {c}$ for $x$.",
    "What is the integer $x$ with $\\sqrt{{{a} + \\sqrt{{x + {b}}}}} = {c}$?",
    "To a number $x$ one adds {b} and takes the square root; to the result one adds {a} and takes the square root again. The outcome is {c}. Find $x$.",
    "Let $x \\ge 0$ satisfy $\\sqrt{{x + {b}}} = y$ and $\\sqrt{{y + {a}}} = {c}$. Determine $x$.",
)
def nested_root(random: Random) -> Case:
    c = random.randint(3, 17)
    a = random.randint(1, c * c - 2)
    inner = c * c - a
    b = random.randint(1, min(inner * inner, 500))
    return Case(
        {"a": a, "b": b, "c": c},
        inner * inner - b,
        f"Square both sides: {a} + sqrt(x + {b}) = {c * c}, so sqrt(x + {b}) = {inner}. "
        f"Square again: x + {b} = {inner * inner}, so x = {inner * inner - b}.",
        (
            search_loop("x", 0, f"x + {b} == ({c}**2 - {a})**2"),
            f"print(({c}**2 - {a})**2 - {b})",
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
