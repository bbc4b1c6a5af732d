"""Everyday stories about money: prices, change, discounts, wages, savings, and tickets of two kinds."""

from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import program

GOODS: tuple[str, ...] = (
    "apples",
    "pencils",
    "candles",
    "cups",
    "plates",
    "toy cars",
    "scarves",
    "tomatoes",
    "lamps",
    "chairs",
    "roses",
)
GOODS += ("sandwiches", "hats", "bottles of juice", "rulers", "magazines", "puzzles", "brushes", "towels", "batteries")
SHE = ("Anna", "Maria", "Julia", "Sofia", "Lena", "Rosa", "Grace", "Tara", "Nadia", "Helen")
HE = ("Peter", "Luis", "Adam", "Oscar", "Henry", "Ivan", "Jacob", "Samuel", "Victor", "Eric")


def person(random: Random) -> dict[str, str]:
    """A name with its pronouns: `who`, `they` (he or she), `their` (his or her), `They` at the start of a sentence."""
    if random.random() < 0.5:
        return {"who": random.choice(SHE), "they": "she", "their": "her", "them": "her", "They": "She", "Their": "Her"}
    return {"who": random.choice(HE), "they": "he", "their": "his", "them": "him", "They": "He", "Their": "His"}


@family(
    "word problems",
    "{who} buys {a} {x} at ${p} each and {b} {y} at ${q} each. {They} pays with a ${note} bill. How much change does "
    "{they} get, in dollars?",
    "At a market {x} cost {p} dollars apiece and {y} cost {q} dollars apiece. How many dollars of {their} {note} "
    "dollars does {who} have left after buying {a} {x} and {b} {y}?",
    "How much money remains from {note} dollars if {a} {x} are bought for {p} dollars each and then {b} {y} for {q} "
    "dollars each?",
    "{who} needs {b} {y} and {a} {x} for a party of {extra} guests. One of the {y} costs {q} euros, one of the {x} "
    "{p} euros. {They} takes {note} euros to the shop. Find the number of euros {they} brings home.",
    "The price of {x} is ${p} each and that of {y} is ${q} each. {who}, who is {extra} years old, pays ${note} for {a} "
    "{x} and {b} {y}. What change is due?",
)
def change_from_note(random: Random) -> Case:
    a, p, b, q = random.randint(2, 15), random.randint(2, 12), random.randint(2, 15), random.randint(2, 12)
    cost = sum([p] * a) + sum([q] * b)
    note = next(n for n in (50, 100, 150, 200, 250, 500) if n >= cost)
    x, y = random.sample(GOODS, 2)
    first, second = a * p, b * q
    return Case(
        person(random) | {"a": a, "b": b, "p": p, "q": q, "x": x, "y": y, "note": note, "extra": random.randint(8, 60)},
        note - cost,
        f"The {x} cost {a} * {p} = {first} and the {y} cost {b} * {q} = {second}. Together this is {first} + {second} = "
        f"{first + second}. The change is {note} - {first + second} = {note - first - second}.",
        (
            program(f"cost = {a} * {p} + {b} * {q}", f"change = {note} - cost", "print(change)"),
            program(f"print({note} - {a} * {p} - {b} * {q})"),
        ),
    )


@family(
    "word problems",
    "A coat costs ${price}. In a sale it is reduced by {d}%, and with a voucher {who} gets another {e}% off the sale "
    "price. How many dollars does {they} pay?",
    "{who} sees a bicycle for {price} dollars. The shop takes {d}% off, and members, as {they} is since {year}, get "
    "{e}% off what is left. What does the bicycle cost {who}?",
    "What is the final price of a ${price} television after a discount of {d}% followed by a discount of {e}%?",
    "The rent of a hall is {price} dollars. First it drops by {d} percent. Then the new rent drops by {e} percent. "
    "Find the rent after both changes, in dollars.",
    "Find the number that remains when ${price}$ is first diminished by ${d}\\%$ of itself and the result by ${e}\\%$ "
    "of itself.",
    "{who} bargains. A carpet marked {price} dollars becomes {d}% cheaper, and since it has a stain, that amount "
    "becomes {e}% cheaper again. How much is paid in the end?",
)
def two_discounts(random: Random) -> Case:
    d, e = random.choice([10, 20, 25, 30, 40, 50, 75]), random.choice([10, 20, 25, 30, 40, 50])
    price = random.randint(1, 12) * random.choice([100, 200, 400])
    while price * (100 - d) * (100 - e) % 10_000:
        price += 100
    first = price * d // 100
    left = price - first
    second = left * e // 100
    return Case(
        person(random) | {"price": price, "d": d, "e": e, "year": random.randint(1990, 2022)},
        price * (100 - d) * (100 - e) // 10_000,
        f"{d}% of {price} is {first}, so {price} - {first} = {left} remains. {e}% of {left} is {second}, so the final "
        f"price is {left} - {second} = {left - second}.",
        (
            program(
                f"price = {price}",
                f"price = price - price * {d} // 100",
                f"price = price - price * {e} // 100",
                "print(price)",
            ),
            program(f"print({price} * (100 - {d}) * (100 - {e}) // 10000)"),
        ),
    )


@family(
    "word problems",
    "{who} earns ${w} an hour for the first {n} hours of a week and ${v} for every hour beyond. Last week {they} "
    "worked {h} hours. How many dollars did {they} earn?",
    "How much does {who} make in a week with {h} hours of work if up to {n} hours are paid at {w} dollars and all "
    "further hours at {v} dollars?",
    "A plumber's hourly wage is {w} dollars. Overtime, that is the time beyond {n} hours, is paid at {v} dollars an "
    "hour. The plumber has {extra} customers and works {h} hours. Find the wage in dollars.",
    "{who} worked {h} hours in the bakery. The contract says: {n} hours at ${w}, the rest at ${v}. Calculate "
    "{their} pay.",
    "For {h} hours on duty {who} is paid in two parts: {n} hours at the normal rate of {w} euros, and the remaining "
    "hours at the night rate of {v} euros. What is the total pay in euros?",
)
def overtime(random: Random) -> Case:
    w, n = random.randint(8, 30), random.choice([20, 25, 30, 35, 38, 40])
    v, h = w + random.randint(2, 12), n + random.randint(2, 20)
    answer = sum(w if hour < n else v for hour in range(h))
    return Case(
        person(random) | {"w": w, "v": v, "n": n, "h": h, "extra": random.randint(3, 12)},
        answer,
        f"The first {n} hours pay {n} * {w} = {n * w}. There are {h} - {n} = {h - n} more hours, which pay {h - n} * "
        f"{v} = {(h - n) * v}. In all {n * w} + {(h - n) * v} = {n * w + (h - n) * v}.",
        (
            program(f"normal = {n} * {w}", f"extra = ({h} - {n}) * {v}", "print(normal + extra)"),
            program(f"print({n} * {w} + ({h} - {n}) * {v})"),
        ),
    )


@family(
    "word problems",
    "{who} has ${have} and saves ${save} every week. {They} spends ${out} a week on bus tickets out of these savings. "
    "After how many weeks can {they} buy a guitar that costs ${goal}?",
    "{who} wants a tent for {goal} dollars. {They} already owns {have} dollars, gets {save} dollars a week for walking "
    "dogs and uses {out} of them for food. How many weeks must {they} wait?",
    "How many weeks does it take to reach ${goal} from ${have} when each week ${save} come in and ${out} go out?",
    "Find the smallest whole number of weeks after which {who}, starting with {have} euros, has at least {goal} euros, "
    "if weekly income is {save} euros and weekly spending is {out} euros.",
    "A class starts the school year with {have} dollars in its box. Weekly sales bring {save} dollars, of which {out} "
    "dollars pay for ingredients. The class of {extra} pupils needs {goal} dollars for a trip. In how many weeks will "
    "the box hold enough?",
)
def weeks_of_saving(random: Random) -> Case:
    out = random.randint(2, 15)
    net = random.randint(3, 25)
    have = random.randint(5, 80)
    goal = have + random.randint(30, 500)
    weeks, money = 0, have
    while money < goal:
        weeks, money = weeks + 1, money + net
    need = goal - have
    return Case(
        person(random) | {"have": have, "save": net + out, "out": out, "goal": goal, "extra": random.randint(15, 30)},
        weeks,
        f"Each week {net + out} - {out} = {net} is added. Still needed is {goal} - {have} = {need}. {need} / {net} is "
        f"{need / net:.2f}, rounded up {-(-need // net)}.",
        (
            program(
                f"money = {have}",
                "weeks = 0",
                f"while money < {goal}:",
                f"    money += {net + out} - {out}",
                "    weeks += 1",
                "print(weeks)",
            ),
            program(f"need = {goal} - {have}", f"net = {net + out} - {out}", "print(-(-need // net))"),
        ),
    )


@family(
    "word problems",
    "A farm has {a}s and {b}s, {n} animals in all. They have {legs} legs. How many {a}s are there?",
    "{who} counts {n} heads and {legs} legs in a barn with {b}s and {a}s only. Find the number of {a}s.",
    "There are only {a}s (four legs) and {b}s (two legs) on the meadow. How many {a}s are there if one can count "
    "{legs} legs on {n} animals?",
    "Let $x$ {a}s and $y$ {b}s live in a zoo, with $x+y={n}$. Together they stand on {legs} legs. Determine $x$.",
    "Out of {n} animals some are {b}s and all others {a}s. {who} fitted every foot with a ring and used {legs} rings. "
    "What is the number of {a}s?",
)
def heads_and_legs(random: Random) -> Case:
    four, two = random.randint(0, 40), random.randint(1, 40)
    a, b = (
        random.choice(["cow", "horse", "rabbit", "pig", "donkey"]),
        random.choice(["duck", "chicken", "turkey", "emu"]),
    )
    n, legs = four + two, 4 * four + 2 * two
    return Case(
        person(random) | {"a": a, "b": b, "n": n, "legs": legs},
        four,
        f"If all {n} were {b}s, there would be 2 * {n} = {2 * n} legs. There are {legs} - {2 * n} = {legs - 2 * n} "
        f"more. Each {a} has 2 more legs, so there are {legs - 2 * n} / 2 = {(legs - 2 * n) // 2}.",
        (
            program(
                f"for x in range({n} + 1):", f"    y = {n} - x", f"    if 4 * x + 2 * y == {legs}:", "        print(x)"
            ),
            program(f"print(({legs} - 2 * {n}) // 2)"),
        ),
    )


@family(
    "word problems",
    "A theater sold {n} tickets for ${total}. Adults paid ${p} and children ${q}. How many children's tickets were "
    "sold?",
    "{who} has {n} bank notes, all of {p} or {q} dollars, worth {total} dollars together. How many notes of {q} dollars "
    "does {they} have?",
    "Find the number of small boxes if {n} boxes, large ones with {p} eggs and small ones with {q} eggs, hold {total} "
    "eggs.",
    "In a quiz of {n} questions every hard question is worth {p} points and every easy one {q} points. All of them "
    "together are worth {total} points. The quiz lasts {extra} minutes. Determine the number of easy questions.",
    held_out=True,
)
def two_kinds_of_tickets(random: Random) -> Case:
    p, q = random.randint(6, 20), random.randint(2, 5)
    adults, children = random.randint(5, 90), random.randint(5, 90)
    n, total = adults + children, p * adults + q * children
    return Case(
        person(random) | {"n": n, "p": p, "q": q, "total": total, "extra": random.randint(20, 90)},
        children,
        f"If all {n} cost {p}, the total would be {n * p}. That is {n * p} - {total} = {n * p - total} too much. Each "
        f"cheap one saves {p - q}, so there are {n * p - total} / {p - q} = {(n * p - total) // (p - q)}.",
        (
            program(
                f"for x in range({n} + 1):",
                f"    y = {n} - x",
                f"    if {p} * y + {q} * x == {total}:",
                "        print(x)",
            ),
            program(f"print(({p} * {n} - {total}) // ({p} - {q}))"),
        ),
    )


@family(
    "word problems",
    "Parking costs ${first} for the first hour and ${more} for each further hour, but never more than ${cap} a day. "
    "{who} parks {h} hours on each of {d} days. How many dollars does {they} pay?",
    "How much must {who} pay for {d} days of boat hire, {h} hours daily, if the first hour of a day is {first} dollars, "
    "every other hour {more} dollars, and a day is capped at {cap} dollars?",
    "A locker charges {first} euros for hour one, {more} euros per extra hour, at most {cap} euros per day. Find the "
    "cost of using it for {h} hours a day on {d} days.",
    "{who} rents a scooter on {d} days for {h} hours each. Daily price: {first} dollars for one hour, then {more} "
    "dollars an hour, with a daily maximum of {cap} dollars. What is the bill for all days?",
    held_out=True,
)
def capped_parking(random: Random) -> Case:
    first, more, h, d = random.randint(2, 9), random.randint(1, 6), random.randint(2, 12), random.randint(2, 14)
    cap = random.randint(first + 5, first + 40)
    answer = 0
    for _ in range(d):
        day = first
        for _ in range(h - 1):
            day = min(cap, day + more)
        answer += day
    day = first + (h - 1) * more
    return Case(
        person(random) | {"first": first, "more": more, "cap": cap, "h": h, "d": d},
        answer,
        f"A day would cost {first} + {h - 1} * {more} = {day}. The limit is {cap}, so a day costs {min(day, cap)}. "
        f"{d} days cost {d} * {min(day, cap)} = {d * min(day, cap)}.",
        (
            program(f"day = {first} + ({h} - 1) * {more}", f"day = min(day, {cap})", f"print({d} * day)"),
            program(f"print({d} * min({cap}, {first} + ({h} - 1) * {more}))"),
        ),
    )
