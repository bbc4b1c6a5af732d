"""What a merge should give, computed a second time: float64, independent of mergekit, a few rows at a time.

Formulas: linear, arXiv 2203.05482; slerp as mergekit documents it (linear where the tensors are nearly parallel);
task_arithmetic, arXiv 2212.04089. The others have no such check: dare_ties draws at random, ties and karcher depend on
the order of equal magnitudes and on when an iteration stops, model_stock only averages.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge.checkpoint import PRECISION
from merge.parents import Parent, row_chunks
from merge.recipe import Recipe

Doubles = NDArray[np.float64]
_PARALLEL = 0.9995


@dataclass(frozen=True, slots=True)
class Expected:
    """Rows of the exact result, and how far float32 arithmetic may be from it before anything is rounded."""

    values: Doubles
    slack: Doubles


Combine = Callable[[str, int, int], Expected]
"""Tensor name, first row, end row -> what should stand there."""


def combination(recipe: Recipe, parents: Sequence[Parent]) -> Combine | None:
    """How to compute the recipe's result; None where this file cannot (see above)."""
    by_name = {parent.reference: parent for parent in parents}
    weights = recipe.scalar_weights()
    models = [by_name[model.model] for model in recipe.models]
    if recipe.merge_method == "linear" and weights is not None:
        total = sum(weights) if recipe.parameters.get("normalize", True) else 1.0
        return _sum(models, [weight / total for weight in weights])
    if recipe.merge_method == "task_arithmetic":
        return _task_arithmetic(recipe, by_name)
    if recipe.merge_method == "slerp" and isinstance(t := recipe.parameters["t"], int | float):
        base = by_name[str(recipe.base_model)]
        other = next(parent for parent in parents if parent is not base)
        return _slerp(base, other, float(t))
    return None


def _sum(parents: Sequence[Parent], weights: Sequence[float], slack: float = 2.0**-21) -> Combine:
    def combine(name: str, start: int, stop: int) -> Expected:
        values, sizes = np.zeros(1), np.zeros(1)
        for parent, weight in zip(parents, weights, strict=True):
            rows, magnitude = parent.rows_and_magnitude(name, start, stop)
            values = values + weight * rows.astype(np.float64)
            sizes = sizes + abs(weight) * magnitude
        return Expected(values, slack * sizes)

    return combine


def _task_arithmetic(recipe: Recipe, by_name: dict[str, Parent]) -> Combine | None:
    others = [model for model in recipe.models if model.model != recipe.base_model]
    weights = [recipe.weight(model) for model in others]
    scale = recipe.parameters.get("lambda", 1.0)
    if not all(isinstance(value, int | float) for value in (*weights, scale)):
        return None
    numbers = [float(weight) for weight in weights if isinstance(weight, int | float)]
    total = sum(numbers) if recipe.parameters.get("normalize", False) else 1.0
    total = total if abs(total) >= 1e-8 else 1.0  # as mergekit does
    shares = [float(str(scale)) * number / total for number in numbers]
    base = by_name[str(recipe.base_model)]
    return _sum([base, *(by_name[model.model] for model in others)], [1 - sum(shares), *shares])


def _slerp(base: Parent, other: Parent, t: float) -> Combine:
    known: dict[str, tuple[float, float]] = {}

    def combine(name: str, start: int, stop: int) -> Expected:
        if name not in known:
            known[name] = _slerp_weights(base, other, name, t)
        return _sum([base, other], known[name], slack=2.0**-16)(name, start, stop)

    return combine


def _slerp_weights(base: Parent, other: Parent, name: str, t: float) -> tuple[float, float]:
    dot = norm_a = norm_b = 0.0
    for rows in row_chunks(base.base.tensors[name]):
        a, b = (parent.rows(name, *rows).astype(np.float64).ravel() for parent in (base, other))
        dot, norm_a, norm_b = dot + float(a @ b), norm_a + float(a @ a), norm_b + float(b @ b)
    cosine = dot / math.sqrt(norm_a * norm_b) if norm_a and norm_b else 1.0
    if abs(cosine) > _PARALLEL:
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def rounding_error(values: Doubles, dtype: str) -> Doubles:
    """Half the distance between neighbouring numbers of `dtype` at each value: what rounding once may change."""
    bits, smallest = PRECISION[dtype]
    _, exponent = np.frexp(values)
    half: Doubles = np.ldexp(0.5, np.maximum(exponent - bits, smallest))
    return half


def count_wrong(stored: NDArray[np.float32], expected: Expected, dtype: str) -> int:
    """How many elements are further from the exact result than one rounding to `dtype`."""
    allowed = rounding_error(expected.values, dtype) + expected.slack
    return int(np.count_nonzero(~(np.abs(stored.astype(np.float64) - expected.values) <= allowed)))
