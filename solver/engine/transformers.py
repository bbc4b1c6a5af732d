"""A folder's model through transformers: the engine where vLLM has no build.

All running turns are decoded together, one step at a time, in a thread of their own; turns join and leave between
steps. Not covered: a prefix is computed again for every turn, and log-probabilities are those of the full distribution
before truncation.
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
from typing import Any

from solver.chat.tokenizer import FolderTokenizer
from solver.config import EngineConfig
from solver.engine.device import has_bfloat16
from solver.engine.stopping import StopChecker
from solver.errors import EngineError, PromptTooLongError
from solver.types import Completion, EngineInfo, SamplingParams


class _Turn:
    """One request: what the decoding thread knows of it, and the way its tokens take to the event loop."""

    def __init__(self, prompt: list[int], params: SamplingParams, stops: StopChecker) -> None:
        self.prompt, self.params, self.stops = prompt, params, stops
        self.closed = False
        self.generator: Any = None
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Completion | EngineError] = asyncio.Queue()

    def send(self, item: Completion | EngineError) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._ready.put_nowait, item)

    async def receive(self) -> Completion:
        item = await self._ready.get()
        if isinstance(item, EngineError):
            raise item
        return item


class TransformersEngine:
    def __init__(self, config: EngineConfig, model: Path) -> None:
        self._config, self._folder = config, model
        self._tokenizer = FolderTokenizer(model)
        self._model: Any = None
        self._eos: tuple[int, ...] = ()
        self._wake = threading.Condition()
        self._waiting: deque[_Turn] = deque()
        self._closing = False
        self._ended = asyncio.Event()
        self.running = 0
        """Requests in progress now."""

    async def start(self) -> EngineInfo:
        loop, began = asyncio.get_running_loop(), monotonic()
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
            max_num_seqs=self._config.max_num_seqs,
            start_seconds=monotonic() - began,
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        if len(prompt) >= self._config.max_model_len:
            raise PromptTooLongError(f"the prompt has {len(prompt)} tokens, the context {self._config.max_model_len}")
        turn = _Turn(prompt, params, StopChecker(params, self._tokenizer, self._eos))
        with self._wake:
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

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        # Ending the process while torch computes in this thread would end it with an abort.
        if self._model is not None:
            await self._ended.wait()

    def _load(self) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        dtype: Any = self._config.dtype
        if dtype == "auto" and not torch.cuda.is_available() and not has_bfloat16():
            dtype = "float32"
        if self._config.threads:
            torch.set_num_threads(self._config.threads)
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=dtype, local_files_only=True)
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        eos = self._model.generation_config.eos_token_id
        self._eos = tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,)

    def _decode_until_closed(self) -> None:
        import torch

        batch = _Batch(self._model)
        try:
            with torch.inference_mode():
                while not self._closing:
                    batch.drop_closed()
                    with self._wake:
                        if not batch.turns and not self._waiting:
                            self._wake.wait()
                        room = self._config.max_num_seqs - len(batch.turns)
                        new = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
                    batch.join([turn for turn in new if not turn.closed])
                    batch.step()
        except Exception as error:  # noqa: BLE001  out of memory and the like: every turn must hear of it
            failure = EngineError(f"transformers stopped working: {_first_line(error)}")
            for turn in [*batch.turns, *self._waiting]:
                turn.send(failure)


class _Batch:
    """The turns being decoded, with one KV cache padded on the left so that all end at the same column."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.turns: list[_Turn] = []
        self._cache: Any = None
        self._mask: Any = None  # [turns, columns]: 1 where the cache holds a token
        self._logits: Any = None  # [turns, vocabulary] of the next token
        self._seen: Any = None  # [turns, vocabulary]: tokens of the transcript, for the repetition penalty

    def join(self, turns: list[_Turn]) -> None:
        """Compute the prompts of new turns and put them beside the running ones."""
        import torch
        from transformers import DynamicCache

        if not turns:
            return
        device = self._model.device
        width = max(len(turn.prompt) for turn in turns)
        ids = torch.tensor([[0] * (width - len(t.prompt)) + t.prompt for t in turns], device=device)
        mask = torch.tensor([[0] * (width - len(t.prompt)) + [1] * len(t.prompt) for t in turns], device=device)
        seen = torch.zeros(len(turns), self._model.config.vocab_size, dtype=torch.bool, device=device)
        for row, turn in enumerate(turns):
            turn.generator = torch.Generator(device)
            turn.generator.manual_seed(turn.params.seed) if turn.params.seed is not None else turn.generator.seed()
            seen[row, torch.tensor(turn.prompt, device=device)] = True
        cache = DynamicCache(config=self._model.config)
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1].float()
        if self.turns:
            cache, mask = _side_by_side(self._cache, self._mask, cache, mask)
            logits, seen = torch.cat([self._logits, logits]), torch.cat([self._seen, seen])
        self.turns, self._cache, self._mask, self._logits, self._seen = self.turns + turns, cache, mask, logits, seen

    def step(self) -> None:
        """Sample one token for every turn, hand it out, and compute the next logits of those that go on."""
        import torch

        if not self.turns:
            return
        tokens = [
            _sample(logits, turn.params, turn.generator, seen)
            for turn, logits, seen in zip(self.turns, self._logits, self._seen, strict=True)
        ]
        going_on = []
        for row, (turn, (token, logprob)) in enumerate(zip(self.turns, tokens, strict=True)):
            finish = turn.stops.feed(token)
            turn.send(Completion((token,), None if turn.params.logprobs is None else (logprob,), finish))
            if finish is None:
                going_on.append(row)
        next_tokens = torch.tensor([token for token, _ in tokens], device=self._model.device)
        self._keep(going_on)
        if not going_on:
            return
        next_tokens = next_tokens[going_on][:, None]
        self._seen.scatter_(1, next_tokens, value=True)
        self._mask = torch.cat([self._mask, torch.ones_like(next_tokens)], dim=1)
        output = self._model(
            input_ids=next_tokens,
            attention_mask=self._mask,
            position_ids=self._mask.sum(-1, keepdim=True) - 1,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._logits = output.logits[:, -1].float()

    def drop_closed(self) -> None:
        self._keep([row for row, turn in enumerate(self.turns) if not turn.closed])

    def _keep(self, rows: list[int]) -> None:
        if len(rows) == len(self.turns):
            return
        self.turns = [self.turns[row] for row in rows]
        if not rows:
            self._cache = self._mask = self._logits = self._seen = None
            return
        import torch

        index = torch.tensor(rows, device=self._model.device)
        self._mask, self._logits, self._seen = self._mask[index], self._logits[index], self._seen[index]
        # Columns that no remaining turn uses are padding for all of them.
        unused = int((self._mask.sum(0) == 0).long().cumprod(0).sum())
        self._mask = self._mask[:, unused:]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[index, :, unused:], layer.values[index, :, unused:]


def _side_by_side(cache: Any, mask: Any, other: Any, other_mask: Any) -> tuple[Any, Any]:
    """Two caches as one batch: the shorter is padded on the left."""
    import torch
    from torch.nn.functional import pad

    width = max(mask.shape[1], other_mask.shape[1])
    here, there = width - mask.shape[1], width - other_mask.shape[1]
    for layer, new in zip(cache.layers, other.layers, strict=True):
        layer.keys = torch.cat([pad(layer.keys, (0, 0, here, 0)), pad(new.keys, (0, 0, there, 0))])
        layer.values = torch.cat([pad(layer.values, (0, 0, here, 0)), pad(new.values, (0, 0, there, 0))])
    return cache, torch.cat([pad(mask, (here, 0)), pad(other_mask, (there, 0))])


def _sample(logits: Any, params: SamplingParams, generator: Any, seen: Any) -> tuple[int, float]:
    """One token and its log-probability, from logits of shape [vocabulary]."""
    import torch

    if params.repetition_penalty != 1.0:
        penalty = torch.where(logits > 0, 1 / params.repetition_penalty, params.repetition_penalty)
        logits = torch.where(seen, logits * penalty, logits)
    logprobs = torch.log_softmax(logits, dim=-1)
    if params.temperature == 0:
        token = int(logprobs.argmax())
        return token, float(logprobs[token])
    probabilities = torch.softmax(logits / params.temperature, dim=-1)
    if params.top_k or params.top_p < 1 or params.min_p:
        probabilities = _truncated(probabilities, params)
    token = int(torch.multinomial(probabilities, 1, generator=generator))
    return token, float(logprobs[token])


def _truncated(probabilities: Any, params: SamplingParams) -> Any:
    import torch

    if params.min_p:
        probabilities = probabilities * (probabilities >= params.min_p * probabilities.max())
    if not params.top_k and params.top_p == 1:
        return probabilities
    ordered, index = probabilities.sort(descending=True)
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if params.top_k:
        keep[params.top_k :] = False
    if params.top_p < 1:
        keep &= ordered.cumsum(0) - ordered < params.top_p * ordered.sum()
    return torch.zeros_like(probabilities).scatter_(0, index, ordered * keep)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
