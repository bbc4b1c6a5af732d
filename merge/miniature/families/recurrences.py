"""Sequences that are given by how each term follows from the ones before it."""

from random import Random

from merge.miniature.family import Case, family


def recurrence_program(start: str, step: str, times: str, modulus: int | None = None) -> str:
    """Two last terms a, b are carried along; `times` steps lead to the wanted term in b."""
    rule = f"({step}) % {modulus}" if modulus else step
    return f"a, b = {start}\nfor n in range({times}):\n    a, b = b, {rule}\nprint(b)"


def list_program(start: str, step: str, last: int, modulus: int | None = None) -> str:
    end = f"print(a[{last} - 1] % {modulus})" if modulus else f"print(a[{last} - 1])"
    return f"a = [{start}]\nwhile len(a) < {last}:\n    a.append({step})\n{end}"


def scaled(p: int, text: str, times: str = "") -> str:
    return text if p == 1 else f"{p}{times}{text}"


def coded(p: int, q: int, last: str, before: str) -> str:
    """The right-hand side of `x_n = p x_(n-1) + q x_(n-2)` in Python."""
    return f"{scaled(p, last, ' * ')} {'+' if q > 0 else '-'} {scaled(abs(q), before, ' * ')}"


@family(
    "sequences",
    "Let $x_1 = {a}$, $x_2 = {b}$ and $x_{{n+2}} = {rule2}$ for $n \\ge 1$. Find the remainder when $x_{{{k}}}$ is divided by ${m}$.",
    "The first two terms of a sequence are {a} and {b}. Every later term is {p} times the previous term plus {q} times the one before that. What remainder does term number {k} leave on division by {m}?",
    "Define $u_1 = {a}$, $u_2 = {b}$, $u_n = {rule}$ for all $n > 2$. Determine $u_{{{k}}} \\bmod {m}$.",
    "In year 1 an island has {a} rabbits, in year 2 it has {b}. From then on the number is {p} times that of the last year plus {q} times that of the year before. In year {k} the rabbits, some of them white, form groups of {m}. How many are left without a group?",
    "Which integer $r$ with $0 \\le r < {m}$ is congruent modulo ${m}$ to $c_{{{k}}}$, if $c_1 = {a}$, $c_2 = {b}$ and $c_n - {pc} - {qc} = 0$ for $n \\ge 3$?",
)
def recurrence_remainder(random: Random) -> Case:
    a, b, p, q = (random.randint(1, 6) for _ in range(4))
    k, m = random.randint(8, 200), random.choice([random.randint(7, 999), 1000, 9973, 99_989])
    terms = [a, b]
    for _ in range(k):
        terms.append(p * terms[-1] + q * terms[-2])
    answer = terms[k - 1] % m
    early = ", ".join(str(t % m) for t in terms[:7])
    return Case(
        {"a": a, "b": b, "p": p, "q": q, "k": k, "m": m}
        | {"rule": f"{scaled(p, 'u_{n-1}')} + {scaled(q, 'u_{n-2}')}"}
        | {"rule2": f"{scaled(p, 'x_{n+1}')} + {scaled(q, 'x_n')}"}
        | {"pc": scaled(p, "c_{n-1}"), "qc": scaled(q, "c_{n-2}")},
        answer,
        f"Modulo {m} the terms begin {early}. Going on with the rule up to term {k} we get {answer}.",
        (
            recurrence_program(f"{a}, {b}", coded(p, q, "b", "a"), f"{k} - 2", m),
            list_program(f"{a}, {b}", coded(p, q, "a[-1]", "a[-2]"), k, m),
        ),
    )


@family(
    "sequences",
    "A sequence satisfies $a_1 = {a}$, $a_2 = {b}$ and $a_n = {rule}$ for $n \\ge 3$. What is $a_{{{k}}}$?",
    "Let $a_1 = {a}$, $a_2 = {b}$, and let each further term be given by $a_n = {rule}$. Compute the {k}th term.",
    "Find term number {k} of the sequence that starts {a}, {b}, {c} and goes on by the rule $a_n = {rule}$.",
    "The number of eggs that a beetle lays is {a} in week 1 and {b} in week 2, and $a_n = {rule}$ in week $n \\ge 3$. Each egg is 1 mm long. How many eggs does it lay in week {k}?",
    "Given $a_n = {rule}$ for $n > 2$ and the initial values $a_1 = {a}$, $a_2 = {b}$, determine $a_{{{k}}}$.",
)
def recurrence_term(random: Random) -> Case:
    a, p, q = random.randint(0, 5), random.randint(1, 5), random.choice([1, 2, 3, -1, -2])
    b = a + random.randint(1, 6)
    if p + q < 1 or (p, q) == (2, -2):
        return recurrence_term(random)
    terms = [a, b]
    while len(terms) < 24 and 0 <= p * terms[-1] + q * terms[-2] <= 99_999:
        terms.append(p * terms[-1] + q * terms[-2])
    eligible = [k for k in range(5, len(terms) + 1) if k % 10 > 3 or k in (11, 12, 13)]
    if not eligible:
        return recurrence_term(random)
    k = random.choice(eligible)
    sign = "+" if q > 0 else "-"
    step = f"{scaled(p, 'a_{n-1}')} {sign} {scaled(abs(q), 'a_{n-2}')}"
    return Case(
        {"a": a, "b": b, "c": terms[2], "k": k, "rule": step},
        terms[k - 1],
        f"By the rule, the terms are {', '.join(map(str, terms[:k]))}. Term {k} is {terms[k - 1]}.",
        (
            recurrence_program(f"{a}, {b}", coded(p, q, "b", "a"), f"{k} - 2"),
            list_program(f"{a}, {b}", coded(p, q, "a[-1]", "a[-2]"), k),
        ),
    )


@family(
    "sequences",
    "Let $x_0 = {a}$ and let $x_{{n+1}}$ be the remainder of $x_n^2 + {c}$ on division by ${m}$. Find $x_{{{k}}}$.",
    "A random number generator starts with {a}. In each step it squares its number, adds {c} and keeps the remainder modulo {m}. Which number does it hold after {k} steps?",
    "Suppose $x_0 = {a}$ and $x_{{n+1}} = (x_n^2 + {c}) \\bmod {m}$. What is $x_{{{k}}}$?",
    "Consider the map $f(x) = (x^2 + {c}) \\bmod {m}$. Determine the result of applying $f$ to ${a}$ exactly ${k}$ times.",
    "Squaring, adding {c} and reducing modulo {m} is done {k} times in a row, beginning with the number {a}. What comes out?",
)
def squaring_map(random: Random) -> Case:
    m = random.choice([random.randint(20, 999), random.randint(1000, 99_999)])
    a, c, k = random.randint(2, 19), random.randint(1, 19), random.randint(3, 60)
    terms = [a]
    for _ in range(k):
        terms.append((terms[-1] * terms[-1] + c) % m)
    return Case(
        {"a": a, "c": c, "m": m, "k": k},
        terms[k],
        f"We compute one value after the other: {', '.join(map(str, terms[: min(k, 6) + 1]))}"
        f"{', ...' * (k > 6)} and after {k} steps {terms[k]}.",
        (
            f"x = {a}\nfor n in range({k}):\n    x = (x**2 + {c}) % {m}\nprint(x)",
            f"x = [{a}]\nwhile len(x) <= {k}:\n    x.append((x[-1]**2 + {c}) % {m})\nprint(x[{k}])",
        ),
    )


@family(
    "sequences",
    "A sequence has $a_1 = {a}$ and $a_{{n+1}} = a_n + {d}n + {c}$ for $n \\ge 1$. Find $a_{{{k}}}$.",
    "Let $a_1 = {a}$. If $a_{{n+1}} - a_n = {d}n + {c}$ for every positive integer $n$, what is $a_{{{k}}}$?",
    "A well has {a} litres on day 1. Between day $n$ and day $n + 1$ it gains ${d}n + {c}$ litres. How many litres does it have on day {k}?",
    "Given that $a_1 = {a}$ and that the differences $a_2 - a_1, a_3 - a_2, \\ldots$ are ${e}, {f}, \\ldots$, always growing by ${d}$, determine $a_{{{k}}}$.",
    "Compute the {k}th number of the list which begins with {a} and in which the number in place $n$ is followed by a number larger by ${d}n + {c}$.",
)
def growing_differences(random: Random) -> Case:
    a, d, c = random.randint(1, 20), random.randint(2, 9), random.randint(1, 9)
    k = random.choice([n for n in range(5, 130) if n % 10 > 3])
    answer = a + d * (k - 1) * k // 2 + c * (k - 1)
    return Case(
        {"a": a, "d": d, "c": c, "k": k, "e": d + c, "f": 2 * d + c},
        answer,
        f"a_{k} = {a} + {d}(1 + 2 + ... + {k - 1}) + {k - 1} * {c} = {a} + {d} * {k * (k - 1) // 2} + {(k - 1) * c} = {answer}.",
        (
            f"a = {a}\nfor n in range(1, {k}):\n    a += {d} * n + {c}\nprint(a)",
            f"print({a} + sum({d} * n + {c} for n in range(1, {k})))",
        ),
    )


@family(
    "sequences",
    "Find the sum of all even Fibonacci numbers below ${n}$, where $F_1 = F_2 = 1$ and $F_{{k+2}} = F_{{k+1}} + F_k$.",
    "In the sequence 1, 1, 2, 3, 5, 8, ... each number is the sum of the two before it. Add up the even numbers of the sequence that are less than {n}. What is the result?",
    "Let $F_1 = F_2 = 1$ and $F_k = F_{{k-1}} + F_{{k-2}}$ for $k > 2$. What is the sum of the $F_k < {n}$ that are divisible by $2$?",
    "A gardener plants 1, 1, 2, 3, 5, ... trees, each week as many as in the two weeks before together, and stops before a week would need {n} or more. How many trees in all did the weeks with an even number of trees bring?",
    "Determine the total of those Fibonacci numbers $1, 1, 2, 3, 5, \\ldots$ that are even and smaller than ${n}$.",
)
def even_fibonacci(random: Random) -> Case:
    n = random.choice([random.randint(10, 1000), random.randint(1000, 99_999)])
    terms = [1, 1]
    while terms[-1] + terms[-2] < n:
        terms.append(terms[-1] + terms[-2])
    even = terms[2::3]
    return Case(
        {"n": n},
        sum(even),
        f"Every third Fibonacci number is even. Below {n} these are {', '.join(map(str, even))}. "
        f"Their sum is {' + '.join(map(str, even))} = {sum(even)}.",
        (
            f"total = 0\na, b = 1, 1\nwhile a < {n}:\n    if a % 2 == 0:\n        total += a\n    a, b = b, a + b\nprint(total)",
            f"from sympy import fibonacci\nprint(sum(fibonacci(k) for k in range(3, 30, 3) if fibonacci(k) < {n}))",
        ),
    )


@family(
    "sequences",
    "Let $a_1 = {a}$ and $a_{{n+1}} = {p}a_n + {c}$. What is the smallest $n$ with $a_n > {limit}$?",
    "A sequence starts with {a}. Each following term is {p} times the one before plus {c}. Find the position of the first term that exceeds {limit}.",
    "On day 1 a pond has {a} water lilies. Each day the number is multiplied by {p}, and then {c} more are added; 7 frogs watch. On which day are there more than {limit} lilies for the first time?",
    "Determine the least index $n$ for which $a_n > {limit}$, if $a_1 = {a}$ and $a_n = {p}a_{{n-1}} + {c}$ for $n \\ge 2$.",
    "The rule $x \\mapsto {p}x + {c}$ is applied to ${a}$ again and again. Counting ${a}$ as term 1, which term is the first above ${limit}$?",
)
def first_term_above(random: Random) -> Case:
    a, p, c, limit = random.randint(1, 9), random.randint(2, 5), random.randint(1, 30), random.randint(500, 9_999_999)
    terms = [a]
    while terms[-1] <= limit:
        terms.append(p * terms[-1] + c)
    shown = terms if len(terms) <= 9 else [*terms[:4], "...", *terms[-2:]]
    return Case(
        {"a": a, "p": p, "c": c, "limit": limit},
        len(terms),
        f"The terms are {', '.join(map(str, shown))}. {terms[-1]} is the first one above {limit}; its position is {len(terms)}.",
        (
            f"a = {a}\nn = 1\nwhile not (a > {limit}):\n    a = {p} * a + {c}\n    n += 1\nprint(n)",
            f"a = [{a}]\nwhile a[-1] <= {limit}:\n    a.append({p} * a[-1] + {c})\nprint(len(a))",
        ),
    )


@family(
    "sequences",
    "Starting from ${n}$, an even number is halved and an odd number $x$ is replaced by $3x + 1$. After how many steps is $1$ reached for the first time?",
    "Let $f(x) = \\frac{{x}}{{2}}$ for even $x$ and $f(x) = 3x + 1$ for odd $x$. How often must $f$ be applied to ${n}$ until the value is $1$?",
    "A game piece is worth {n}. In each move, if its worth is even it is cut in half, otherwise it is tripled and increased by 1. How many moves pass until it is worth 1?",
    "Let $x_0 = {n}$, and $x_{{k+1}} = x_k / 2$ if $x_k$ is even, $x_{{k+1}} = 3x_k + 1$ if not. Find the least $k$ with $x_k = 1$.",
    "Determine the number of steps of the Collatz process from {n} to its first 1.",
    held_out=True,
)
def collatz_steps(random: Random) -> Case:
    n = random.randint(5, 2000)
    terms = [n]
    while terms[-1] != 1:
        terms.append(3 * terms[-1] + 1 if terms[-1] % 2 else terms[-1] // 2)
    shown = ", ".join(map(str, terms if len(terms) < 12 else [*terms[:7], "...", *terms[-3:]]))
    program = "count = 0\nwhile n != 1:\n    if n % 2 == 0:\n        n //= 2\n    else:\n        n = 3 * n + 1\n    count += 1\nprint(count)"
    return Case(
        {"n": n},
        len(terms) - 1,
        f"The numbers are {shown}. The number of steps is {len(terms) - 1}.",
        (
            f"n = {n}\n{program}",
            f"a = [{n}]\nwhile a[-1] != 1:\n    a.append(a[-1] // 2 if a[-1] % 2 == 0 else 3 * a[-1] + 1)\nprint(len(a) - 1)",
        ),
    )


@family(
    "sequences",
    "Let $t_1 = {a}$, $t_2 = {b}$, $t_3 = {c}$, and let every later term be the sum of the three terms before it. Find the remainder when $t_{{{k}}}$ is divided by ${m}$.",
    "A sequence begins {a}, {b}, {c}, and $t_{{n+3}} = t_{{n+2}} + t_{{n+1}} + t_n$ for $n \\ge 1$. What is $t_{{{k}}} \\bmod {m}$?",
    "In the first three hours {a}, {b} and {c} bees arrive. After that, in each hour as many arrive as in the three hours before together. The bees of hour {k} fly off in swarms of {m}. How many stay behind?",
    "Define $t_n = t_{{n-1}} + t_{{n-2}} + t_{{n-3}}$ with $t_1 = {a}$, $t_2 = {b}$, $t_3 = {c}$. Determine the remainder of $t_{{{k}}}$ modulo ${m}$.",
    "From the fourth number on, each number of a list is the total of the preceding three; the list starts with {a}, {b}, {c}. Which remainder modulo {m} has number {k} of the list?",
    held_out=True,
)
def three_term_recurrence(random: Random) -> Case:
    a, b, c = (random.randint(0, 5) for _ in range(3))
    c += 1
    k, m = random.randint(10, 150), random.choice([10, 100, 1000, 997, random.randint(11, 500)])
    terms = [a, b, c]
    while len(terms) < k:
        terms.append(sum(terms[-3:]))
    early = ", ".join(str(t % m) for t in terms[:8])
    return Case(
        {"a": a, "b": b, "c": c, "k": k, "m": m},
        terms[-1] % m,
        f"Modulo {m} the list begins {early}. Going on in the same way, term {k} is {terms[-1] % m}.",
        (
            f"a, b, c = {a}, {b}, {c}\nfor n in range({k} - 3):\n    a, b, c = b, c, a + b + c\nprint(c % {m})",
            f"a = [{a}, {b}, {c}]\nwhile len(a) < {k}:\n    a.append(a[-1] + a[-2] + a[-3])\nprint(a[{k} - 1] % {m})",
        ),
    )
