"""Boxes, painted cubes, polygons and grids with integer measures."""

from math import comb, isqrt
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import nested_count, program


@family(
    "geometry",
    "A block of {a} x {b} x {c} is painted on the outside and cut into unit cubes. How many of them have paint on exactly "
    "{k} faces?",
    "A cheese of {a} by {b} by {c} inches has a rind on all six sides. It is cut into one-inch cubes. Find the number of "
    "cubes that have rind on {k} sides, no more and no fewer.",
    "{total} small cubes are glued to a box of length {a}, width {b} and height {c}, and the box is dipped into ink. "
    "After taking it apart, how many small cubes have exactly {k} inked faces?",
    "Let an ${a} \\times {b} \\times {c}$ cuboid consist of unit cubes, and let its surface be red. Determine how many "
    "unit cubes show exactly ${k}$ red faces.",
    "How many unit cubes of a solid box that measures {a} by {b} by {c} have exactly {k} of their faces on the surface "
    "of the box?",
)
def painted_cubes(random: Random) -> Case:
    a, b, c = (random.randint(2, 14) for _ in range(3))
    k = random.randint(0, 3)
    x, y, z = a - 2, b - 2, c - 2
    answer = (x * y * z, 2 * (x * y + y * z + z * x), 4 * (x + y + z), 8)[k]
    texts = (
        f"These cubes form the inner block: {x} * {y} * {z} = {x * y * z}.",
        f"These lie inside the faces: 2 * ({x} * {y} + {y} * {z} + {z} * {x}) = 2 * {x * y + y * z + z * x} = {answer}.",
        f"These lie on the edges without the corners: 4 * ({x} + {y} + {z}) = 4 * {x + y + z} = {answer}.",
        "These are the corners, and a box has 8.",
    )
    formulas = (
        "(a - 2) * (b - 2) * (c - 2)",
        "2 * ((a - 2) * (b - 2) + (b - 2) * (c - 2) + (c - 2) * (a - 2))",
        "4 * (a - 2 + b - 2 + c - 2)",
        "2 * 2 * 2",
    )
    return Case(
        {"a": a, "b": b, "c": c, "k": k, "total": a * b * c},
        answer,
        f"Without its outer layer the box measures {x} by {y} by {z}. {texts[k]}",
        (
            program(
                f"a, b, c = {a}, {b}, {c}",
                "count = 0",
                "for x in range(a):",
                "    for y in range(b):",
                "        for z in range(c):",
                f"            if (x in (0, a - 1)) + (y in (0, b - 1)) + (z in (0, c - 1)) == {k}:",
                "                count += 1",
                "print(count)",
            ),
            program(f"a, b, c = {a}, {b}, {c}", f"print({formulas[k]})"),
        ),
    )


@family(
    "geometry",
    "How many rectangles with sides along the grid lines does a {a} by {b} grid of unit squares contain?",
    "{a1} horizontal and {b1} vertical lines are drawn. Find the number of rectangles that they bound.",
    "A window has {a} rows of {b} panes. In how many ways can a rectangular part, made of whole panes, be chosen?",
    "Determine the number of rectangles in the lattice $\\{{0, \\ldots, {a}\\}} \\times \\{{0, \\ldots, {b}\\}}$ whose "
    "sides are parallel to the axes.",
    "Let a chocolate bar have {a} rows and {b} columns. What is the number of its rectangular sub-bars, single squares "
    "and the whole bar included?",
)
def rectangles_in_grid(random: Random) -> Case:
    a, b = random.randint(1, 22), random.randint(1, 22)
    answer = sum((a - h + 1) * (b - w + 1) for h in range(1, a + 1) for w in range(1, b + 1))
    return Case(
        {"a": a, "b": b, "a1": a + 1, "b1": b + 1},
        answer,
        f"A rectangle is given by 2 of {a + 1} lines and 2 of {b + 1} lines. C({a + 1},2) = {comb(a + 1, 2)} and "
        f"C({b + 1},2) = {comb(b + 1, 2)}. The product is {comb(a + 1, 2) * comb(b + 1, 2)}.",
        (
            nested_count(
                f"a in range({a} + 1)",
                f"b in range(a + 1, {a} + 1)",
                f"c in range({b} + 1)",
                f"d in range({b} + 1)",
                where="c < d",
            ),
            program(f"print(comb({a} + 1, 2) * comb({b} + 1, 2))"),
        ),
    )


@family(
    "geometry",
    "How many squares of any size, with sides along the lines, are there in a {a} by {b} grid of unit squares?",
    "A floor has {a} rows of {b} square tiles. Find the number of squares, made of one or more whole tiles, that can be "
    "marked on it.",
    "On a {a} x {b} chessboard, determine the number of squares that are bounded by lines of the board.",
    "Let $Q$ be the number of axis-parallel squares with corners at integer points $(x,y)$, $0 \\le x \\le {a}$, "
    "$0 \\le y \\le {b}$. Find $Q$.",
    held_out=True,
)
def squares_in_grid(random: Random) -> Case:
    a, b = random.randint(2, 30), random.randint(2, 30)
    answer = sum(min(x, y) for x in range(1, a + 1) for y in range(1, b + 1))
    return Case(
        {"a": a, "b": b},
        answer,
        f"There are ({a} - s + 1) * ({b} - s + 1) squares of side s. Adding up for s = 1 to {min(a, b)} gives {answer}.",
        (
            program(
                "count = 0",
                f"for s in range(1, min({a}, {b}) + 1):",
                f"    count += ({a} - s + 1) * ({b} - s + 1)",
                "print(count)",
            ),
            program(f"print(sum(({a} - s + 1) * ({b} - s + 1) for s in range(1, min({a}, {b}) + 1)))"),
        ),
    )


@family(
    "geometry",
    "A box has edges of {a}, {b} and {c}. Find the sum of its volume and its surface area.",
    "A carton measures {a} by {b} by {c} dm. It holds $V$ cubic decimetres and needs $S$ square decimetres of cardboard, "
    "overlaps not counted. What is $V+S$?",
    "Let $V$ be the volume and $S$ the total surface of a cuboid with side lengths ${a}$, ${b}$, ${c}$. Determine "
    "$V+S$.",
    "Compute $V + S$ for a rectangular block of length {c}, width {b} and height {a}, where $V$ is the number of unit "
    "cubes in it and $S$ the number of unit squares on its outside.",
    "Suppose that an aquarium with a lid is {a} feet wide, {b} feet deep and {c} feet long. Add the number of square "
    "feet of its six sides to the number of cubic feet inside.",
)
def volume_plus_surface(random: Random) -> Case:
    a, b, c = (random.randint(2, 40) for _ in range(3))
    v, s = a * b * c, 2 * (a * b + b * c + c * a)
    answer = (a + 2) * (b + 2) * (c + 2) - 4 * (a + b + c) - 8
    return Case(
        {"a": a, "b": b, "c": c},
        answer,
        f"V = {a} * {b} * {c} = {v}. S = 2 * ({a * b} + {b * c} + {c * a}) = {s}. V + S = {v} + {s} = {v + s}.",
        (
            program(
                f"a, b, c = {a}, {b}, {c}",
                "volume = a * b * c",
                "surface = 2 * (a * b + b * c + c * a)",
                "print(volume + surface)",
            ),
            program(f"print({a} * {b} * {c} + 2 * ({a} * {b} + {b} * {c} + {c} * {a}))"),
        ),
    )


@family(
    "geometry",
    "Three faces of a box that meet in a corner have areas {p}, {q} and {r}. What is the volume of the box?",
    "A brick leaves prints of {p}, {q} and {r} square centimetres when it is laid on its different sides. Find its volume "
    "in cubic centimetres.",
    "Let $x, y, z$ be the positive side lengths of a cuboid with $xy={p}$, $yz={q}$ and $zx={r}$. Determine $xyz$.",
    "The front, the side and the top of a rectangular container measure {p}, {q} and {r} square feet. How many cubic "
    "feet fit in?",
    held_out=True,
)
def volume_from_faces(random: Random) -> Case:
    x, y, z = (random.randint(2, 30) for _ in range(3))
    p, q, r = x * y, y * z, z * x
    return Case(
        {"p": p, "q": q, "r": r},
        x * y * z,
        f"The square of the volume is the product of the areas: {p} * {q} * {r} = {p * q * r}. Its root is {x * y * z}.",
        (
            program(
                f"for x in range(1, {p} + 1):",
                f"    if {p} % x == 0 and {r} % x == 0 and {p} // x * ({r} // x) == {q}:",
                f"        print({p} * ({r} // x))",
            ),
            program(f"print(isqrt({p} * {q} * {r}))"),
        ),
    )


@family(
    "geometry",
    "Each interior angle of a regular polygon measures {angle} degrees. How many diagonals does the polygon have?",
    "A regular polygon has exterior angles of ${outer}^\\circ$. Find the number of its diagonals.",
    "A round table top is sawn to a regular polygon whose corners have angles of ${angle}^\\circ$. Determine the number "
    "of segments that join two corners and are not edges.",
    "Let $P$ be a regular $n$-gon with angles of ${angle}^\\circ$. First find $n$, then the number of diagonals of $P$.",
    "At each corner of a fort, built as a regular polygon, a wall turns by {outer} degrees. A rope joins every two "
    "corners that have no common wall. How many ropes are there?",
)
def diagonals_from_angle(random: Random) -> Case:
    n = random.choice([n for n in range(3, 181) if 360 % n == 0])
    outer = 360 // n
    answer = comb(n, 2) - n
    return Case(
        {"angle": 180 - outer, "outer": outer},
        answer,
        f"The exterior angle is {outer}, so n = 360 / {outer} = {n}. The number of diagonals is {n} * {n - 3} / 2 = "
        f"{n * (n - 3) // 2}.",
        (
            program(f"n = 360 // {outer}", "print(n * (n - 3) // 2)"),
            program(f"n = 360 // {outer}", "print(comb(n, 2) - n)"),
        ),
    )


@family(
    "geometry",
    "How many points $(x,y)$ with integer coordinates satisfy ${m} \\le x^2+y^2 \\le {n}$?",
    "Find the number of integer points between the circles around $(0,0)$ with radii $\\sqrt{{{m}}}$ and "
    "$\\sqrt{{{n}}}$, points on the circles included.",
    "Poles stand at all points with integer coordinates. A lamp at the origin lights up every pole whose distance $d$ from "
    "it satisfies ${m} \\le d^2 \\le {n}$. How many poles are lit?",
    "Determine the number of pairs $(a,b)$ of integers, negative ones and zero allowed, for which $a^2+b^2$ is at least "
    "${m}$ and at most ${n}$.",
    "A ring in the plane consists of all $(x,y)$ with $x^2+y^2$ from ${m}$ to ${n}$. What is the number of lattice points "
    "in this ring?",
)
def points_in_ring(random: Random) -> Case:
    n = random.randint(5, 300)
    m = random.randint(1, n)
    r = isqrt(n)
    counts = [sum(m <= x * x + y * y <= n for y in range(-r, r + 1)) for x in range(r + 1)]
    answer = 4 * sum(n // (4 * i + 1) - n // (4 * i + 3) for i in range(n // 4 + 1))
    answer -= 4 * sum((m - 1) // (4 * i + 1) - (m - 1) // (4 * i + 3) for i in range(m // 4 + 1))
    total = counts[0] + 2 * sum(counts[1:])
    return Case(
        {"m": m, "n": n},
        answer,
        f"For x = 0 there are {counts[0]} values of y. For x = 1, 2, ... up to {r}, on each side, there are "
        f"{', '.join(map(str, counts[1:]))}. In all {counts[0]} + 2 * {sum(counts[1:])} = {total}.",
        (
            program(
                f"r = isqrt({n})",
                "count = 0",
                "for x in range(-r, r + 1):",
                "    for y in range(-r, r + 1):",
                f"        if {m} <= x**2 + y**2 <= {n}:",
                "            count += 1",
                "print(count)",
            ),
            program(
                f"r = isqrt({n})",
                f"print(sum(1 for x in range(-r, r + 1) for y in range(-r, r + 1) if {m} <= x**2 + y**2 <= {n}))",
            ),
        ),
    )


@family(
    "geometry",
    "Find the area of the triangle with vertices $(0,0)$, $({a},{b})$ and $({c},{d})$, multiplied by 2.",
    "A field has its corners at $({c},{d})$, $(0,0)$ and $({a},{b})$ on a map with unit 1 km. Twice its area, in square "
    "kilometres, is an integer. Which?",
    "Let $O=(0,0)$, $P=({a},{b})$, $Q=({c},{d})$ and let $K$ be the area of $\\triangle OPQ$. Compute $2K$.",
    "The points $({a},{b})$ and $({c},{d})$ and the origin form a triangle. Determine the area of the parallelogram that "
    "consists of this triangle and its copy across one side.",
    "Suppose that the vectors $({a},{b})$ and $({c},{d})$ span a parallelogram. What is its area?",
)
def area_from_corners(random: Random) -> Case:
    while True:
        a, b, c, d = (random.randint(-20, 60) for _ in range(4))
        if a * d != b * c:
            break
    corners = [(0, 0), (a, b), (c, d)]
    answer = abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True)))
    return Case(
        {"a": a, "b": b, "c": c, "d": d},
        answer,
        f"Twice the area is |ad - bc|. Here ad = {a} * {d} = {a * d} and bc = {b} * {c} = {b * c}. The difference is "
        f"{a * d - b * c}, without sign {abs(a * d - b * c)}.",
        (
            program(f"a, b, c, d = {a}, {b}, {c}, {d}", "print(abs(a * d - b * c))"),
            program(f"print(abs({a} * {d} - {b} * {c}))"),
        ),
    )
