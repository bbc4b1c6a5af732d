"""What is verified: a checkpoint, what it was made from, and what a check says about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from merge.adapter import read_adapter
from merge.checkpoint import Checkpoint, read_checkpoint
from merge.errors import CheckpointError, RecipeError
from merge.parents import Parent
from merge.provenance import PROVENANCE, describe_parent, read_provenance
from merge.recipe import Recipe, parse_recipe

Depth = Literal["weights", "full", "all"]
"""weights: everything that needs no torch, a sample of the tensors recomputed. full: also loads it and reads a text.
all: recomputes every element of every tensor."""
Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: Status
    text: str


@dataclass(frozen=True)
class Subject:
    """A checkpoint and what is known of where it came from."""

    checkpoint: Checkpoint
    parents: Sequence[Parent] = ()
    recipe: Recipe | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    lost: str | None = None
    """Why there are no parents to compare with."""
    broken: str | None = None
    """What is wrong with its provenance."""

    @property
    def is_merge(self) -> bool:
        return self.recipe is not None

    @property
    def resized(self) -> bool:
        return self.recipe is not None and self.recipe.tokenizer is not None


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def read_subject(folder: Path, parents: Sequence[Parent]) -> Subject:
    """Raises CheckpointError where the folder is no whole checkpoint."""
    checkpoint = read_checkpoint(folder)
    provenance = read_provenance(folder)
    if provenance is None and not (folder / PROVENANCE).exists():
        return Subject(checkpoint, parents, lost=f"no {PROVENANCE}: what it was made from is not known")
    try:
        return _of_known_origin(checkpoint, provenance or {}, parents)
    except (KeyError, TypeError, AttributeError, RecipeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        lost = f"{PROVENANCE} does not say what it was made from ({what})"
        return Subject(checkpoint, parents, lost=lost, broken=f"{lost}: nobody could make it again or compare it")


def _of_known_origin(checkpoint: Checkpoint, provenance: Mapping[str, Any], parents: Sequence[Parent]) -> Subject:
    """Raises KeyError, TypeError, AttributeError or RecipeError where the provenance is not as `merge` writes it."""
    recipe = parse_recipe(provenance["recipe"]) if provenance["kind"] == "merge" else None
    entries = provenance["parents"]
    if not entries:
        raise KeyError("parents")
    try:
        parents = parents or [_parent(entry) for entry in entries]
    except CheckpointError as error:
        return Subject(checkpoint, (), recipe, provenance, lost=f"its parents cannot be compared: {error}")
    return Subject(checkpoint, parents, recipe, provenance)


def _parent(entry: Mapping[str, Any]) -> Parent:
    """The parent as it was merged; CheckpointError where it is gone or another one now."""
    base = read_checkpoint(Path(entry["base"]["folder"]))
    adapter = read_adapter(Path(entry["adapter"]["folder"])) if entry["adapter"] else None
    parent = Parent(entry["reference"], base, adapter)
    if describe_parent(parent) != entry:
        raise CheckpointError(f"{entry['reference']} has changed since they were merged")
    return parent


def need_parents(subject: Subject) -> Checkpoint:
    if not subject.parents:
        raise Skipped(subject.lost or "")
    return subject.parents[0].base
