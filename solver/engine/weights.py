"""A model's files of weights, as the headers of its safetensors tell them: whole, and how large each tensor is.

safetensors (huggingface/safetensors, README "Format"): eight bytes of little-endian length, that much JSON (name to
dtype, shape and byte offsets), then the tensors' bytes.
"""

import json
from pathlib import Path
from typing import Any

from solver.errors import ModelError

_POINTER_BYTES = 1024  # a git-lfs pointer in place of a file of weights is no longer than that
_AGAIN = "copy the folder again, with its weights"


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
        _check_whole(file)
    return {name: (folder / name).stat().st_size for name in sorted(names)}


def read_header(file: Path) -> dict[str, dict[str, Any]]:
    """Dtype, shape and data_offsets of each tensor by its name. A few kilobytes are read.

    Raises ModelError where the file is no safetensors.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > size - 8:
            raise ModelError(f"{file} is cut short or no safetensors file ({size} bytes): {_AGAIN}")
        try:
            header: dict[str, dict[str, Any]] = json.loads(stream.read(length))
        except ValueError:
            raise ModelError(f"{file} is no safetensors file: {_AGAIN}") from None
    header.pop("__metadata__", None)
    return header


def _check_whole(file: Path) -> None:
    ends = [tensor["data_offsets"][1] for tensor in read_header(file).values()]
    size, least = file.stat().st_size, 8 + max(ends, default=0)  # and the header, a few kilobytes
    if size < least:
        raise ModelError(f"{file} is cut short ({size} of more than {least} bytes): {_AGAIN}")
