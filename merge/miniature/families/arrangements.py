"""Orders: letters of a word, people in a row or around a table, letters in wrong envelopes."""

from collections import Counter
from itertools import permutations
from math import comb, factorial, prod
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import nested_count, nested_count_expression, program

WORDS: tuple[str, ...] = (
    "LEVEL",
    "APPLE",
    "BANANA",
    "COFFEE",
    "PEPPER",
    "BALLOON",
    "CABBAGE",
    "LETTER",
    "KETTLE",
    "SUMMER",
    "BOTTLE",
)
WORDS += ("RABBIT", "PIZZA", "GEESE", "ALPHA", "MAMMAL", "TATTOO", "ERROR", "CANAL", "SUCCESS", "POTATO", "TOMATO")
WORDS += ("NEEDLE", "BUBBLE", "CARROT", "PARROT", "MIRROR", "TUNNEL", "SEESAW", "COCOA", "ONION", "EERIE", "RADAR")
VOWELLED: tuple[str, ...] = (
    "ORANGE",
    "PLANET",
    "WINTER",
    "GARDEN",
    "MONKEY",
    "CASTLE",
    "FAMILY",
    "POLAR",
    "TABLE",
    "BASKET",
    "ROUTINE",
)
VOWELLED += ("UNICORN", "PIRATE", "SILVER", "CANDLE", "OCEAN", "AUDIO", "MUSEUM", "ISLAND", "COMPUTE", "JOURNAL")
NAMES = ("Amy", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo")


@family(
    "combinatorics",
    "How many different arrangements do the letters of the word {word} have?",
    "Find the number of distinct strings that can be made by reordering the letters {word}.",
    "The tiles {tiles} are laid in a row in every possible way. Tiles with the same letter look alike. How many "
    "different rows can be seen?",
    "Let $N$ be the number of permutations of the multiset of letters of {word}. Find $N$.",
    "A printer may shuffle the letters of the shop sign {word}. Determine how many different signs can come out.",
)
def anagrams(random: Random) -> Case:
    word = random.choice(WORDS)
    repeated = {letter: count for letter, count in Counter(word).items() if count > 1}
    below = " * ".join(f"{count}!" for count in repeated.values())
    n = len(word)
    answer = len(set(permutations(word)))
    return Case(
        {"word": word, "tiles": ", ".join(word)},
        answer,
        f"{word} has {n} letters, with "
        + " and ".join(f"{letter} {count} times" for letter, count in repeated.items())
        + f". The number is {n}! / ({below}) = {factorial(n)} / {prod(map(factorial, repeated.values()))} = {answer}.",
        (
            program(f'print(len(set(permutations("{word}"))))'),
            program(
                f"count = factorial({n})",
                f'for c in set("{word}"):',
                f'    count //= factorial("{word}".count(c))',
                "print(count)",
            ),
        ),
    )


@family(
    "combinatorics",
    "{n} people stand in a row for a photo. Between {p} and {q} there must be at least {g} of the others. How many orders "
    "are possible?",
    "In how many ways can {n} friends queue if two of them, {p} and {q}, want {g} or more people between them?",
    "Find the number of permutations of $1, 2, \\ldots, {n}$ in which $1$ and $2$ are separated by at least ${g}$ of the other numbers.",
    "{n} different books are put on a shelf. Between the red and the blue one there must be {g} or more of the others. "
    "Determine the number of ways to do this.",
    "A playlist has {n} songs. {p}'s song and {q}'s song, two of these, must be separated by no fewer than {g} of the "
    "others. Compute the number of possible playlists.",
)
def kept_apart(random: Random) -> Case:
    n = random.randint(4, 8)
    g = random.randint(1, n - 3)
    p, q = random.sample(NAMES, 2)
    answer = sum(abs(i - j) > g for i, j in permutations(range(n), 2)) * factorial(n - 2)
    places = [n - d for d in range(g + 1, n)]
    pairs, rest = sum(places), factorial(n - 2)
    return Case(
        {"n": n, "g": g, "p": p, "q": q},
        answer,
        f"Their places differ by {g + 1} or more: {' + '.join(map(str, places))} = {pairs} pairs of places, in 2 orders. "
        f"The others stand in {n - 2}! = {rest} ways. The number is 2 * {pairs} * {rest} = {2 * pairs * rest}.",
        (
            nested_count(f"p in permutations(range({n}))", where=f"abs(p.index(0) - p.index(1)) > {g}"),
            program(f"print(2 * sum({n} - d for d in range({g} + 1, {n})) * factorial({n} - 2))"),
        ),
    )


@family(
    "combinatorics",
    "{n} letters are put into {n} addressed envelopes so that exactly {k} letters are in the right envelope. In how many "
    "ways can this happen?",
    "How many permutations $p$ of $\\{{0, 1, \\ldots, {n1}\\}}$ have exactly ${k}$ values of $i$ with $p(i) = i$?",
    "Each of {n} colleagues brings a gift, and the gifts are handed out, one to each. Find the number of ways in which "
    "exactly {k} of them get the gift that they brought.",
    "Determine the number of ways to return {n} hats to their {n} owners with exactly {k} of them on the right head.",
    "After a storm {n} keys are hung back on {n} labelled hooks. What is the number of hangings with {k} keys, no more "
    "and no fewer, on their own hooks?",
)
def right_envelopes(random: Random) -> Case:
    n = random.randint(3, 7)
    k = random.choice([0, 0, *range(n + 1)])
    answer = sum(sum(p[i] == i for i in range(n)) == k for p in permutations(range(n)))
    d = [1, 0]
    for i in range(2, n + 1):
        d.append((i - 1) * (d[-1] + d[-2]))
    return Case(
        {"n": n, "n1": n - 1, "k": k},
        answer,
        f"Choose the {k} right ones: C({n},{k}) = {comb(n, k)}. The other {n - k} must all be wrong. The numbers of ways "
        f"for 0, 1, 2, ... things are {', '.join(map(str, d[: max(n - k, 1) + 1]))}, so D({n - k}) = {d[n - k]}. The number is "
        f"{comb(n, k)} * {d[n - k]} = {comb(n, k) * d[n - k]}.",
        (
            nested_count(f"p in permutations(range({n}))", where=f"sum(p[i] == i for i in range({n})) == {k}"),
            program(
                "d = [1, 0]",
                f"for i in range(2, {n} + 1):",
                "    d.append((i - 1) * (d[-1] + d[-2]))",
                f"print(comb({n}, {k}) * d[{n} - {k}])",
            ),
        ),
    )


@family(
    "combinatorics",
    "How many four-digit numbers can be made from the digits {digits}, each used at most once, if the number is to be "
    "larger than {bound}?",
    "Four cards are drawn from the cards {digits} and laid side by side. How many of the numbers that can arise are "
    "greater than {bound}?",
    "Find the number of integers above ${bound}$ with four different digits, all of them taken from "
    "$\\{{{digits}\\}}$.",
    "A lock code has four different digits out of {digits}. Read as a number it exceeds {bound}. Determine how many "
    "such codes exist.",
    "Suppose that a number with four digits uses only the digits {digits} and none of them twice. How many such "
    "numbers $N$ satisfy $N > {bound}$?",
)
def numbers_from_digits(random: Random) -> Case:
    digits = sorted(random.sample(range(1, 10), random.randint(5, 7)))
    first = random.choice(digits[1:])
    bound = first * 1000
    text = "".join(map(str, digits))
    answer = sum(len(set(str(n))) == 4 and set(str(n)) <= set(text) for n in range(bound + 1, 10_000))
    k = sum(d >= first for d in digits)
    n = len(digits)
    rest = (n - 1) * (n - 2) * (n - 3)
    return Case(
        {"digits": ", ".join(map(str, digits)), "bound": bound},
        answer,
        f"The first digit must be at least {first}: {k} choices. The other three places have {n - 1} * {n - 2} * "
        f"{n - 3} = {rest} choices. So the number is {k} * {rest} = {k * rest}.",
        (
            nested_count(f'p in permutations("{text}", 4)', where=f'int("".join(p)) > {bound}'),
            nested_count_expression(f'p in permutations("{text}", 4)', where=f'int("".join(p)) > {bound}'),
        ),
    )


@family(
    "combinatorics",
    "{n} people sit down at a round table. Seatings that differ by a rotation are the same. In how many of them do {p} "
    "and {q} sit side by side?",
    "Find the number of ways to place the numbers $1, 2, \\ldots, {n}$ on a circle, rotations not being counted as "
    "different, such that $1$ and $2$ are neighbours.",
    "{n} knights gather around a round table, and only who sits to the left and right of whom matters. {p} insists on "
    "a seat next to {q}. How many seatings are possible?",
    "A bracelet-like ring of {n} different stones lies on a table; turning it changes nothing. Determine the number of "
    "rings in which the ruby touches the opal.",
    held_out=True,
)
def round_table(random: Random) -> Case:
    n = random.randint(4, 9)
    p, q = random.sample(NAMES, 2)
    answer = sum(1 in (order[0], order[-1]) for order in permutations(range(1, n)))
    return Case(
        {"n": n, "p": p, "q": q},
        answer,
        f"We take the pair as one. Then {n - 1} things stand on a circle: {n - 2}! = {factorial(n - 2)} ways. The pair "
        f"has 2 orders, so the number is 2 * {factorial(n - 2)} = {2 * factorial(n - 2)}.",
        (
            nested_count(f"p in permutations(range(1, {n}))", where="p[0] == 1 or p[-1] == 1"),
            program(f"print(2 * factorial({n} - 2))"),
        ),
    )


@family(
    "combinatorics",
    "In how many arrangements of the letters of {word} are the first and the last letter both vowels?",
    "Find the number of orders of the letters {tiles} that begin with a vowel and end with a vowel (A, E, I, O, U).",
    "The letters of the word {word} are shuffled. How many of the possible strings have a vowel at both ends?",
    "Let $W$ be a permutation of the letters of {word}. Determine the number of $W$ whose outermost letters are vowels.",
    held_out=True,
)
def vowels_at_the_ends(random: Random) -> Case:
    word = random.choice([w for w in VOWELLED if len(set(w)) == len(w)])
    v = sum(letter in "AEIOU" for letter in word)
    n = len(word)
    answer = sum(p[0] in "AEIOU" and p[-1] in "AEIOU" for p in permutations(word))
    return Case(
        {"word": word, "tiles": ", ".join(word)},
        answer,
        f"{word} has {v} vowels among {n} letters. The ends can be filled in {v} * {v - 1} = {v * (v - 1)} ways and the "
        f"middle in {n - 2}! = {factorial(n - 2)} ways. The number is {v * (v - 1)} * {factorial(n - 2)} = "
        f"{v * (v - 1) * factorial(n - 2)}.",
        (
            nested_count(f'p in permutations("{word}")', where='p[0] in "AEIOU" and p[-1] in "AEIOU"'),
            nested_count_expression(f'p in permutations("{word}")', where='p[0] in "AEIOU" and p[-1] in "AEIOU"'),
        ),
    )
