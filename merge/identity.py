"""What results are of, kept in a file beside them: a second run goes on with its own results, and with no other's."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from merge.errors import MergeError
from merge.provenance import hashes


def claim(file: Path, identity: Mapping[str, Any], results: Path, remove: Path | None = None) -> None:
    """Write `identity` into `file`, unless `results` are there already: then it must be theirs. `remove`: what else
    than `results` would have to go.

    Raises:
        MergeError: the results are of something else, or do not say what they are of.
    """
    if differing := differences(file, identity, results):
        what, gone = ", ".join(differing), remove or results
        raise MergeError(f"{results} is of other {what}: name another folder with -o, or remove {gone} first")
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(identity, indent=2) + "\n", "utf-8")
    partial.replace(file)


def differences(file: Path, identity: Mapping[str, Any], results: Path) -> list[str]:
    """What of `identity` the results that are there do not share; nothing where there are none."""
    if not results.exists():
        return []
    try:
        before = json.loads(file.read_text("utf-8"))
        return [name for name, value in identity.items() if before.get(name) != value]
    except (OSError, ValueError, AttributeError):
        return [f"origin ({file.name} beside it does not say which)"]


def identify_model(model: Path) -> str:
    """One hash over all files of a checkpoint folder; about a second for a gigabyte."""
    if not model.is_dir():
        return str(model)
    named = {path.name: digest for path, digest in hashes(path for path in model.iterdir() if path.is_file()).items()}
    return sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
