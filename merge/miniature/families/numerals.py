"""Numbers as written: palindromes, lengths, other bases."""

from random import Random

from merge.miniature.family import Case, family


@family(
    "number theory",
    "What is the {which} ${k}$-digit palindrome that is a multiple of ${m}$?",
    "Find the {which} palindromic number with {k} digits such that {m} divides it.",
    "Let $P$ be the set of ${k}$-digit numbers that read the same backwards. Determine the {which} element of $P$ divisible by ${m}$.",
    "A car's odometer shows {k} digits, the first not 0. Its owner likes a reading if it is a palindrome and leaves no remainder on division by {m}. Which is the {which} such reading?",
    "A word or number is a palindrome if it does not change when reversed. Give the {which} {word}-digit palindrome among the multiples of ${m}$.",
    "Among the palindromes of {k} digits, one looks for those that {m} divides evenly. Which is the {which} of them?",
)
def palindrome_multiple(random: Random) -> Case:
    k, m = random.choice([3, 4, 5, 5]), random.choice([6, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 21, 22, 23, 27, 29, 31])
    which, order = random.choice([("smallest", 1), ("largest", -1)])
    low, high = 10 ** (k - 1), 10**k - 1
    halves = [str(h) for h in range(10 ** ((k - 1) // 2), 10 ** ((k + 1) // 2))]
    palindromes = [int(h + h[::-1][k % 2 :]) for h in halves]
    if all(p % m for p in palindromes):
        return palindrome_multiple(random)
    answer = next(p for p in palindromes[::order] if p % m == 0)
    tried = palindromes[::order].index(answer)
    first = palindromes[::order][0]
    start, step, function = (low, "+=", "min") if order == 1 else (high, "-=", "max")
    condition = f"n % {m} == 0 and str(n) == str(n)[::-1]"
    return Case(
        {"k": k, "m": m, "which": which, "word": {3: "three", 4: "four", 5: "five"}[k]},
        answer,
        f"The {which} {k}-digit palindrome is {first}. We test the palindromes one after the other for divisibility by {m}. "
        + (f"After {tried} failures we find {m} * {answer // m} = {answer}." if tried else f"It works: {answer}."),
        (
            f"n = {start}\nwhile not ({condition}):\n    n {step} 1\nprint(n)",
            f"print({function}(n for n in range({low}, {high} + 1) if {condition}))",
        ),
    )


@family(
    "number theory",
    "Write ${n}$ in base ${b}$. What is the sum of its digits in that base?",
    "Find the sum of the base-${b}$ digits of ${n}$.",
    "On a planet where one counts in base {b}, the number that we call {n} is written down and its digits are added. What is the sum, in our notation?",
    "Let $s_{{{b}}}(n)$ be the digit sum of $n$ in base ${b}$. Determine $s_{{{b}}}({n})$.",
    "What is the least number of powers of ${b}$ (that is, $1, {b}, {b}^2, \\ldots$, repetition allowed) whose sum is ${n}$?",
)
def digit_sum_in_a_base(random: Random) -> Case:
    b, n = random.choice([2, 2, 3, 4, 5, 6, 7, 8, 9]), random.randint(50, random.choice([1000, 99_999]))
    digits = []
    rest = n
    while rest:
        digits.append(rest % b)
        rest //= b
    answer = sum(digits)
    steps = f"{n} = {n // b} * {b} + {n % b}, {n // b} = {n // b // b} * {b} + {n // b % b}"
    return Case(
        {"n": n, "b": b},
        answer,
        f"We divide by {b} again and again: {steps}, and so on. In base {b} the number is {''.join(map(str, digits[::-1]))}. "
        f"Digit sum: {answer}.",
        (
            f"n = {n}\ntotal = 0\nwhile n > 0:\n    total += n % {b}\n    n //= {b}\nprint(total)",
            f"from sympy.ntheory import digits\nprint(sum(digits({n}, {b})[1:]))",
        ),
    )


@family(
    "number theory",
    "The base-${b}$ numeral ${text}_{{{b}}}$ is equal to what number in base ten?",
    "Convert ${text}_{{{b}}}$ to decimal notation.",
    "An old counting machine works in base {b} and weighs 9 kg. Its display shows {text}. Which ordinary decimal number is that?",
    "Let $N$ have the digits ${text}$ when written in base ${b}$. Determine $N$.",
    "In base {b} someone writes the age of a tree in days as {text}. How many days old is the tree, written in base ten?",
)
def value_of_a_numeral(random: Random) -> Case:
    b = random.choice([2, 3, 4, 5, 6, 7, 8, 9])
    length = random.randint(8, 14) if b == 2 else random.randint(3, 5)
    digits = [random.randrange(1, b), *(random.randrange(b) for _ in range(length - 1))]
    text = "".join(map(str, digits))
    answer = sum(d * b**k for k, d in enumerate(digits[::-1]))
    value, steps = digits[0], []
    for d in digits[1:]:
        steps.append(f"{value} * {b} + {d} = {value * b + d}")
        value = value * b + d
    return Case(
        {"b": b, "text": text},
        answer,
        f"From the left: {', '.join(steps)}.",
        (
            f'total = 0\nfor c in "{text}":\n    total = total * {b} + int(c)\nprint(total)',
            f'print(int("{text}", {b}))',
        ),
    )


@family(
    "number theory",
    "How many digits does ${a}^{{{n}}}$ have in base ten?",
    "Find the number of decimal digits of ${a}^{{{n}}}$.",
    "The value of ${a}^{{{n}}}$ is printed on a tape, one digit per centimetre. How many centimetres long is the print?",
    "Let $d$ be the integer with $10^{{d-1}} \\le {a}^{{{n}}} < 10^d$. Determine $d$.",
    "If you multiply {n} factors, each equal to {a}, how long is the result, counted in digits?",
)
def length_of_a_power(random: Random) -> Case:
    a, n = random.randint(2, 30), random.randint(10, 2000)
    length, power = 0, a**n
    while power:
        power //= 10
        length += 1
    return Case(
        {"a": a, "n": n},
        length,
        f"log10({a}^{n}) = {n} * log10({a}), which lies between {length - 1} and {length}. So the number of digits is {length}.",
        (
            f"n = {a}**{n}\ncount = 0\nwhile n > 0:\n    count += 1\n    n //= 10\nprint(count)",
            f"print(len(str({a}**{n})))",
        ),
    )
