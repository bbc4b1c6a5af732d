"""Everyday stories about ages, ratios, percentages and averages."""

from fractions import Fraction
from random import Random

from merge.miniature.families.shopping import HE, SHE, person
from merge.miniature.family import Case, family
from merge.miniature.idioms import program


@family(
    "word problems",
    "{who} is {k} times as old as {friend}. In {t} years the sum of their ages will be {s}. How old is {who} now?",
    "A father is {k} times as old as his child. {t} years from now they will be {s} years old together. Find the father's "
    "present age.",
    "Let $x$ be the age of a tree and ${k}x$ that of a house. After another {t} years both ages add up to {s}. How many "
    "years old is the house?",
    "{friend} and {who} will be {s} years old altogether in {t} years. Today {who}'s age is {k} times {friend}'s age. "
    "Determine the age of {who} today.",
    "What is the present age of a teacher who is {k} times as old as a pupil, if in {t} years their ages will have the "
    "sum {s}?",
)
def ages(random: Random) -> Case:
    young, k, t = random.randint(2, 25), random.randint(2, 6), random.randint(1, 15)
    s = young + t + k * young + t
    now = s - 2 * t
    him = person(random)
    friend = random.choice([name for name in HE + SHE if name != him["who"]])
    return Case(
        him | {"k": k, "t": t, "s": s, "friend": friend},
        k * young,
        f"Now the sum is {s} - 2 * {t} = {now}. It is {k} + 1 = {k + 1} times the younger age, which is {now} / {k + 1} = "
        f"{now // (k + 1)}. The older one is {k} * {now // (k + 1)} = {k * (now // (k + 1))}.",
        (
            program(f"for x in range({s}):", f"    if x + {t} + {k} * x + {t} == {s}:", f"        print({k} * x)"),
            program(f"print(({s} - 2 * {t}) // ({k} + 1) * {k})"),
        ),
    )


@family(
    "word problems",
    "{total} dollars are shared by {who}, {friend} and {other} in the ratio {a}:{b}:{c}. How much more than {who} does "
    "{other} get?",
    "Paint is mixed from white, red and blue in the ratio {a}:{b}:{c}. By how many litres does the blue exceed the white "
    "in {total} litres of the mixture?",
    "Split {total} into three parts proportional to {a}, {b} and {c}. Find the difference between the last and the first "
    "part.",
    "A will of {extra} pages leaves {total} euros to three heirs in the ratio ${a}:{b}:{c}$. Determine how many euros the "
    "third gets above the share of the first.",
    "For every {a} points that the first team made, the second made {b} and the third {c}. They made {total} points in "
    "all. How many points is the third team ahead of the first?",
)
def shares(random: Random) -> Case:
    a, b, c = sorted(random.sample(range(1, 13), 3))
    if random.random() < 0.5:
        a, b = b, a
    unit = random.randint(2, 60)
    total = (a + b + c) * unit
    him = person(random)
    friend, other = random.sample([name for name in HE + SHE if name != him["who"]], 2)
    return Case(
        him | {"a": a, "b": b, "c": c, "total": total, "friend": friend, "other": other, "extra": random.randint(2, 9)},
        c * unit - a * unit,
        f"There are {a} + {b} + {c} = {a + b + c} parts, and one part is {total} / {a + b + c} = {unit}. The difference "
        f"is {c} - {a} = {c - a} parts, that is {c - a} * {unit} = {(c - a) * unit}.",
        (
            program(f"part = {total} // ({a} + {b} + {c})", f"print({c} * part - {a} * part)"),
            program(f"print({total} * ({c} - {a}) // ({a} + {b} + {c}))"),
        ),
    )


@family(
    "word problems",
    "{who} has {p}% of {n} exercises right, and {friend} has {k} more right than {who}. How many exercises does {friend} "
    "have wrong?",
    "{p}% of the {n} pupils of a school play chess. The choir, which has met for {extra} years, counts {k} pupils more "
    "than the chess club. How many pupils do not sing in the choir?",
    "Of {n} seats in a hall {p} percent are taken on Friday, and {k} more seats are taken on Saturday than on Friday. Find "
    "the number of empty seats on Saturday.",
    "A tower of {n} blocks loses {p}% of them. A second tower of {n} blocks loses {k} blocks more than the first one. "
    "Determine how many blocks the second tower has left.",
    "What remains of {n} dollars if one spends {p}% of the {n} dollars and {k} dollars more?",
)
def percent_and_more(random: Random) -> Case:
    p = random.choice([5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60])
    n = random.randint(2, 40) * 20
    part = n * p // 100
    k = random.randint(1, n - part)
    answer = int(n - Fraction(n * p, 100) - k)
    him = person(random)
    friend = random.choice([name for name in HE + SHE if name != him["who"]])
    return Case(
        him | {"n": n, "p": p, "k": k, "friend": friend, "extra": random.randint(2, 30)},
        answer,
        f"{p}% of {n} is {n} * {p} / 100 = {part}. Then {part} + {k} = {part + k}. The rest is {n} - {part + k} = "
        f"{n - part - k}.",
        (
            program(f"first = {n} * {p} // 100", f"second = first + {k}", f"print({n} - second)"),
            program(f"print({n} - {n} * {p} // 100 - {k})"),
        ),
    )


@family(
    "word problems",
    "After {n} tests {who}'s average is {avg}. How many points must {they} get in the next test to raise the average to "
    "{goal}?",
    "{n} numbers have the mean {avg}. Together with one more number the mean is {goal}. Find this number.",
    "A team of {n} players has an average age of {avg}. When the coach is counted as well, the average is {goal}. How old "
    "is the coach?",
    "Let $x_1, \\ldots, x_{{{n}}}$ have arithmetic mean ${avg}$. For which $y$ do these numbers and $y$ together have the "
    "mean ${goal}$?",
    held_out=True,
)
def next_test(random: Random) -> Case:
    n, avg, up = random.randint(2, 15), random.randint(10, 80), random.randint(1, 5)
    goal = avg + up
    answer = avg + up * (n + 1)
    return Case(
        person(random) | {"n": n, "avg": avg, "goal": goal},
        answer,
        f"So far the sum is {n} * {avg} = {n * avg}. It must become {n + 1} * {goal} = {(n + 1) * goal}. The difference is "
        f"{(n + 1) * goal} - {n * avg} = {(n + 1) * goal - n * avg}.",
        (
            program(f"old = {n} * {avg}", f"new = ({n} + 1) * {goal}", "print(new - old)"),
            program(f"print(({n} + 1) * {goal} - {n} * {avg})"),
        ),
    )
