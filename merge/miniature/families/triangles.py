"""Triangles with integer sides: Heron, Pythagoras, perimeters."""

from fractions import Fraction
from math import gcd, isqrt
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import nested_count, program


def heronian(limit: int) -> list[tuple[int, int, int, int]]:
    """Triangles with sides a <= b <= c <= limit and an integer area, as (a, b, c, area)."""
    found = []
    for c in range(3, limit + 1):
        for b in range(c // 2 + 1, c + 1):
            for a in range(c - b + 1, b + 1):
                p = (a + b + c) * (a + b - c) * (a - b + c) * (b + c - a)
                if p % 16 == 0 and isqrt(p // 16) ** 2 == p // 16:
                    found.append((a, b, c, isqrt(p // 16)))
    return found


HERONIAN = [t for t in heronian(60) if (t[0] + t[1] + t[2]) % 2 == 0 and t[:3] != (13, 14, 15)]
LEGS = [
    (a, b, isqrt(a * a + b * b))
    for a in range(3, 90)
    for b in range(3, 90)
    if isqrt(a * a + b * b) ** 2 == a * a + b * b
]


@family(
    "geometry",
    "Find the area of a triangle with side lengths {a}, {b} and {c}.",
    "A triangular garden is fenced by straight walls of {a}, {b} and {c} metres. How many square metres does it cover?",
    "In triangle $ABC$, $AB = {a}$, $BC = {b}$ and $CA = {c}$. Compute $[ABC]$.",
    "Let $T$ be a triangle with sides ${b}$, ${c}$ and ${a}$. Its area is an integer. What is it?",
    "Three rods of length {c}, {a} and {b} are joined at their ends to a frame. How large is the area that the frame "
    "encloses?",
    "Paint is sold in cans of {litres} litres. A triangular sail has edges of {a}, {b} and {c} feet. Determine its "
    "area in square feet.",
)
def triangle_area(random: Random) -> Case:
    a, b, c, area = random.choice(HERONIAN)
    a, b, c = random.sample([a, b, c], 3)
    s = (a + b + c) // 2
    product = s * (s - a) * (s - b) * (s - c)
    return Case(
        {"a": a, "b": b, "c": c, "litres": random.randint(2, 10)},
        area,
        f"By Heron's formula s = ({a} + {b} + {c}) / 2 = {s}. The area is the root of {s} * {s - a} * {s - b} * "
        f"{s - c} = {product}, which is {isqrt(product)}.",
        (
            program(
                f"a, b, c = {a}, {b}, {c}", "s = (a + b + c) // 2", "print(isqrt(s * (s - a) * (s - b) * (s - c)))"
            ),
            program(
                f"a, b, c = {a}, {b}, {c}",
                "s = (a + b + c) / 2",
                "print(round((s * (s - a) * (s - b) * (s - c)) ** 0.5))",
            ),
        ),
    )


@family(
    "geometry",
    "Let $K$ be the area and $P$ the perimeter of a triangle with side lengths ${a}$, ${b}$ and ${c}$. Compute $K+P$.",
    "A triangular flag has edges of {a}, {b} and {c} inches. One dollar is paid per square inch of cloth and one dollar "
    "per inch of hem around it. How many dollars does the flag cost?",
    "How large is the sum of perimeter and area for a triangle whose sides measure {b}, {c} and {a}?",
    "In $\\triangle XYZ$ we have $XY={a}$, $YZ={b}$, $ZX={c}$. Find the number of square units inside it plus the number "
    "of units around it.",
    "Suppose that three planks of {c}, {b} and {a} feet bound a sandbox. Add its area in square feet to the length of all "
    "planks in feet. What is the result?",
)
def area_plus_perimeter(random: Random) -> Case:
    a, b, c, area = random.choice(HERONIAN)
    a, b, c = random.sample([a, b, c], 3)
    s = (a + b + c) // 2
    k = isqrt(s * (s - a) * (s - b) * (s - c))
    return Case(
        {"a": a, "b": b, "c": c},
        area + a + b + c,
        f"P = {a} + {b} + {c} = {2 * s}, so s = {s}. K is the root of {s} * {s - a} * {s - b} * {s - c} = {k * k}, so K = "
        f"{k}. The sum is {k} + {2 * s} = {k + 2 * s}.",
        (
            program(
                f"a, b, c = {a}, {b}, {c}",
                "s = (a + b + c) // 2",
                "area = isqrt(s * (s - a) * (s - b) * (s - c))",
                "print(area + a + b + c)",
            ),
            program(
                f"a, b, c = {a}, {b}, {c}",
                "s = (a + b + c) / 2",
                "area = (s * (s - a) * (s - b) * (s - c)) ** 0.5",
                "print(round(area) + a + b + c)",
            ),
        ),
    )


@family(
    "geometry",
    "The sides of a triangle are {a}, {b} and {c}. What is the length of the altitude to the side of length {c}?",
    "In $\\triangle ABC$ we have $BC = {a}$, $CA = {b}$, $AB = {c}$. Find the distance from $C$ to the line $AB$.",
    "A roof truss is a triangle with a base of {c} feet and slopes of {a} and {b} feet. How many feet above the base "
    "is the top?",
    "A triangle with sides ${a}, {b}, {c}$ stands on its side of length ${c}$. Determine its height.",
    held_out=True,
)
def triangle_altitude(random: Random) -> Case:
    a, b, c, area = random.choice([t for t in HERONIAN if 2 * t[3] % t[2] == 0 and t[0] ** 2 + t[1] ** 2 != t[2] ** 2])
    foot = Fraction(b * b - a * a + c * c, 2 * c)
    answer = isqrt(int(b * b - foot * foot))
    return Case(
        {"a": a, "b": b, "c": c},
        answer,
        f"By Heron's formula with s = {(a + b + c) // 2} the area is {area}. The altitude is 2 * {area} / {c} = "
        f"{2 * area // c}.",
        (
            program(
                f"a, b, c = {a}, {b}, {c}",
                "s = (a + b + c) // 2",
                "area = isqrt(s * (s - a) * (s - b) * (s - c))",
                "print(2 * area // c)",
            ),
            program(
                f"a, b, c = {a}, {b}, {c}",
                "s = (a + b + c) / 2",
                "area = (s * (s - a) * (s - b) * (s - c)) ** 0.5",
                "print(round(2 * area / c))",
            ),
        ),
    )


@family(
    "geometry",
    "A right triangle has hypotenuse {c} and one leg {a}. Find its area.",
    "A ladder {c} feet long leans against a wall with its foot {a} feet from the wall. How many square feet does the "
    "triangle of ladder, wall and ground enclose?",
    "In $\\triangle ABC$ the angle at $C$ is $90^\\circ$, $AB = {c}$ and $BC = {a}$. What is the area of the triangle?",
    "A rectangle with diagonal ${c}$ and one side ${a}$ is cut along the diagonal. Compute the area of one of the two "
    "pieces.",
    "Suppose that the longest side of a right-angled triangle measures {c} and another side measures {a}. Determine "
    "half the product of the two shorter sides.",
)
def right_triangle_area(random: Random) -> Case:
    a, b, c = random.choice(LEGS)
    answer = next(a * y // 2 for y in range(1, c) if a * a + y * y == c * c)
    return Case(
        {"a": a, "c": c},
        answer,
        f"The other leg is the root of {c}^2 - {a}^2 = {c * c} - {a * a} = {c * c - a * a}, which is {b}. The area is "
        f"{a} * {b} / 2 = {a * b // 2}.",
        (
            program(f"b = isqrt({c}**2 - {a}**2)", f"print({a} * b // 2)"),
            program(f"for b in range(1, {c}):", f"    if {a}**2 + b**2 == {c}**2:", f"        print({a} * b // 2)"),
        ),
    )


@family(
    "geometry",
    "How many triangles with integer sides have perimeter {n}? Congruent triangles count once.",
    "Find the number of triples $(a,b,c)$ of positive integers with $a \\le b \\le c$, $a+b+c={n}$ and $a+b>c$.",
    "{n} matches of equal length are laid as the outline of a triangle, without breaking any. Determine the number of "
    "differently shaped triangles.",
    "What is the number of non-congruent triangles whose three sides are whole numbers with sum {n}?",
    "A wire of {n} cm is bent into a triangle whose sides are whole centimetres. In how many ways is this possible, up "
    "to congruence?",
)
def triangles_of_perimeter(random: Random) -> Case:
    n = random.randint(4, 110)
    answer = (n * n + 24) // 48 if n % 2 == 0 else ((n + 3) ** 2 + 24) // 48
    return Case(
        {"n": n},
        answer,
        f"Let c be the longest side. It lies from {-(-n // 3)} to {(n - 1) // 2}. For each c we count the pairs a <= b <= "
        f"c with a + b = {n} - c. Adding up gives {answer}.",
        (
            nested_count(f"a in range(1, {n})", f"b in range(a, {n})", where=f"a + b > {n} - a - b >= b"),
            program(
                f"print(sum(1 for c in range(1, {n}) for b in range(1, c + 1) if 0 < {n} - b - c <= b and {n} - c > c))"
            ),
        ),
    )


@family(
    "geometry",
    "How many non-congruent triangles have integer sides, none of them longer than {n}, and three different side "
    "lengths?",
    "Find the number of ways to choose three different numbers from $1, 2, \\ldots, {n}$ that are the sides of a "
    "triangle.",
    "Sticks of lengths 1, 2, ..., {n} cm lie in a bag, one of each. How many sets of three sticks can form a triangle?",
    "Let $a < b < c \\le {n}$ be positive integers with $a + b > c$. Determine the number of such triples.",
    held_out=True,
)
def triangles_from_sticks(random: Random) -> Case:
    n = random.randint(4, 40)
    answer = sum((c - 2) ** 2 // 4 for c in range(3, n + 1))
    loops = (f"a in range(1, {n + 1})", f"b in range(a + 1, {n + 1})", f"c in range(b + 1, {n + 1})")
    return Case(
        {"n": n},
        answer,
        f"For the longest side c the number of pairs is the whole part of (c - 2)^2 / 4. Adding this for c = 3 to {n} "
        f"gives {answer}.",
        (
            nested_count(*loops, where="a + b > c"),
            nested_count(f"a, b, c in combinations(range(1, {n} + 1), 3)", where="a + b > c"),
        ),
    )


@family(
    "geometry",
    "Find the number of lattice points on the segment from $({a},{b})$ to $({c},{d})$, both ends included.",
    "A straight line is drawn from ({a}, {b}) to ({c}, {d}) on squared paper. How many points with integer coordinates "
    "does it pass, counting its two ends?",
    "Let $P=({a},{b})$ and $Q=({c},{d})$. How many points of the segment $PQ$ have two integer coordinates?",
    "Trees stand at all integer points. A laser beam runs from the tree at $({a},{b})$ to the tree at $({c},{d})$. "
    "Counting these two, determine the number of trees that it meets.",
    "What is the number of integer points $(x,y)$ on the straight path that joins $({a},{b})$ with $({c},{d})$, ends "
    "included?",
)
def points_on_segment(random: Random) -> Case:
    g = random.randint(1, 15)
    a, b = random.randint(0, 9), random.randint(0, 9)
    u, v = random.randint(1, 15), random.randint(1, 15)
    c, d = a + g * u, b + g * v
    answer = sum((x - a) * (d - b) % (c - a) == 0 for x in range(a, c + 1))
    k = gcd(c - a, d - b)
    return Case(
        {"a": a, "b": b, "c": c, "d": d},
        answer,
        f"The differences are {c} - {a} = {c - a} and {d} - {b} = {d - b}. Their gcd is {k}, so there are {k} + 1 = "
        f"{k + 1}.",
        (
            nested_count(
                f"x in range({a}, {c} + 1)",
                f"y in range({b}, {d} + 1)",
                where=f"(x - {a}) * ({d} - {b}) == (y - {b}) * ({c} - {a})",
            ),
            program(f"print(gcd({c} - {a}, {d} - {b}) + 1)"),
        ),
    )
