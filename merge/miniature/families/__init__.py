"""Families of contest-style problems with integer answers; importing this package registers them all."""

from merge.miniature.families import arithmetic, divisibility, modular, primes

__all__ = ["arithmetic", "divisibility", "modular", "primes"]
