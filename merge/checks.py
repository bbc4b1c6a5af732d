"""What can be told of a checkpoint from its files: weights, tokenizer, settings. No torch. A failure says what would
have gone wrong later."""

from typing import Any

import numpy as np

from merge.checkpoint import DTYPE_NAMES, Checkpoint, TensorInfo, read_json
from merge.errors import CheckpointError
from merge.parents import (
    chat_template_of,
    embedding,
    embedding_rows,
    same_tokenizer,
    tokenizer_size,
    vocabulary_problem,
)
from merge.provenance import hashes, read_manifest
from merge.quantized import quantized_names
from merge.subject import Depth, Failed, Skipped, Subject, need_parents


def files(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    if checkpoint.index is not None:
        said = checkpoint.index.get("metadata", {}).get("total_size")
        if said is not None and said != checkpoint.num_bytes:
            raise Failed(
                f"the index says {said:,} bytes of tensors, the shards hold {checkpoint.num_bytes:,}: a loader that "
                f"plans memory by the index would plan wrongly, and a shard may be another checkpoint's"
            )
    size = f"{checkpoint.num_parameters:,} parameters, {checkpoint.num_bytes / 1e9:.2f} GB"
    return f"{len(checkpoint.weight_files)} weight file(s), {len(checkpoint.tensors)} tensors, {size}"


def manifest(subject: Subject, depth: Depth) -> str:
    folder, manifest = subject.checkpoint.folder, read_manifest(subject.checkpoint.folder)
    if manifest is None:
        raise Skipped("no SHA256SUMS: damage by a copy or a download would not be noticed")
    missing = [name for name in manifest if not (folder / name).is_file()]
    if missing:
        raise Failed(f"{missing[0]} of SHA256SUMS is gone: the upload would lack it too")
    for path, digest in hashes(folder / name for name in manifest).items():
        if manifest[path.name] != digest:
            raise Failed(f"{path.name} has changed since it was written: an edit or a broken copy would run unnoticed")
    return f"{len(manifest)} files as they were written"


def tensors(subject: Subject, depth: Depth) -> str:
    first, ours = need_parents(subject), subject.checkpoint.tensors
    if subject.checkpoint.architecture != first.architecture:
        raise Failed(f"architecture {subject.checkpoint.architecture}, the parents' is {first.architecture}")
    quantized = quantized_names(subject.checkpoint)
    for name, info in first.tensors.items():
        if name in quantized:
            continue
        if name not in ours:
            raise Failed(f"no tensor {name}, which the parents have: a loader would start it at random values")
        if ours[name].shape != info.shape and not subject.resized:
            raise Failed(f"{name} is {ours[name].shape}, the parents' {info.shape}: it would not load")
    companions = {name for weight, names in quantized.items() if weight in first.tensors for name in names}
    extra = ours.keys() - first.tensors.keys() - companions
    if extra:
        raise Failed(f"tensor {min(extra)} is in no parent: a loader would refuse or ignore it")
    return "names and shapes are the parents'"


def dtypes(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    said = (
        checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype") or subject.provenance.get("output_dtype")
    )
    if checkpoint.is_quantized:
        return f"quantized: {checkpoint.config.get('quantization_config', {}).get('format', 'format not named')}"
    wanted = DTYPE_NAMES.get(str(said))
    if wanted is None:
        raise Skipped(f"config.json names no dtype, the tensors are {checkpoint.dtype}")
    for name, info in checkpoint.tensors.items():
        if info.dtype != wanted:
            raise Failed(
                f"{name} is {info.dtype} where config.json says {said}: it would take other memory than planned, "
                f"or be rounded again at every start"
            )
    return f"all tensors are {said}"


def tied(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    head = checkpoint.tensors.get("lm_head.weight")
    table = embedding(checkpoint)
    if not checkpoint.is_tied:
        if head is None and "tie_word_embeddings" not in checkpoint.config:
            raise Skipped("config.json does not say whether the output layer is tied to the embeddings")
        if head is None and table is not None:
            raise Failed("embeddings are not tied and there is no lm_head.weight: the output layer would be random")
        return "not tied, with an output layer of its own"
    if head is not None and table is not None and not equal(head, table):
        raise Failed("config.json ties the output to the embeddings and lm_head.weight differs: it would be ignored")
    return "output layer tied to the embeddings"


def equal(one: TensorInfo, other: TensorInfo) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(np.array_equal(one.raw(), other.raw()))


def finite(subject: Subject, depth: Depth) -> str:
    """By the bits of 16- and 8-bit floats: all ones in the exponent is an infinity or no number."""
    for name, info in subject.checkpoint.tensors.items():
        raw = info.raw()
        for start in range(0, info.num_elements, 2**24):
            if count := _count_not_finite(raw[start : start + 2**24], info.dtype):
                raise Failed(f"{name} has {count} values that are NaN or infinite: every answer would be garbage")
    return "no NaN, no infinity"


def _count_not_finite(raw: np.ndarray[Any, Any], dtype: str) -> int:
    if dtype == "BF16":
        return int(np.count_nonzero((raw & 0x7F80) == 0x7F80))
    if dtype == "F8_E4M3":
        return int(np.count_nonzero((raw & 0x7F) == 0x7F))
    return int(np.count_nonzero(~np.isfinite(raw))) if dtype in ("F16", "F32", "F64") else 0


def tokenizer(subject: Subject, depth: Depth) -> str:
    checkpoint = subject.checkpoint
    if checkpoint.text("tokenizer.json") is None:
        raise Failed("no tokenizer.json: neither the solver nor vLLM could read a prompt")
    if problem := vocabulary_problem(checkpoint):
        raise Failed(problem)
    if subject.parents and not subject.resized and not same_tokenizer(checkpoint, subject.parents[0].base):
        raise Failed("tokenizer.json is not the parents': text would become other tokens than they were trained on")
    whose = ", the parents'" if subject.parents and not subject.resized else ""
    return f"{tokenizer_size(checkpoint)} tokens, {embedding_rows(checkpoint)} embedding rows{whose}"


def chat_template(subject: Subject, depth: Depth) -> str:
    ours, theirs = chat_template_of(subject.checkpoint), _parents_template(subject)
    named = subject.recipe.chat_template if subject.recipe else None
    if not ours and (theirs or named not in (None, "auto")):
        whose = "its parents have one" if theirs else "its recipe names one"
        raise Failed(f"no chat template, though {whose}: prompts would differ from those it was trained on")
    if subject.parents and not subject.resized and named is None:
        if ours != theirs:
            raise Failed("not the parents' chat template: prompts would differ from those it was trained on")
        return "the parents'" if ours else "none, as its parents"
    if not ours:
        raise Skipped("no chat template: servers that apply one need it on their command line")
    return "present"


def _parents_template(subject: Subject) -> str | None:
    """That of the parent whose tokenizer the checkpoint has; of any, where the recipe leaves the choice to mergekit."""
    recipe, parents = subject.recipe, subject.parents
    if recipe is None or recipe.chat_template != "auto":
        source = recipe.tokenizer.source if recipe and recipe.tokenizer else None
        parents = [it for it in parents if it.reference == source] or parents[:1]
    return next(filter(None, (chat_template_of(parent.base) for parent in parents)), None)


def generation(subject: Subject, depth: Depth) -> str:
    ours = _end_tokens(subject.checkpoint)
    theirs = _end_tokens(subject.parents[0].base) if subject.parents else None
    if ours is None:
        if theirs is not None:
            raise Failed(
                "no generation_config.json, though the parents have one: it would not stop at their end tokens"
            )
        raise Skipped("no generation_config.json: the engine's defaults apply, config.json's end tokens alone stop it")
    (ends,) = ours
    if theirs is not None and not subject.resized and ours != theirs:
        raise Failed(f"generation_config.json ends at {ends}, the parents' otherwise: it would run on or stop early")
    return f"ends at {ends}"


def _end_tokens(checkpoint: Checkpoint) -> tuple[Any] | None:
    """What generation_config.json says, in a tuple; None where there is no such file."""
    file = checkpoint.folder / "generation_config.json"
    if not file.is_file():
        return None
    try:
        return (read_json(file).get("eos_token_id"),)
    except CheckpointError:
        raise Failed(f"{file} is no JSON object: engines would ignore it and not stop at its end tokens") from None
