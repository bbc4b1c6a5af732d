"""Solves answer-only mathematics contests offline: a model's attempts, their Python, a vote, a clock.

Importing this package costs nothing heavy; `solver.solve` is the main path and the place to start reading.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from solver.facade import Solver as Solver


def __getattr__(name: str) -> Any:
    """`from solver import Solver`, which loads the rest of the package only then."""
    if name == "Solver":
        from solver.facade import Solver

        return Solver
    raise AttributeError(f"module 'solver' has no attribute '{name}'")
