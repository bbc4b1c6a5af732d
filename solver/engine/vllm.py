"""vLLM's `AsyncLLM` in this process: the CUDA build on a GPU, the CPU build elsewhere; the same code drives both.

vLLM runs its engine core in a child process of its own. That child is forked from a thread that lives as long as the
engine, so the kernel ends the child when this process ends, however it ends (PR_SET_PDEATHSIG follows the thread). It
is in a process group of its own, so Ctrl-C reaches the solver alone, and it writes to a log file, not the terminal.
"""

import asyncio
import gc
import itertools
import logging
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from time import monotonic
from typing import Any

from solver.config import EngineConfig
from solver.engine.base import check_fits
from solver.engine.core_process import EngineThread, children_of_ours
from solver.engine.entropy import entropy
from solver.engine.memory import check_memory, read_ahead
from solver.engine.versions import version_note
from solver.engine.vllm_options import engine_arguments, environment, explain, is_cpu_build, version
from solver.engine.weights import check_weights
from solver.errors import EngineError, TurnError
from solver.types import Completion, EngineInfo, FinishReason, SamplingParams

_CLOSE_SECONDS = 5.0
_FINISH: dict[str | None, FinishReason | None] = {
    None: None,
    "length": "length",
    "stop": "stop",
    "abort": "stop",
    "repetition": "stop",
}


class VllmEngine:
    def __init__(self, config: EngineConfig, model: Path) -> None:
        self._config = config
        self._model = model
        self._engine: Any = None
        self._request_numbers = itertools.count()
        self._thread = EngineThread()

    async def start(self) -> EngineInfo:
        began = monotonic()
        check_weights(self._model)
        notes = await check_memory(self._config, self._model, on_cpu=is_cpu_build())
        notes += version_note("vllm", version())
        read_ahead(self._model)
        for name, value in environment(self._config).items():
            os.environ.setdefault(name, value)
        self._log = Path(tempfile.mkstemp(prefix="olympiad-solver-vllm-", suffix=".log")[1])
        try:
            self._engine = await self._thread.call(lambda: self._load())
        except EngineError:
            raise
        except Exception as error:  # every vLLM, torch and OS error on this way means the same: it did not start
            raise EngineError(f"vLLM did not start: {_root_cause(self._log, error)} (its log: {self._log})") from error
        settings = self._engine.vllm_config
        return EngineInfo(
            name="vllm",
            version=version(),
            model=str(self._model),
            device=str(settings.device_config.device_type),
            dtype=str(settings.model_config.dtype).removeprefix("torch."),
            max_model_len=settings.model_config.max_model_len,
            max_num_seqs=settings.scheduler_config.max_num_seqs,
            start_seconds=monotonic() - began,
            kv_cache_tokens=(settings.cache_config.num_gpu_blocks or 0) * settings.cache_config.block_size or None,
            notes=notes,
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        from vllm.exceptions import VLLMClientError
        from vllm.inputs import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        check_fits(prompt, self._config.max_model_len)
        request = f"turn-{next(self._request_numbers)}"
        outputs = self._engine.generate(TokensPrompt(prompt_token_ids=prompt), _sampling_params(params), request)
        cached: int | None = None
        try:
            async for output in outputs:
                part, first = output.outputs[0], cached is None
                if first:
                    cached = output.num_cached_tokens or 0
                if part.finish_reason == "error":
                    raise TurnError(f"vLLM failed one turn (its log: {self._log})")
                logprobs, entropies = _logprobs(part)
                finish = _FINISH[part.finish_reason]
                yield Completion(tuple(part.token_ids), logprobs, finish, entropies, cached if first else None)
        except (EngineGenerateError, VLLMClientError) as error:
            raise TurnError(f"vLLM failed one turn: {explain(str(error.__cause__ or error))}") from error
        except EngineDeadError as error:
            raise EngineError(
                f"vLLM stopped working: {_root_cause(self._log, error)} (its log: {self._log})"
            ) from error
        finally:
            await outputs.aclose()

    async def is_idle(self) -> bool:
        """Whether the core holds no request any more."""
        return not await self._engine.engine_core.call_utility_async("has_work")

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await _cancelled(engine.output_handler)  # else it reports the core's end as a failure
                    await self._thread.call(engine.shutdown)
                self._log.unlink(missing_ok=True)
            except TimeoutError:
                pass  # the kernel ends the core with the thread
            del engine
            gc.collect()  # AsyncLLM stands in a cycle, and at the end of the interpreter its __del__ would fail
        self._thread.end()

    def _load(self) -> Any:
        """In the engine's thread: import vLLM, fork the core, wait until it has the weights."""
        torch_was_used = "torch" in sys.modules
        logging.getLogger("torch._library.triton").setLevel(logging.ERROR)  # there is none on a CPU, and none is missed
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = engine_arguments(self._config, self._model)
        config = AsyncEngineArgs(**arguments).create_engine_config(UsageContext.ENGINE_CONTEXT)
        if is_cpu_build() and not torch_was_used:
            # The CPU platform asks for spawn, which imports everything again: 21 s to start instead of 7. A fork is
            # safe while no torch operator has run in this process.
            os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
        with children_of_ours(self._log):
            return AsyncLLM.from_vllm_config(config, disable_log_stats=True)


def _sampling_params(params: SamplingParams) -> Any:
    from vllm.sampling_params import RequestOutputKind
    from vllm.sampling_params import SamplingParams as VllmSamplingParams

    return VllmSamplingParams(
        temperature=params.temperature,
        top_p=params.top_p,
        top_k=params.top_k,
        min_p=params.min_p,
        repetition_penalty=params.repetition_penalty,
        max_tokens=params.max_tokens,
        seed=params.seed,
        stop=list(params.stop) or None,
        stop_token_ids=list(params.stop_token_ids),
        include_stop_str_in_output=True,
        detokenize=bool(params.stop),  # text is needed for nothing else
        skip_special_tokens=False,
        logprobs=params.logprobs,
        flat_logprobs=True,  # a few lists instead of a table for each token
        ignore_eos=params.ignore_eos,
        output_kind=RequestOutputKind.DELTA,
    )


def _logprobs(part: Any) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Of the sampled tokens, and the entropies at them; None where none were asked for."""
    if not part.logprobs:
        return None, None
    # For each token its own comes first, then those of the most likely ones, itself among them or not.
    flat, starts = part.logprobs.logprobs, part.logprobs.start_indices
    spans = zip(starts, part.logprobs.end_indices, strict=True)
    return tuple(flat[start] for start in starts), tuple(entropy(flat[start + 1 : end]) for start, end in spans)


def _root_cause(log: Path, error: Exception) -> str:
    """The last error that the core's log names, else the exception's own, and what to do about it."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    causes = [line for line in lines if "Error: " in line and "Engine core initialization failed" not in line]
    text = causes[-1].partition("] ")[2] or causes[-1] if causes else (str(error).strip() or type(error).__name__)
    return explain(text)


async def _cancelled(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
