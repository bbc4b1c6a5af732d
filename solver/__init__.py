"""Solves answer-only mathematics contests offline: a model's attempts, their Python, a vote, a clock.

Importing this package costs nothing heavy; `solver.solve` is the main path and the place to start reading.
"""

__version__ = "0.1.0"
