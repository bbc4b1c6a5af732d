"""Everyday stories drawn sentence by sentence: each sentence is one step of arithmetic, and the question comes last."""

from dataclasses import dataclass
from fractions import Fraction
from random import Random

from merge.miniature.families.shopping import GOODS, HE, SHE, person
from merge.miniature.family import Case, family
from merge.miniature.idioms import program

TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
PART = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
ASIDES: tuple[str, ...] = (
    "It is raining outside.",
    "The shop closes at 6 o'clock.",
    "{who} is {age} years old.",
    "{who} has {age} cousins.",
)
ASIDES += ("The bus ride takes {age} minutes.", "It is the {age}th day of the month.", "{who} lives at number {age}.")


def change_of_count(random: Random, x: int, goods: str) -> tuple[str, str, int]:
    """A sentence that changes a number of things, the expression in x that it stands for, and the new number."""
    k = random.randint(2, 30)
    packs, each = random.randint(2, 9), random.randint(2, 12)
    options = [
        (f"{{They}} buys {k} more.", f"x + {k}", x + k),
        (f"A friend gives {{them}} another {k}.", f"x + {k}", x + k),
        (
            f"{{They}} then gets {packs} boxes with {each} {goods} in each.",
            f"x + {packs} * {each}",
            x + sum([each] * packs),
        ),
        (f"On each of {packs} days {{they}} makes {each} new ones.", f"x + {packs} * {each}", x + sum([each] * packs)),
    ]
    if x * 3 < 600:
        options.append(("The next day the number doubles.", "x * 2", x + x))
    if x > k:
        options += [
            (f"{{They}} loses {k} of them.", f"x - {k}", x - k),
            (f"{{They}} uses up {k}.", f"x - {k}", x - k),
            (f"After that {k} turn out to be broken and are thrown away.", f"x - {k}", x - k),
        ]
    if x > packs * each:
        options.append(
            (f"{{They}} gives {each} to each of {packs} friends.", f"x - {packs} * {each}", x - each * packs)
        )
    for d in PART:
        if x % d == 0 and x > d:
            options.append((f"{{They}} gives away {PART[d]} of them.", f"x - x // {d}", int(x * (1 - Fraction(1, d)))))
            options.append(
                (f"Only {PART[d]} of them can be used, and the others are put aside.", f"x // {d}", int(Fraction(x, d)))
            )
    return random.choice(options)


@dataclass(frozen=True, slots=True)
class Story:
    """Sentences, the expression in x that each stands for, the number in the end, and the steps worked with numbers."""

    sentences: list[str]
    expressions: list[str]
    end: int
    worked: str


def story(random: Random, x: int, steps: int, goods: str) -> Story:
    sentences, expressions, worked = [], [], [f"At first x = {x}."]
    for _ in range(steps):
        sentence, expression, after = change_of_count(random, x, goods)
        sentences.append(sentence)
        expressions.append(expression)
        worked.append(f"{expression.replace('x', str(x)).replace('//', '/')} = {after}.")
        x = after
    return Story(sentences, expressions, x, " ".join(worked))


def aside(random: Random, who: str) -> str:
    """In four of ten stories a sentence that does not matter, with the space after it."""
    return random.choice(ASIDES).format(who=who, age=random.randint(4, 30)) + " " if random.random() < 0.4 else ""


@family(
    "word problems",
    "{who} has {n} {x}. {steps} How many {x} are there in the end?",
    "At first there are {n} {x} in {who}'s room. {aside}{steps} What is the number of {x} now?",
    "How many {x} does {who} have at last? {aside}{They} begins with {n}. {steps}",
    "{who} collects {x} and owns {n} of them. {steps} Find the number of {x} after all this.",
    "Yesterday {who} counted {n} {x}. {aside}Today a lot happens. {steps} Determine how many {x} remain.",
    "{n} {x} belong to {who}. {steps} {They} counts again. Which number does {they} get?",
)
def chain_of_changes(random: Random) -> Case:
    him = person(random)
    goods = random.choice(GOODS)
    n = random.randint(2, 12) * random.choice([2, 3, 4, 5, 6, 10])
    it = story(random, n, random.randint(2, 4), goods)
    asides = aside(random, him["who"])
    return Case(
        him | {"n": n, "x": goods, "steps": " ".join(it.sentences).format_map(him), "aside": asides},
        it.end,
        it.worked,
        (program(f"x = {n}", *(f"x = {expression}" for expression in it.expressions), "print(x)"),),
    )


@family(
    "word problems",
    "{who} makes {n} {x}. {steps} {They} sells what is left for ${p} each. How many dollars does {they} get?",
    "{who}'s shop has {n} {x}. {steps} All the {x} that remain are sold at ${p} apiece. Find the total income in dollars.",
    "How much money comes in when {who} sells all {their} {x} for {p} euros each? {They} had {n} in the morning. {steps}",
    "{who} starts the week with {n} {x}. {aside}{steps} On Sunday the rest is sold, every piece for {p} dollars. What is "
    "the sum of money received?",
    "One of {who}'s {x} costs {p} dollars. In the beginning there are {n} of them. {steps} Determine the value of all {x} "
    "that are there now, in dollars.",
)
def chain_then_price(random: Random) -> Case:
    him = person(random)
    goods = random.choice(GOODS)
    n, p = random.randint(2, 12) * random.choice([2, 3, 4, 5, 6, 10]), random.randint(2, 25)
    it = story(random, n, random.randint(1, 3), goods)
    asides = aside(random, him["who"])
    return Case(
        him | {"n": n, "x": goods, "p": p, "steps": " ".join(it.sentences).format_map(him), "aside": asides},
        sum([p] * it.end),
        f"{it.worked} They bring {it.end} * {p} = {it.end * p}.",
        (program(f"x = {n}", *(f"x = {expression}" for expression in it.expressions), f"print(x * {p})"),),
    )


def comparison(random: Random, names: list[str], values: list[int]) -> tuple[str, str, int]:
    """A sentence about the next person's number in terms of the earlier ones, as an expression in a, b, c and a value."""
    i = random.randrange(len(values))
    old, x, letter = names[i], values[i], "abc"[i]
    new = names[len(values)]
    k, t = random.randint(2, 40), random.choice(list(TIMES))
    options = [
        (f"{new} has {k} more than {old}.", f"{letter} + {k}", x + k),
        (f"{new} has {TIMES[t]} as many as {old}.", f"{t} * {letter}", sum([x] * t)),
        (f"{new} has {k} more than {TIMES[t]} the number of {old}.", f"{t} * {letter} + {k}", sum([x] * t) + k),
    ]
    if x > k:
        options.append((f"{new} has {k} fewer than {old}.", f"{letter} - {k}", x - k))
    options += [(f"{new} has {PART[d]} as many as {old}.", f"{letter} // {d}", x // d) for d in PART if x % d == 0]
    if len(values) > 1:
        options.append((f"{new} has as many as {names[0]} and {names[1]} together.", "a + b", sum(values[:2])))
    return random.choice(options)


@dataclass(frozen=True, slots=True)
class Friends:
    """Three or four people, the sentences that say how their numbers compare, and the Python for the numbers."""

    names: list[str]
    numbers: list[int]
    sentences: list[str]
    rows: list[str]
    worked: str


def friends(random: Random) -> Friends:
    names = random.sample(HE + SHE, 4)[: random.randint(3, 4)]
    n = random.randint(2, 15) * random.choice([2, 3, 4, 5, 6])
    numbers, sentences, rows, worked = [n], [], [f"a = {n}"], [f"{names[0]}: {n}."]
    while len(numbers) < len(names):
        sentence, expression, value = comparison(random, names, numbers)
        known = dict(zip("abc", map(str, numbers), strict=False))
        shown = "".join(known.get(letter, letter) for letter in expression).replace("//", "/")
        worked.append(f"{names[len(numbers)]}: {shown} = {value}.")
        rows.append(f"{'abcd'[len(numbers)]} = {expression}")
        sentences.append(sentence)
        numbers.append(value)
    return Friends(names, numbers, sentences, rows, " ".join(worked))


def told(random: Random, them: Friends) -> dict[str, str | int]:
    """The values of the phrasings about these people."""
    return {
        "first": them.names[0],
        "names": ", ".join(them.names[:-1]) + " and " + them.names[-1],
        "n": them.numbers[0],
        "x": random.choice(GOODS),
        "steps": " ".join(them.sentences),
        "extra": random.randint(2, 9),
    }


@family(
    "word problems",
    "{first} has {n} {x}. {steps} How many {x} do they have altogether?",
    "{names} collect {x}. {first} has {n}. {steps} Find the total number of {x}.",
    "How many {x} are there in all, if {first} has {n} and the following is true? {steps}",
    "Some friends put their {x} together. {steps} {first} has {n}. What is the size of the whole collection?",
    "{names} compare their {x}, which cost {extra} dollars each. {first} counts {n}. {steps} Determine how many {x} all of "
    "them own together.",
)
def chain_of_comparisons(random: Random) -> Case:
    them = friends(random)
    total = " + ".join("abcd"[: len(them.names)])
    return Case(
        told(random, them),
        sum(them.numbers),
        f"{them.worked} The total is {' + '.join(map(str, them.numbers))} = {sum(them.numbers)}.",
        (program(*them.rows, f"print({total})"), program(*them.rows, f"total = {total}", "print(total)")),
    )


@family(
    "word problems",
    "{first} has {n} {x}. {steps} How many more {x} has the one with the most than the one with the fewest?",
    "{names} count their {x}. {first} has {n}. {steps} Find the difference between the largest and the smallest number.",
    "By how much does the greatest of the following numbers of {x} exceed the least? {first} has {n}. {steps}",
    "The friend who owns the most {x} wins, the one who owns the fewest loses. {first} has {n}. {steps} How many {x} lie "
    "between winner and loser?",
    held_out=True,
)
def most_against_fewest(random: Random) -> Case:
    them = friends(random)
    low, *_, high = sorted(them.numbers)
    letters = ", ".join("abcd"[: len(them.names)])
    return Case(
        told(random, them),
        high - low,
        f"{them.worked} The difference is {high} - {low} = {high - low}.",
        (
            program(*them.rows, f"print(max({letters}) - min({letters}))"),
            program(*them.rows, f"numbers = [{letters}]", "print(max(numbers) - min(numbers))"),
        ),
    )


@family(
    "word problems",
    "{who} practises the piano {a} minutes on every weekday and {b} minutes on Saturday and on Sunday. How many minutes does "
    "{they} practise in {w} weeks?",
    "A cafe sells {a} cakes a day from Monday to Friday and {b} a day on the weekend. Find the number of cakes sold in {w} "
    "weeks.",
    "In {w} weeks, how many kilometres does {who} run if {they} runs {a} on each of the five working days and {b} on each of "
    "the other two days?",
    "The bridge counts {a} boats daily, but {b} boats on Saturdays and Sundays. {who} watches it for {w} full weeks. Determine "
    "the number of boats.",
    held_out=True,
)
def weekdays_and_weekends(random: Random) -> Case:
    a, b = random.sample(range(3, 90), 2)
    w = random.randint(2, 12)
    answer = sum(a if day % 7 < 5 else b for day in range(7 * w))
    week = 5 * a + 2 * b
    return Case(
        person(random) | {"a": a, "b": b, "w": w},
        answer,
        f"A week has 5 * {a} + 2 * {b} = {5 * a} + {2 * b} = {week}. In {w} weeks this is {w} * {week} = {w * week}.",
        (program(f"week = 5 * {a} + 2 * {b}", f"print({w} * week)"), program(f"print({w} * (5 * {a} + 2 * {b}))")),
    )
