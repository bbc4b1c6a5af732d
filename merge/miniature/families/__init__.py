"""Families of contest-style problems with integer answers; importing this package registers them all."""

from merge.miniature.families import (
    arithmetic,
    digits,
    diophantine,
    divisibility,
    equations,
    modular,
    polynomials,
    primes,
    recurrences,
    series,
)

__all__ = [
    "arithmetic",
    "digits",
    "diophantine",
    "divisibility",
    "equations",
    "modular",
    "polynomials",
    "primes",
    "recurrences",
    "series",
]
