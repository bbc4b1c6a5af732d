"""A model's files of weights, as the headers of its safetensors tell them: whole, and where each tensor lies.

safetensors (huggingface/safetensors, README "Format"): eight bytes of little-endian length, that much JSON (name to
dtype, shape and byte offsets), then the tensors' bytes. Reading it here takes milliseconds where torch takes seconds to
import, and finds what a loader would find only after minutes: a missing shard, a file cut short.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solver.errors import ModelError

_POINTER_BYTES = 1024  # a git-lfs pointer in place of a file of weights is no longer than that
_AGAIN = "download or copy it again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    dtype: str
    """As safetensors names it: BF16, F32, I8, ..."""
    shape: tuple[int, ...]
    begin: int
    """Of its first byte in the file."""
    end: int

    @property
    def num_bytes(self) -> int:
        return self.end - self.begin


def check_weights(folder: Path) -> dict[str, int]:
    """Sizes in bytes of the safetensors files by name; none where the weights are of another format.

    Raises ModelError where one is missing, only a pointer, or cut short.
    """
    index = folder / "model.safetensors.index.json"
    names = {path.name for path in folder.glob("*.safetensors")}
    if index.is_file():
        names |= set(json.loads(index.read_text("utf-8")).get("weight_map", {}).values())
    for name in sorted(names):
        file = folder / name
        if not file.is_file() or file.stat().st_size <= _POINTER_BYTES:
            raise ModelError(f"{file} is missing or only a pointer: {_AGAIN}")
        read_header(file)
    return {name: (folder / name).stat().st_size for name in sorted(names)}


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Where each tensor of one safetensors file lies, by its name. A few kilobytes are read.

    Raises ModelError where the file is no safetensors, or shorter than its header says.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise ModelError(f"{file} is cut short or no safetensors file ({size} bytes): {_AGAIN}")
        try:
            header = json.loads(stream.read(length))
            found = {name: _stored(entry, 8 + length) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(f"{file} has no readable safetensors header: {_AGAIN}") from None
    if size < (end := max((tensor.end for tensor in found.values()), default=0)):
        raise ModelError(f"{file} is cut short ({size:,} of {end:,} bytes): {_AGAIN}")
    return found


def _stored(entry: Mapping[str, Any], data_start: int) -> StoredTensor:
    begin, end = entry["data_offsets"]
    return StoredTensor(str(entry["dtype"]), tuple(map(int, entry["shape"])), data_start + begin, data_start + end)
