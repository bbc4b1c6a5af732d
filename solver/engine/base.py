"""The contract of an engine, and which one a configuration means."""

from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from solver.config import EngineConfig
from solver.errors import EngineError, PromptTooLongError
from solver.types import Completion, EngineInfo, SamplingParams

RealEngineName = Literal["vllm", "tensorrt-llm", "transformers", "openai", "scripted"]


class Engine(Protocol):
    """Samples tokens for many attempts at once."""

    async def start(self) -> EngineInfo:
        """Load the model. Raises EngineError."""

    def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        """One turn: what is sampled, as it comes; the last `Completion` has a `finish_reason`.

        Closing the iterator (or cancelling who awaits it) aborts the request in the engine. The tokens that complete a
        stop are part of the output, and nothing after them. Raises PromptTooLongError before the first token, TurnError
        where this turn alone failed, or EngineError when the engine has failed.
        """

    async def close(self) -> None:
        """Free the model. May be called twice, and before `start` has ended."""


def engine_name(config: EngineConfig) -> RealEngineName:
    """The engine that `auto` stands for on this machine."""
    if config.name != "auto":
        return config.name
    return "vllm" if find_spec("vllm") is not None else "transformers"


def require_engine(config: EngineConfig) -> None:
    """Raises EngineError where the engine's package is not installed, UsageError where its script cannot be played."""
    name = engine_name(config)
    if name == "scripted" and config.scripted.script is not None:
        from solver.engine.scripted import read_script

        read_script(config.scripted.script)
    package, remedy = _PACKAGE.get(name, (None, ""))
    if package is not None and find_spec(package) is None:
        raise EngineError(f"the engine {name} is not installed: {remedy}")


def build_engine(config: EngineConfig, model: Path | None) -> Engine:
    """The engine, not started; `model` is its folder (None for the scripted engine alone)."""
    require_engine(config)
    name = engine_name(config)
    if name == "scripted" or model is None:
        from solver.engine.scripted import ScriptedEngine

        return ScriptedEngine(config)
    if name == "vllm":
        from solver.engine.vllm import VllmEngine

        return VllmEngine(config, model)
    if name == "openai":
        from solver.engine.openai import OpenAIEngine

        return OpenAIEngine(config, model)
    if name == "tensorrt-llm":
        from solver.engine.tensorrt_llm import TensorrtLlmEngine

        return TensorrtLlmEngine(config, model)
    from solver.engine.transformers import TransformersEngine

    return TransformersEngine(config, model)


def check_fits(prompt: list[int], max_model_len: int) -> None:
    """Raises PromptTooLongError where the context has no room for one more token."""
    if len(prompt) >= max_model_len:
        raise PromptTooLongError(f"the prompt has {len(prompt)} tokens, the context {max_model_len}")


_PACKAGE = {
    "vllm": (
        "vllm",
        "run `make setup` (CPU), `pip install -c constraints.txt .[vllm]` (CUDA), or choose --engine transformers",
    ),
    "tensorrt-llm": (
        "tensorrt_llm",
        "`pip install tensorrt-llm --extra-index-url https://pypi.nvidia.com` (CUDA), or choose --engine vllm",
    ),
    "transformers": ("transformers", "run `make setup`, or `pip install -c constraints.txt .[cpu]`"),
    "openai": ("aiohttp", "`pip install -c constraints.txt .[openai]`"),
}
