"""A folder's model through transformers: the engine where vLLM has no build.

All running turns are decoded together in a thread of their own; `solver.engine.batch` says how. transformers has a
continuous-batching manager too: tried on a CPU it was several times slower than plain `generate`, with which `python -m
bench throughput` compares this engine, so it is not used.
"""

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from solver.chat.tokenizer import FolderTokenizer
from solver.config import EngineConfig
from solver.engine.base import check_fits
from solver.engine.device import WAIT_POLICY, has_bfloat16
from solver.engine.memory import attempts_that_fit
from solver.engine.stopping import StopChecker
from solver.engine.weights import check_weights
from solver.errors import EngineError
from solver.types import Completion, EngineInfo, SamplingParams

if TYPE_CHECKING:
    from solver.engine.batch import Turn

_GIB = 2**30


class TransformersEngine:
    def __init__(self, config: EngineConfig, model: Path) -> None:
        self._config, self._folder = config, model
        self._tokenizer = FolderTokenizer(model)
        self._model: Any = None
        self._eos: tuple[int, ...] = ()
        self._wake = threading.Condition()
        self._waiting: deque[Turn] = deque()
        self._closing = False
        self._ended = asyncio.Event()
        self._batch: Any = None
        self._slots = config.max_num_seqs
        self._failure: EngineError | None = None
        """Why nothing is decoded any more."""
        self.running = 0
        """Requests in progress now."""

    async def start(self) -> EngineInfo:
        loop, began = asyncio.get_running_loop(), monotonic()
        check_weights(self._folder)
        self._slots, notes = await attempts_that_fit(self._config, self._folder)
        started: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not started.done():
                started.set_exception(error) if error is not None else started.set_result(None)

        def work() -> None:
            error = None
            try:
                self._load()
            except Exception as raised:  # noqa: BLE001  every way to fail here means: it did not start
                error = EngineError(f"transformers did not load {self._folder}: {_first_line(raised)}")
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, error)
            if error is None:
                self._decode_until_closed()
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._ended.set)

        # A daemon, so that a load that hangs cannot hold the process back.
        threading.Thread(target=work, name="transformers", daemon=True).start()
        await started
        return EngineInfo(
            name="transformers",
            version=metadata.version("transformers"),
            model=str(self._folder),
            device=str(self._model.device.type),
            dtype=str(self._model.dtype).removeprefix("torch."),
            max_model_len=self._config.max_model_len,
            max_num_seqs=self._slots,
            start_seconds=monotonic() - began,
            notes=notes,
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        from solver.engine.batch import Turn

        check_fits(prompt, self._config.max_model_len)
        turn = Turn(prompt, params, StopChecker(params, self._tokenizer, self._eos))
        with self._wake:
            if self._failure is not None:
                raise self._failure
            self._waiting.append(turn)
            self._wake.notify()
        self.running += 1
        try:
            finish = None
            while finish is None:
                completion = await turn.receive()
                finish = completion.finish_reason
                yield completion
        finally:
            turn.closed = True
            self.running -= 1

    async def is_idle(self) -> bool:
        """Whether nothing is being decoded."""
        return not self._waiting and not self._batch.turns

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        # Ending the process while torch computes in this thread would end it with an abort.
        if self._model is not None:
            await self._ended.wait()

    def _load(self) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", WAIT_POLICY)  # read when torch is imported
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        from solver.engine.attention import group_heads
        from solver.engine.kv_cache import new_cache

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        dtype: Any = self._config.dtype
        if dtype == "auto" and not torch.cuda.is_available() and not has_bfloat16():
            dtype = "float32"
        if self._config.threads:
            torch.set_num_threads(self._config.threads)
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=dtype, local_files_only=True)
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        new_cache(self._model.config)  # raises for layers that it cannot keep
        group_heads(self._model)
        eos = self._model.generation_config.eos_token_id
        self._eos = tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,)

    def _decode_until_closed(self) -> None:
        import torch

        from solver.engine.batch import Batch, deliver

        batch = self._batch = Batch(self._model, self._config.cpu_kv_cache_gib * _GIB)
        new: list[Turn] = []
        try:
            with torch.inference_mode():
                while not self._closing:
                    batch.drop_closed()
                    with self._wake:
                        if not batch.turns and not self._waiting:
                            self._wake.wait()
                        room = self._slots - len(batch.turns)
                        new = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
                    batch.join([turn for turn in new if not turn.closed])
                    batch.step()
        except Exception as error:  # noqa: BLE001  out of memory and the like: every turn must hear of it
            failure = EngineError(f"transformers stopped working: {_first_line(error)}")
            with self._wake:  # whoever comes after this is told at once
                self._failure = failure
            deliver([(turn, failure) for turn in dict.fromkeys([*batch.turns, *new, *self._waiting])])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
