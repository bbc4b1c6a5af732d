"""Families of contest-style problems with integer answers; importing this package registers them all."""

from merge.miniature.families import (
    arithmetic,
    chained,
    digits,
    diophantine,
    divisibility,
    equations,
    functions,
    modular,
    numerals,
    polynomials,
    primes,
    recurrences,
    series,
)

__all__ = [
    "arithmetic",
    "chained",
    "digits",
    "diophantine",
    "divisibility",
    "equations",
    "functions",
    "modular",
    "numerals",
    "polynomials",
    "primes",
    "recurrences",
    "series",
]
