"""KV caches of transformers: with room for turns and tokens to come, and kept for later turns with the same prefix."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

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
        if (entry := self._entries.get(key)) is not None:
            if entry[1] is None:
                self._entries[key] = entry[0], logits
            return
        self._entries[key] = (layers, logits)
        self._bytes += _num_bytes(layers)
        while self._bytes > self._max_bytes and self._entries:
            _, (oldest, _) = self._entries.popitem(last=False)
            self._bytes -= _num_bytes(oldest)


class RunningLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [turns, heads, columns, size] of running turns that all end at the last column.

    They are a window into tensors with columns to spare, and with the rows of turns that left: a step writes one
    column, a turn that joins or leaves one row. Left of a turn's own columns stand zeros: they are masked and count
    nothing, but nothing times infinity would not be a number.
    """

    keys: Any
    values: Any
    _room: tuple[Any, ...] = ()
    _end = 0

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Append columns to every turn."""
        rows, _, more, _ = key_states.shape
        width = self.get_seq_length() + more
        self._reserve((key_states, value_states), rows, width, more)
        self._end += more
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:rows, :, self._end - more : self._end] = states
        self._show(rows, width)
        return self.keys, self.values

    def add(self, turns: Sequence[tuple[Any, Any]]) -> None:
        """Put other turns' keys and values, each [1, heads, its tokens, size], below those that run."""
        before = self.keys.shape[0] if self.is_initialized else 0
        width = max(self.get_seq_length(), *(keys.shape[-2] for keys, _ in turns))
        self._reserve(turns[0], before + len(turns), width, 0)
        for row, pair in enumerate(turns, start=before):
            for room, states in zip(self._room, pair, strict=True):
                begin = self._end - states.shape[-2]
                room[row, :, :begin] = 0
                room[row, :, begin : self._end] = states[0]
        self._show(before + len(turns), width)

    def keep(self, order: Sequence[int], width: int) -> None:
        """Of the rows keep those of `order`, in which a row stands at its own place or further up, and of the columns
        the last `width`."""
        for target, source in enumerate(order):
            if source != target:
                for room in self._room:
                    room[target, :, : self._end] = room[source, :, : self._end]
        self._show(len(order), width)

    def _reserve(self, like: tuple[Any, Any], rows: int, width: int, more: int) -> None:
        """Room for `rows` turns, and for `width` columns of which the last `more` are still to come."""
        if self._room:
            num_rows, _, num_columns, _ = self._room[0].shape
            if rows <= num_rows and self._end + more <= num_columns and width - more <= self._end:
                return
        rooms = tuple(it.new_zeros(rows, it.shape[1], width + _ROOM, it.shape[3]) for it in like)
        end = width - more
        if self.is_initialized:
            before, _, filled, _ = self.keys.shape
            for room, window in zip(rooms, (self.keys, self.values), strict=True):
                room[:before, :, end - filled : end] = window
        else:
            self.lazy_initialization(*like)
        self._room, self._end = rooms, end

    def _show(self, rows: int, width: int) -> None:
        self.keys, self.values = (room[:rows, :, self._end - width : self._end] for room in self._room)


def new_cache(config: Any) -> Any:
    """An empty cache for one turn. Raises EngineError for a model whose layers keep something else."""
    cache = DynamicCache(config=config)
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        raise EngineError("not every layer of this model is full attention: choose --engine vllm")
    return cache


def running_cache(config: Any) -> Any:
    """An empty cache for the turns that run."""
    cache = new_cache(config)
    cache.layers = [RunningLayer() for _ in cache.layers]
    return cache


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
