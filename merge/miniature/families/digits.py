"""Digits: sums, palindromes, other bases."""

from itertools import product
from random import Random

from merge.miniature.family import Case, family
from merge.miniature.idioms import count_expression, count_loop, sum_expression, sum_loop

DIGIT_SUM = "sum(int(c) for c in str(n))"


def digit_sum(n: int) -> int:
    return n % 10 + digit_sum(n // 10) if n else 0


def spelled_sum(n: int) -> str:
    """`1024 -> 1 + 0 + 2 + 4`, and long ones from both ends."""
    digits = str(n)
    if len(digits) <= 16:
        return " + ".join(digits)
    return f"{' + '.join(digits[:6])} + ... + {' + '.join(digits[-3:])}"


@family(
    "number theory",
    "Find the sum of the digits of ${a}^{{{n}}}$.",
    "The number ${a}^{{{n}}}$ is written in base ten. What do its digits add up to?",
    "Let $S(k)$ be the digit sum of $k$. Compute $S({a}^{{{n}}})$.",
    "A painter paints the number {a}^{n} on a wall, digit by digit, and is paid as many dollars for a digit as its value. How many dollars does she earn?",
    "Suppose $N = {a}^{{{n}}}$. If all digits of $N$ are added together, which number is the result?",
    "Determine how much the digits in the decimal expansion of ${a}^{{{n}}}$ sum to.",
)
def digits_of_a_power(random: Random) -> Case:
    a, n = random.choice([2, 3, 5, 6, 7, 9, 11, 12, 13, 17]), random.randint(5, random.choice([14, 60, 200]))
    answer = digit_sum(a**n)
    return Case(
        {"a": a, "n": n},
        answer,
        f"{a}^{n} has {len(str(a**n))} digits. Adding them: {spelled_sum(a**n)} = {answer}.",
        (
            f"n = {a}**{n}\ntotal = 0\nwhile n > 0:\n    total += n % 10\n    n //= 10\nprint(total)",
            f"n = {a}**{n}\nprint({DIGIT_SUM})",
            f"print(sum(int(c) for c in str({a}**{n})))",
        ),
    )


@family(
    "number theory",
    "How many integers $n$ with ${low} \\le n \\le {high}$ have digit sum ${s}$?",
    "Find the number of integers between {low} and {high}, both included, for which the sum of the decimal digits is {s}.",
    "Let $S(n)$ denote the sum of the digits of $n$. Count the solutions of $S(n) = {s}$ among $n = {low}, \\ldots, {high}$.",
    "Tickets carry the numbers {low} to {high}. A ticket wins if its digits, added up, give {s}. A ticket costs 2 dollars. How many winning tickets are there?",
    "What is the number of elements of $\\{{{low}, \\ldots, {high}\\}}$ whose digits total ${s}$?",
)
def numbers_with_digit_sum(random: Random) -> Case:
    digits = random.choice([2, 3, 3, 4, 4, 5])
    low, high = random.choice([(1, 10**digits - 1), (10 ** (digits - 1), 10**digits - 1)])
    s = random.randint(1, 9 * digits - 1)
    loop, condition = f"n in range({low}, {high} + 1)", f"{DIGIT_SUM} == {s}"
    found = [n for n in with_digit_sum(s, digits) if n >= low]
    answer = len(found)
    shown = ", ".join(map(str, found[:4])) + ", ..." * (len(found) > 4)
    return Case(
        {"low": low, "high": high, "s": s},
        answer,
        f"The numbers with digit sum {s} begin {shown} and the last is {found[-1]}. Going through all leading digits, "
        f"their count is {answer}.",
        (count_loop(loop, condition), count_expression(loop, condition)),
    )


def with_digit_sum(s: int, digits: int) -> list[int]:
    """All numbers of at most so many digits whose digits add up to s, in increasing order."""
    if digits == 0:
        return [0] if s == 0 else []
    unit = 10 ** (digits - 1)
    return [d * unit + rest for d in range(min(s, 9) + 1) for rest in with_digit_sum(s - d, digits - 1)]


@family(
    "number theory",
    "For how many integers $n$ from ${low}$ to ${high}$ is the sum of $n$ and its reversal divisible by ${m}$? (The reversal of $120$ is $21$.)",
    "Let $R(n)$ be $n$ with its digits in reverse order. Count the $n$ with ${low} \\le n \\le {high}$ and ${m} \\mid n + R(n)$.",
    "Each number from {low} to {high} is added to the number that its digits form when read backwards. How often is the result a multiple of {m}?",
    "Find the number of integers in $[{low}, {high}]$ such that adding the digit reversal gives a multiple of ${m}$.",
    "Lea reads a page number $n$ forwards and backwards, so 34 becomes 43, and adds both numbers. For how many of the pages {low} to {high} is her sum divisible by {m}?",
)
def reversal_sums(random: Random) -> Case:
    low, high, m = random.randint(1, 99), random.randint(150, 3000), random.choice([3, 4, 5, 6, 7, 8, 9, 11, 12, 13])
    answer = sum((n + reversed_digits(n)) % m == 0 for n in range(low, high + 1))
    loop, condition = f"n in range({low}, {high} + 1)", f"(n + int(str(n)[::-1])) % {m} == 0"
    first = next(n for n in range(low, 10**6) if (n + reversed_digits(n)) % m == 0)
    return Case(
        {"low": low, "high": high, "m": m},
        answer,
        f"We test each n. The first that works is {first}: {first} + {reversed_digits(first)} = "
        f"{first + reversed_digits(first)} is a multiple of {m}. Up to {high} the count is {answer}.",
        (count_loop(loop, condition), count_expression(loop, condition)),
    )


def reversed_digits(n: int, done: int = 0) -> int:
    return reversed_digits(n // 10, done * 10 + n % 10) if n else done


@family(
    "number theory",
    "How often is the digit ${d}$ written when all integers from $1$ to ${n}$ are written down?",
    "All page numbers of a book with {n} pages, 1 to {n}, are printed once. How many times does the digit {d} occur?",
    "Find the total number of digits equal to ${d}$ in the list $1, 2, 3, \\ldots, {n}$.",
    "A shop sells single brass digits for house numbers at 3 dollars a piece. The houses of a street are numbered 1 to {n}. How many copies of the digit {d} are needed?",
    "Let $c(k)$ be the number of times the digit ${d}$ occurs in $k$. Evaluate $c(1) + c(2) + \\cdots + c({n})$.",
    held_out=True,
)
def digit_occurrences(random: Random) -> Case:
    d, n = random.randint(0, 9), random.randint(50, 9999)
    answer = sum(count_digit(k, d) for k in range(1, n + 1))
    return Case(
        {"d": d, "n": n},
        answer,
        f"We count the digit {d} in the units, tens, hundreds and thousands places of 1, ..., {n}. In all it is {answer}.",
        (
            sum_loop(f"n in range(1, {n} + 1)", f'str(n).count("{d}")'),
            sum_expression(f"n in range(1, {n} + 1)", f'str(n).count("{d}")'),
        ),
    )


def count_digit(n: int, digit: int) -> int:
    return (n % 10 == digit) + count_digit(n // 10, digit) if n else 0


@family(
    "number theory",
    "How many ${k}$-digit numbers have digits whose product is ${p}$?",
    "Find the number of integers with exactly {k} digits such that the product of these digits equals {p}.",
    "Let $\\pi(n)$ be the product of the decimal digits of $n$. Count the $n$ with ${low} \\le n \\le {high}$ and $\\pi(n) = {p}$.",
    "A safe has a code of {k} digits, none of them 0. Multiplied together the digits give {p}. How many codes are possible?",
    "Determine how many numbers between ${low}$ and ${high}$, both included, have the digit product ${p}$.",
    held_out=True,
)
def digit_product(random: Random) -> Case:
    k, p = (
        random.choice([3, 4]),
        random.choice([6, 8, 12, 14, 18, 20, 24, 30, 36, 40, 42, 48, 60, 64, 72, 90, 120, 144]),
    )
    low, high = 10 ** (k - 1), 10**k - 1
    answer = sum(1 for d in product(range(1, 10), repeat=k) if product_of(d) == p)
    loop, condition = f"n in range({low}, {high} + 1)", f"prod(int(c) for c in str(n)) == {p}"
    return Case(
        {"k": k, "p": p, "low": low, "high": high},
        answer,
        f"We split {p} into {k} digits from 1 to 9 in every order. The number of ways is {answer}.",
        (
            "from math import prod\n" + count_loop(loop, condition),
            "from math import prod\n" + count_expression(loop, condition),
        ),
    )


def product_of(digits: tuple[int, ...]) -> int:
    result = 1
    for d in digits:
        result *= d
    return result
