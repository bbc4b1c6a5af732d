"""Stairs, tilings and lattice paths: counts that a short recurrence or a binomial coefficient gives."""

from math import comb
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import nested_count, program


@family(
    "combinatorics",
    "A staircase has {n} steps. {who} goes up {x} or {y} steps at a time. In how many ways can the top be reached?",
    "Find the number of ordered sums of {x}s and {y}s that equal {n}.",
    "In how many ways can a strip of length {n} be cut into pieces of length {x} and {y}, the order of the pieces "
    "being important?",
    "A frog on a line jumps ${x}$ or ${y}$ units to the right each time. Starting at $0$, it wants to land on ${n}$. "
    "Determine the number of jump sequences that do so.",
    "Let $f(n)$ count the sequences of terms ${x}$ and ${y}$ with sum $n$. Compute $f({n})$.",
    "A child beats a drum with strokes that last {x} or {y} seconds. How many rhythms last {n} seconds exactly?",
)
def staircase(random: Random) -> Case:
    x, y = random.choice([(1, 2), (1, 3), (2, 3), (1, 4), (2, 5), (3, 4), (1, 5)])
    n = random.randint(5, 20)
    answer = sum(comb((n - y * k) // x + k, k) for k in range(n // y + 1) if (n - y * k) % x == 0)
    f = [1] + [0] * n
    for i in range(1, n + 1):
        f[i] = (f[i - x] if i >= x else 0) + (f[i - y] if i >= y else 0)
    return Case(
        {"n": n, "x": x, "y": y, "who": random.choice(["Mia", "Leo", "A robot", "Nina", "A cat", "Tom"])},
        answer,
        f"The last step is {x} or {y}, so f(n) = f(n-{x}) + f(n-{y}) with f(0) = 1. "
        f"From f(0) on the values are {', '.join(map(str, f))}. So f({n}) = {f[n]}.",
        (
            program(
                f"f = [1] + [0] * {n}",
                f"for i in range(1, {n} + 1):",
                f"    for s in ({x}, {y}):",
                "        if i >= s:",
                "            f[i] += f[i - s]",
                f"print(f[{n}])",
            ),
            program(
                "def f(n):",
                "    if n <= 0:",
                "        return int(n == 0)",
                f"    return f(n - {x}) + f(n - {y})",
                f"print(f({n}))",
            ),
        ),
    )


@family(
    "combinatorics",
    "How many ways are there to tile a $2 \\times {n}$ board with dominoes?",
    "A path 2 feet wide and {n} feet long is paved with slabs of 1 foot by 2 feet, which may lie either way. "
    "Find the number of patterns.",
    "Let $T_n$ be the number of tilings of a $2 \\times n$ strip by $1 \\times 2$ tiles. Determine $T_{{{n}}}$.",
    "A box of length {n}, width 2 and height 1 is packed with bricks that measure 2 by 1 by 1. What is the number of "
    "different packings?",
    "Suppose that {n} dominoes cover a grid with 2 rows and {n} columns. Compute the number of coverings.",
)
def domino_strip(random: Random) -> Case:
    n = random.choice([4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22])
    answer = sum(comb(n - k, k) for k in range(n // 2 + 1))
    f = [1, 1]
    while len(f) <= n:
        f.append(f[-1] + f[-2])
    return Case(
        {"n": n},
        answer,
        "The strip ends with one upright domino or with two that lie flat. So f(n) = f(n-1) + f(n-2) with f(0) = f(1) "
        f"= 1. The values are {', '.join(map(str, f))}. So f({n}) = {f[n]}.",
        (
            program("a, b = 1, 1", f"for _ in range({n} - 1):", "    a, b = b, a + b", "print(b)"),
            program("def f(n):", "    return 1 if n < 2 else f(n - 1) + f(n - 2)", f"print(f({n}))"),
        ),
    )


@family(
    "combinatorics",
    "A $2 \\times {n}$ board is to be covered with $1 \\times 2$ dominoes and $2 \\times 2$ squares without overlap. "
    "In how many ways is this possible?",
    "Find the number of ways to pave a corridor, 2 metres by {n} metres, with square slabs of side 2 metres and with "
    "slabs of 1 metre by 2 metres in either direction.",
    "Let $a_n$ count the tilings of a $2 \\times n$ rectangle by dominoes and $2 \\times 2$ blocks. What is "
    "$a_{{{n}}}$?",
    "Two rows of {n} unit cells are filled by pieces of two kinds: dominoes, and squares of four cells. Determine the "
    "number of fillings.",
    held_out=True,
)
def dominoes_and_squares(random: Random) -> Case:
    n = random.randint(3, 16)
    answer = (2 ** (n + 1) + (-1) ** n) // 3
    f = [1, 1]
    while len(f) <= n:
        f.append(f[-1] + 2 * f[-2])
    return Case(
        {"n": n},
        answer,
        "The board ends with an upright domino, two flat dominoes or a square. So f(n) = f(n-1) + 2f(n-2) with f(0) = "
        f"f(1) = 1. The values are {', '.join(map(str, f))}. So f({n}) = {f[n]}.",
        (
            program("a, b = 1, 1", f"for _ in range({n} - 1):", "    a, b = b, b + 2 * a", "print(b)"),
            program("def f(n):", "    return 1 if n < 2 else f(n - 1) + 2 * f(n - 2)", f"print(f({n}))"),
        ),
    )


@family(
    "combinatorics",
    "How many paths lead from $(0,0)$ to $({x},{y})$ if each step goes one unit right or one unit up?",
    "In a town of square blocks the school lies {x} blocks east and {y} blocks north of Ida's home. How many shortest "
    "ways to school does she have?",
    "Find the number of strings with {x} letters R and {y} letters U.",
    "A robot repeats the commands EAST and NORTH until it has moved {x} cells east and {y} cells north. Determine the "
    "number of command sequences.",
    "Compute the number of lattice paths of length {sum} from the origin to $({x},{y})$.",
)
def grid_paths(random: Random) -> Case:
    x, y = random.randint(2, 10), random.randint(2, 8)
    row = [1] * (y + 1)
    for _ in range(x):
        for j in range(1, y + 1):
            row[j] += row[j - 1]
    return Case(
        {"x": x, "y": y, "sum": x + y},
        row[y],
        f"A path has {x + y} steps, and {x} of them go right. So there are C({x + y},{x}) = {comb(x + y, x)}.",
        (
            program(f"print(comb({x} + {y}, {x}))"),
            program(
                "def f(x, y):",
                "    return 1 if x == 0 or y == 0 else f(x - 1, y) + f(x, y - 1)",
                f"print(f({x}, {y}))",
            ),
        ),
    )


@family(
    "combinatorics",
    "Paths go from $(0,0)$ to $({x},{y})$ by unit steps right and up. How many of them avoid the point $({p},{q})$?",
    "An ant crawls on a grid from the corner $(0,0)$ to $({x},{y})$, one unit right or up at a time. A drop of glue "
    "lies at $({p},{q})$. Find the number of ways that do not touch the glue.",
    "The office is {x} streets east and {y} streets north of the station. The crossing {p} streets east and {q} "
    "streets north of the station is closed. How many shortest walks to the office remain?",
    "Let $A$ be the number of lattice paths from $(0,0)$ to $({x},{y})$ with steps $(1,0)$ and $(0,1)$, and let $B$ be "
    "the number of those through $({p},{q})$. Determine $A-B$.",
    "What is the number of shortest routes from $(0,0)$ to $({x},{y})$ along grid lines when ({p},{q}) is forbidden?",
)
def blocked_paths(random: Random) -> Case:
    x, y = random.randint(3, 9), random.randint(3, 9)
    p, q = random.randint(1, x - 1), random.randint(1, y - 1)
    ways = {(0, 0): 1}
    for i in range(x + 1):
        for j in range(y + 1):
            if i or j:
                ways[i, j] = 0 if (i, j) == (p, q) else ways.get((i - 1, j), 0) + ways.get((i, j - 1), 0)
    total, first, second = comb(x + y, x), comb(p + q, p), comb(x + y - p - q, x - p)
    return Case(
        {"x": x, "y": y, "p": p, "q": q},
        ways[x, y],
        f"All paths: C({x + y},{x}) = {total}. Through ({p},{q}): C({p + q},{p}) * C({x + y - p - q},{x - p}) = "
        f"{first} * {second} = {first * second}. The rest is {total} - {first * second} = {total - first * second}.",
        (
            program(
                f"total = comb({x} + {y}, {x})",
                f"through = comb({p} + {q}, {p}) * comb({x} - {p} + {y} - {q}, {x} - {p})",
                "print(total - through)",
            ),
            program(
                f"f = [[1] * ({y} + 1) for _ in range({x} + 1)]",
                f"for i in range({x} + 1):",
                f"    for j in range({y} + 1):",
                "        if i > 0 and j > 0:",
                "            f[i][j] = f[i - 1][j] + f[i][j - 1]",
                f"        if (i, j) == ({p}, {q}):",
                "            f[i][j] = 0",
                f"print(f[{x}][{y}])",
            ),
        ),
    )


@family(
    "combinatorics",
    "How many strings of length {n} over the letters A, B, C contain the letter A exactly {k} times?",
    "A traffic light is recorded {n} times; each record is red, yellow or green. Find the number of possible records "
    "with exactly {k} reds.",
    "Determine the number of sequences $(x_1, \\ldots, x_{{{n}}})$ with $x_i \\in \\{{0, 1, 2\\}}$ in which $0$ occurs "
    "exactly ${k}$ times.",
    "In a match of {n} rounds each round is won, drawn or lost. In how many ways can the match go if exactly {k} "
    "rounds are drawn?",
    "{who} paints {n} numbered fence posts, each white, blue or green. Exactly {k} posts shall be white. "
    "What is the number of possible paintings?",
)
def three_letter_strings(random: Random) -> Case:
    n = random.randint(3, 9)
    k = random.randint(0, n)
    answer = comb(n, k) * 2 ** (n - k)
    return Case(
        {"n": n, "k": k, "who": random.choice(["Olga", "Sven", "Rita", "Paul"])},
        answer,
        f"The {k} places can be chosen in C({n},{k}) = {comb(n, k)} ways. Each of the other {n - k} places has 2 "
        f"choices: 2^{n - k} = {2 ** (n - k)}. The number is {comb(n, k)} * {2 ** (n - k)} = {answer}.",
        (
            nested_count(f's in product("ABC", repeat={n})', where=f's.count("A") == {k}'),
            program(f"print(comb({n}, {k}) * 2 ** ({n} - {k}))"),
        ),
    )
