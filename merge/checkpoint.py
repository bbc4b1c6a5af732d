"""A checkpoint folder as its files say it: names, shapes, dtypes and bytes of every tensor, without torch.

The headers are read by `solver.engine.weights`; here stand the numbers behind them.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from merge.errors import CheckpointError
from solver.engine import weights
from solver.errors import ModelError

Floats = NDArray[np.float32]

# Bytes of one element. The float formats that a merge can average are those of PRECISION.
ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
PRECISION = {"F32": (24, -149), "F16": (11, -24), "BF16": (8, -133)}
"""Bits of the significand, and the exponent of the smallest number above zero."""
DTYPE_NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """Of its first byte in the file."""

    @property
    def num_elements(self) -> int:
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        return self.num_elements * ITEM_BYTES[self.dtype]

    def raw(self) -> NDArray[Any]:
        """The stored elements, mapped and flat; floats of 16 and 8 bits as unsigned integers of that width."""
        kinds = {
            "F64": "<f8",
            "F32": "<f4",
            "F16": "<f2",
            "BF16": "<u2",
            "F8_E4M3": "u1",
            "F8_E5M2": "u1",
            "BOOL": "u1",
        }
        kind = kinds.get(self.dtype, f"<{self.dtype[0].lower()}{ITEM_BYTES[self.dtype]}")
        if self.num_elements == 0:
            return np.zeros(0, dtype=kind)
        return np.memmap(self.file, dtype=kind, mode="r", offset=self.offset, shape=(self.num_elements,))

    def floats(self, start: int = 0, stop: int | None = None) -> Floats:
        """Elements `start` to `stop` of the flat tensor in float32 (float64 is rounded)."""
        return to_float32(self.raw()[start:stop], self.dtype)


def to_float32(raw: NDArray[Any], dtype: str) -> Floats:
    """float32 of what `TensorInfo.raw` returns for a dtype of `PRECISION`, or F64."""
    if dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)


def from_float32(values: Floats, dtype: str) -> NDArray[Any]:
    """The nearest numbers of a dtype of `PRECISION`, ties to even, as they are stored."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16
        return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)
    return values.astype(np.float16 if dtype == "F16" else np.float32)


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose weight files are whole; see `read_checkpoint`."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    weight_files: Sequence[Path]
    index: Mapping[str, Any] | None
    """The JSON of `model.safetensors.index.json`, where there are several weight files."""

    @property
    def architecture(self) -> str:
        return str((self.config.get("architectures") or [self.config.get("model_type", "unknown")])[0])

    @property
    def num_bytes(self) -> int:
        return sum(info.num_bytes for info in self.tensors.values())

    @property
    def num_parameters(self) -> int:
        return sum(info.num_elements for info in self.tensors.values())

    @property
    def is_quantized(self) -> bool:
        return "quantization_config" in self.config or any(
            info.dtype not in ("F64", *PRECISION) for info in self.tensors.values()
        )

    @property
    def is_tied(self) -> bool:
        return bool(self.config.get("tie_word_embeddings", False))

    @property
    def vocab_size(self) -> int | None:
        text = self.config.get("text_config")
        return self.config.get("vocab_size") or (text.get("vocab_size") if isinstance(text, Mapping) else None)

    @cached_property
    def dtype(self) -> str:
        """The dtype that most elements have."""
        counts: dict[str, int] = {}
        for info in self.tensors.values():
            counts[info.dtype] = counts.get(info.dtype, 0) + info.num_elements
        return max(counts, key=counts.__getitem__) if counts else "F32"

    def text(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Reads config, index and headers; no weights.

    Raises:
        CheckpointError: no such folder, config or safetensors, a missing shard, a file that is cut short.
    """
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is an adapter, no checkpoint: a recipe names it behind its base, BASE+ADAPTER")
    config = read_json(folder / "config.json")
    index = read_json(folder / _INDEX) if (folder / _INDEX).is_file() else None
    files = _weight_files(folder, index)
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        tensors |= read_header(file)
    if index is not None:
        _check_index(folder, index["weight_map"], tensors)
    return Checkpoint(folder, config, tensors, files, index)


def _weight_files(folder: Path, index: Mapping[str, Any] | None) -> list[Path]:
    if index is not None:
        weight_map = index.get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise CheckpointError(f"{folder / _INDEX} has no weight_map of file names: download the checkpoint again")
        names = sorted(set(weight_map.values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder} lacks {missing[0]}, which its index names: download the checkpoint again")
        return [folder / name for name in names]
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if list(folder.glob("model-*-of-*.safetensors")):
        raise CheckpointError(f"{folder} has shards but no {_INDEX}: download the checkpoint again")
    if list(folder.glob("pytorch_model*.bin")):
        raise CheckpointError(f"{folder} holds pickled weights (.bin): save it as safetensors first")
    raise CheckpointError(f"no weights in {folder}: there is neither {_SINGLE} nor {_INDEX}")


def _check_index(folder: Path, weight_map: Mapping[str, str], tensors: Mapping[str, TensorInfo]) -> None:
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].file.name != file:
            raise CheckpointError(f"{folder}: the index says {name} is in {file}, and it is not: download it again")


def read_json(path: Path) -> dict[str, Any]:
    """Raises CheckpointError where the file is missing or no JSON object."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError:
        missing = "it is a file" if path.parent.exists() else "no such folder"
        hint = f"no {path.name} in it" if path.parent.is_dir() else missing
        raise CheckpointError(f"{path.parent} is no checkpoint: {hint}") from None
    except ValueError:
        raise CheckpointError(f"{path} is not JSON: download the checkpoint again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object: download the checkpoint again")
    return value


def read_header(file: Path) -> dict[str, TensorInfo]:
    """Where every tensor of one safetensors file lies.

    Raises:
        CheckpointError: not safetensors, or shorter than its header says, or of a dtype that nothing here knows.
    """
    try:
        stored = weights.read_header(file)
    except ModelError as error:
        raise CheckpointError(str(error)) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from None
    found = {name: TensorInfo(file, it.dtype, it.shape, it.begin) for name, it in stored.items()}
    for name, info in found.items():
        if info.dtype not in ITEM_BYTES or info.num_bytes != stored[name].num_bytes:
            what = f"{stored[name].num_bytes} bytes for {info.dtype} {info.shape}"
            raise CheckpointError(f"{file} has no readable safetensors header ({name}: {what}): download it again")
    return found


def write_safetensors(
    path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], data: Callable[[str], Iterable[NDArray[Any]]]
) -> None:
    """Streams `data(name)`, pieces of stored elements in order, for each name of `tensors` (dtype, shape)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        end = offset + math.prod(shape) * ITEM_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as stream:
        stream.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in tensors:
            for piece in data(name):
                _write_all(stream, piece)


def _write_all(stream: BinaryIO, piece: NDArray[Any]) -> None:
    stream.write(np.ascontiguousarray(piece).data.cast("B"))


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
