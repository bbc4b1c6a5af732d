"""Families of contest-style problems with integer answers; importing this package registers them all."""

from merge.miniature.families import (
    arithmetic,
    arrangements,
    composed,
    counting,
    dice,
    divisibility,
    modular,
    paths,
    primes,
    rates,
    shopping,
    solids,
    stories,
    triangles,
    urns,
)

__all__ = [
    "arithmetic",
    "arrangements",
    "composed",
    "counting",
    "dice",
    "divisibility",
    "modular",
    "paths",
    "primes",
    "rates",
    "shopping",
    "solids",
    "stories",
    "triangles",
    "urns",
]
