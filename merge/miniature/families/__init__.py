"""Families of contest-style problems with integer answers; importing this package registers them all."""

from merge.miniature.families import (
    arithmetic,
    composed,
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
    "composed",
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
