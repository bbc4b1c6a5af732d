"""TensorRT-LLM's `LLM`, in process: checkpoints on its PyTorch backend, and prebuilt engines (where ReDrafter lives).

Not run here: there is no GPU, and the package on the public index is a stub that fetches the real one from NVIDIA's
index. What stands here is held against the signatures of 1.2.1, read from its public source
(`tests/data/tensorrt_llm.json`), and its logic against a fake that enforces them. Names that moved between 1.0 and 1.3
are looked up where they may be.
"""

import asyncio
import contextlib
import importlib
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from solver.chat.tokenizer import FolderTokenizer
from solver.config import EngineConfig, SpeculationConfig
from solver.engine.base import check_fits
from solver.engine.core_process import EngineThread
from solver.engine.entropy import entropy
from solver.engine.memory import check_memory, read_ahead
from solver.engine.stopping import StopChecker, until_stop
from solver.errors import EngineError, TurnError
from solver.types import Completion, EngineInfo, FinishReason, SamplingParams

_CLOSE_SECONDS = 5.0
_FINISH: dict[str | None, FinishReason | None] = {None: None, "length": "length", "stop": "stop"}


class TensorrtLlmEngine:
    def __init__(self, config: EngineConfig, model: Path) -> None:
        self._config, self._folder = config, model
        self._tokenizer = FolderTokenizer(model)
        self._eos = _end_tokens(model)
        self._llm: Any = None
        self._sampling_class: Any = None
        self._request_error: type[Exception] = TurnError
        self._thread = EngineThread()
        self.running = 0
        """Turns in progress now."""

    async def start(self) -> EngineInfo:
        began = monotonic()
        notes: tuple[str, ...] = ()
        if not is_prebuilt(self._folder):
            notes = await check_memory(self._config, self._folder, on_cpu=False)
            read_ahead(self._folder)
        try:
            self._llm = await self._thread.call(self._load)
        except EngineError:
            raise
        except Exception as error:  # every TensorRT-LLM, torch and OS error on this way means the same
            raise EngineError(f"TensorRT-LLM did not start: {_explain(error)}") from error
        return EngineInfo(
            name="tensorrt-llm",
            version=_version(),
            model=str(self._folder),
            device="cuda",
            dtype=self._config.dtype,
            max_model_len=self._config.max_model_len,
            max_num_seqs=self._config.max_num_seqs,
            start_seconds=monotonic() - began,
            settings={"flow": "prebuilt engine" if is_prebuilt(self._folder) else "PyTorch backend"},
            notes=notes,
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        check_fits(prompt, self._config.max_model_len)
        # Stop strings are looked for here: TensorRT-LLM looks for the tokens that its tokenizer makes of one, and a
        # model may spell it with others.
        stops = StopChecker(params, self._tokenizer, self._eos)
        result = self._llm.generate_async(prompt, self._sampling_params(params), streaming=True)
        self.running += 1
        finish: FinishReason | None = None
        try:
            async for part in result:
                completion = until_stop(_completion(part.outputs[0]), stops)
                finish = completion.finish_reason
                yield completion
                if finish is not None:
                    break
        except self._request_error as error:
            raise TurnError(f"TensorRT-LLM failed one turn: {_explain(error)}") from error
        except RuntimeError as error:  # what its executor raises when it has died
            raise EngineError(f"TensorRT-LLM stopped working: {_explain(error)}") from error
        finally:
            self.running -= 1
            if not result.finished:
                result.abort()

    async def is_idle(self) -> bool:
        return self.running == 0

    async def close(self) -> None:
        llm, self._llm = self._llm, None
        if llm is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._thread.call(llm.shutdown)
        self._thread.end()

    def _load(self) -> Any:
        self._sampling_class = resolve("tensorrt_llm.SamplingParams", "tensorrt_llm.llmapi.SamplingParams")
        self._request_error = resolve("tensorrt_llm.llmapi.RequestError", "tensorrt_llm.executor.RequestError")
        if is_prebuilt(self._folder):
            llm = resolve(
                "tensorrt_llm._tensorrt_engine.LLM",
                hint="prebuilt engines need TensorRT-LLM 1.0 to 1.2: 1.3 has dropped them",
            )
            return llm(**engine_arguments(self._config, self._folder, prebuilt=True))
        llm = resolve("tensorrt_llm.LLM", "tensorrt_llm.llmapi.LLM")
        return llm(**engine_arguments(self._config, self._folder, prebuilt=False))

    def _sampling_params(self, params: SamplingParams) -> Any:
        return self._sampling_class(
            end_id=self._eos[0] if self._eos else -1,
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            min_p=params.min_p,
            repetition_penalty=params.repetition_penalty,
            seed=params.seed,
            stop_token_ids=sorted({*params.stop_token_ids, *(() if params.ignore_eos else self._eos)}),
            include_stop_str_in_output=True,
            logprobs=params.logprobs,
            ignore_eos=params.ignore_eos,
            detokenize=False,
            add_special_tokens=False,
        )


def engine_arguments(config: EngineConfig, model: Path, *, prebuilt: bool) -> dict[str, Any]:
    """Arguments of `LLM`. A prebuilt engine carries its own limits, quantization and drafter."""
    kv_cache: dict[str, Any] = {
        "enable_block_reuse": True,
        "free_gpu_memory_fraction": config.gpu_memory_utilization,
    }
    if not prebuilt and config.kv_cache_dtype != "auto":
        kv_cache["dtype"] = config.kv_cache_dtype
    arguments: dict[str, Any] = {
        "model": str(model),
        "skip_tokenizer_init": True,
        "tensor_parallel_size": config.tensor_parallel_size,
        "kv_cache_config": resolve("tensorrt_llm.llmapi.KvCacheConfig")(**kv_cache),
    }
    if prebuilt:
        if config.speculation is not None:
            raise EngineError("a prebuilt engine has its drafter inside: leave engine.speculation out")
        return arguments | config.extra
    if config.quantization is not None:
        raise EngineError(
            "TensorRT-LLM quantizes no weights on load: leave engine.quantization out and give a checkpoint of "
            "NVIDIA Model Optimizer"
        )
    graphs = resolve("tensorrt_llm.llmapi.CudaGraphConfig", "tensorrt_llm.llmapi.DecodeCudaGraphConfig")
    arguments |= {
        "dtype": config.dtype,
        "max_batch_size": config.max_num_seqs,
        "max_seq_len": config.max_model_len,
        "stream_interval": config.stream_interval,
    }
    if not config.enforce_eager:
        arguments["cuda_graph_config"] = graphs(max_batch_size=config.max_num_seqs, enable_padding=True)
    if config.speculation is not None:
        arguments |= _speculation(config.speculation)
    return arguments | config.extra


def is_prebuilt(model: Path) -> bool:
    """Whether the folder holds what `trtllm-build` makes."""
    return (model / "rank0.engine").is_file()


def resolve(*places: str, hint: str = "this engine knows 1.0 to 1.3") -> Any:
    """The first of the dotted names that the installed version has. Raises EngineError where it has none."""
    for place in places:
        module, _, name = place.rpartition(".")
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), name)
    raise EngineError(f"TensorRT-LLM {_version()} has no {' or '.join(places)}: {hint}")


def _speculation(config: SpeculationConfig) -> dict[str, Any]:
    """`speculative_config`, and the overlap scheduler off for the methods that draft outside the model."""
    api, count = "tensorrt_llm.llmapi.", config.num_speculative_tokens
    if config.method == "ngram":
        size = config.prompt_lookup_max or 4
        drafting = resolve(api + "NGramDecodingConfig")(max_draft_len=count, max_matching_ngram_size=size)
        return {"speculative_config": drafting, "disable_overlap_scheduler": True}
    if config.method == "eagle3":
        eagle = resolve(api + "Eagle3DecodingConfig", api + "EagleDecodingConfig")
        model = {_field(eagle, "speculative_model", "speculative_model_dir"): str(config.model)}
        return {"speculative_config": eagle(max_draft_len=count, **model)}
    if config.method == "mtp":
        mtp = resolve(api + "MTPDecodingConfig")
        return {"speculative_config": mtp(**{_drafted_tokens(mtp): count})}
    if config.method == "draft_model":
        target = resolve(api + "DraftTargetDecodingConfig")
        model = {_field(target, "speculative_model", "speculative_model_dir"): str(config.model)}
        drafting = target(max_draft_len=count, **model)
        return {"speculative_config": drafting, "disable_overlap_scheduler": True}
    raise EngineError(f"TensorRT-LLM has no speculation '{config.method}' here: ngram, eagle3, mtp or draft_model")


def _field(model: Any, *names: str) -> str:
    """The one of a pydantic model's possible field names that it has."""
    for name in names:
        if name in model.model_fields:
            return name
    raise EngineError(f"TensorRT-LLM {_version()}: {model.__name__} has no {' or '.join(names)}")


def _drafted_tokens(mtp: Any) -> str:
    """Up to 1.2 num_nextn_predict_layers counts, one by default, and max_draft_len, which is there too, is overlooked;
    in 1.3 it is the other way round, and num_nextn_predict_layers has no default."""
    old = mtp.model_fields.get("num_nextn_predict_layers")
    return "max_draft_len" if old is None or old.default is None else "num_nextn_predict_layers"


def _completion(output: Any) -> Completion:
    tokens = tuple(output.token_ids_diff)
    finish = _FINISH.get(output.finish_reason, "stop")
    tables = output.logprobs_diff if output.logprobs else []
    if not tables or not isinstance(tables[0], dict):
        return Completion(tokens, tuple(tables) or None, finish)
    chosen = tuple(table[token].logprob for token, table in zip(tokens, tables, strict=True))
    return Completion(tokens, chosen, finish, tuple(entropy(e.logprob for e in table.values()) for table in tables))


def _end_tokens(model: Path) -> tuple[int, ...]:
    """The tokens that end a text, from the folder: `skip_tokenizer_init` leaves them to us."""
    for name in ("generation_config.json", "config.json"):
        with contextlib.suppress(OSError, ValueError):
            eos: int | Sequence[int] | None = json.loads((model / name).read_text("utf-8")).get("eos_token_id")
            if eos is not None:
                return tuple(eos) if isinstance(eos, list) else (int(eos),)  # type: ignore[arg-type]
    return ()


def _version() -> str:
    with contextlib.suppress(ImportError, AttributeError):
        return str(importlib.import_module("tensorrt_llm").__version__)
    return "(not importable)"


def _explain(error: BaseException) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    if "out of memory" in text.lower():
        return f"{text}: lower engine.gpu_memory_utilization or engine.max_num_seqs, or set engine.kv_cache_dtype=fp8"
    return text
