"""First steps of composed problems: a number in words, its value, one worked sentence, and Python for it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb, factorial
from random import Random


@dataclass(frozen=True, slots=True)
class Step:
    """A number to be found first: in words ("the number of ..."), its value, one worked sentence, and Python for it."""

    text: str
    value: int
    why: str
    code: str


def choices(random: Random) -> Step:
    n, k = random.randint(5, 16), random.randint(2, 4)
    what = random.choice(["books", "cards", "players", "cities", "colors"])
    value = sum(1 for _ in combinations(range(n), k))
    return Step(
        f"the number of ways to choose {k} of {n} {what}", value, f"C({n},{k}) = {comb(n, k)}", f"comb({n}, {k})"
    )


def diagonals(random: Random) -> Step:
    n = random.randint(5, 60)
    value = sum(1 for i, j in combinations(range(n), 2) if (j - i) % n not in (1, n - 1))
    return Step(
        f"the number of diagonals of a convex {n}-gon",
        value,
        f"{n} * {n - 3} / 2 = {n * (n - 3) // 2}",
        f"{n} * ({n} - 3) // 2",
    )


def orders(random: Random) -> Step:
    n = random.randint(3, 7)
    what = random.choice(["people in a row", "books on a shelf", "runners at the finish"])
    value = 1
    for i in range(1, n + 1):
        value *= i
    return Step(f"the number of possible orders of {n} {what}", value, f"{n}! = {factorial(n)}", f"factorial({n})")


def subsets(random: Random) -> Step:
    n = random.randint(4, 12)
    value = len([s for k in range(n + 1) for s in combinations(range(n), k)])
    return Step(f"the number of subsets of a set with {n} elements", value, f"2^{n} = {2**n}", f"2**{n}")


def paths(random: Random) -> Step:
    x, y = random.randint(2, 6), random.randint(2, 6)
    text = f"the number of paths from $(0,0)$ to $({x},{y})$ with unit steps right or up"
    value = sum(1 for _ in combinations(range(x + y), x))
    return Step(text, value, f"C({x + y},{x}) = {comb(x + y, x)}", f"comb({x} + {y}, {x})")


def right_triangle(random: Random) -> Step:
    a, b = 2 * random.randint(2, 30), random.randint(3, 60)
    return Step(
        f"the area of a right triangle with legs {a} and {b}",
        sum([b] * a) // 2,
        f"{a} * {b} / 2 = {a * b // 2}",
        f"{a} * {b} // 2",
    )


def box_volume(random: Random) -> Step:
    a, b, c = (random.randint(2, 14) for _ in range(3))
    return Step(
        f"the volume of a box of {a} by {b} by {c}",
        sum([b * c] * a),
        f"{a} * {b} * {c} = {a * b * c}",
        f"{a} * {b} * {c}",
    )


def first_integers(random: Random) -> Step:
    n = random.randint(10, 90)
    return Step(
        f"the sum of the integers from 1 to {n}",
        sum(range(n + 1)),
        f"{n} * {n + 1} / 2 = {n * (n + 1) // 2}",
        f"sum(range(1, {n} + 1))",
    )


STEPS: tuple[Callable[[Random], Step], ...] = (
    choices,
    diagonals,
    orders,
    subsets,
    paths,
    right_triangle,
    box_volume,
    first_integers,
)


def first_step(random: Random, most: int = 99_999) -> Step:
    while True:
        step = random.choice(STEPS)(random)
        if step.value <= most:
            return step


def two_steps(random: Random) -> tuple[Step, Step]:
    one, two = random.sample(STEPS, 2)
    return one(random), two(random)


def words(step: Step) -> dict[str, str]:
    return {"first": step.text, "First": step.text[0].upper() + step.text[1:]}
