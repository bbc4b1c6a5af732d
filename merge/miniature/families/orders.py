"""Permutations and codes with a condition drawn from a list."""

from itertools import permutations, product
from random import Random

from merge.miniature.families.conditions import Condition
from merge.miniature.family import Case, family
from merge.miniature.idioms import nested_count, nested_count_expression


@family(
    "combinatorics",
    "How many permutations $(p_1, \\ldots, p_{{{n}}})$ of $1, 2, \\ldots, {n}$ have the property that {condition}?",
    "{n} runners with the start numbers 1 to {n} reach the finish one after another. In how many orders is it true that "
    "{condition}?",
    "The integers from 1 to {n} are written in a row in some order. Find the number of orders in which {condition}.",
    "A row of {n} lockers gets the labels 1, 2, ..., {n}, each once. Determine in how many ways this can be done such that "
    "{condition}.",
    "Suppose that the numbers $1$ to ${n}$ are shuffled. For how many of the possible results is it the case that "
    "{condition}?",
)
def permutations_with_condition(random: Random) -> Case:
    n = random.randint(4, 7)
    k = random.randint(2, n)
    it = random.choice(
        [
            Condition(f"1 comes before {k}", f"p.index(1) < p.index({k})", lambda p: k in p[p.index(1) :]),
            Condition("the last number is larger than the first", "p[-1] > p[0]", lambda p: p[0] - p[-1] < 0),
            Condition("the first number is even", "p[0] % 2 == 0", lambda p: p[0] in (2, 4, 6)),
            Condition(
                "the first and the last number are odd",
                "p[0] % 2 == 1 and p[-1] % 2 == 1",
                lambda p: {p[0], p[-1]} <= {1, 3, 5, 7},
            ),
            Condition(f"{k} is neither first nor last", f"p[0] != {k} and p[-1] != {k}", lambda p: k in p[1:-1]),
            Condition(
                "1, 2, 3 appear in this order",
                "p.index(1) < p.index(2) < p.index(3)",
                lambda p: [x for x in p if x < 4] == [1, 2, 3],
            ),
            Condition(
                f"the first two numbers add up to {n + 1}", f"p[0] + p[1] == {n} + 1", lambda p: n + 1 - p[0] == p[1]
            ),
            Condition(f"{k} does not stand at place {k}", f"p[{k} - 1] != {k}", lambda p: p.index(k) + 1 != k),
        ]
    )
    by_first = [
        sum(bool(it.holds(p)) for p in permutations(range(1, n + 1)) if p[0] == first) for first in range(1, n + 1)
    ]
    return Case(
        {"n": n, "condition": it.text},
        sum(by_first),
        f"We count by the first number. If it is 1, 2, ..., {n}, there are {', '.join(map(str, by_first))} good orders. The "
        f"sum is {sum(by_first)}.",
        (
            nested_count(f"p in permutations(range(1, {n} + 1))", where=it.code),
            nested_count_expression(f"p in permutations(range(1, {n} + 1))", where=it.code),
        ),
    )


@family(
    "combinatorics",
    "A code has {n} places, each with a digit from 1 to {k}. How many codes are there in which {condition}?",
    "Find the number of sequences of length {n} with terms in $\\{{1, \\ldots, {k}\\}}$ in which {condition}.",
    "{n} lamps in a row can shine in {k} colors, numbered 1 to {k}. In how many ways can the colors be set so that, read as "
    "a list of numbers, {condition}?",
    "A die with faces 1 to {k} is rolled {n} times and the results are noted in order. Determine how many records are "
    "possible in which {condition}.",
    "Let $N$ be the number of words with ${n}$ letters over an alphabet of ${k}$ letters $1, 2, \\ldots, {k}$ such that "
    "{condition}. Find $N$.",
)
def codes_with_condition(random: Random) -> Case:
    n, k = random.choice(
        [(3, 4), (3, 6), (3, 9), (4, 3), (4, 5), (4, 6), (5, 3), (5, 4), (5, 6), (6, 3), (6, 4), (7, 3), (8, 3)]
    )
    s = random.randint(n + 1, n * k - 1)
    it = random.choice(
        [
            Condition(
                "no two neighbors are equal",
                f"all(c[i] != c[i + 1] for i in range({n} - 1))",
                lambda c: not any(map(int.__eq__, c, c[1:])),
            ),
            Condition(f"the sum of all numbers is {s}", f"sum(c) == {s}", lambda c: s - sum(c[1:]) == c[0]),
            Condition("the first and the last number are equal", "c[0] == c[-1]", lambda c: c[-1] - c[0] == 0),
            Condition(
                "exactly two different numbers occur",
                "len(set(c)) == 2",
                lambda c: sum(x in c for x in range(1, k + 1)) == 2,
            ),
            Condition("the number 1 occurs at least once", "1 in c", lambda c: min(c) == 1),
            Condition("the number 1 occurs exactly twice", "c.count(1) == 2", lambda c: sum(x < 2 for x in c) == 2),
            Condition("the numbers never decrease", "list(c) == sorted(c)", lambda c: all(map(int.__le__, c, c[1:]))),
            Condition(
                "the product of all numbers is even",
                "any(x % 2 == 0 for x in c)",
                lambda c: bool({2, 4, 6, 8} & set(c)),
            ),
        ]
    )
    by_first = [
        sum(bool(it.holds(c)) for c in product(range(1, k + 1), repeat=n) if c[0] == first) for first in range(1, k + 1)
    ]
    return Case(
        {"n": n, "k": k, "condition": it.text},
        sum(by_first),
        f"There are {k}^{n} = {k**n} in all. If the first number is 1, 2, ..., {k}, there are "
        f"{', '.join(map(str, by_first))} good ones. The sum is {sum(by_first)}.",
        (
            nested_count(f"c in product(range(1, {k} + 1), repeat={n})", where=it.code),
            nested_count_expression(f"c in product(range(1, {k} + 1), repeat={n})", where=it.code),
        ),
    )
