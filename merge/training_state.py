"""What a training leaves on the disk, its output and its checkpoint, and of which training they are.

Both name the settings and digests of base, start and samples. What is of another training is neither gone on from nor
replaced; how many steps there are and over how many the rate decays may change, so that a training can be prolonged.
"""

import hashlib
import json
import pickle
import shutil
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from merge.checkpoint import read_checkpoint
from merge.output import check_output, publish
from merge.samples import TokenSample
from merge.train_config import TrainConfig
from solver.errors import UsageError

RECORD = "training.json"
_SETTINGS = (
    "preset",
    "rank",
    "learning_rate",
    "tokens_per_batch",
    "max_length",
    "warmup_steps",
    "order",
    "seed",
)
_FOLDERS = {"base_digest": "another base", "start_digests": "other adapters to start from"}
_PIECES, _PIECE_BYTES = 512, 2**16

Identity = Mapping[str, Any]
"""Of a training, as JSON can hold it."""


def identify(config: TrainConfig, samples: Sequence[TokenSample]) -> Identity:
    starts = [Path(start) for start in config.start]
    return {name: getattr(config, name) for name in _SETTINGS} | {
        "base_digest": fingerprint(read_checkpoint(Path(config.base)).weight_files),
        "start_digests": [fingerprint([it / "adapter_config.json", it / "adapter_model.safetensors"]) for it in starts],
        "samples_digest": _digest(samples),
    }


def fingerprint(files: Iterable[Path]) -> str:
    """sha256 of sizes and of pieces at even distances: all of a file up to 32 MiB. A training changes nearly every
    weight, so pieces tell larger files apart without reading tens of gigabytes."""
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            for begin in range(0, size, max(_PIECE_BYTES, size // _PIECES)):
                stream.seek(begin)
                digest.update(stream.read(_PIECE_BYTES))
    return digest.hexdigest()


def _digest(samples: Sequence[TokenSample]) -> str:
    """Of the tokens that are learned, not of the file: the chat format that they are written in may change too."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(array("q", [len(sample), *sample.token_ids]).tobytes() + bytes(sample.is_own))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class SavedTraining:
    output: Path
    identity: Identity

    @property
    def checkpoint(self) -> Path:
        return Path(f"{self.output}.checkpoint.pt")

    def prepare(self) -> None:
        """Make the folder that the output goes into. Raises UsageError or MergeError where it may or can not."""
        self.check_output()
        check_output(self.output, exist_ok=True)

    def check_output(self, cure: str = "name another output, or remove it first") -> None:
        """Raises UsageError where something is there that this training did not write."""
        if not (self.output.exists() or self.output.is_symlink()):
            return
        what = _problem(self.identity, _read_record(self.output))
        if what is not None:
            raise UsageError(f"{self.output} is there and {what}: {cure}")

    def publish(self, finished: Path) -> None:
        """Give a finished folder its name, hours after `prepare`."""
        self.check_output(f"move it away and repeat the command, which goes on from {self.checkpoint}")
        shutil.rmtree(self.output, ignore_errors=True)
        publish(finished, self.output)

    def read(self, max_steps: int) -> dict[str, Any] | None:
        """Weights, optimizer and step, where there is a checkpoint. Raises UsageError where it is of another training,
        or beyond `max_steps`."""
        if not self.checkpoint.exists():
            return None
        state = _load(self.checkpoint)
        what = _problem(self.identity, state.get("identity", {}) if isinstance(state, dict) else None)
        if what is not None:
            raise UsageError(f"{self.checkpoint} {what}: delete it, or name another output")
        if 0 < max_steps < state["step"]:
            raise UsageError(
                f"{self.checkpoint} is at step {state['step']}, beyond --max-steps {max_steps}: raise it, delete the "
                "checkpoint, or name another output"
            )
        return dict(state)

    def write(self, state: Mapping[str, Any]) -> None:
        import torch

        partial = self.checkpoint.with_suffix(".partial")
        torch.save({**state, "identity": dict(self.identity)}, partial)
        partial.replace(self.checkpoint)


def _read_record(output: Path) -> Any:
    """None where it is no folder of a training. A link is none: it would be replaced, not what it points to."""
    if output.is_symlink():
        return None
    try:
        return json.loads((output / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _load(checkpoint: Path) -> Any:
    """None where it is no whole file of torch's: one that is cut short is no archive, and torch would take it for a
    format of old."""
    import torch

    if not is_zipfile(checkpoint):
        return None
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError):
        return None


def _problem(identity: Identity, found: Any) -> str | None:
    """What keeps `found` from being of this training; None where it is."""
    if not isinstance(found, dict):
        return "is not of a training"
    if "samples_digest" not in found:
        return "does not say which training it is of (an earlier version wrote it)"
    differing = [
        f"{name.replace('_', ' ')} was {found.get(name)}, is {identity[name]}"
        for name in _SETTINGS
        if found.get(name) != identity[name]
    ]
    differing += [what for name, what in _FOLDERS.items() if found.get(name) != identity[name]]
    # Base and settings change the samples' tokens too, so these are named where nothing else differs.
    if not differing and found["samples_digest"] != identity["samples_digest"]:
        differing = ["other samples"]
    return f"is of another training ({'; '.join(differing)})" if differing else None
