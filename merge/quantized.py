"""Quantized weights as compressed-tensors stores them: which tensors stand for which weight, and how far they are off.

Read for per-channel int8 and FP8 (E4M3), where the stored number times its row's scale is the weight. Packed four-bit
formats are recognised and left to the engine.
"""

import numpy as np
from numpy.typing import NDArray

from merge.checkpoint import PRECISION, Checkpoint

_COMPANIONS = (
    "weight_scale", "weight_zero_point", "weight_packed", "weight_shape", "weight_global_scale", "weight_g_idx",
    "input_scale", "input_zero_point", "input_global_scale", "output_scale",
)  # fmt: skip


def quantized_names(checkpoint: Checkpoint) -> dict[str, set[str]]:
    """Weight name -> every tensor that stands for it; empty for a checkpoint that is not quantized."""
    found: dict[str, set[str]] = {}
    for name in checkpoint.tensors:
        module, _, kind = name.rpartition(".")
        if kind in _COMPANIONS:
            found.setdefault(f"{module}.weight", set()).add(name)
    for name, names in found.items():
        if name in checkpoint.tensors:
            names.add(name)
    return found


def count_far(checkpoint: Checkpoint, source: Checkpoint, name: str) -> int | None:
    """How many weights of `name` are further from the source's than the format's rounding; None for packed formats.

    int8: half a step of the row's scale. E4M3: half a unit of its three mantissa bits, or of its smallest number. A
    quarter of a step is added, for the scale itself is rounded.
    """
    stored, scale = checkpoint.tensors.get(name), checkpoint.tensors.get(f"{name}_scale")
    if stored is None or scale is None or stored.dtype not in ("I8", "F8_E4M3") or scale.dtype not in PRECISION:
        return None
    steps = scale.floats().astype(np.float64).reshape(-1, 1)
    exact = source.tensors[name].floats().astype(np.float64).reshape(stored.shape)
    numbers = _e4m3(stored.raw()) if stored.dtype == "F8_E4M3" else stored.raw().astype(np.float64)
    numbers = numbers.reshape(stored.shape)
    unit = np.maximum(np.abs(numbers) / 8, 2.0**-9) if stored.dtype == "F8_E4M3" else np.ones_like(numbers)
    return int(np.count_nonzero(~(np.abs(numbers * steps - exact) <= 0.75 * unit * steps)))


def _e4m3(raw: NDArray[np.uint8]) -> NDArray[np.float64]:
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    value = np.where(exponent == 0, mantissa * 2.0**-9, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    table: NDArray[np.float64] = np.where(codes & 128, -value, value)
    return table[raw]
