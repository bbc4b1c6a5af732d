"""Whether a model fits, from folders made here."""

import asyncio
import json
import os
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.config import EngineConfig
from solver.engine import memory
from solver.engine.memory import attempts_that_fit, check_memory, estimate, read_ahead, read_model_size
from solver.errors import EngineError

GIB = 2**30
# Qwen2.5-14B's shape: 48 layers, 8 KV heads of 128.
QWEN = {"num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "hidden_size": 5120}


def write_model(folder: Path, config: dict[str, Any], tensors: dict[str, tuple[str, list[int], int]]) -> Path:
    """A folder with the headers alone: name -> (dtype, shape, bytes). The tensors are a hole in the file."""
    (folder / "config.json").write_text(json.dumps(config))
    header = {name: {"dtype": d, "shape": s, "data_offsets": [0, n]} for name, (d, s, n) in tensors.items()}
    data = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(data)) + data)
    os.truncate(file, file.stat().st_size + max(size for _, _, size in tensors.values()))
    return folder


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return write_model(tmp_path, QWEN, {"w": ("BF16", [14_770, 1_000_000], 2 * 14_770_000_000)})


def test_size_comes_from_config_and_headers(qwen: Path) -> None:
    size = read_model_size(qwen)
    assert size.num_parameters == 14_770_000_000
    assert size.weight_bytes(2) == 29_540_000_000
    assert size.attempt_bytes(1, 2) == 192 * 1024  # a token of Qwen2.5-14B in bfloat16


def test_packed_weights_stay_as_they_are(tmp_path: Path) -> None:
    write_model(tmp_path, QWEN, {"q": ("U8", [1000], 1000), "scale": ("BF16", [10], 20)})
    assert read_model_size(tmp_path).weight_bytes(2) == 1020


@pytest.mark.parametrize(
    ("config", "per_token", "per_attempt"),
    [
        (QWEN, 48 * 2 * 8 * 128, 0),
        (QWEN | {"head_dim": 64}, 48 * 2 * 8 * 64, 0),
        (QWEN | {"layer_types": ["full_attention", "sliding_attention"] * 24, "sliding_window": 128},
         24 * 2 * 8 * 128, 24 * 2 * 8 * 128 * 128),
        (QWEN | {"hybrid_override_pattern": "M-M*-M*-"}, 2 * 2 * 8 * 128, 0),
        (QWEN | {"kv_lora_rank": 512, "qk_rope_head_dim": 64}, 48 * 576, 0),
        ({"text_config": QWEN}, 48 * 2 * 8 * 128, 0),
    ],
)  # fmt: skip
def test_kv_cache_follows_the_architecture(
    tmp_path: Path, config: dict[str, Any], per_token: int, per_attempt: int
) -> None:
    size = read_model_size(write_model(tmp_path, config, {"w": ("BF16", [8], 16)}))
    assert (size.kv_values_per_token, size.kv_values_per_attempt) == (per_token, per_attempt)


def test_mamba_layers_hold_a_state_of_fixed_size(tmp_path: Path) -> None:
    """Nemotron-Nano-9B-v2's shape: 27 Mamba layers of 128 heads, about 141 MB a sequence, 16 KiB of KV a token."""
    shape = {"num_hidden_layers": 56, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128}
    mamba = {"mamba_num_heads": 128, "mamba_head_dim": 80, "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4}
    pattern = {"hidden_size": 4480, "hybrid_override_pattern": "M" * 27 + "*" * 4 + "-" * 25}
    size = read_model_size(write_model(tmp_path, shape | mamba | pattern, {"w": ("BF16", [8], 16)}))
    assert size.attempt_bytes(1, 2) - size.attempt_bytes(0, 2) == 16 * 1024
    assert 140e6 < size.attempt_bytes(0, 2) < 150e6


def on_gpu(free_gib: float, monkeypatch: pytest.MonkeyPatch) -> None:
    async def free(share: float) -> int:
        return int(free_gib * GIB)

    monkeypatch.setattr(memory, "free_gpu_bytes", free)


def check(folder: Path, **settings: Any) -> tuple[str, ...]:
    return asyncio.run(check_memory(EngineConfig(**settings), folder, on_cpu=False))


def test_a_model_that_fits_says_nothing(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu(75, monkeypatch)
    assert check(qwen, max_model_len=8192, max_num_seqs=16) == ()


def test_fewer_attempts_than_asked_for_are_told(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu(75, monkeypatch)
    (note,) = check(qwen, max_model_len=40960, max_num_seqs=64)
    assert note.startswith("the KV cache has room for 5 attempts of 40960 tokens; of 64 at once")
    assert asyncio.run(attempts_that_fit(EngineConfig(max_model_len=40960, max_num_seqs=64), qwen))[0] == 5


def test_weights_that_do_not_fit_are_refused_with_what_to_do(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu(22, monkeypatch)
    with pytest.raises(EngineError, match=r"needs 27.5 GiB for weights .* 22.0 GiB are free: set engine.quantization="):
        check(qwen)
    assert check(qwen, quantization="fp8", kv_cache_dtype="fp8", max_model_len=8192, max_num_seqs=1) == ()


def test_a_context_that_does_not_fit_is_refused_with_one_that_does(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu(35, monkeypatch)
    with pytest.raises(EngineError, match=r"7.5 GiB for one attempt of 40960 .* set engine.max_model_len=\d+ or"):
        check(qwen, max_model_len=40960)


def test_no_context_too_short_to_think_in_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 1000 * GIB)
    model = write_model(
        tmp_path, QWEN | {"num_hidden_layers": 96, "num_key_value_heads": 40}, {"w": ("BF16", [10], 20)}
    )
    config = EngineConfig(max_model_len=4096, cpu_kv_cache_gib=1, dtype="bfloat16")
    with pytest.raises(EngineError, match=r"cpu_kv_cache_gib=1: set engine.cpu_kv_cache_gib=8$"):
        asyncio.run(check_memory(config, model, on_cpu=True))


def test_a_cpu_tells_that_its_cache_is_too_small_and_that_weights_are_widened(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 100 * GIB)
    monkeypatch.setattr(memory, "has_bfloat16", lambda: False)

    def refusal(**settings: Any) -> str:
        with pytest.raises(EngineError) as refused:
            asyncio.run(check_memory(EngineConfig(max_model_len=40960, **settings), qwen, on_cpu=True))
        return str(refused.value)

    said = refusal(cpu_kv_cache_gib=2)
    assert "55.0 GiB for weights in float32, since this CPU has no bfloat16, and 15.0 GiB" in said
    assert "more than engine.cpu_kv_cache_gib=2: set engine.cpu_kv_cache_gib=15, or engine.max_model_len=5376" in said
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 50 * GIB)
    assert refusal(cpu_kv_cache_gib=20).endswith(
        "50.0 GiB are free: set engine.dtype=bfloat16, or take a smaller or a quantized model, or a larger machine"
    )


def test_a_folder_without_sizes_is_left_to_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu(1, monkeypatch)
    (tmp_path / "config.json").write_text("{}")
    assert check(tmp_path) == ()


@given(free=st.integers(1, 200), length=st.integers(64, 200_000), more=st.integers(0, 100), dtype=st.sampled_from("ab"))
def test_more_memory_never_fits_fewer_attempts(free: int, length: int, more: int, dtype: str) -> None:
    size = memory.ModelSize(7_000_000_000, 0, 2, 65_536, 0)
    config = EngineConfig(max_model_len=length, kv_cache_dtype="fp8" if dtype == "a" else "auto")
    few, many = (estimate(size, config, gib * GIB, on_cpu=False) for gib in (free, free + more))
    assert few.attempts <= many.attempts
    used = few.weight_bytes + few.attempts * few.attempt_bytes
    assert few.attempts == 0 or used <= free * GIB


def test_small_weights_are_not_read_ahead_and_large_ones_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    read: list[Path] = []
    monkeypatch.setattr(memory, "_read_blocks", lambda blocks: read.extend(file for file, _ in blocks))
    read_ahead(tmp_path)
    assert not read
    monkeypatch.setattr(memory, "_READ_AHEAD_FROM", 100)
    read_ahead(tmp_path)
    for thread in threading.enumerate():
        if thread.name == "read ahead":
            thread.join()
    assert read == [tmp_path / "model.safetensors"]
