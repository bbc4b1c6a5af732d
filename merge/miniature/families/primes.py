"""Primes, prime factors and factorials."""

from math import factorial, gcd, isqrt
from random import Random

from sympy import divisor_count, isprime, primefactors, primerange

from merge.miniature.families.divisibility import factored
from merge.miniature.family import Case, family
from merge.miniature.idioms import count_expression, count_loop, search_loop, sum_expression, sum_loop, with_import

ISPRIME = "from sympy import isprime"
PRIMES = [2, 3, 5, 7, 11, 13]


@family(
    "number theory",
    "Find the sum of all prime numbers $p$ with ${a} < p < {b}$.",
    "What do you get by adding up all the primes between {a} and {b}?",
    "Let $P$ be the set of primes in the interval $[{a}, {b}]$. Compute the sum of the elements of $P$.",
    "Houses {a} to {b} of a long street carry their numbers. The postman adds those numbers that are prime and ignores the others. Determine his total.",
    "The primes greater than ${a}$ and less than ${b}$ are written on a board. What is their sum?",
    "Evaluate $\\sum p$, taken over all primes $p$ that satisfy ${a} \\le p \\le {b}$.",
)
def sum_of_primes(random: Random) -> Case:
    a = random.choice([k for k in range(4, 900) if not isprime(k)])
    b = random.choice([k for k in range(a + 20, a + 160) if not isprime(k)])
    primes = [p for p in range(a, b + 1) if all(p % d for d in range(2, isqrt(p) + 1))]
    answer, loop = sum(primes), f"n in range({a}, {b} + 1)"
    shown = " + ".join(map(str, primes)) if len(primes) <= 12 else f"{primes[0]} + {primes[1]} + ... + {primes[-1]}"
    return Case(
        {"a": a, "b": b},
        answer,
        f"The primes between {a} and {b}: there are {len(primes)} of them. Their sum is {shown} = {answer}.",
        (
            sum_loop(loop, "n", "all(n % d != 0 for d in range(2, n))"),
            with_import(ISPRIME, sum_expression(loop, "n", "isprime(n)")),
            f"from sympy import primerange\nprint(sum(primerange({a}, {b} + 1)))",
        ),
    )


@family(
    "number theory",
    "What is the greatest prime number that divides ${n}$?",
    "Let $p$ be the largest prime factor of ${n}$. Find $p$.",
    "Write ${n}$ as a product of primes. Which is the greatest of them?",
    "A number is broken into prime factors on a machine that prints them in increasing order. The number is {n}. What does the machine print last?",
    "Determine the greatest prime $p$ such that $p \\mid {n}$.",
    "Suppose that ${n} = p_1 p_2 \\cdots p_k$ with primes $p_1 \\le p_2 \\le \\cdots \\le p_k$. Compute $p_k$.",
)
def greatest_prime_factor(random: Random) -> Case:
    top = random.choice(list(primerange(11, random.choice([60, 400, 3000]))))
    n = top * random.choice([1, 3, 7, 9, 11, 13]) * random.randint(2, 200)
    answer = max(primefactors(n))
    return Case(
        {"n": n},
        answer,
        f"We divide by small primes as long as possible: {n} = {factored(n)}. The largest prime is {answer}.",
        (
            f"n = {n}\np = 2\nwhile n > 1:\n    if n % p == 0:\n        n //= p\n    else:\n        p += 1\nprint(p)",
            f"from sympy import primefactors\nprint(max(primefactors({n})))",
            f"from sympy import factorint\nprint(max(factorint({n})))",
        ),
    )


@family(
    "number theory",
    "Find the sum of the distinct prime factors of ${n}$.",
    "Which primes divide ${n}$? Give their sum, each prime counted once.",
    "Let $f(n)$ be the sum of the different primes that divide $n$. What is $f({n})$?",
    "Lena factors {n} into primes, crosses out repetitions and adds what is left. What is her result?",
    "Determine $\\sum_{{p \\mid {n}}} p$, where $p$ runs over primes only.",
)
def sum_of_prime_factors(random: Random) -> Case:
    n = random.choice([random.randint(100, 9999), drawn_product(random)])
    answer = sum(p for p in range(2, n + 1) if n % p == 0 and isprime(p))
    primes = primefactors(n)
    return Case(
        {"n": n},
        answer,
        f"{n} = {factored(n)}. The distinct primes are {', '.join(map(str, primes))}. "
        f"Their sum is {' + '.join(map(str, primes))} = {answer}.",
        (
            with_import(ISPRIME, sum_loop(f"p in range(2, {n} + 1)", "p", f"{n} % p == 0 and isprime(p)")),
            f"from sympy import primefactors\nprint(sum(primefactors({n})))",
        ),
    )


def drawn_product(random: Random) -> int:
    n = 1
    while n < 1000:
        n *= random.choice([2, 2, 3, 3, 5, 7, 11, 13, 17])
    return n


@family(
    "number theory",
    "In how many zeros does the number ${n}!$ end?",
    "Let $k$ be the largest integer such that $10^k$ divides ${n}!$. Find $k$.",
    "The product $1 \\cdot 2 \\cdot 3 \\cdots {n}$ is written out in full. How many zeros are there after its last nonzero digit?",
    "A printer needs one drop of ink for each zero at the tail of {n} factorial; other digits are free of charge. How many drops does it need?",
    "Determine the number of trailing zeros of ${n}!$ in base ten.",
)
def zeros_of_a_factorial(random: Random) -> Case:
    n = random.randint(10, random.choice([100, 1000, 3000]))
    text = str(factorial(n)) if n < 1000 else ""
    answer = len(text) - len(text.rstrip("0")) if text else sum(fives(k) for k in range(1, n + 1))
    parts = [n // 5**k for k in range(1, 6) if 5**k <= n]
    quotients = ", ".join(f"{n} / {5**k} gives {part}" for k, part in enumerate(parts, 1))
    return Case(
        {"n": n},
        answer,
        f"Each zero needs a factor 5. We count multiples of 5, 25, ...: {quotients}. "
        f"The sum is {' + '.join(map(str, parts))} = {answer}.",
        (
            f"total = 0\np = 5\nwhile p <= {n}:\n    total += {n} // p\n    p *= 5\nprint(total)",
            f"from math import factorial\nn = factorial({n})\ncount = 0\nwhile n % 10 == 0:\n    n //= 10\n    count += 1\nprint(count)",
        ),
    )


def fives(k: int) -> int:
    return 0 if k % 5 else 1 + fives(k // 5)


@family(
    "number theory",
    "What is the largest integer $k$ for which ${p}^k$ divides ${n}!$?",
    "Find the exponent of ${p}$ in the prime factorization of ${n}!$.",
    "How often can the number ${n}!$ be divided by ${p}$ before a remainder appears?",
    "Suppose ${n}! = {p}^k \\cdot m$ where $m$ is not divisible by ${p}$. Determine $k$.",
    "All whole numbers from 1 to {n} are multiplied. A robot divides the product by {p} again and again while the result stays whole; each step takes 3 seconds. How many steps can it make?",
)
def exponent_in_a_factorial(random: Random) -> Case:
    p, n = random.choice(PRIMES), random.randint(20, random.choice([60, 300, 900]))
    answer, product = 0, factorial(n)
    while product % p == 0:
        answer, product = answer + 1, product // p
    parts = [n // p**k for k in range(1, 12) if p**k <= n]
    return Case(
        {"n": n, "p": p},
        answer,
        f"Divide {n} by the powers of {p} and round down: "
        + ", ".join(f"{n}/{p**k} -> {part}" for k, part in enumerate(parts, 1))
        + f". The sum is {' + '.join(map(str, parts))} = {answer}.",
        (
            f"from math import factorial\nn = factorial({n})\ncount = 0\nwhile n % {p} == 0:\n    n //= {p}\n    count += 1\nprint(count)",
            f"total = 0\nq = {p}\nwhile q <= {n}:\n    total += {n} // q\n    q *= {p}\nprint(total)",
        ),
    )


@family(
    "number theory",
    "Find the number of positive divisors of ${number}$.",
    "Let $N = {number}$. How many positive integers divide $N$?",
    "The number ${number}$ is written out in full. What is the number of its divisors, $1$ and the number itself included?",
    "Peter multiplies all whole numbers from 1 to {n}{more}. How many different whole numbers divide what he gets?",
    "Determine $d({number})$, where $d(k)$ counts the positive divisors of $k$.",
)
def divisors_of_a_factorial(random: Random) -> Case:
    n, m = random.choice([4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16]), random.choice([1, random.randint(2, 30)])
    value = factorial(n) * m
    answer = int(divisor_count(value))
    code = f"factorial({n}) * {m}" if m > 1 else f"factorial({n})"
    number, more = (f"{m} \\cdot {n}!", f", and the product once more by {m}") if m > 1 else (f"{n}!", "")
    return Case(
        {"n": n, "number": number, "more": more},
        answer,
        f"The number is {value} = {factored(value)}. We add 1 to each exponent and multiply: {answer}.",
        (
            f"from math import factorial\nfrom sympy import divisor_count\nprint(divisor_count({code}))",
            f"from math import factorial\nfrom sympy import factorint\ncount = 1\nfor e in factorint({code}).values():\n    count *= e + 1\nprint(count)",
        ),
    )


@family(
    "number theory",
    "How many prime numbers $p$ between ${a}$ and ${b}$ leave remainder ${r}$ when divided by ${m}$?",
    "Count the primes $p \\equiv {r} \\pmod{{{m}}}$ with ${a} \\le p \\le {b}$.",
    "Let $T$ be the set of primes $p$ with ${a} \\le p \\le {b}$ and $p \\bmod {m} = {r}$. Find the number of elements of $T$.",
    "Runners wear the numbers {a} to {b}. A runner gets a medal if the number is prime and of the form ${m}k + {r}$. How many medals are given?",
    "Determine how many primes of the form ${m}k + {r}$ lie between {a} and {b}.",
    held_out=True,
)
def primes_in_a_class(random: Random) -> Case:
    m, r = random.choice([(4, 1), (4, 3), (6, 1), (6, 5), (8, 3), (8, 5), (10, 1), (10, 3), (10, 7), (10, 9)])
    a = random.randint(2, 200)
    b = a + random.randint(50, 800)
    answer = sum(1 for p in primerange(a, b + 1) if p % m == r)
    loop = f"n in range({a}, {b} + 1)"
    return Case(
        {"a": a, "b": b, "m": m, "r": r},
        answer,
        f"We list the primes from {a} to {b} and keep those of the form {m}k + {r}. Their number is {answer}.",
        (
            with_import(ISPRIME, count_loop(loop, f"isprime(n) and n % {m} == {r}")),
            with_import(ISPRIME, count_expression(loop, f"isprime(n) and n % {m} == {r}")),
        ),
    )


@family(
    "number theory",
    "What is the smallest prime number greater than ${a}$ that leaves remainder ${r}$ on division by ${m}$?",
    "Let $p > {a}$ be the least prime with $p \\equiv {r} \\pmod{{{m}}}$. Find $p$.",
    "Starting at {a} we count upwards until we meet a prime of the form ${m}k + {r}$. Which prime is it?",
    "A lock opens at the first prime beyond {a} whose remainder modulo {m} is {r}. The lock weighs 2 kg. Which number opens it?",
    "Determine the minimum of all primes $p$ that satisfy both $p > {a}$ and $p \\bmod {m} = {r}$.",
)
def next_prime_in_a_class(random: Random) -> Case:
    m = random.choice([4, 5, 6, 7, 8, 9, 10, 12])
    r = random.choice([k for k in range(1, m) if gcd(k, m) == 1])
    a = random.randint(20, random.choice([500, 90_000]))
    answer = next(p for p in primerange(a + 1, a + 5000) if p % m == r)
    first = a + 1 + (r - a - 1) % m
    tried = ", ".join(map(str, range(first, min(answer, first + 5 * m), m)))
    return Case(
        {"a": a, "m": m, "r": r},
        answer,
        f"The first number above {a} with remainder {r} modulo {m} is {first}. We go up in steps of {m}"
        + (f" past {tried}" if tried else "")
        + f" to the first prime, {answer}.",
        (
            with_import(ISPRIME, search_loop("n", f"{a} + 1", f"isprime(n) and n % {m} == {r}")),
            search_loop("n", f"{a} + 1", f"n % {m} == {r} and all(n % d != 0 for d in range(2, n))"),
        ),
    )
