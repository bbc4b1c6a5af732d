"""Balls, tickets and random numbers: the probability is m/n in lowest terms and the answer is m + n."""

from fractions import Fraction
from itertools import combinations
from math import comb, gcd
from random import Random

from merge.miniature.families.dice import m_plus_n, reduced
from merge.miniature.family import Case, family
from merge.miniature.idioms import chance_loop, chance_of


@family(
    "probability",
    "A bag holds {r} red and {b} blue balls. Two are drawn without replacement. The probability that they have the same "
    "color is $m/n$ in lowest terms. Find $m+n$.",
    "{r} white and {b} black socks lie in a drawer. In the dark two socks are taken out. They match with probability "
    "$\\frac{{p}}{{q}}$, where $\\gcd(p,q)=1$. What is $p+q$?",
    "From {r} girls and {b} boys a teacher draws two names by lot. Let m/n be the reduced probability that both names "
    "belong to girls or both to boys. Compute m + n.",
    "Two of {total} marbles, {r} green and the other {b} yellow, roll off the table at random. Write the chance that "
    "these two look alike as a fraction m/n in lowest terms and determine m + n.",
    "Let $S$ have ${r}$ even and ${b}$ odd elements. The probability that two different random elements of $S$ have the "
    "same parity is $\\frac{{m}}{{n}}$, reduced. Find $m+n$.",
)
def same_colour(random: Random) -> Case:
    r, b = random.randint(2, 15), random.randint(2, 15)
    n = r + b
    p = 1 - Fraction(r, n) * Fraction(b, n - 1) * 2
    good = comb(r, 2) + comb(b, 2)
    return Case(
        {"r": r, "b": b, "total": n},
        m_plus_n(p),
        f"There are C({n},2) = {comb(n, 2)} pairs. Of one colour: C({r},2) + C({b},2) = {comb(r, 2)} + {comb(b, 2)} = "
        f"{good}. {reduced(good, comb(n, 2))}",
        (
            chance_loop(f'a, b in combinations("R" * {r} + "B" * {b}, 2)', where="a == b"),
            chance_of(f"comb({r}, 2) + comb({b}, 2)", f"comb({n}, 2)"),
        ),
    )


@family(
    "probability",
    "A box contains {n} bulbs, {d} of them broken. {k} bulbs are taken at random. The probability that at least one of "
    "them is broken is $m/n$ in lowest terms. Find $m+n$.",
    "{who} buys {k} of the {n} tickets of a lottery with {d} winning tickets. Let $\\frac{{p}}{{q}}$ be the reduced "
    "probability of winning something. Find $p+q$.",
    "Among {n} cards there are {d} aces. What is $m+n$ if $m/n$ is the probability, in lowest terms, that a hand of {k} "
    "cards has one or more aces?",
    "{d} of {n} mushrooms in a basket are poisonous. Someone eats {k} of them, chosen blindly. The chance of eating a "
    "poisonous one is a reduced fraction a/b. Determine a + b.",
    "A random ${k}$-element subset of $\\{{1, 2, \\ldots, {n}\\}}$ meets $\\{{1, \\ldots, {d}\\}}$ with probability "
    "$\\frac{{m}}{{n}}$, where $m$ and $n$ are relatively prime. Compute $m+n$.",
)
def at_least_one(random: Random) -> Case:
    n, d, k = random.randint(6, 16), random.randint(2, 5), random.randint(2, 4)
    none = Fraction(1)
    for i in range(k):
        none *= Fraction(n - d - i, n - i)
    total, bad = comb(n, k), comb(n - d, k)
    return Case(
        {"n": n, "d": d, "k": k, "who": random.choice(["Ella", "Jon", "Mira", "Theo"])},
        m_plus_n(1 - none),
        f"There are C({n},{k}) = {total} choices, and C({n - d},{k}) = {bad} have none. So {total} - {bad} = "
        f"{total - bad} are good. {reduced(total - bad, total)}",
        (
            chance_loop(f"c in combinations(range({n}), {k})", where=f"min(c) < {d}"),
            chance_of(f"comb({n}, {k}) - comb({n} - {d}, {k})", f"comb({n}, {k})"),
        ),
    )


@family(
    "probability",
    "Two different numbers are chosen at random from 1, 2, ..., {n}. The probability that they differ by at most {d} is "
    "$\\frac{{m}}{{n}}$ in lowest terms. Find $m+n$.",
    "Tickets numbered 1 to {n} are in a hat and two are drawn together. Let p/q be the reduced probability that the "
    "difference of their numbers is {d} or less. What is p + q?",
    "Two of {n} chairs in a row are taken by people who choose at random. With a probability of $m/n$, in lowest terms, "
    "there are fewer than {d} empty chairs between them. Determine $m+n$.",
    "Suppose that $x \\ne y$ are random elements of $\\{{1, \\ldots, {n}\\}}$ and that $P(|x-y| \\le {d}) = "
    "\\frac{{m}}{{n}}$ with $\\gcd(m,n)=1$. Compute $m+n$.",
    "Find the sum of numerator and denominator of the reduced fraction that gives the chance of drawing two cards with "
    "$|x-y| \\le {d}$ from cards that carry the numbers $1$ to ${n}$.",
)
def close_numbers(random: Random) -> Case:
    n = random.randint(6, 60)
    d = random.randint(1, min(9, n - 2))
    count = sum(y - x <= d for x, y in combinations(range(n), 2))
    parts = [n - i for i in range(1, d + 1)]
    return Case(
        {"n": n, "d": d},
        m_plus_n(Fraction(count, comb(n, 2))),
        f"There are C({n},2) = {comb(n, 2)} pairs. The differences 1 to {d} occur {' + '.join(map(str, parts))} = "
        f"{sum(parts)} times. {reduced(sum(parts), comb(n, 2))}",
        (
            chance_loop(f"a in range(1, {n} + 1)", f"b in range(a + 1, {n} + 1)", where=f"b - a <= {d}"),
            chance_of(f"sum({n} - i for i in range(1, {d} + 1))", f"comb({n}, 2)"),
        ),
    )


@family(
    "probability",
    "An integer is picked at random from 1 to {n}. The probability that it is divisible by {a} or by {b} is $m/n$ in "
    "lowest terms. Find $m+n$.",
    "A wheel of fortune has the equally likely fields 1, 2, ..., {n}. Multiples of {a} win a pen, multiples of {b} win a "
    "book. Let p/q be the reduced chance of winning at least one thing. Determine p + q.",
    "Let $x$ be uniform on $\\{{1, \\ldots, {n}\\}}$ and let $\\frac{{m}}{{n}}$, reduced, be the probability of the event "
    "${a} \\mid x$ or ${b} \\mid x$. Compute $m+n$.",
    "On a random one of the first {n} days of a year {who} swims if the day's number is a multiple of {a} and runs if it "
    "is a multiple of {b}. The chance that {who} does sport is $\\frac{{p}}{{q}}$ in lowest terms. What is $p+q$?",
    "What is $m+n$, if a reduced fraction $m/n$ of the integers from $1$ to ${n}$ are multiples of ${a}$ or of ${b}$ (or "
    "of both)?",
)
def multiple_of_either(random: Random) -> Case:
    a, b = random.sample([2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2)
    n = random.randint(20, 365)
    count = len({*range(a, n + 1, a), *range(b, n + 1, b)})
    both = a * b // gcd(a, b)
    good = n // a + n // b - n // both
    return Case(
        {"n": n, "a": a, "b": b, "who": random.choice(["Ines", "Karl", "Vera", "Uwe"])},
        m_plus_n(Fraction(count, n)),
        f"There are {n // a} multiples of {a}, {n // b} of {b}, and {n // both} of both, that is of {both}. So {n // a} + "
        f"{n // b} - {n // both} = {good} are good. {reduced(good, n)}",
        (
            chance_loop(f"x in range(1, {n} + 1)", where=f"x % {a} == 0 or x % {b} == 0"),
            chance_of(f"{n} // {a} + {n} // {b} - {n} // lcm({a}, {b})", f"{n}"),
        ),
    )


@family(
    "probability",
    "Three different numbers are drawn from 1, 2, ..., {n}. The probability that one of them is the mean of the other two "
    "is $\\frac{{m}}{{n}}$ in lowest terms. Find $m+n$.",
    "From {n} cards numbered from 1 a player takes three at once. Let m/n be the reduced chance that the three numbers, "
    "put in order, form an arithmetic progression. What is m + n?",
    "Let $a<b<c$ be a random three-element subset of $\\{{1, \\ldots, {n}\\}}$ and $P(a+c=2b)=\\frac{{p}}{{q}}$ with "
    "coprime $p$, $q$. Determine $p+q$.",
    "Three of {n} lamps in a row are switched on at random. With probability $m/n$ (lowest terms) the middle one of the "
    "three is equally far from both others. Compute $m+n$.",
    held_out=True,
)
def random_progression(random: Random) -> Case:
    n = random.randint(5, 40)
    count = sum(n - 2 * step for step in range(1, (n - 1) // 2 + 1))
    return Case(
        {"n": n},
        m_plus_n(Fraction(count, comb(n, 3))),
        f"There are C({n},3) = {comb(n, 3)} choices. With the steps 1 to {(n - 1) // 2} there are {n - 2}, {n - 4}, ... "
        f"progressions, {count} in all. {reduced(count, comb(n, 3))}",
        (
            chance_loop(f"a, b, c in combinations(range(1, {n} + 1), 3)", where="a + c == 2 * b"),
            chance_of(f"sum({n} - 2 * d for d in range(1, ({n} - 1) // 2 + 1))", f"comb({n}, 3)"),
        ),
    )
