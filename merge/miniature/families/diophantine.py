"""Equations in integers: how many solutions, or which number has one."""

from math import gcd, isqrt
from random import Random

from sympy import divisors

from merge.miniature.family import ANSWER_MAX, Case, family
from merge.miniature.idioms import count_expression, count_loop, sum_expression, sum_loop


def count_pairs(outer: str, inner: str, condition: str) -> str:
    return f"count = 0\nfor {outer}:\n    for {inner}:\n        if {condition}:\n            count += 1\nprint(count)"


@family(
    "number theory",
    "How many pairs $(x, y)$ of positive integers satisfy ${a}x + {b}y = {c}$?",
    "Find the number of solutions of ${a}x + {b}y = {c}$ in positive integers $x$ and $y$.",
    "In how many ways can exactly {c} dollars be spent on books for {a} dollars and games for {b} dollars, if at least one of each is bought? The shop opened 30 years ago.",
    "Let $L$ be the line ${a}x + {b}y = {c}$. Determine how many points with positive integer coordinates lie on $L$.",
    "How many numbers of the form ${c} - {a}x$, with an integer $x \\ge 1$, are positive multiples of ${b}$?",
)
def linear_solutions(random: Random) -> Case:
    a, b = random.sample(range(2, 20), 2)
    c = random.choice([random.randint(20, 400), a * random.randint(1, 25) + b * random.randint(1, 20)])
    solutions = [(x, (c - a * x) // b) for x in range(1, c // a + 1) if (c - a * x) % b == 0 and c > a * x]
    answer = len(solutions)
    shown = (
        f"The first solution is x = {solutions[0][0]}, y = {solutions[0][1]}. Then x grows by {b // gcd(a, b)} and y falls by {a // gcd(a, b)}"
        if answer
        else "No x leaves a positive multiple"
    )
    return Case(
        {"a": a, "b": b, "c": c},
        answer,
        f"We need {c} - {a}x to be a positive multiple of {b}. {shown}. The number of solutions is {answer}.",
        (
            count_pairs(f"x in range(1, {c})", f"y in range(1, {c})", f"{a} * x + {b} * y == {c}"),
            count_expression(f"x in range(1, {c})", f"{a} * x < {c} and ({c} - {a} * x) % {b} == 0"),
        ),
    )


@family(
    "number theory",
    "How many ordered pairs $(x, y)$ of positive integers satisfy $xy \\le {n}$?",
    "Find the number of pairs of integers $x, y \\ge 1$ whose product is not greater than ${n}$.",
    "For each whole number $k$ from 1 to {n}, a clerk notes how many multiples of $k$ there are among 1, 2, ..., {n}. What is the sum of all his notes?",
    "Let $d(k)$ be the number of positive divisors of $k$. Evaluate $d(1) + d(2) + d(3) + \\cdots + d({n})$.",
    "Count the points with positive integer coordinates that lie on or below the curve $y = \\frac{{{n}}}{{x}}$.",
    "Compute $\\sum_{{k=1}}^{{{n}}} \\left\\lfloor \\frac{{{n}}}{{k}} \\right\\rfloor$.",
)
def products_up_to(random: Random) -> Case:
    n = random.randint(5, 500)
    r = isqrt(n)
    answer = 2 * sum(n // x for x in range(1, r + 1)) - r * r
    quotients = [n // x for x in range(1, n + 1)]
    shown = " + ".join(map(str, quotients)) if n <= 16 else f"{' + '.join(map(str, quotients[:8]))} + ... + 1"
    return Case(
        {"n": n},
        answer,
        f"For each x there are floor({n}/x) values of y. The sum over x = 1, ..., {n} is {shown} = {answer}.",
        (
            count_pairs(f"x in range(1, {n} + 1)", f"y in range(1, {n} + 1)", f"x * y <= {n}"),
            sum_expression(f"x in range(1, {n} + 1)", f"{n} // x"),
            sum_loop(f"x in range(1, {n} + 1)", f"{n} // x"),
        ),
    )


@family(
    "number theory",
    "How many pairs $(x, y)$ of positive integers satisfy $x^2 - y^2 = {n}$?",
    "In how many ways can ${n}$ be written as a difference $x^2 - y^2$ with integers $x > y > 0$?",
    "A square terrace has a smaller square pond with integer sides inside; the terrace's side is an integer too. The terrace without the pond measures {n} square units. How many combinations of the two sides are possible?",
    "Find the number of solutions of $x^2 = y^2 + {n}$ in positive integers.",
    "Determine how many perfect squares $y^2 \\ge 1$ have the property that $y^2 + {n}$ is a perfect square, too.",
)
def difference_of_squares(random: Random) -> Case:
    n = random.choice([4, 8, 3, 5, 15, 12, 24, 45]) * random.randint(1, 20)
    pairs = [(d, n // d) for d in divisors(n) if d * d < n and (d + n // d) % 2 == 0]
    found = ", ".join(f"{d} * {e}" for d, e in pairs) or "there are none"
    return Case(
        {"n": n},
        len(pairs),
        f"(x - y)(x + y) = {n} with two different factors of equal parity: {found}. The number of pairs is {len(pairs)}.",
        (
            count_pairs(f"x in range(1, {n})", "y in range(1, x)", f"x**2 - y**2 == {n}"),
            "from math import isqrt\n" + count_expression(f"y in range(1, {n})", f"isqrt(y**2 + {n})**2 == y**2 + {n}"),
        ),
    )


@family(
    "number theory",
    "Find the number of ordered pairs $(x, y)$ of positive integers with $xy + {a}x + {b}y = {c}$.",
    "How many positive integers $x$ and $y$, taken as ordered pairs, fulfil $xy + {a}x + {b}y = {c}$?",
    "A rectangle of integer sides $x$ and $y$ has area $xy$. When ${a}x + {b}y$ is added to the area the result is {c}. How many ordered pairs $(x, y)$ of sides are possible?",
    "Let $x, y \\ge 1$ be integers such that $(x + {b})(y + {a}) = {total}$. Count the possible pairs $(x, y)$.",
    "Determine how many solutions the equation $xy = {c} - {a}x - {b}y$ has in positive integers.",
)
def product_equation(random: Random) -> Case:
    a, b = random.randint(1, 9), random.randint(1, 9)
    total = random.choice([24, 30, 36, 48, 60, 72, 84, 90]) * random.randint(1, 7)
    c = total - a * b
    found = [d for d in divisors(total) if d > b and total // d > a]
    if c < 3:
        return product_equation(random)
    shown = ", ".join(map(str, found)) or "none"
    return Case(
        {"a": a, "b": b, "c": c, "total": total},
        len(found),
        f"Adding {a} * {b} gives (x + {b})(y + {a}) = {total}. x + {b} must be a divisor of {total} above {b}, "
        f"and the other factor must be above {a}: {shown}. The number of solutions is {len(found)}.",
        (
            count_pairs(f"x in range(1, {c})", f"y in range(1, {c})", f"x * y + {a} * x + {b} * y == {c}"),
            count_expression(f"x in range(1, {c})", f"{c} > {a} * x and ({c} - {a} * x) % (x + {b}) == 0"),
        ),
    )


@family(
    "number theory",
    "How many ordered pairs $(x, y)$ of positive integers satisfy $\\frac{{1}}{{x}} + \\frac{{1}}{{y}} = \\frac{{1}}{{{n}}}$?",
    "Find the number of solutions of $\\frac{{1}}{{x}} + \\frac{{1}}{{y}} = \\frac{{1}}{{{n}}}$ in positive integers, where $(x, y)$ and $(y, x)$ count separately if $x \\ne y$.",
    "Two pipes need $x$ and $y$ hours, both whole numbers, to fill a basin with 4 goldfish alone. Together they need {n} hours. How many ordered pairs $(x, y)$ are possible?",
    "In how many ways can the fraction $\\frac{{1}}{{{n}}}$ be written as $\\frac{{1}}{{x}} + \\frac{{1}}{{y}}$ with integers $x, y \\ge 1$, if the order of the summands matters?",
    "Determine the number of pairs $(x, y)$, $x, y \\in \\{{1, 2, 3, \\ldots\\}}$, with ${n}(x + y) = xy$.",
)
def unit_fractions(random: Random) -> Case:
    n = random.randint(2, 200)
    answer = len(divisors(n * n))
    return Case(
        {"n": n},
        answer,
        f"Clearing denominators gives (x - {n})(y - {n}) = {n}^2 = {n * n}. Each divisor of {n * n} gives one pair. "
        f"The number of divisors is {answer}.",
        (
            count_loop(f"x in range({n} + 1, {n}**2 + {n} + 1)", f"{n} * x % (x - {n}) == 0"),
            f"from sympy import divisor_count\nprint(divisor_count({n}**2))",
        ),
    )


@family(
    "number theory",
    "How many ordered triples $(x, y, z)$ of positive integers have the product ${n}$?",
    "In how many ways can ${n}$ be written as $xyz$ with positive integers $x, y, z$, if the order of the factors matters?",
    "A box has integer length, width and height and volume {n}; it is made of oak. How many choices of (length, width, height) are there?",
    "Find the number of solutions of $xyz = {n}$ in positive integers.",
    "Let $x, y, z \\ge 1$ be integers with $x \\cdot y \\cdot z = {n}$. Determine the number of triples $(x, y, z)$.",
)
def triple_products(random: Random) -> Case:
    n = random.choice([random.randint(6, 300), random.choice([12, 24, 30, 36, 60]) * random.randint(1, 10)])
    counts = [len(divisors(n // d)) for d in divisors(n)]
    shown = " + ".join(map(str, counts)) if len(counts) <= 18 else f"{counts[0]} + {counts[1]} + ... + {counts[-1]}"
    return Case(
        {"n": n},
        sum(counts),
        f"For each divisor x of {n} we count the divisors y of {n}/x; then z is fixed. The sum is {shown} = {sum(counts)}.",
        (
            count_pairs(f"x in range(1, {n} + 1)", f"y in range(1, {n} + 1)", f"{n} % (x * y) == 0"),
            f"from sympy import divisors\nprint(sum(1 for x in divisors({n}) for y in divisors({n}) if {n} % (x * y) == 0))",
        ),
    )


@family(
    "number theory",
    "What is the largest integer that cannot be written as ${a}x + {b}y$ with nonnegative integers $x$ and $y$?",
    "Coins are worth {a} and {b} cents, and there are plenty of both. Which is the greatest number of cents that cannot be paid exactly?",
    "Let $S = \\{{{a}x + {b}y : x, y \\in \\{{0, 1, 2, \\ldots\\}}\\}}$. Find the greatest integer not in $S$.",
    "Nuggets are sold in boxes of {a} and boxes of {b}. Determine the largest number of nuggets that one cannot buy.",
    "From which number $n$ on can every integer greater than $n$ be composed of summands ${a}$ and ${b}$, while $n$ itself cannot?",
    held_out=True,
)
def largest_unpayable(random: Random) -> Case:
    a = random.randint(3, 25)
    b = random.choice([k for k in range(a + 1, 40) if gcd(a, k) == 1])
    payable = {a * x + b * y for x in range(b + 1) for y in range(a + 1)}
    answer = max(n for n in range(a * b) if n not in payable)
    return Case(
        {"a": a, "b": b},
        answer,
        f"{a} and {b} are coprime. For coprime numbers the largest impossible value is {a} * {b} - {a} - {b} = {answer}.",
        (
            f"best = 0\nfor n in range(1, {a} * {b}):\n    if all((n - {a} * x) % {b} != 0 for x in range(n // {a} + 1)):\n        best = n\nprint(best)",
            f"print({a} * {b} - {a} - {b})",
        ),
    )


@family(
    "number theory",
    "How many integers from $1$ to ${n}$ are perfect squares or perfect cubes?",
    "Find the number of positive integers $k \\le {n}$ that are of the form $m^2$ or of the form $m^3$ with an integer $m$.",
    "Prisoners with the numbers 1 to {n} wait. The king frees everyone whose number is a square, and also everyone whose number is a cube. How many are freed?",
    "Let $A$ be the set of squares and $B$ the set of cubes in $\\{{1, 2, \\ldots, {n}\\}}$. Determine $|A \\cup B|$.",
    "Count the numbers between 1 and {n}, inclusive, whose square root or cube root is an integer.",
    held_out=True,
)
def squares_or_cubes(random: Random) -> Case:
    n = random.randint(30, ANSWER_MAX)
    squares = isqrt(n)
    cubes = max(k for k in range(1, 50) if k**3 <= n)
    both = max(k for k in range(1, 10) if k**6 <= n)
    return Case(
        {"n": n},
        squares + cubes - both,
        f"There are {squares} squares, {cubes} cubes and {both} sixth powers up to {n}. "
        f"So the count is {squares} + {cubes} - {both} = {squares + cubes - both}.",
        (
            f"s = set()\nfor m in range(1, {n} + 1):\n    s.add(m**2)\n    s.add(m**3)\nprint(sum(1 for k in s if k <= {n}))",
            f"print(len({{k**2 for k in range(1, 1000) if k**2 <= {n}}} | {{k**3 for k in range(1, 1000) if k**3 <= {n}}}))",
        ),
    )
