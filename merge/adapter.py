"""LoRA adapters in peft's format, added to their base in float32: W + (alpha / r) B A, row by row of W.

mergekit adds them too, but rounds each parent to the base's dtype before it averages (23 % of the elements of a
bfloat16 merge then differ from one rounding), and takes an interrupted or outdated folder of its cache for
a finished one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge.checkpoint import PRECISION, Checkpoint, TensorInfo, read_header, read_json, to_float32
from merge.errors import CheckpointError

_PREFIX = "base_model.model."
_SUFFIX = re.compile(r"\.lora_([AB])\.weight$")
# What changes the formula above, with the value that leaves it as it is.
_UNSUPPORTED = {
    "use_dora": False,
    "bias": "none",
    "lora_bias": False,
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "trainable_token_indices": None,
    "target_parameters": None,
    "layer_replication": None,
    "use_qalora": False,
    "use_bdlora": None,
    "megatron_config": None,
    "alora_invocation_tokens": None,
}


@dataclass(frozen=True, slots=True)
class Delta:
    """One tensor's low-rank change: `scale` times b (rows, r) times a (r, columns)."""

    a: NDArray[np.float32]
    b: NDArray[np.float32]
    scale: float

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.float32(self.scale) * (self.b[start:stop] @ self.a)

    def magnitude(self, start: int, stop: int) -> NDArray[np.float32]:
        """What rounding in `rows` is relative to: two sums of r products in float32 may be r / 4 times 2**-21 of this
        apart, for they may add in another order (other blocks of rows, another processor)."""
        products: NDArray[np.float32] = np.abs(self.b[start:stop]) @ np.abs(self.a)
        return products * np.float32(abs(self.scale) * max(1.0, len(self.a) / 4))


@dataclass(frozen=True)
class Adapter:
    folder: Path
    deltas: Mapping[str, Delta]
    """By the name of the base's tensor."""

    @property
    def files(self) -> list[Path]:
        return [self.folder / "adapter_config.json", self.folder / "adapter_model.safetensors"]


def read_adapter(folder: Path) -> Adapter:
    """Raises CheckpointError for what is no LoRA adapter, or one that plain addition would get wrong."""
    config = read_json(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{folder} is a {config.get('peft_type')} adapter: only LoRA can be merged")
    for key, neutral in _UNSUPPORTED.items():
        if config.get(key, neutral) not in (neutral, False, None, [], {}):
            raise CheckpointError(f"{folder} has {key}={json.dumps(config[key])}: merge it with peft, name the result")
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise CheckpointError(f"no adapter_model.safetensors in {folder}: save the adapter with peft's save_pretrained")
    return Adapter(folder, _deltas(folder, config, read_header(file)))


def _deltas(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> dict[str, Delta]:
    modules: dict[str, dict[str, TensorInfo]] = {}
    for name, info in tensors.items():
        match = _SUFFIX.search(name)
        if match is None or info.dtype not in PRECISION or len(info.shape) != 2:
            raise CheckpointError(f"{folder} has {name} ({info.dtype}): only LoRA of linear layers can be merged")
        modules.setdefault(name[: match.start()].removeprefix(_PREFIX), {})[match[1]] = info
    deltas = {}
    for module, pair in modules.items():
        if set(pair) != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            raise CheckpointError(f"{folder}: lora_A and lora_B of {module} do not fit: save the adapter again")
        a, b = (to_float32(pair[x].raw(), pair[x].dtype).reshape(pair[x].shape) for x in "AB")
        deltas[f"{module}.weight"] = Delta(a, b, _scale(config, module, len(a)))
    return deltas


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    alpha = float(config["lora_alpha"])
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = float(value)
            break
    return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))


def check_adapter(adapter: Adapter, base: Checkpoint) -> None:
    """Raises CheckpointError where the adapter was trained over another base."""
    for name, delta in adapter.deltas.items():
        info, shape = base.tensors.get(name), (len(delta.b), delta.a.shape[1])
        if info is None:
            raise CheckpointError(f"adapter {adapter.folder} changes {name}, which {base.folder} lacks: another base")
        if info.shape != shape:
            raise CheckpointError(
                f"adapter {adapter.folder} has {shape} for {name}, its base {info.shape}: another base"
            )
