"""Functions: composed, repeated, at their largest, through given points."""

from random import Random

from merge.miniature.families.equations import polynomial
from merge.miniature.family import ANSWER_MAX, Case, family
from merge.miniature.idioms import search_loop


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
