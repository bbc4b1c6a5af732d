"""Is this checkpoint right? Checks that need no torch first, then loading it and reading a text with it.

Usable on any checkpoint folder; with `provenance.json` beside the weights (what `merge run` and `merge quantize` write)
the parents are compared too. Each failure says what would have gone wrong later.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from merge.adapter import read_adapter
from merge.arithmetic import Combine, combination, count_wrong
from merge.checkpoint import DTYPE_NAMES, Checkpoint, TensorInfo, read_checkpoint
from merge.errors import CheckpointError
from merge.parents import (
    Parent,
    chat_template_of,
    embedding,
    embedding_rows,
    row_chunks,
    row_width,
    same_tokenizer,
    tokenizer_size,
    vocabulary_problem,
)
from merge.provenance import PROVENANCE, describe_parent, hashes, read_manifest, read_provenance
from merge.quantized import count_far, quantized_names
from merge.recipe import Recipe, parse_recipe

Depth = Literal["weights", "full", "all"]
"""weights: everything that needs no torch, a sample of the tensors recomputed. full: also loads it and reads a text.
all: recomputes every element of every tensor."""
Status = Literal["ok", "failed", "skipped"]

SAMPLED_TENSORS = 16
SAMPLED_ELEMENTS = 1_000_000
"""Of each sampled tensor, in rows from its whole length."""
NLL_MARGIN = 1.0
"""Nats a token that a merge may be worse than its worst parent, or a checkpoint than uniform guessing."""


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
    """Why the parents cannot be compared, where provenance names some."""

    @property
    def is_merge(self) -> bool:
        return self.recipe is not None

    @property
    def resized(self) -> bool:
        return self.recipe is not None and self.recipe.tokenizer is not None


class _Failed(Exception):
    pass


class _Skipped(Exception):
    pass


def verify(folder: Path, depth: Depth = "full", parents: Sequence[Parent] = ()) -> list[Check]:
    """Every check, in order. `parents`: those just merged; without them, those that provenance names, hashed again."""
    try:
        subject = _subject(folder, parents)
    except CheckpointError as error:
        return [Check("files", "failed", f"{error}; no engine could load it")]
    return [_run(name, check, subject, depth) for name, check in _CHECKS.items()]


def _run(name: str, check: "_Check", subject: Subject, depth: Depth) -> Check:
    try:
        return Check(name, "ok", check(subject, depth))
    except (_Failed, CheckpointError) as failure:
        return Check(name, "failed", str(failure))
    except _Skipped as reason:
        return Check(name, "skipped", str(reason))


def _subject(folder: Path, parents: Sequence[Parent]) -> Subject:
    checkpoint = read_checkpoint(folder)
    provenance = read_provenance(folder)
    if provenance is None:
        return Subject(checkpoint, lost=f"no {PROVENANCE}: what it was made from is not known")
    recipe = parse_recipe(provenance["recipe"]) if provenance["kind"] == "merge" else None
    try:
        parents = parents or [_parent(entry) for entry in provenance["parents"]]
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


def _need_parents(subject: Subject) -> Checkpoint:
    if not subject.parents:
        raise _Skipped(subject.lost or "")
    return subject.parents[0].base


def _files(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    if checkpoint.index is not None:
        said = checkpoint.index.get("metadata", {}).get("total_size")
        if said is not None and said != checkpoint.num_bytes:
            raise _Failed(
                f"the index says {said:,} bytes of tensors, the shards hold {checkpoint.num_bytes:,}: a loader that "
                f"plans memory by the index would plan wrongly, and a shard may be another checkpoint's"
            )
    size = f"{checkpoint.num_parameters:,} parameters, {checkpoint.num_bytes / 1e9:.2f} GB"
    return f"{len(checkpoint.weight_files)} weight file(s), {len(checkpoint.tensors)} tensors, {size}"


def _manifest(subject: Subject, depth: Depth) -> str:
    folder, manifest = subject.checkpoint.folder, read_manifest(subject.checkpoint.folder)
    if manifest is None:
        raise _Skipped("no SHA256SUMS: damage by a copy or a download would not be noticed")
    missing = [name for name in manifest if not (folder / name).is_file()]
    if missing:
        raise _Failed(f"{missing[0]} of SHA256SUMS is gone: the upload would lack it too")
    for path, digest in hashes(folder / name for name in manifest).items():
        if manifest[path.name] != digest:
            raise _Failed(f"{path.name} has changed since it was written: an edit or a broken copy would run unnoticed")
    return f"{len(manifest)} files as they were written"


def _tensors(subject: Subject, depth: Depth) -> str:
    first, ours = _need_parents(subject), subject.checkpoint.tensors
    if subject.checkpoint.architecture != first.architecture:
        raise _Failed(f"architecture {subject.checkpoint.architecture}, the parents' is {first.architecture}")
    quantized = quantized_names(subject.checkpoint)
    for name, info in first.tensors.items():
        if name in quantized:
            continue
        if name not in ours:
            raise _Failed(f"no tensor {name}, which the parents have: a loader would start it at random values")
        if ours[name].shape != info.shape and not subject.resized:
            raise _Failed(f"{name} is {ours[name].shape}, the parents' {info.shape}: it would not load")
    extra = ours.keys() - first.tensors.keys() - {name for names in quantized.values() for name in names}
    if extra:
        raise _Failed(f"tensor {min(extra)} is in no parent: a loader would refuse or ignore it")
    return "names and shapes are the parents'"


def _dtypes(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    said = (
        checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype") or subject.provenance.get("output_dtype")
    )
    if checkpoint.is_quantized:
        return f"quantized: {checkpoint.config.get('quantization_config', {}).get('format', 'format not named')}"
    wanted = DTYPE_NAMES.get(str(said))
    if wanted is None:
        raise _Skipped(f"config.json names no dtype, the tensors are {checkpoint.dtype}")
    for name, info in checkpoint.tensors.items():
        if info.dtype != wanted:
            raise _Failed(
                f"{name} is {info.dtype} where config.json says {said}: it would take other memory than planned, "
                f"or be rounded again at every start"
            )
    return f"all tensors are {said}"


def _tied(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    head = checkpoint.tensors.get("lm_head.weight")
    table = embedding(checkpoint)
    if not checkpoint.is_tied:
        if head is None and "tie_word_embeddings" not in checkpoint.config:
            raise _Skipped("config.json does not say whether the output layer is tied to the embeddings")
        if head is None and table is not None:
            raise _Failed("embeddings are not tied and there is no lm_head.weight: the output layer would be random")
        return "not tied, with an output layer of its own"
    if head is not None and table is not None and not _equal(head, table):
        raise _Failed("config.json ties the output to the embeddings and lm_head.weight differs: it would be ignored")
    return "output layer tied to the embeddings"


def _equal(one: TensorInfo, other: TensorInfo) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(np.array_equal(one.raw(), other.raw()))


def _finite(subject: Subject, depth: Depth) -> str:
    """By the bits of 16- and 8-bit floats: all ones in the exponent is an infinity or no number."""
    for name, info in subject.checkpoint.tensors.items():
        raw = info.raw()
        for start in range(0, info.num_elements, 2**24):
            if count := _count_not_finite(raw[start : start + 2**24], info.dtype):
                raise _Failed(f"{name} has {count} values that are NaN or infinite: every answer would be garbage")
    return "no NaN, no infinity"


def _count_not_finite(raw: np.ndarray[Any, Any], dtype: str) -> int:
    if dtype == "BF16":
        return int(np.count_nonzero((raw & 0x7F80) == 0x7F80))
    if dtype == "F8_E4M3":
        return int(np.count_nonzero((raw & 0x7F) == 0x7F))
    return int(np.count_nonzero(~np.isfinite(raw))) if dtype in ("F16", "F32", "F64") else 0


def _recomputed(subject: Subject, depth: Depth) -> str:
    _need_parents(subject)
    if subject.recipe is None:
        return _requantized(subject)
    combine = combination(subject.recipe, subject.parents)
    if combine is None:
        raise _Skipped(
            f"{subject.recipe.merge_method} is not recomputed here: it draws at random or has no one formula"
        )
    names = _sample(subject, depth)
    wrong = [(name, bad, seen) for name in names for bad, seen in [_compare(subject, combine, name, depth)] if bad]
    if wrong:
        name, bad, seen = wrong[0]
        raise _Failed(
            f"{len(wrong)} of {len(names)} tensors are not what the recipe gives ({name}: {bad:,} of {seen:,} elements "
            f"off by more than one rounding): this is another merge than the one that was asked for"
        )
    how = "every element" if depth == "all" else f"{len(names)} tensors, up to {SAMPLED_ELEMENTS:,} elements each"
    return f"{how}: within one rounding of the recipe in exact arithmetic"


def _sample(subject: Subject, depth: Depth) -> list[str]:
    """Tensors to recompute: embeddings, first and last always, the others at random, but the same ones each time."""
    names = [
        name
        for name, info in subject.checkpoint.tensors.items()
        if info.shape == subject.parents[0].base.tensors[name].shape and not (subject.resized and "embed" in name)
    ]
    if depth == "all" or len(names) <= SAMPLED_TENSORS:
        return names
    fixed = [names[0], names[-1], *(name for name in names if "embed" in name)]
    return list(dict.fromkeys([*fixed, *Random(0).sample(names, SAMPLED_TENSORS)]))[:SAMPLED_TENSORS]


def _compare(subject: Subject, combine: Combine, name: str, depth: Depth) -> tuple[int, int]:
    """(elements off, elements seen)"""
    info = subject.checkpoint.tensors[name]
    chunks = list(row_chunks(info, 2**18))
    if depth != "all":
        chunks = chunks[:: max(1, len(chunks) // max(1, SAMPLED_ELEMENTS // 2**18))]
    wrong = seen = 0
    for start, stop in chunks:
        width = row_width(info)
        stored = info.floats(start * width, stop * width).reshape(-1, width)
        wrong += count_wrong(stored, combine(name, start, stop), info.dtype)
        seen += stored.size
    return wrong, seen


def _requantized(subject: Subject) -> str:
    source = subject.parents[0].base
    names = quantized_names(subject.checkpoint)
    if not names:
        raise _Skipped("neither a recipe nor quantized weights to compare with the parents")
    chosen = Random(0).sample(sorted(names), min(SAMPLED_TENSORS, len(names)))
    compared = 0
    for name in chosen:
        far = count_far(subject.checkpoint, source, name)
        if far is None:
            continue
        compared += 1
        if far:
            raise _Failed(
                f"{name}: {far:,} weights are further from the source than one step of its scale: wrong scales"
            )
    for name, info in source.tensors.items():
        if (
            name not in names
            and name in subject.checkpoint.tensors
            and not _equal(info, subject.checkpoint.tensors[name])
        ):
            raise _Failed(f"{name} was not to be quantized and has changed")
    if not compared:
        raise _Skipped("packed formats are not unpacked here")
    return f"{compared} tensors within one step of their scale; what is not quantized is unchanged"


def _tokenizer(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    if checkpoint.text("tokenizer.json") is None:
        raise _Failed("no tokenizer.json: neither the solver nor vLLM could read a prompt")
    if problem := vocabulary_problem(checkpoint):
        raise _Failed(problem)
    if subject.parents and not subject.resized and not same_tokenizer(checkpoint, subject.parents[0].base):
        raise _Failed("tokenizer.json is not the parents': text would become other tokens than they were trained on")
    whose = ", the parents'" if subject.parents and not subject.resized else ""
    return f"{tokenizer_size(checkpoint)} tokens, {embedding_rows(checkpoint)} embedding rows{whose}"


def _chat_template(subject: Subject, depth: Depth) -> str:
    ours = chat_template_of(subject.checkpoint)
    if subject.parents and not subject.resized and (subject.recipe is None or subject.recipe.chat_template is None):
        if ours != chat_template_of(subject.parents[0].base):
            raise _Failed("not the parents' chat template: prompts would differ from those it was trained on")
        return "the parents'" if ours else "none, as its parents"
    if not ours:
        raise _Skipped("no chat template: servers that apply one need it on their command line")
    return "present"


def _generation(subject: Subject, depth: Depth) -> str:
    text = subject.checkpoint.text("generation_config.json")
    theirs = subject.parents[0].base.text("generation_config.json") if subject.parents else None
    if text is None:
        if theirs is not None:
            raise _Failed(
                "no generation_config.json, though the parents have one: it would not stop at their end tokens"
            )
        raise _Skipped("no generation_config.json: the engine's defaults apply, config.json's end tokens alone stop it")
    ends = json.loads(text).get("eos_token_id")
    if theirs is not None and not subject.resized and ends != json.loads(theirs).get("eos_token_id"):
        raise _Failed(f"generation_config.json ends at {ends}, the parents' otherwise: it would run on or stop early")
    return f"ends at {ends}"


def _logits(subject: Subject, depth: Depth) -> str:
    if depth == "weights":
        raise _Skipped("not asked for")
    result, *parents = probe_in_child([Parent("", subject.checkpoint), *subject.parents])
    if result["missing"] or result["unexpected"]:
        names = [*result["missing"], *result["unexpected"]]
        raise _Failed(f"loads, but {names[0]} is missing or unknown: that layer would be random or left out")
    nll, chance = result["nll"], math.log(result["vocabulary"])
    said = f"{nll:.3f} nats a token on a fixed text (guessing: {chance:.2f}"
    if not nll < chance + NLL_MARGIN:
        raise _Failed(f"{said}): weights and names do not belong together")
    theirs = [parent["nll"] for parent in parents]
    if theirs and nll > max(theirs) + NLL_MARGIN:
        raise _Failed(f"{said}; its worst parent {max(theirs):.3f}): it lost what they know; are they of one base?")
    return said + (f"; its parents: {', '.join(f'{value:.3f}' for value in theirs)})" if theirs else ")")


def probe_in_child(models: Sequence[Parent]) -> list[dict[str, Any]]:
    """`merge.probe` of each, in one process of its own."""
    need = 4 * 1.2 * max(model.base.num_parameters for model in models)
    free = _free_memory()
    if need + 2**30 > free:
        raise _Skipped(
            f"{need / 1e9:.0f} GB of memory to load it in float32, {free / 1e9:.0f} GB free: not loaded here"
        )
    folders = [[model.base.folder, *([model.adapter.folder] if model.adapter else [])] for model in models]
    paths = json.dumps([[str(folder.resolve()) for folder in pair] for pair in folders])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, "-m", "merge.probe", paths], capture_output=True, text=True, env=environment,
        cwd=Path(__file__).parent.parent, check=False,
    )  # fmt: skip
    results: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["no message"]
        raise _Failed(f"{models[len(results)].base.folder} does not load: {lines[-1].strip()}")
    return results


def _free_memory() -> int:
    """Bytes that could be had without swapping, where the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


_Check = Callable[[Subject, Depth], str]
_CHECKS: dict[str, _Check] = {
    "files": _files,
    "manifest": _manifest,
    "tensors": _tensors,
    "dtypes": _dtypes,
    "tied embeddings": _tied,
    "finite": _finite,
    "recomputed": _recomputed,
    "tokenizer": _tokenizer,
    "chat template": _chat_template,
    "generation config": _generation,
    "loads, logits": _logits,
}
