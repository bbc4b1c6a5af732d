"""The exact value of a boxed integer expression: `2^{10}`, `\\frac{10}{2}`, `\\binom{5}{2}`, `7^{10^{18}} \\bmod 1000`.

A recursive descent over a short text, in rational arithmetic. Everything is bounded: the depth of nesting, and the bits
of every intermediate value. A power under a modulus is never written out: it is a modular power, its exponent reduced
by Euler's theorem where that is itself too large. What is not understood has no value.

What is not covered: variables, irrational roots, functions, sums, anything approximate.
"""

import math
import re
from collections.abc import Callable
from fractions import Fraction

_MAX_BITS = 16_384  # of any value on the way
_MAX_DEPTH = 40
_MAX_MODULUS = 10**12  # its totient needs trial division up to the root

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<command>\\[A-Za-z]+)|(?P<word>mod)(?![A-Za-z])|(?P<sign>[-+*/^!(){}×·⋅÷]))"
)
_TIMES = {"*": "*", "×": "*", "·": "*", "⋅": "*", "\\times": "*", "\\cdot": "*", "/": "/", "÷": "/", "\\div": "/"}
_FRACTIONS = ("\\frac", "\\dfrac", "\\tfrac", "\\cfrac")
_BINOMIALS = ("\\binom", "\\dbinom", "\\tbinom")
_MODULO = ("\\bmod", "\\mod", "\\pmod", "mod")

Value = Callable[[int | None], Fraction]
"""An expression that can be worked out, modulo an integer or (None) exactly."""


class _NoValueError(Exception):
    """Not an expression, or one without a value within the bounds."""


def evaluate(text: str) -> int | None:
    """The integer that `text` is equal to; None where it is none, is not understood or would be too large."""
    try:
        parser = _Parser(text)
        value = parser.whole()(None)
    except (_NoValueError, ZeroDivisionError):
        return None
    return value.numerator if value.denominator == 1 else None


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        self._depth = 0
        position = 0
        text = text.rstrip()
        while position < len(text):
            if (match := _TOKEN.match(text, position)) is None:
                raise _NoValueError
            self._tokens.append(match.group().strip())
            position = match.end()
        self._tokens.reverse()

    def whole(self) -> Value:
        value = self._sum()
        while self._peek() in _MODULO or (self._peek() == "(" and self._tokens[-2:-1] in (["mod"], ["\\bmod"])):
            value = _modulo(value, self._modulus())
        if self._tokens:
            raise _NoValueError
        return value

    def _modulus(self) -> Value:
        if self._take() != "(":  # `\\bmod m`, `\\pmod{m}`
            return self._sum()
        self._take()  # `(mod m)`
        value = self._sum()
        self._expect(")")
        return value

    def _sum(self) -> Value:
        """A sum of terms, each with its own sign."""
        value = self._term()
        while (sign := self._peek()) in ("+", "-"):
            self._take()
            value = _combined(sign, value, self._term())
        if self._peek() == "\\choose":  # `{5 \\choose 2}`
            self._take()
            value = _function(math.comb, value, self._sum())
        return value

    def _term(self) -> Value:
        value = self._signed()
        while True:
            if (operation := _TIMES.get(self._peek())) is not None:
                self._take()
                value = _combined(operation, value, self._signed())
            elif self._peek() == "(" and self._tokens[-2:-1] not in (["mod"], ["\\bmod"]):
                value = _combined("*", value, self._power())
            else:
                return value

    def _signed(self) -> Value:
        if self._peek() in ("+", "-"):
            sign = self._take()
            value = self._signed()
            return value if sign == "+" else _combined("-", _constant(0), value)
        return self._power()

    def _power(self) -> Value:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _NoValueError
        value = self._atom()
        while self._peek() == "!":
            self._take()
            value = _function(math.factorial, value)
        if self._peek() == "^":
            self._take()
            exponent = self._signed() if self._peek() in ("+", "-") else self._power()
            value = _raised(value, exponent)
        self._depth -= 1
        return value

    def _atom(self) -> Value:
        token = self._take()
        if token[0].isdigit():
            return _constant(Fraction(token))
        if token in ("(", "{"):
            value = self._sum()
            self._expect(")" if token == "(" else "}")
            return value
        if token in _FRACTIONS:
            return _combined("/", self._argument(), self._argument())
        if token in _BINOMIALS:
            return _function(math.comb, self._argument(), self._argument())
        if token == "\\sqrt":
            return _root(self._argument())
        raise _NoValueError

    def _argument(self) -> Value:
        """A group in braces, or one digit (`\\frac12`)."""
        if (token := self._take()) == "{":
            value = self._sum()
            self._expect("}")
            return value
        if not token.isdigit():
            raise _NoValueError
        if len(token) > 1:
            self._tokens.append(token[1:])
        return _constant(int(token[0]))

    def _peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _take(self) -> str:
        if not self._tokens:
            raise _NoValueError
        return self._tokens.pop()

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise _NoValueError


def _constant(number: int | Fraction) -> Value:
    value = Fraction(number)
    return lambda modulus: value if modulus is None else _reduced(value, modulus)


def _combined(operation: str, left: Value, right: Value) -> Value:
    def value(modulus: int | None) -> Fraction:
        if operation == "/" and modulus is not None:
            return _reduced(value(None), modulus)  # a quotient is taken before the remainder
        a, b = left(modulus), right(modulus)
        result = a + b if operation == "+" else a - b if operation == "-" else a * b if operation == "*" else a / b
        return _bounded(result) if modulus is None else _reduced(result, modulus)

    return value


def _raised(base: Value, exponent: Value) -> Value:
    def value(modulus: int | None) -> Fraction:
        if modulus is not None:
            return Fraction(pow(_whole(base(modulus)), _exponent(exponent, modulus), modulus))
        b, e = base(None), _whole(exponent(None))
        if abs(e) * max(b.numerator.bit_length(), b.denominator.bit_length(), 1) > _MAX_BITS and abs(b) not in (0, 1):
            raise _NoValueError
        return Fraction(b**e) if abs(b) != 1 else b ** (e % 2)

    return value


def _exponent(exponent: Value, modulus: int) -> int:
    """The exponent itself; where that is too large, a smaller one with the same power modulo `modulus` (a power whose
    exponent is at least log2 of the modulus repeats with the period of the totient)."""
    try:
        exact = _whole(exponent(None))
    except _NoValueError:
        totient = _totient(modulus)
        return _whole(exponent(totient)) + totient * (1 + modulus.bit_length() // totient)
    if exact < 0:
        raise _NoValueError
    return exact


def _modulo(left: Value, right: Value) -> Value:
    modulus = _whole(right(None))
    if not 0 < modulus <= _MAX_MODULUS:
        raise _NoValueError

    def value(outer: int | None) -> Fraction:
        inner = left(modulus)
        return inner if outer is None else _reduced(inner, outer)

    return value


def _function(function: Callable[..., int], *arguments: Value) -> Value:
    """factorial or comb of small natural numbers."""

    def value(modulus: int | None) -> Fraction:
        numbers = [_whole(argument(None)) for argument in arguments]
        if min(numbers) < 0 or max(numbers) > 2_000:
            raise _NoValueError
        result = _bounded(Fraction(function(*numbers)))
        return result if modulus is None else _reduced(result, modulus)

    return value


def _root(argument: Value) -> Value:
    def value(modulus: int | None) -> Fraction:
        number = argument(None)
        if number < 0:
            raise _NoValueError
        root = Fraction(math.isqrt(number.numerator), math.isqrt(number.denominator))
        if root * root != number:
            raise _NoValueError
        return root if modulus is None else _reduced(root, modulus)

    return value


def _totient(number: int) -> int:
    totient, rest, prime = number, number, 2
    while prime * prime <= rest:
        if rest % prime == 0:
            totient -= totient // prime
            while rest % prime == 0:
                rest //= prime
        prime += 1
    return totient - totient // rest if rest > 1 else totient


def _reduced(value: Fraction, modulus: int) -> Fraction:
    return Fraction(_whole(value) % modulus)


def _whole(value: Fraction) -> int:
    if value.denominator != 1:
        raise _NoValueError
    return value.numerator


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise _NoValueError
    return value
