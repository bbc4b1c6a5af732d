"""Choosing: committees, subsets, coins, sums of several unknowns."""

from itertools import combinations
from math import comb
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import nested_count, nested_count_expression, program


@family(
    "combinatorics",
    "A club has {b} boys and {g} girls. How many teams of {k} members have at least {x} boys and at least {y} girls?",
    "A team of {k} is picked from {b} violinists and {g} pianists, with no fewer than {x} violinists and no fewer than "
    "{y} pianists. Find the number of possible teams.",
    "Determine the number of {k}-element subsets of a set of ${b}$ red and ${g}$ blue points that contain at least "
    "${x}$ red points and at least ${y}$ blue points.",
    "Suppose that {b} mathematicians and {g} physicists apply for {k} equal places. At least {x} places go to "
    "mathematicians and at least {y} to physicists. How many choices of the {k} people are there?",
    "In how many ways can a coach, who has {b} defenders and {g} attackers and trains them since {year}, choose {k} "
    "players so that {x} or more are defenders and {y} or more are attackers?",
)
def mixed_team(random: Random) -> Case:
    b, g, k = random.randint(4, 10), random.choice([4, 5, 6, 7, 8, 10]), random.randint(3, 6)
    x = random.randint(1, 2)
    y = random.randint(1, k - x)
    answer = sum(x <= sum(p < b for p in team) <= k - y for team in combinations(range(b + g), k))
    terms = [(i, comb(b, i) * comb(g, k - i)) for i in range(x, k - y + 1)]
    return Case(
        {"b": b, "g": g, "k": k, "x": x, "y": y, "year": random.randint(1980, 2020)},
        answer,
        f"There can be {x} to {k - y} of the first kind. "
        + " ".join(f"C({b},{i}) * C({g},{k - i}) = {ways}." for i, ways in terms)
        + f" The sum is {sum(ways for _, ways in terms)}.",
        (
            program(
                "count = 0",
                f"for a in range({k} + 1):",
                f"    b = {k} - a",
                f"    if a >= {x} and b >= {y}:",
                f"        count += comb({b}, a) * comb({g}, b)",
                "print(count)",
            ),
            program(f"print(sum(comb({b}, a) * comb({g}, {k} - a) for a in range({x}, {k} - {y} + 1)))"),
        ),
    )


@family(
    "combinatorics",
    "A board of {k} is chosen from {n} people. Ann and Bob refuse to serve together. How many boards are possible?",
    "Let $S = \\{{1, 2, \\ldots, {n}\\}}$. Find the number of subsets of $S$ with ${k}$ elements that do not contain "
    "both $1$ and $2$.",
    "Of {n} different books I may take {k} on holiday, but not both the atlas and the dictionary, which are too heavy. "
    "In how many ways can I choose?",
    "What is the number of ways to select {k} out of {n} spices if pepper and cinnamon, two of them, must not be used "
    "together?",
    "Two of {n} dancers have quarrelled. Compute how many groups of {k} dancers leave at least one of these two out.",
)
def quarrelling_pair(random: Random) -> Case:
    n, k = random.randint(6, 18), random.randint(3, 5)
    answer = sum(not (0 in team and 1 in team) for team in combinations(range(n), k))
    return Case(
        {"n": n, "k": k},
        answer,
        f"There are C({n},{k}) = {comb(n, k)} choices in all. With both of the pair, {k - 2} more come from {n - 2}: "
        f"C({n - 2},{k - 2}) = {comb(n - 2, k - 2)}. So the number is {comb(n, k)} - {comb(n - 2, k - 2)} = "
        f"{comb(n, k) - comb(n - 2, k - 2)}.",
        (
            nested_count(f"c in combinations(range({n}), {k})", where="not (0 in c and 1 in c)"),
            program(f"print(comb({n}, {k}) - comb({n} - 2, {k} - 2))"),
        ),
    )


@family(
    "combinatorics",
    "How many triples $(a, b, c)$ of non-negative integers satisfy $a + b + c = {n}$ and $c \\le {m}$?",
    "Find the number of ways to put {n} equal balls into three different boxes when the third box holds at most {m} "
    "balls. Boxes may stay empty.",
    "Three children share {n} identical sweets. The youngest gets at most {m}, and a child may get none. "
    "How many outcomes are there?",
    "Let $a, b, c \\ge 0$ be integers with $c \\le {m}$. Determine the number of solutions of $a + b + c = {n}$.",
    "{n} identical coins are dropped into a red, a green and a blue jar, never more than {m} into the blue one. "
    "Compute the number of possible results.",
)
def three_boxes(random: Random) -> Case:
    n = random.randint(8, 60)
    m = random.randint(2, n - 2)
    answer = comb(n + 2, 2) - comb(n - m + 1, 2)
    return Case(
        {"n": n, "m": m},
        answer,
        f"For a given c there are {n} - c + 1 choices of a, and then b is fixed. For c = 0 to {m} the counts are "
        f"{n + 1}, {n}, ..., {n - m + 1}. Their sum is {m + 1} * ({n + 1} + {n - m + 1}) / 2 = {answer}.",
        (
            nested_count(
                f"a in range({n} + 1)",
                f"b in range({n} + 1)",
                f"c in range({m} + 1)",
                where=f"a + b + c == {n}",
            ),
            program(f"print(sum({n} - c + 1 for c in range({m} + 1)))"),
        ),
    )


@family(
    "combinatorics",
    "In how many ways can {n} cents be paid with coins of {p}, {q} and {r} cents?",
    "Find the number of triples $(x, y, z)$ of non-negative integers with ${p}x + {q}y + {r}z = {n}$.",
    "A machine takes tokens worth {p}, {q} and {r} points. A ride costs exactly {n} points. How many combinations of "
    "tokens pay for it?",
    "Let $x, y, z$ be integers that are at least 0. Determine how many solutions the equation "
    "${n} = {p}x + {q}y + {r}z$ has.",
    "A wall of length {n} is to be filled by planks of lengths {p}, {q} and {r}. Counting only how many planks of each "
    "length are used, how many choices are there?",
)
def ways_to_pay(random: Random) -> Case:
    p, q, r = sorted(random.sample([2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25], 3))
    n = random.randint(3 * r, min(200, 12 * r))
    ways = [1] + [0] * n
    for coin in (p, q, r):
        for total in range(coin, n + 1):
            ways[total] += ways[total - coin]
    counts = [sum((n - r * z - q * y) % p == 0 for y in range((n - r * z) // q + 1)) for z in range(n // r + 1)]
    return Case(
        {"n": n, "p": p, "q": q, "r": r},
        ways[n],
        f"Let z be the number of the {r}s, from 0 to {n // r}. For each z we count the y for which "
        f"{n} - {r}z - {q}y is at least 0 and divisible by {p}. This gives {' + '.join(map(str, counts))} = {sum(counts)}.",
        (
            nested_count(
                f"x in range({n} // {p} + 1)",
                f"y in range({n} // {q} + 1)",
                f"z in range({n} // {r} + 1)",
                where=f"{p} * x + {q} * y + {r} * z == {n}",
            ),
            program(
                f"ways = [1] + [0] * {n}",
                f"for c in ({p}, {q}, {r}):",
                f"    for t in range(c, {n} + 1):",
                "        ways[t] += ways[t - c]",
                f"print(ways[{n}])",
            ),
        ),
    )


@family(
    "combinatorics",
    "Find the number of subsets of $\\{{1, 2, \\ldots, {n}\\}}$ in which no two elements differ by 1.",
    "{n} lamps stand in a row. How many on-off patterns have no two neighbouring lamps on?",
    "A set of positive integers, none above ${n}$, is called lonely if it never holds both $k$ and $k+1$. The empty "
    "set is lonely. Determine the number of lonely sets.",
    "Benches stand in a line of {n}. Nobody sits next to an occupied bench. Compute the number of ways in which the "
    "benches can be occupied, no bench at all being one of them.",
    "How many binary strings of length {n} do not contain 11?",
)
def no_two_neighbours(random: Random) -> Case:
    n = random.choice([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17])
    answer = sum(comb(n + 1 - k, k) for k in range(n + 1) if k <= n + 1 - k)
    a, b = 1, 2
    terms = [a, b]
    for _ in range(n - 1):
        a, b = b, a + b
        terms.append(b)
    return Case(
        {"n": n},
        answer,
        f"Let f(n) be the number. Without the last element there are f(n-1), with it f(n-2), so f(n) = f(n-1) + "
        f"f(n-2) with f(0) = 1 and f(1) = 2. The values are {', '.join(map(str, terms))}. So f({n}) = {terms[-1]}.",
        (
            nested_count(f"s in range(2**{n})", where="s & (s >> 1) == 0"),
            program("a, b = 1, 2", f"for _ in range({n} - 1):", "    a, b = b, a + b", "print(b)"),
        ),
    )


@family(
    "combinatorics",
    "How many {k}-element subsets of $\\{{1, 2, \\ldots, {n}\\}}$ have a sum divisible by ${m}$?",
    "From cards numbered 1 to {n} we take {k} at once. In how many ways is the total a multiple of {m}?",
    "Find the number of ways to choose {k} different integers from 1 to {n} such that their sum leaves no remainder "
    "when divided by {m}.",
    "Determine how many sets $A \\subset \\{{1, \\ldots, {n}\\}}$ with $|A| = {k}$ satisfy "
    "$\\sum_{{a \\in A}} a \\equiv 0 \\pmod{{{m}}}$.",
    held_out=True,
)
def subsets_with_sum_multiple(random: Random) -> Case:
    n, k, m = random.randint(8, 20), random.randint(3, 4), random.randint(3, 11)
    ways = {(0, 0): 1}
    for x in range(1, n + 1):
        for (size, rest), count in list(ways.items()):
            key = (size + 1, (rest + x) % m)
            ways[key] = ways.get(key, 0) + count
    answer = ways.get((k, 0), 0)
    return Case(
        {"n": n, "k": k, "m": m},
        answer,
        f"There are C({n},{k}) = {comb(n, k)} choices. Going through them, a sum divisible by {m} occurs exactly "
        f"{answer} times, so the number is {answer}.",
        (
            nested_count(f"c in combinations(range(1, {n} + 1), {k})", where=f"sum(c) % {m} == 0"),
            nested_count_expression(f"c in combinations(range(1, {n} + 1), {k})", where=f"sum(c) % {m} == 0"),
        ),
    )
