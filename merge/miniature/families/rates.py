"""Everyday stories about rates: pipes, trains, workers, machines, fuel."""

from fractions import Fraction
from math import lcm
from random import Random

from merge.miniature.families.shopping import person
from merge.miniature.family import Case, family
from merge.miniature.idioms import program


@family(
    "word problems",
    "A pool for {v} cubic metres of water is filled by a pump in {a} hours; a drain empties the full pool in {b} hours. "
    "Pump and drain are opened while the pool is empty. How many cubic metres does it contain {t} hours later?",
    "A {v}-gallon barrel gains its full volume every {a} hours from a hose and loses its full volume every {b} hours "
    "through a leak. Find the number of gallons after {t} hours if it was empty at first.",
    "How many litres does a cistern of {v} litres hold after {t} hours if it starts empty, the inflow alone would need "
    "{a} hours to fill it and the outflow alone {b} hours to empty it?",
    "{who} fills a {v}-litre bath for {extra} fish. The tap needs {a} hours for that. But {they} forgot the plug, and "
    "through the hole a full bath is gone in {b} hours. How much water is in the bath after {t} hours?",
    "Water flows into a basin at {v}/{a} litres per hour and out of it at {v}/{b} litres per hour. It was empty {t} hours "
    "ago. Determine the litres in it now.",
)
def pump_and_drain(random: Random) -> Case:
    a = random.randint(2, 9)
    b = random.choice([b for b in (3, 4, 5, 6, 8, 9, 10, 12, 14, 15, 18, 20) if b > a and lcm(a, b) <= 120])
    v = lcm(a, b) * random.randint(2, 30)
    full = Fraction(a * b, b - a)
    t = random.randint(2, min(12, int(full)))
    answer = int(v * (Fraction(1, a) - Fraction(1, b)) * t)
    first, second = v // a, v // b
    return Case(
        person(random) | {"v": v, "a": a, "b": b, "t": t, "extra": random.randint(2, 9)},
        answer,
        f"Each hour {v} / {a} = {first} flow in and {v} / {b} = {second} flow out. The gain is {first} - {second} = "
        f"{first - second} an hour. After {t} hours it is {t} * {first - second} = {t * (first - second)}.",
        (
            program(f"gain = {v} // {a} - {v} // {b}", f"print(gain * {t})"),
            program(
                "water = 0",
                f"for hour in range({t}):",
                f"    water += {v} // {a}",
                f"    water -= {v} // {b}",
                "print(water)",
            ),
        ),
    )


@family(
    "word problems",
    "Two trains start at the same time from stations {d} km apart and run towards each other at {a} km/h and {b} km/h. "
    "How many kilometres has the first train covered when they meet?",
    "{who} and a friend live {d} miles apart. They set out at {hour} o'clock and drive towards each other, {who} at {a} "
    "and the friend at {b} miles per hour. How many miles does {who} drive until they meet?",
    "Let two cars approach each other on a road of length {d} with constant speeds ${a}$ and ${b}$. Find the distance "
    "that the car with speed ${a}$ drives before they meet.",
    "How far from town A do two motorcycles meet if one leaves A at {a} km/h, the other leaves B at {b} km/h at the same "
    "moment, and the towns are {d} km apart?",
    "Suppose that the {d} metres between two robots shrink because one rolls {a} and the other {b} metres a minute "
    "towards its partner. Determine how many metres the first one rolls until they touch.",
)
def meeting_point(random: Random) -> Case:
    a, b, t = random.randint(3, 120), random.randint(3, 120), random.randint(2, 12)
    d = (a + b) * t
    answer = next(x for x in range(d) if x * b == (d - x) * a)
    return Case(
        person(random) | {"a": a, "b": b, "d": d, "hour": random.randint(6, 11)},
        answer,
        f"Together they move {a} + {b} = {a + b} per unit of time. They meet after {d} / {a + b} = {t}. The first has "
        f"covered {a} * {t} = {a * t}.",
        (
            program(f"time = {d} // ({a} + {b})", f"print({a} * time)"),
            program(f"print({a} * {d} // ({a} + {b}))"),
        ),
    )


@family(
    "word problems",
    "{n} painters need {d} days to paint a bridge. How many days would {m} painters need?",
    "{who} has hay for {n} horses for {d} days. How many days does the hay last for {m} horses?",
    "A wall takes {n} workers {d} days. If everybody works equally fast, find the number of days that it takes {m} "
    "workers.",
    "On a ship {n} sailors would have water for {d} days. In the harbor the crew, now {extra} years together, changes its "
    "number to {m}. For how many days is there water?",
    "Let a job need {n} machines running for {d} hours. Compute the number of hours it needs with {m} such machines.",
)
def same_work(random: Random) -> Case:
    n, m = random.sample(range(2, 31), 2)
    step = lcm(n, m) // n
    d = step * random.randint(1, max(1, 60 // step))
    answer = next(x for x in range(1, n * d + 1) if x * m == n * d)
    return Case(
        person(random) | {"n": n, "m": m, "d": d, "extra": random.randint(2, 9)},
        answer,
        f"The whole is {n} * {d} = {n * d}. Shared by {m} it lasts {n * d} / {m} = {n * d // m}.",
        (program(f"work = {n} * {d}", f"print(work // {m})"), program(f"print({n} * {d} // {m})")),
    )


@family(
    "word problems",
    "{who} drives {d} km. {Their} car uses {l} litres of fuel per 100 km, and a litre costs {p} cents. How many cents "
    "does the fuel cost?",
    "A van needs {l} litres of diesel for 100 km. Diesel is {p} cents a litre. Find the price in cents of the diesel for "
    "{d} km with {extra} passengers.",
    "For a trip of {d} kilometres, what must be paid for petrol, in cents, if 100 kilometres take {l} litres and every "
    "litre costs {p} cents?",
    "At {p} cents a litre and {l} litres every 100 km, determine the fuel cost in cents of a drive of {d} km.",
    "{who} buys just enough fuel for {d} km. 100 km use up {l} litres. The price is {p} cents for one litre. How many "
    "cents does {who} hand over?",
)
def fuel_cost(random: Random) -> Case:
    d, litres, p = 100 * random.randint(1, 15), random.randint(4, 12), random.randint(90, 220)
    if random.random() < 0.4:
        d, litres = d + 50, 2 * random.randint(2, 6)
    answer = int(Fraction(d, 100) * litres * p)
    return Case(
        person(random) | {"d": d, "l": litres, "p": p, "extra": random.randint(2, 6)},
        answer,
        f"The trip takes {d} * {litres} / 100 = {d * litres // 100} litres. They cost {d * litres // 100} * {p} = "
        f"{d * litres // 100 * p} cents. The answer is {d * litres // 100 * p}.",
        (
            program(f"litres = {d} * {litres} // 100", f"print(litres * {p})"),
            program(f"print({d} * {litres} * {p} // 100)"),
        ),
    )


@family(
    "word problems",
    "A machine makes {a} screws a minute and {bad} of every {per} are faulty. How many good screws does it make in {h} "
    "hours?",
    "{who}'s bakery produces {a} rolls every minute. Out of {per} rolls {bad} are burnt and thrown away. Find the number "
    "of rolls left after {h} hours of baking.",
    "A printer delivers {a} pages per minute for {h} hours, costing {extra} cents a page. If {bad} in {per} pages have a "
    "blot, determine how many pages have none.",
    "How many usable bricks leave a factory in {h} hours at a speed of {a} bricks a minute, when {bad} bricks in every "
    "{per} break?",
    "In {h} hours a robot plants {a} trees per minute. Of every {per} trees {bad} die. What is the number of trees that "
    "live?",
)
def good_pieces(random: Random) -> Case:
    per = random.choice([10, 12, 15, 20, 30])
    bad, a, h = random.randint(1, per // 3), random.randint(2, 40), random.randint(2, 12)
    made = a * 60 * h
    answer = sum(per - bad for _ in range(0, made, per))
    lost = made // per * bad
    return Case(
        person(random) | {"a": a, "h": h, "per": per, "bad": bad, "extra": random.randint(2, 9)},
        answer,
        f"{h} hours are {60 * h} minutes, so {a} * {60 * h} = {made} are made. Lost are {made} / {per} * {bad} = {lost}. "
        f"There remain {made} - {lost} = {made - lost}.",
        (
            program(f"made = {a} * 60 * {h}", f"bad = made // {per} * {bad}", "print(made - bad)"),
            program(f"print({a} * 60 * {h} * ({per} - {bad}) // {per})"),
        ),
    )


@family(
    "word problems",
    "{who} rides {a} hours at {v} km/h, rests {r} minutes and rides {b} hours at {w} km/h. What is {their} average speed "
    "in km/h while riding?",
    "A truck covers a first part of its route in {a} hours at {v} mph and the rest in {b} hours at {w} mph. Find its mean "
    "speed in mph.",
    "How fast, in km per hour, does a boat go on average if it goes {v} km/h for {a} hours and {w} km/h for {b} hours?",
    "Suppose that a runner keeps a speed of ${v}$ for ${a}$ hours and then of ${w}$ for ${b}$ hours. Determine the "
    "constant speed that would have given the same distance in the same time.",
    held_out=True,
)
def average_speed(random: Random) -> Case:
    while True:
        a, b, v, w = random.randint(2, 6), random.randint(2, 6), random.randint(8, 90), random.randint(8, 90)
        if (a * v + b * w) % (a + b) == 0 and v != w:
            break
    hours = [v] * a + [w] * b
    answer = sum(hours) // len(hours)
    far = a * v + b * w
    return Case(
        person(random) | {"a": a, "b": b, "v": v, "w": w, "r": random.randint(10, 50)},
        answer,
        f"The distance is {a} * {v} + {b} * {w} = {far}. The time is {a} + {b} = {a + b}. The average is {far} / {a + b} "
        f"= {far // (a + b)}.",
        (
            program(f"distance = {a} * {v} + {b} * {w}", f"time = {a} + {b}", "print(distance // time)"),
            program(f"print(({a} * {v} + {b} * {w}) // ({a} + {b}))"),
        ),
    )
