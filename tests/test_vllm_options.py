"""What vLLM's errors and our settings mean to each other. Messages are those of vLLM 0.32."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bench.orchestration import FreeCore
from solver.config import EngineConfig, load_config
from solver.engine.entropy import entropy
from solver.engine.vllm import VllmEngine
from solver.engine.vllm_options import _speculation, engine_arguments, environment, explain
from solver.errors import EngineError, TurnError, UsageError
from solver.types import Completion, SamplingParams


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "ValueError: To serve at least one request with the model's max seq len (131072), (24.0 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (10.1 GiB). Based on the available memory, the "
            "estimated maximum model length is 55120. Try increasing `gpu_memory_utilization` (which also controls",
            "set engine.max_model_len=55120 or less",
        ),
        (
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when",
            "leave no room for the KV cache: raise engine.gpu_memory_utilization",
        ),
        (
            "ValueError: Free memory on device cuda:0 (3.2/79.2 GiB) on startup is less than desired GPU memory",
            "only 3.2 of 79.2 GiB of the GPU are free",
        ),
        (
            "1 validation error for SchedulerConfig\n  Value error, max_num_batched_tokens (512) is smaller than "
            "max_model_len (2048). This effectively limits the maximum sequence length to",
            "raise max_num_batched_tokens in engine.extra to 2048, or lower engine.max_model_len to 512",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.0 GiB", "out of memory: lower engine.gpu_"),
        ("ModuleNotFoundError: No module named 'numba'", "it needs the package numba, which is not installed"),
        ("ValueError: something new\nsecond line", "ValueError: something new"),
        (
            "1 validation error for VllmConfig\n  Value error, fp8 is not there. [type=value_error, input_value=Args",
            "fp8 is not there.",
        ),
        ("", "it gave no reason"),
    ],
)
def test_an_error_names_the_setting_to_change(message: str, said: str) -> None:
    assert said in explain(message)
    assert "\n" not in explain(message)


def test_speculation_is_passed_on() -> None:
    config = load_config(settings=["engine.speculation.method=ngram", "engine.speculation.prompt_lookup_max=4"])
    assert config.engine.speculation is not None
    assert _speculation(config.engine.speculation) == {
        "method": "ngram",
        "num_speculative_tokens": 3,
        "prompt_lookup_max": 4,
    }


@pytest.mark.parametrize("settings", [["engine.speculation.method=eagle3"], ["engine.speculation.method=magic"]])
def test_speculation_that_cannot_be_is_a_usage_error(settings: list[str]) -> None:
    with pytest.raises(UsageError, match="speculation"):
        load_config(settings=settings)


class FailingCore(FreeCore):
    def __init__(self, failure: Exception | None) -> None:
        super().__init__([1, 2], chunk=1, logprobs=0)
        self._failure = failure

    async def generate(self, prompt: Any, params: Any, request: str) -> AsyncGenerator[Any, None]:
        async for output in super().generate(prompt, params, request):
            if self._failure is not None:
                raise self._failure
            output.outputs[0].finish_reason = "error"
            yield output


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_a_turn_that_vllm_fails_is_one_line_and_not_the_end_of_the_engine(tmp_path: Path) -> None:
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.engine.exceptions import EngineGenerateError

    generate_error = EngineGenerateError()
    generate_error.__cause__ = KeyError("block\nmore")

    async def play(failure: Exception | None) -> None:
        engine: Any = VllmEngine(EngineConfig(), tmp_path)
        engine._engine, engine._log = FailingCore(failure), tmp_path / "core.log"
        async for _ in engine.generate([7], SamplingParams(max_tokens=5)):
            pass

    for failure, said in (
        (VLLMValidationError("no such thing"), "failed one turn: no such thing$"),
        (generate_error, r"failed one turn: 'block"),
        (None, r"failed one turn \(its log: .*core.log\)$"),
    ):
        with pytest.raises(TurnError, match=said):
            asyncio.run(play(failure))


# Here and not with the measurements: a test that imports vLLM before `test_engines` would keep that from forking.
@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_the_stand_in_core_feeds_the_engine_what_vllm_would(tmp_path: Path) -> None:
    async def play() -> list[Completion]:
        engine: Any = VllmEngine(EngineConfig(), tmp_path)
        engine._engine = FreeCore([1, 2, 3, 4, 5], chunk=2, logprobs=2)
        return [completion async for completion in engine.generate([7], SamplingParams(max_tokens=5))]

    completions = asyncio.run(play())
    assert [completion.token_ids for completion in completions] == [(1, 2), (3, 4), (5,)]
    assert [completion.finish_reason for completion in completions] == [None, None, "length"]
    assert [completion.num_cached_tokens for completion in completions] == [0, None, None]
    assert completions[0].logprobs == (-0.7, -0.7)
    assert completions[0].entropies == (entropy([-0.7, -0.7]),) * 2


@pytest.mark.parametrize("wanted", [None, False, True])
def test_prompts_are_computed_whole_on_a_cpu_whatever_is_asked(
    wanted: bool | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("solver.engine.vllm_options.is_cpu_build", lambda: True)
    monkeypatch.setattr("solver.engine.vllm_options._checked", lambda arguments: arguments)
    config = EngineConfig(extra={} if wanted is None else {"enable_chunked_prefill": wanted})
    if wanted:
        with pytest.raises(EngineError, match="leave it out"):
            engine_arguments(config, tmp_path)
    else:
        assert engine_arguments(config, tmp_path)["enable_chunked_prefill"] is False


def test_threads_of_the_cpu_build_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spinning ones lose their core's time slices to any other program, and the engine nine tenths of its speed."""
    monkeypatch.setattr("solver.engine.vllm_options.is_cpu_build", lambda: True)
    assert environment(EngineConfig())["OMP_WAIT_POLICY"] == "PASSIVE"
