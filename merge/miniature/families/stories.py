"""Everyday stories with a chain of small steps: fractions that are given away, multiples, ages, shares, pages."""

from fractions import Fraction
from random import Random

from merge.miniature.families.shopping import GOODS, HE, SHE, person
from merge.miniature.family import Case, family
from merge.miniature.idioms import program

PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 8: "an eighth"}


@family(
    "word problems",
    "{who} has {n} {x}. {They} gives {part} of them to a neighbor and then sells {k} of the others. Half of what is left "
    "goes to a school. How many {x} does {they} keep?",
    "Of {n} {x} in a store {part} are sold in the morning and {k} at noon. In the afternoon half of the rest is sold. "
    "How many {x} remain?",
    "From {n} take away {part} of it, then {k}, then half of what remains. What number is left?",
    "A truck with {n} {x} makes three stops. At the first {part} of the load is taken off, at the second {k} pieces, at "
    "the third half of what is still there. The whole tour is {extra} miles long. Find the number of {x} that come back.",
    "Let {who} own {n} {x}. After {part} of them broke, {k} more were lost and half of the remaining ones were given "
    "away, how many are there?",
    "How many {x} stay in a box of {n} if first {part} of the {x}, next {k} {x} and last one half of the remaining {x} "
    "are removed?",
)
def giving_away(random: Random) -> Case:
    d = random.choice(list(PARTS))
    n = d * random.randint(6, 60)
    rest = n - n // d
    k = random.randint(1, rest - 4)
    k += (rest - k) % 2
    answer = int((n * (1 - Fraction(1, d)) - k) / 2)
    return Case(
        person(random)
        | {"n": n, "k": k, "part": PARTS[d], "x": random.choice(GOODS), "extra": random.randint(20, 300)},
        answer,
        f"First {n} / {d} = {n // d} go, so {n} - {n // d} = {rest} are left. Then {rest} - {k} = {rest - k}. Half of "
        f"that is {rest - k} / 2 = {(rest - k) // 2}.",
        (
            program(f"left = {n} - {n} // {d}", f"left = left - {k}", "left = left // 2", "print(left)"),
            program(f"print(({n} - {n} // {d} - {k}) // 2)"),
        ),
    )


@family(
    "word problems",
    "{who} has {n} {x}. {friend} has {k} times as many, and {other} has {m} fewer than {friend}. How many {x} do the "
    "three have together?",
    "On Monday {n} {x} were sold, on Tuesday {k} times that number, and on Wednesday {m} less than on Tuesday. Find the "
    "number sold on the three days.",
    "{other} collected {m} {x} fewer than {friend}, who collected {k} times as many as {who}. {who} is {extra} years old "
    "and collected {n}. What is the total for all three?",
    "Let $a={n}$, let $b$ be ${k}$ times $a$ and let $c$ be ${m}$ less than $b$. Compute $a+b+c$.",
    "A red box contains {n} {x}. In a blue box there are {k} times as many, in a green box {m} fewer than in the blue "
    "one. How many {x} are in the boxes in all?",
    "How many {x} do {who}, {friend} and {other} own altogether if {who} owns {n}, {friend} {k} times that amount, and "
    "{other} {m} fewer than {friend}?",
)
def times_as_many(random: Random) -> Case:
    n, k = random.randint(3, 90), random.randint(2, 7)
    m = random.randint(1, n * k - 1)
    friend, other = random.sample(HE + SHE, 2)
    him = person(random)
    while him["who"] in (friend, other):
        him = person(random)
    answer = n * (2 * k + 1) - m
    b = k * n
    return Case(
        him
        | {
            "n": n,
            "k": k,
            "m": m,
            "friend": friend,
            "other": other,
            "x": random.choice(GOODS),
            "extra": random.randint(7, 15),
        },
        answer,
        f"The second is {k} * {n} = {b}. The third is {b} - {m} = {b - m}. The total is {n} + {b} + {b - m} = "
        f"{n + b + b - m}.",
        (
            program(f"a = {n}", f"b = {k} * a", f"c = b - {m}", "print(a + b + c)"),
            program(f"print({n} + {k} * {n} + {k} * {n} - {m})"),
        ),
    )


@family(
    "word problems",
    "A book has {n} pages. {who} reads {a} pages a day for {d} days and then {b} pages a day. On how many days does {they} "
    "read in all, if the last day may be shorter?",
    "{who} must write {n} cards. For {d} days {they} writes {a} a day, afterwards {b} a day until all are done. How many "
    "days does it take?",
    "A road of {n} metres is built at {a} metres a day for {d} days, and from then on at {b} metres a day by {extra} "
    "workers. Find the day on which it is finished.",
    "How many days are needed for {n} tasks if {a} are done on each of the first {d} days and at most {b} on every later "
    "day?",
    "After {d} days with {a} pieces each, a puzzler lays {b} pieces per day. The puzzle has {n} pieces. Determine the "
    "number of days from start to end.",
)
def days_to_finish(random: Random) -> Case:
    a, b, d = random.randint(5, 40), random.randint(5, 60), random.randint(2, 9)
    n = a * d + random.randint(b, 12 * b)
    done = days = 0
    while done < n:
        done += a if days < d else b
        days += 1
    left = n - a * d
    return Case(
        person(random) | {"n": n, "a": a, "b": b, "d": d, "extra": random.randint(4, 30)},
        days,
        f"The first {d} days give {d} * {a} = {a * d}. There remain {n} - {a * d} = {left}. {left} / {b} is "
        f"{left / b:.2f}, so {-(-left // b)} more days. In all {d} + {-(-left // b)} = {d - (-left // b)}.",
        (
            program(f"left = {n} - {d} * {a}", f"more = -(-left // {b})", f"print({d} + more)"),
            program(
                "days = 0",
                "done = 0",
                f"while done < {n}:",
                "    days += 1",
                f"    done += {a} if days <= {d} else {b}",
                "print(days)",
            ),
        ),
    )


@family(
    "word problems",
    "{who} bakes {n} muffins a day. {They} eats {a} of them, gives {b} to a friend and sells the rest for ${p} each. How "
    "many dollars does {they} take in {d} days?",
    "Every day {who}'s hens lay {n} eggs. The family uses {a} and the dog gets {b}. The other eggs are sold at {p} cents "
    "each. What do the sales of {d} days bring, in cents?",
    "A stall has {n} bunches of flowers each day, of which {a} wither and {b} are given away. The remaining bunches sell "
    "for {p} euros. Find the income of {d} days in euros.",
    "{d} days long a gardener picks {n} melons daily, keeps {a} and {b} of them for two neighbors, and sells every other "
    "melon for {p} dollars. How much money is earned?",
    "Suppose that of {n} daily newspapers {a} stay unsold and {b} get wet, while each of the others makes a profit of {p} "
    "cents. With {extra} streets to walk, what is the profit of {d} days, in cents?",
)
def daily_sales(random: Random) -> Case:
    n, p, d = random.randint(12, 90), random.randint(2, 30), random.randint(2, 14)
    a, b = random.randint(1, n // 3), random.randint(1, n // 3)
    answer = sum((n - a - b) * p for _ in range(d))
    rest = n - a - b
    return Case(
        person(random) | {"n": n, "a": a, "b": b, "p": p, "d": d, "extra": random.randint(3, 20)},
        answer,
        f"Each day {n} - {a} - {b} = {rest} are sold. They bring {rest} * {p} = {rest * p}. In {d} days this is {d} * "
        f"{rest * p} = {d * rest * p}.",
        (
            program(f"sold = {n} - {a} - {b}", f"day = sold * {p}", f"print(day * {d})"),
            program(f"print(({n} - {a} - {b}) * {p} * {d})"),
        ),
    )


@family(
    "word problems",
    "{who} needs {a} eggs for {b} cakes. Eggs come in boxes of {c}. How many boxes must {they} buy for {m} cakes?",
    "{b} tents take {a} poles, and poles are sold in packs of {c}. Find the least number of packs for {m} tents.",
    "How many rolls of {c} metres of cloth are needed for {m} curtains, if {b} curtains need {a} metres?",
    "Suppose that {b} batches of soap use {a} cups of oil and that a bottle has {c} cups. Determine how many bottles "
    "{who} opens for {m} batches.",
    held_out=True,
)
def boxes_for_cakes(random: Random) -> Case:
    b, each, c = random.randint(2, 6), random.randint(2, 6), random.choice([4, 6, 8, 9, 10, 12, 15])
    a, m = b * each, random.randint(7, 60)
    need = each * m
    answer = len(range(0, need, c))
    return Case(
        person(random) | {"a": a, "b": b, "c": c, "m": m},
        answer,
        f"One needs {a} / {b} = {each}, so {m} need {m} * {each} = {need}. {need} / {c} is {need / c:.2f}, rounded up "
        f"{-(-need // c)}.",
        (
            program(f"need = {m} * {a} // {b}", f"print(-(-need // {c}))"),
            program("from math import ceil", f"print(ceil({m} * {a} / {b} / {c}))"),
        ),
    )
