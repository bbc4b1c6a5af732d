"""KV caches of transformers: with room for columns to come, and kept for later turns with the same prefix."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from solver.errors import EngineError

Layers = Sequence[tuple[Any, Any]]
"""Keys and values of each layer, tensors [turns, heads, tokens, size]."""

_ROOM = 128  # columns allocated ahead


class PrefixStore:
    """Keys and values of transcripts that were computed, the least recently used given up first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._entries: OrderedDict[tuple[int, ...], tuple[Layers, Any]] = OrderedDict()

    def computed(self, tokens: list[int]) -> tuple[Layers, Any, int] | None:
        """A prompt that is there as a whole, next logits included."""
        key = tuple(tokens)
        if (entry := self._entries.get(key)) is None or entry[1] is None:
            return None
        self._entries.move_to_end(key)
        return entry[0], entry[1], len(tokens)

    def longest(self, tokens: list[int]) -> tuple[int, Layers]:
        """How many of the first tokens are there (never the last: its logits are wanted), and the layers with them."""
        best, found = 0, None
        for key in self._entries:
            if (length := _common(key, tokens)) > best:
                best, found = length, key
        if found is None:
            return 0, []
        self._entries.move_to_end(found)
        return min(best, len(tokens) - 1), self._entries[found][0]

    def add(self, tokens: list[int], layers: Layers, logits: Any = None) -> None:
        key = tuple(tokens)
        if key in self._entries:
            return
        self._entries[key] = (layers, logits)
        self._bytes += _num_bytes(layers)
        while self._bytes > self._max_bytes and self._entries:
            _, (oldest, _) = self._entries.popitem(last=False)
            self._bytes -= _num_bytes(oldest)


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [turns, heads, columns, size] in tensors with columns to spare."""

    keys: Any
    values: Any
    _room: tuple[Any, Any] | None = None

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.set(key_states, value_states)
            return self.keys, self.values
        before = self.keys.shape[-2]
        after = before + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < after:
            self._room = _grown(self.keys, after), _grown(self.values, after)
        self._room[0][:, :, before:after] = key_states
        self._room[1][:, :, before:after] = value_states
        self.keys, self.values = self._room[0][:, :, :after], self._room[1][:, :, :after]
        return self.keys, self.values

    def set(self, keys: Any, values: Any) -> None:
        self.keys, self.values, self._room = keys, values, None


def new_cache(config: Any) -> Any:
    """An empty cache of `RoomyLayer`s. Raises EngineError for a model whose layers keep something else."""
    cache = DynamicCache(config=config)
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        raise EngineError("not every layer of this model is full attention: choose --engine vllm")
    cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache


def _grown(tensor: Any, columns: int) -> Any:
    rows, heads, filled, size = tensor.shape
    room = tensor.new_empty(rows, heads, columns + _ROOM, size)
    room[:, :, :filled] = tensor
    return room


def stack(tensors: Sequence[Any]) -> Any:
    """As one batch that ends at the same column."""
    columns = max(tensor.shape[-2] for tensor in tensors)
    return torch.cat([pad(tensor, (0, 0, columns - tensor.shape[-2], 0)) for tensor in tensors])


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common prefix, by halving: slices are compared in C."""
    low, high = 0, min(len(first), len(second))
    second = tuple(second[:high])
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _num_bytes(layers: Layers) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in layers)
