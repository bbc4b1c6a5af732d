"""All running turns of one transformers model, decoded together, one token each a step.

Turns join and leave between steps. The KV cache is one tensor a layer, padded on the left so that all turns end at the
same column, with room to spare: a step writes one column, and a turn that joins or leaves moves one row. A prompt that
several turns share is computed once; what was computed for a turn is kept for the next turn of the same attempt.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import torch

from solver.engine.entropy import entropy
from solver.engine.kv_cache import Layers, PrefixStore, new_cache, running_cache
from solver.engine.sampling import sample
from solver.engine.stopping import StopChecker
from solver.errors import EngineError
from solver.types import Completion, SamplingParams


class Turn:
    """One request: what the decoding thread knows of it, and the way its tokens take to the event loop."""

    def __init__(self, prompt: list[int], params: SamplingParams, stops: StopChecker) -> None:
        self.tokens = list(prompt)
        self.params, self.stops = params, stops
        self.num_cached: int | None = None
        self.closed = False
        self.generator = torch.Generator()
        self.generator.manual_seed(params.seed) if params.seed is not None else self.generator.seed()
        self.loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Completion | EngineError] = asyncio.Queue()

    def put(self, item: Completion | EngineError) -> None:
        """In the event loop's thread."""
        self._ready.put_nowait(item)

    async def receive(self) -> Completion:
        item = await self._ready.get()
        if isinstance(item, EngineError):
            raise item
        return item


def deliver(items: Sequence[tuple[Turn, Completion | EngineError]]) -> None:
    """Hand what a step made to the event loop, in one call."""

    def put_all() -> None:
        for turn, item in items:
            turn.put(item)

    if items:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            items[0][0].loop.call_soon_threadsafe(put_all)


class Batch:
    def __init__(self, model: Any, cache_bytes: int) -> None:
        self._model = model
        self._prefixes = PrefixStore(cache_bytes)
        self.turns: list[Turn] = []
        self._cache: Any = None
        self._lengths: list[int] = []
        """Tokens of each turn in the cache."""
        self._logits: Any = None
        """[turns, vocabulary] of the next token."""

    def join(self, turns: Sequence[Turn]) -> None:
        """Compute the prompts of new turns, and put them beside the running ones."""
        if not turns:
            return
        computed, all_logits = [], [] if self._logits is None else [self._logits]
        for turn in turns:
            layers, logits, turn.num_cached = self._prefixes.computed(turn.tokens) or self._prefill(turn.tokens)
            computed.append(layers)
            all_logits.append(logits)
        if self._cache is None:
            self._cache = running_cache(self._model.config)
        for layer, pairs in zip(self._cache.layers, zip(*computed, strict=True), strict=True):
            layer.add(pairs)
        self._logits = torch.cat(all_logits)
        self._lengths += [len(turn.tokens) for turn in turns]
        self.turns += turns

    def step(self) -> None:
        """Sample one token for every turn, hand it out, and compute the next logits of those that go on."""
        if not self.turns:
            return
        sampled = sample(self._logits, [(turn.params, turn.generator, turn.tokens) for turn in self.turns])
        self._logits = None
        made, going_on = [], []
        for row, (turn, (token, logprob, top)) in enumerate(zip(self.turns, sampled, strict=True)):
            finish = turn.stops.feed(token)
            turn.tokens.append(token)
            logprobs = None if logprob is None else (logprob,)
            entropies = None if logprob is None else (entropy(top),)
            made.append((turn, Completion((token,), logprobs, finish, entropies, turn.num_cached)))
            turn.num_cached = None
            if finish is None:
                going_on.append(row)
        deliver(made)
        self._keep(going_on)
        if self.turns:
            self._decode(torch.tensor([[turn.tokens[-1]] for turn in self.turns], device=self._model.device))

    def drop_closed(self) -> None:
        self._keep([row for row, turn in enumerate(self.turns) if not turn.closed])

    def _prefill(self, tokens: list[int]) -> tuple[Layers, Any, int]:
        """Keys and values of each layer, the next token's logits, and how many of the tokens were known."""
        known, layers = self._prefixes.longest(tokens)
        cache = new_cache(self._model.config)
        for layer, (keys, values) in zip(cache.layers, layers, strict=False):
            layer.update(keys[:, :, :known], values[:, :, :known])
        ids = torch.tensor([tokens[known:]], device=self._model.device)
        positions = torch.arange(known, len(tokens), device=self._model.device)[None]
        output = self._model(
            input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        computed = [(layer.keys, layer.values) for layer in cache.layers]
        logits = output.logits[:, -1].float()
        self._prefixes.add(tokens, computed, logits)
        return computed, logits, known

    def _decode(self, ids: Any) -> None:
        width, device = max(self._lengths) + 1, self._model.device
        lengths = torch.tensor(self._lengths, device=device)
        mask = None
        if min(self._lengths) != max(self._lengths):
            mask = (torch.arange(width, device=device)[None] >= (width - 1 - lengths)[:, None]).long()
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=lengths[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._lengths = [length + 1 for length in self._lengths]
        self._logits = output.logits[:, -1].float()

    def _keep(self, rows: Sequence[int]) -> None:
        if len(rows) == len(self.turns):
            return
        for row in sorted(set(range(len(self.turns))) - set(rows)):
            self._remember(row)
        if not rows:
            self.turns, self._lengths, self._cache, self._logits = [], [], None, None
            return
        order = _closed_up(rows)
        self.turns = [self.turns[row] for row in order]
        self._lengths = [self._lengths[row] for row in order]
        if self._logits is not None:
            self._logits = self._logits[torch.tensor(order, device=self._model.device)]
        for layer in self._cache.layers:
            layer.keep(order, max(self._lengths))

    def _remember(self, row: int) -> None:
        length = self._lengths[row]
        layers = [
            (layer.keys[row : row + 1, :, -length:].clone(), layer.values[row : row + 1, :, -length:].clone())
            for layer in self._cache.layers
        ]
        self._prefixes.add(self.turns[row].tokens[:length], layers)


def _closed_up(rows: Sequence[int]) -> list[int]:
    """The same rows, of which only those too far down for their number are moved, into the gaps above."""
    kept = set(rows)
    late = [row for row in rows if row >= len(rows)]
    return [row if row in kept else late.pop() for row in range(len(rows))]
