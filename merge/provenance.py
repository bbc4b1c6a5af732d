"""Where a checkpoint came from and what it consists of: `provenance.json`, and `SHA256SUMS` for `sha256sum -c`."""

import datetime
import json
import platform
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from merge.checkpoint import Checkpoint, sha256
from merge.parents import Parent

PROVENANCE = "provenance.json"
MANIFEST = "SHA256SUMS"
_PACKAGES = ("olympiad-solver", "mergekit", "torch", "transformers", "peft", "safetensors", "numpy")


def write_provenance(folder: Path, kind: str, **fields: Any) -> None:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = {"kind": kind, **fields, "versions": found, "created": created}
    (folder / PROVENANCE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_provenance(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / PROVENANCE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "kind" in record else None


def describe_parent(parent: Parent) -> dict[str, Any]:
    """Folders and sha256 of every file that a merge reads of it."""
    return {
        "reference": parent.reference,
        "base": describe_checkpoint(parent.base),
        "adapter": parent.adapter
        and {"folder": str(parent.adapter.folder), "files": _named(hashes(parent.adapter.files))},
    }


def describe_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    names = ("config.json", "tokenizer.json", "generation_config.json")
    small = [checkpoint.folder / name for name in names if (checkpoint.folder / name).is_file()]
    return {"folder": str(checkpoint.folder), "files": _named(hashes([*checkpoint.weight_files, *small]))}


def hashes(files: Iterable[Path]) -> dict[Path, str]:
    files = list(files)
    with ThreadPoolExecutor(4) as pool:  # hashing lets go of the interpreter's lock
        return dict(zip(files, pool.map(sha256, files), strict=True))


def _named(found: Mapping[Path, str]) -> dict[str, str]:
    return {path.name: digest for path, digest in found.items()}


def write_manifest(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    lines = [f"{digest}  {path.name}\n" for path, digest in hashes(files).items()]
    (folder / MANIFEST).write_text("".join(lines), "utf-8")


def read_manifest(folder: Path) -> dict[str, str] | None:
    """sha256 by file name; None where there is no manifest."""
    try:
        lines = (folder / MANIFEST).read_text("utf-8").splitlines()
    except OSError:
        return None
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
