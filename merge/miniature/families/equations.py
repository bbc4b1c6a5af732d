"""Equations and inequalities in one or two unknowns: algebra that a search over integers or sympy settles."""

from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import count_expression, count_loop, search_loop, sum_expression, sum_loop


def polynomial(coefficients: list[int], latex: bool = True) -> str:
    """The text of a polynomial in x, highest power first: `[1, -3, 0] -> x^2 - 3x`, or `x**2 - 3 * x` for Python."""
    terms = []
    degree = len(coefficients) - 1
    for power, c in zip(range(degree, -1, -1), coefficients, strict=True):
        if c:
            factor = "" if abs(c) == 1 and power else f"{abs(c)}{' * ' * bool(power and not latex)}"
            variable = ("", "x")[power] if power < 2 else f"x{'^' if latex else '**'}{power}"
            terms.append(f"{'-' if c < 0 else '+'} {factor}{variable}")
    text = " ".join(terms).removeprefix("+ ")
    return "-" + text.removeprefix("- ") if text.startswith("- ") else text or "0"


def two_sided(coefficients: list[int], latex: bool = True) -> tuple[str, str]:
    """Both sides of `polynomial = 0` with the negative terms moved to the right."""
    left = polynomial([max(c, 0) for c in coefficients], latex)
    return left, polynomial([max(-c, 0) for c in coefficients], latex)


def expanded(roots: list[int]) -> list[int]:
    coefficients = [1]
    for root in roots:
        shifted = [*coefficients, 0]
        coefficients = [c - root * b for c, b in zip(shifted, [0, *coefficients], strict=True)]
    return coefficients


@family(
    "algebra",
    "What is the sum of the integers $x$ from $-{bound}$ to ${bound}$ that satisfy ${left} = {right}$?",
    "Add up all integer solutions of ${left} = {right}$ with $|x| \\le {bound}$.",
    "Let $A$ be the set of integers $x$ with $-{bound} \\le x \\le {bound}$ and ${left} = {right}$. Compute the sum of the elements of $A$.",
    "Someone tests every whole number $x$ from $-{bound}$ to ${bound}$ in the equation ${left} = {right}$ and adds the ones that fit. What total results?",
    "Consider the equation ${left} = {right}$. Determine the sum of its distinct integer roots, all of which lie between $-{bound}$ and ${bound}$.",
)
def sum_of_integer_roots(random: Random) -> Case:
    bound = random.choice([20, 30, 40, 60, 100])
    r = random.randint(1, 15)
    roots = random.choice(
        [[r, -r, 0], [r, -r, random.randint(0, 9)], [r, random.randint(-r, r), random.randint(0, 19)]]
    )
    coefficients = expanded(roots)
    answer = sum(set(roots))
    left, right = two_sided(coefficients)
    left_code, right_code = two_sided(coefficients, latex=False)
    loop = f"x in range(-{bound}, {bound} + 1)"
    factors = "".join("x" if r == 0 else f"(x {'-' if r > 0 else '+'} {abs(r)})" for r in roots)
    sum_text = " + ".join(f"({r})" if r < 0 else str(r) for r in sorted(set(roots)))
    return Case(
        {"bound": bound, "left": left, "right": right},
        answer,
        f"Everything on one side: {polynomial(coefficients)} = {factors} = 0. "
        f"The solutions are {', '.join(map(str, sorted(set(roots))))}. Their sum is {sum_text} = {answer}.",
        (
            sum_loop(loop, "x", f"{left_code} == {right_code}"),
            sum_expression(loop, "x", f"{left_code} == {right_code}"),
            f'from sympy import solve, symbols\nx = symbols("x")\nprint(sum(solve({polynomial(coefficients, latex=False)}, x)))',
        ),
    )


@family(
    "algebra",
    "How many integers $x$ satisfy $x^2 + {c} {sign} {b}x$?",
    "Find the number of integer solutions of the inequality $x^2 - {b}x + {c} {sign} 0$.",
    "Let $f(x) = x^2 - {b}x + {c}$. For how many integers $x$ is $f(x) {sign} 0$?",
    "Determine how many whole numbers $x$ make $x({b} - x)$ {word} {c}.",
    "A farmer has {fence} m of fence and two old dogs. He fences a rectangle with integer sides $x$ and ${b} - x$ metres so that its area is {word} {c} square metres. How many values of $x$ are possible?",
)
def quadratic_inequality(random: Random) -> Case:
    b = random.randint(6, 60)
    c = random.randint(1, max(2, b * b // 4 - 1))
    strict = random.random() < 0.5
    sign, code, word = ("<", "<", "greater than") if strict else ("\\le", "<=", "at least")
    values = [x * x - b * x + c for x in range(-1, b + 2)]
    answer = sum(v < 0 or (v == 0 and not strict) for v in values)
    solutions = [x for x, v in enumerate(values, -1) if v < 0 or (v == 0 and not strict)]
    found = f"from {solutions[0]} to {solutions[-1]}" if solutions else "nowhere"
    loop, condition = "x in range(-1000, 1000 + 1)", f"x**2 + {c} {code} {b} * x"
    return Case(
        {"b": b, "c": c, "sign": sign, "word": word, "fence": 2 * b},
        answer,
        f"The parabola x^2 - {b}x + {c} has its minimum at x = {b}/2. Trying integers from there outwards, "
        f"the inequality holds {found}. The number of integers is {answer}.",
        (count_loop(loop, condition), count_expression(loop, condition)),
    )


@family(
    "algebra",
    "How many integers $x$ satisfy $|x - {a}| + |x - {b}| \\le {c}$?",
    "Find the number of integer solutions of $|x - {a}| + |x - {b}| \\le {c}$ on the number line.",
    "On a straight road with a milestone at every integer mile, two inns stand at miles {a} and {b}. For how many milestones is the sum of the distances to the inns at most {c} miles?",
    "Let $g(x) = |x - {a}| + |x - {b}|$. For how many integers $x$ is $g(x) \\le {c}$?",
    "Determine the size of the set of all whole numbers whose distances from ${a}$ and from ${b}$ add up to no more than ${c}$.",
)
def absolute_values(random: Random) -> Case:
    a = random.randint(1, 40)
    b, c = a + random.randint(1, 60), random.randint(1, 150)
    slack = (c - (b - a)) // 2
    answer = b - a + 1 + 2 * slack if c >= b - a else 0
    reason = (
        f"{c} - {b - a} = {c - b + a}, so x may lie up to {slack} outside. From {a - slack} to {b + slack} there are "
        if answer
        else f"{b - a} is more than {c}, so the number of solutions is "
    )
    loop, condition = "x in range(-1000, 1000 + 1)", f"abs(x - {a}) + abs(x - {b}) <= {c}"
    return Case(
        {"a": a, "b": b, "c": c},
        answer,
        f"Between {a} and {b} the sum is {b - a}. Outside it grows by 2 with each step. {reason}{answer}.",
        (count_loop(loop, condition), count_expression(loop, condition)),
    )


@family(
    "algebra",
    "If ${a}x + {b}y = {p}$ and ${c}x + {d}y = {q}$, what is $xy$?",
    "Let $(x, y)$ be the solution of ${a}x + {b}y = {p}$ and ${c}x + {d}y = {q}$. Find the product of $x$ and $y$.",
    "Positive integers $x$ and $y$ fulfil both ${a}x + {b}y = {p}$ and ${c}x + {d}y = {q}$. Determine $x \\cdot y$.",
    "At a kiosk {a} pens and {b} rulers cost {p} cents; {c} pens and {d} rulers cost {q} cents. What do you get if you multiply the price of a pen by the price of a ruler, both in cents?",
    "Two weights $x$ and $y$ satisfy: {a} of the first and {b} of the second weigh {p} g together, while {c} of the first and {d} of the second weigh {q} g. Compute the value of $xy$.",
)
def two_equations(random: Random) -> Case:
    a, b, c, d = (random.randint(2, 9) for _ in range(4))
    if a * d == b * c:
        return two_equations(random)
    x, y = random.randint(1, 60), random.randint(1, 60)
    p, q, det = a * x + b * y, c * x + d * y, a * d - b * c
    return Case(
        {"a": a, "b": b, "c": c, "d": d, "p": p, "q": q},
        x * y,
        f"Multiply the first equation by {d}, the second by {b}, and subtract: {det}x = {p * d - q * b}, so x = {x}. "
        f"Then {b}y = {p} - {a * x} = {b * y}, so y = {y}. The product is {x * y}.",
        (
            f"for x in range(1, {p}):\n    for y in range(1, {p}):\n        if {a} * x + {b} * y == {p} and {c} * x + {d} * y == {q}:\n            print(x * y)",
            f'from sympy import solve, symbols\nx, y = symbols("x y")\ns = solve([{a} * x + {b} * y - {p}, {c} * x + {d} * y - {q}], [x, y])\nprint(s[x] * s[y])',
        ),
    )


@family(
    "algebra",
    "How many positive integers $n$ satisfy $\\left\\lfloor \\frac{{n}}{{{a}}} \\right\\rfloor = \\left\\lfloor \\frac{{n}}{{{b}}} \\right\\rfloor$?",
    "Find the number of integers $n \\ge 1$ for which $n$ divided by ${a}$ and $n$ divided by ${b}$ give the same quotient when remainders are ignored.",
    "Eggs come in small boxes of {a} or large boxes of {b}. A hen farm with 3 barns has $n \\ge 1$ eggs, and it can fill exactly as many small boxes as large boxes. How many values of $n$ are possible?",
    "For positive integers $n$ let $f(n) = \\lfloor n/{a} \\rfloor - \\lfloor n/{b} \\rfloor$. Determine how many $n$ have $f(n) = 0$.",
    "Count the positive integers whose integer parts after division by ${a}$ and by ${b}$ coincide.",
    held_out=True,
)
def equal_quotients(random: Random) -> Case:
    a = random.randint(4, 30)
    b = a + random.randint(1, 6)
    answer = sum(max(0, a * (q + 1) - b * q) for q in range(a + 1)) - 1
    return Case(
        {"a": a, "b": b},
        answer,
        f"For the quotient q we need {b}q <= n < {a}(q + 1). For q = 0 there are {a - 1}, for q = 1 there are "
        f"{max(0, 2 * a - b)}, and so on until none is left. In all {answer}.",
        (
            count_loop(f"n in range(1, {a} * {b})", f"n // {a} == n // {b}"),
            count_expression(f"n in range(1, {a} * {b})", f"n // {a} == n // {b}"),
        ),
    )


@family(
    "algebra",
    "Two positive integers have sum ${s}$, and the sum of their squares is ${q}$. What is the larger number?",
    "Let $x > y > 0$ be integers with $x + y = {s}$ and $x^2 + y^2 = {q}$. Find $x$.",
    "A rope of {s} m is cut into two pieces of whole metres. Squares with these side lengths have {q} square metres in total. How long is the longer piece?",
    "Given $x + y = {s}$ and $x^2 + y^2 = {q}$ with positive integers $x \\ge y$, determine $x$.",
    "Suppose that {s} is split into two natural numbers such that their squares add up to {q}. Which of the two is the greater one?",
    held_out=True,
)
def sum_and_squares(random: Random) -> Case:
    y = random.randint(1, 150)
    x = y + random.randint(1, 100)
    s, q = x + y, x * x + y * y
    return Case(
        {"s": s, "q": q},
        x,
        f"2xy = {s}^2 - {q} = {s * s - q}. So (x - y)^2 = {q} - {s * s - q} = {2 * q - s * s} and x - y = {x - y}. "
        f"x = ({s} + {x - y}) / 2 = {x}.",
        (
            f"for x in range(1, {s}):\n    y = {s} - x\n    if x > y and x**2 + y**2 == {q}:\n        print(x)",
            f"print(max(x for x in range(1, {s}) if x**2 + ({s} - x)**2 == {q}))",
        ),
    )


@family(
    "algebra",
    "What is the least positive integer $n$ with ${a}^n > {b}n^{k}$ that also satisfies $n \\ge {low}$?",
    "Find the smallest integer $n \\ge {low}$ such that ${a}^n$ exceeds ${b}n^{k}$.",
    "From day {low} on, firm A earns {a}^n dollars on day $n$ and firm B earns {b}n^{k} dollars. On which day is A ahead for the first time?",
    "Let $n \\ge {low}$ be minimal with ${b}n^{k} < {a}^n$. Determine $n$.",
    "Starting with $n = {low}$ and going up in steps of one, when does ${a}^n$ first become larger than ${b} \\cdot n^{k}$?",
)
def power_overtakes(random: Random) -> Case:
    a, b, k, low = random.randint(2, 4), random.randint(2, 900), random.randint(2, 5), random.randint(1, 6)
    answer = min(n for n in range(low, 200) if a**n > b * n**k)
    last = f"At n = {answer - 1}: {a ** (answer - 1)} against {b * (answer - 1) ** k}. " if answer > low else ""
    return Case(
        {"a": a, "b": b, "k": k, "low": low},
        answer,
        f"We compare both sides for n = {low}, {low + 1}, ... {last}"
        f"At n = {answer}: {a**answer} is more than {b * answer**k}. The first such n is {answer}.",
        (
            search_loop("n", low, f"{a}**n > {b} * n**{k}"),
            f"print(next(n for n in range({low}, 1000) if {a}**n > {b} * n**{k}))",
        ),
    )
