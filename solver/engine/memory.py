"""Whether a model fits, estimated from its folder before anything is loaded; and its weights read ahead.

An estimate: activations and an engine's own buffers are taken as a tenth of the weights and half a gibibyte.
"""

import asyncio
import contextlib
import json
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solver.config import EngineConfig
from solver.engine.device import has_bfloat16
from solver.engine.weights import read_header
from solver.errors import EngineError

_GIB = 2**30
_OVERHEAD_SHARE, _OVERHEAD_BYTES = 0.1, _GIB // 2
_LEAST_CONTEXT = 1024  # no shorter one is proposed
_READ_AHEAD_FROM = _GIB  # smaller weights are there before the engine asks for them
_READERS, _BLOCK = 8, 2**24
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_FLOATS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What a model's folder says about its size."""

    num_parameters: int
    """Of those kept as floating point: an engine gives them its own dtype."""
    packed_bytes: int
    """Of weights that are quantized in the checkpoint and stay as they are."""
    stored_dtype_bytes: int
    kv_values_per_token: int
    """Numbers that one more token adds to the KV cache."""
    kv_values_per_attempt: int
    """Numbers that an attempt holds whatever its length: sliding windows."""
    state_values_per_attempt: int = 0
    """Numbers of the Mamba layers' states, kept in float32."""

    def weight_bytes(self, dtype_bytes: float) -> int:
        return self.packed_bytes + math.ceil(self.num_parameters * dtype_bytes)

    def attempt_bytes(self, num_tokens: int, value_bytes: float) -> int:
        """KV cache of one attempt of `num_tokens`, prompt and output."""
        values = self.kv_values_per_token * num_tokens + self.kv_values_per_attempt
        return math.ceil(values * value_bytes) + 4 * self.state_values_per_attempt


@dataclass(frozen=True, slots=True)
class Fit:
    weight_bytes: int
    attempt_bytes: int
    """KV cache of one attempt that fills the context."""
    free_bytes: int
    """For weights, KV cache and the engine's own needs."""
    room_bytes: int
    """Of the free bytes, what is left beside the weights."""
    kv_bytes: int
    """Of that, what the KV cache may take."""
    is_widened: bool = False
    """The weights take more than in the checkpoint: a CPU without bfloat16 computes in float32."""

    @property
    def attempts(self) -> int:
        """Attempts of full length whose KV cache fits at once."""
        return max(0, self.kv_bytes) // self.attempt_bytes if self.attempt_bytes else 10**6

    @property
    def share_of_one(self) -> float:
        """How much of one full-length attempt fits."""
        return max(0, self.kv_bytes) / self.attempt_bytes if self.attempt_bytes else 1.0


def read_model_size(folder: Path) -> ModelSize:
    """From config.json and the headers of the safetensors files (a few kilobytes of each are read)."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    floats: dict[str, int] = {}
    packed = 0
    files = sorted(folder.glob("*.safetensors"))
    for tensor in (tensor for file in files for tensor in read_header(file).values()):
        values = math.prod(tensor.shape)
        if tensor.dtype in _FLOATS:
            floats[tensor.dtype] = floats.get(tensor.dtype, 0) + values
        else:
            packed += tensor.num_bytes
    stored = max(floats, key=lambda dtype: floats[dtype]) if floats else "BF16"
    config = config.get("text_config") or config
    return ModelSize(sum(floats.values()), packed, _FLOATS[stored], *_kv_values(config), _state_values(config))


def estimate(
    size: ModelSize, config: EngineConfig, free_bytes: int, *, on_cpu: bool, kv_pool_bytes: int | None = None
) -> Fit:
    """`kv_pool_bytes`: a KV cache of fixed size, taken out of the free bytes."""
    dtype_bytes: float = _DTYPE_BYTES.get(config.dtype, size.stored_dtype_bytes)
    is_widened = config.dtype == "auto" and on_cpu and not has_bfloat16() and size.stored_dtype_bytes < 4
    if is_widened:
        dtype_bytes = 4
    value_bytes = 1.0 if "8" in config.kv_cache_dtype else 0.5 if "4" in config.kv_cache_dtype else dtype_bytes
    if config.quantization is not None and not size.packed_bytes:
        dtype_bytes = 0.5 if "4" in config.quantization or "awq" in config.quantization else 1.0
    weights = size.weight_bytes(dtype_bytes) // config.tensor_parallel_size
    left = free_bytes - weights - int(weights * _OVERHEAD_SHARE) - _OVERHEAD_BYTES
    kv = left if kv_pool_bytes is None else min(left, kv_pool_bytes)
    attempt = size.attempt_bytes(config.max_model_len, value_bytes) // config.tensor_parallel_size
    return Fit(weights, attempt, free_bytes, left, kv, is_widened)


async def check_memory(config: EngineConfig, folder: Path, *, on_cpu: bool) -> tuple[str, ...]:
    """For an engine with a KV cache of its own size, in which turns wait for room: notes for the user.

    Raises EngineError where the weights and one attempt do not fit. Nothing is said where the folder does not tell its
    size or the machine its memory: the engine finds out.
    """
    free = free_host_bytes() if on_cpu else await free_gpu_bytes(config.gpu_memory_utilization)
    fit = _fit(config, folder, free, on_cpu=on_cpu, pool_gib=config.cpu_kv_cache_gib if on_cpu else None)
    if fit is None or fit.attempts >= config.max_num_seqs:
        return ()
    return (
        f"the KV cache has room for {_attempts(fit)} of {config.max_model_len} tokens; of "
        f"{config.max_num_seqs} at once some would wait if they grew so long",
    )


async def attempts_that_fit(config: EngineConfig, folder: Path) -> tuple[int, tuple[str, ...]]:
    """For an engine whose KV cache grows as it goes: how many attempts may be decoded at once, and notes for the user.

    Raises EngineError as `check_memory` does.
    """
    gpu = await free_gpu_bytes(config.gpu_memory_utilization)
    fit = _fit(config, folder, free_host_bytes() if gpu is None else gpu, on_cpu=gpu is None)
    if fit is None or fit.attempts >= config.max_num_seqs:
        return config.max_num_seqs, ()
    note = f"memory for {_attempts(fit)} of {config.max_model_len} tokens, not {config.max_num_seqs}"
    return fit.attempts, (f"{note}: the others wait",)


def _attempts(fit: Fit) -> str:
    return "1 attempt" if fit.attempts == 1 else f"{fit.attempts} attempts"


def _fit(
    config: EngineConfig, folder: Path, free: int | None, *, on_cpu: bool, pool_gib: int | None = None
) -> Fit | None:
    try:
        size = read_model_size(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if free is None or not size.num_parameters + size.packed_bytes:
        return None
    fit = estimate(size, config, free, on_cpu=on_cpu, kv_pool_bytes=None if pool_gib is None else pool_gib * _GIB)
    if fit.attempts < 1:
        raise EngineError(_refusal(folder, config, fit, on_cpu=on_cpu, pool_gib=pool_gib))
    return fit


def free_host_bytes() -> int | None:
    """Memory that this process may still take: of the machine, or of its container where that is less."""
    free: list[int] = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
        free.append(limit - int(Path("/sys/fs/cgroup/memory.current").read_text("ascii")))
    return min(free, default=None)


async def free_gpu_bytes(share: float) -> int | None:
    """What an engine that takes `share` of the first GPU may use of it. torch is not asked: that would claim it."""
    query = ("nvidia-smi", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits")
    try:
        process = await asyncio.create_subprocess_exec(
            *query, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        lines = (await process.communicate())[0].decode("ascii", "replace").splitlines()
        total, free = (int(value) * 2**20 for value in lines[0].split(","))
    except (OSError, ValueError, IndexError):
        return None
    return min(free, int(total * share))


def read_ahead(folder: Path) -> None:
    """Start reading large weights into the page cache, beside the import of the engine. Returns at once."""
    files = sorted(folder.glob("*.safetensors"))
    total, free = sum(file.stat().st_size for file in files), free_host_bytes()
    if total < _READ_AHEAD_FROM or (free is not None and total > free):
        return
    blocks = [(file, start) for file in files for start in range(0, file.stat().st_size, _BLOCK)]
    for number in range(_READERS):
        mine = blocks[number::_READERS]
        threading.Thread(target=_read_blocks, args=(mine,), name="read ahead", daemon=True).start()


def _read_blocks(blocks: list[tuple[Path, int]]) -> None:
    buffer = bytearray(_BLOCK)
    for file, start in blocks:
        with contextlib.suppress(OSError):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.preadv(descriptor, [buffer], start)
            finally:
                os.close(descriptor)


def _kv_values(config: dict[str, Any]) -> tuple[int, int]:
    """Values for each token, and for each attempt whatever its length."""
    layers = int(config["num_hidden_layers"])
    if (rank := config.get("kv_lora_rank")) is not None:  # multi-head latent attention
        return layers * (int(rank) + int(config.get("qk_rope_head_dim", 0))), 0
    heads = int(config["num_attention_heads"])
    size = int(config.get("head_dim") or config["hidden_size"] // heads)
    each = 2 * int(config.get("num_key_value_heads") or heads) * size
    if pattern := config.get("hybrid_override_pattern"):  # Nemotron-H: * is attention, the others keep a fixed state
        return pattern.count("*") * each, 0
    kinds = config.get("layer_types") or []
    sliding = sum(kind == "sliding_attention" for kind in kinds)
    full = sum(kind == "full_attention" for kind in kinds) if kinds else layers
    return full * each, sliding * each * int(config.get("sliding_window") or 0)


def _state_values(config: dict[str, Any]) -> int:
    if "mamba_num_heads" not in config:
        return 0
    inner = int(config["mamba_num_heads"]) * int(config["mamba_head_dim"])
    size = int(config["ssm_state_size"])
    convolved = (inner + 2 * int(config.get("n_groups", 1)) * size) * int(config.get("conv_kernel", 4))
    return str(config.get("hybrid_override_pattern", "")).count("M") * (inner * size + convolved)


def _refusal(folder: Path, config: EngineConfig, fit: Fit, *, on_cpu: bool, pool_gib: int | None) -> str:
    need = (
        f"{folder.name} needs {fit.weight_bytes / _GIB:.1f} GiB for weights{_widened(config, fit)} and "
        f"{fit.attempt_bytes / _GIB:.1f} GiB for one attempt of {config.max_model_len} tokens"
    )
    tokens = _multiple(config.max_model_len * fit.share_of_one)
    shorter = [f"engine.max_model_len={tokens} or less"] if tokens >= _LEAST_CONTEXT else []
    if pool_gib is not None and fit.room_bytes >= fit.attempt_bytes:  # the cache's own size is what is short
        larger = f"set engine.cpu_kv_cache_gib={math.ceil(fit.attempt_bytes / _GIB)}"
        return f"{need}, more than engine.cpu_kv_cache_gib={pool_gib}: {', or '.join([larger, *shorter])}"
    need += f"; {fit.free_bytes / _GIB:.1f} GiB are free"
    remedies = [f"set {setting}" for setting in shorter]
    if _widened(config, fit):
        remedies.append("set engine.dtype=bfloat16")
    elif config.quantization is None and not on_cpu:
        remedies.append("set engine.quantization=fp8")
    if not shorter:
        remedies.append("take a smaller or a quantized model" + (", or a larger machine" if on_cpu else ""))
    return f"{need}: {', or '.join(remedies)}"


def _widened(config: EngineConfig, fit: Fit) -> str:
    return " in float32, since this CPU has no bfloat16," if config.dtype == "auto" and fit.is_widened else ""


def _multiple(tokens: float) -> int:
    return int(tokens) // 256 * 256
