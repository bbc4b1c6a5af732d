"""The parents of a merge: found, read, and refused where a merge of them would be wrong."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge.adapter import Adapter, Delta, check_adapter, read_adapter
from merge.checkpoint import (
    DTYPE_NAMES,
    TOKENIZER_FILES,
    Checkpoint,
    Floats,
    TensorInfo,
    from_float32,
    read_checkpoint,
    read_json,
    write_safetensors,
)
from merge.errors import CheckpointError
from merge.recipe import Recipe

CHUNK_ELEMENTS = 4 * 2**20
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer*", "merges.txt"]
# Weights of one architecture that are read otherwise: their average means nothing.
_VITAL = (
    "hidden_act", "head_dim", "num_attention_heads", "num_key_value_heads",
    "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_types",
)  # fmt: skip
_SIZES = ("hidden_size", "num_hidden_layers")
_INCIDENTAL = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "architectures")


@dataclass(frozen=True)
class Parent:
    """One parent as the arithmetic sees it: the base's tensors, changed by the adapter where there is one."""

    reference: str
    """As the recipe names it."""
    base: Checkpoint
    adapter: Adapter | None = None

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows of a tensor (elements, where it has one dimension) in float32."""
        rows, delta = self._parts(name, start, stop)
        return rows if delta is None else rows + delta.rows(start, stop)

    def rows_and_magnitude(self, name: str, start: int, stop: int) -> tuple[Floats, Floats]:
        """`rows`, and what their rounding is relative to: far more than they where base and adapter nearly cancel."""
        rows, delta = self._parts(name, start, stop)
        if delta is None:
            return rows, np.abs(rows)
        return rows + delta.rows(start, stop), np.abs(rows) + delta.magnitude(start, stop)

    def _parts(self, name: str, start: int, stop: int) -> tuple[Floats, Delta | None]:
        info = self.base.tensors[name]
        width = row_width(info)
        rows = info.floats(start * width, stop * width).reshape(-1, width)
        return rows, self.adapter.deltas.get(name) if self.adapter else None


def row_width(info: TensorInfo) -> int:
    return 1 if len(info.shape) < 2 else info.num_elements // max(1, info.shape[0])


def row_chunks(info: TensorInfo, elements: int = CHUNK_ELEMENTS) -> Iterator[tuple[int, int]]:
    """(start, stop) over all rows, about so many elements each."""
    num_rows = info.num_elements // max(1, row_width(info))
    step = max(1, elements // max(1, row_width(info)))
    return ((start, min(start + step, num_rows)) for start in range(0, num_rows, step))


def find_parents(recipe: Recipe, root: Path) -> list[Parent]:
    """Every parent of the recipe, the base first; relative paths are under `root`.

    Raises:
        CheckpointError: one is missing, not whole, or an adapter of another base.
    """
    bases: dict[str, Checkpoint] = {}
    parents = []
    for reference in recipe.parents:
        name, _, adapter_name = reference.partition("+")
        if name not in bases:
            bases[name] = read_checkpoint(_folder(name, root))
        adapter = read_adapter(_folder(adapter_name, root)) if adapter_name else None
        if adapter is not None:
            check_adapter(adapter, bases[name])
        parents.append(Parent(reference, bases[name], adapter))
    return parents


def _folder(name: str, root: Path) -> Path:
    path = root / Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    repository, _, revision = name.partition("@")
    if not _HUB_ID.fullmatch(repository) or name.startswith("."):
        raise CheckpointError(f"no folder {path}, and no hub id like owner/name: paths are relative to {root}")
    return _download(repository, revision or None)


def _download(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"no folder {repository}, and the hub did not give it: {reason}") from None


def check_parents(recipe: Recipe, parents: Sequence[Parent]) -> list[str]:
    """What differs between the parents and may.

    Raises:
        CheckpointError: what differs and may not, in one line.
    """
    first, notes = parents[0].base, []
    if (first.folder / "generation_config.json").is_file():
        read_json(first.folder / "generation_config.json")
    for parent in parents:
        if parent.base.is_quantized:
            raise CheckpointError(
                f"{parent.reference} is quantized: merge the parents it came from, quantize the result"
            )
        if problem := vocabulary_problem(parent.base):
            raise CheckpointError(f"{parent.reference}: {problem}")
    for parent in parents[1:]:
        _check_config(first, parent)
        _check_tensors(first, parent, resized=recipe.tokenizer is not None)
        if recipe.tokenizer is None:
            _check_tokenizer(first, parent, chat_template=recipe.chat_template is None)
        notes += _config_notes(first, parent)
    return list(dict.fromkeys(notes))


def _check_config(first: Checkpoint, parent: Parent) -> None:
    other = parent.base
    if first.architecture != other.architecture:
        raise CheckpointError(
            f"different architectures: {first.architecture} in {first.folder}, "
            f"{other.architecture} in {parent.reference}"
        )
    if first.is_tied != other.is_tied:
        tied = first.folder if first.is_tied else other.folder
        raise CheckpointError(f"only {tied} ties its output to its embeddings: save both parents tied or untied")
    for key in _SIZES:
        if first.config.get(key) != other.config.get(key):
            raise CheckpointError(
                f"different architectures: {key} is {first.config.get(key)} in {first.folder}, {other.config.get(key)} "
                f"in {parent.reference}"
            )
    for key in _VITAL:
        if first.config.get(key) != other.config.get(key):
            values = f"{first.config.get(key)} and {other.config.get(key)}"
            raise CheckpointError(
                f"{first.folder} and {parent.reference} use their weights in different ways: {key} is {values}"
            )


def _check_tensors(first: Checkpoint, parent: Parent, *, resized: bool) -> None:
    ours, theirs = first.tensors, parent.base.tensors
    if not resized and first.vocab_size != parent.base.vocab_size:
        raise CheckpointError(
            f"different vocabularies: {first.vocab_size} tokens in {first.folder}, {parent.base.vocab_size} in "
            f"{parent.reference}; name whose tokens to keep with tokenizer: {{source: union}} or a parent"
        )
    for name in sorted(ours.keys() ^ theirs.keys()):
        lacking = parent.reference if name in ours else str(first.folder)
        raise CheckpointError(f"{lacking} has no tensor {name}, which another parent has: different architectures")
    for name, info in ours.items():
        skip = 1 if resized and _is_vocabulary(name) else 0
        if info.shape[skip:] != theirs[name].shape[skip:]:
            shapes = f"{info.shape} in {first.folder}, {theirs[name].shape} in {parent.reference}"
            raise CheckpointError(f"different shapes of {name}: {shapes}")


def _is_vocabulary(name: str) -> bool:
    return "embed" in name or name.startswith("lm_head")


def _check_tokenizer(first: Checkpoint, parent: Parent, *, chat_template: bool) -> None:
    for one, reference, other in ((first, str(first.folder), parent.base), (parent.base, parent.reference, first)):
        if one.text("tokenizer.json") is None and other.text("tokenizer.json") is not None:
            raise CheckpointError(
                f"{reference} has no tokenizer.json, and another parent has one: copy it, if it is its"
            )
    if not same_tokenizer(first, parent.base):
        raise CheckpointError(
            f"{first.folder} and {parent.reference} have different tokenizers: the same row would mean different "
            f"tokens; name whose to keep with tokenizer: {{source: union}} or a parent"
        )
    if chat_template and chat_template_of(first) != chat_template_of(parent.base):
        raise CheckpointError(
            f"{first.folder} and {parent.reference} have different chat templates: name one with chat_template:"
        )


def vocabulary_problem(checkpoint: Checkpoint) -> str | None:
    """What is wrong between tokenizer, config and embeddings, as --unsafe-truncate-embeddings leaves them."""
    tokenizer, rows = tokenizer_size(checkpoint), embedding_rows(checkpoint)
    if tokenizer is not None and rows is not None and rows < tokenizer:
        return (
            f"{tokenizer} tokens and {rows} embedding rows: the first prompt with one of the last {tokenizer - rows} "
            f"tokens would read beyond the table and end the engine"
        )
    if rows is not None and checkpoint.vocab_size is not None and checkpoint.vocab_size != rows:
        return f"config.json says {checkpoint.vocab_size} tokens, the embeddings have {rows} rows: it would not load"
    return None


def tokenizer_size(checkpoint: Checkpoint) -> int | None:
    """Tokens of tokenizer.json, added ones too; None where there is no such file."""
    from tokenizers import Tokenizer

    text = checkpoint.text("tokenizer.json")
    try:
        return None if text is None else Tokenizer.from_buffer(text).get_vocab_size(with_added_tokens=True)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.folder}/tokenizer.json is no tokenizer: {error}") from None


def embedding(checkpoint: Checkpoint) -> TensorInfo | None:
    names = [name for name in checkpoint.tensors if name.endswith(("embed_tokens.weight", "wte.weight"))]
    return checkpoint.tensors[names[0]] if names else None


def embedding_rows(checkpoint: Checkpoint) -> int | None:
    table = embedding(checkpoint)
    return checkpoint.vocab_size if table is None else table.shape[0]


def same_tokenizer(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether text becomes the same tokens: vocabulary, merges, added tokens, normalizing and splitting."""
    ours, theirs = one.text("tokenizer.json"), other.text("tokenizer.json")
    if ours == theirs:
        return ours is not None or one.text("tokenizer.model") == other.text("tokenizer.model")
    return ours is not None and theirs is not None and _meaning(ours) == _meaning(theirs)


def _meaning(tokenizer: bytes) -> Mapping[str, Any]:
    tree = json.loads(tokenizer)
    return {key: value for key, value in tree.items() if key not in ("truncation", "padding", "version")}


def chat_template_of(checkpoint: Checkpoint) -> str | None:
    file = checkpoint.text("chat_template.jinja")
    if file is not None:
        return file.decode("utf-8").strip()
    settings = checkpoint.folder / "tokenizer_config.json"
    template = read_json(settings).get("chat_template") if settings.is_file() else None
    return template.strip() if isinstance(template, str) else template and json.dumps(template)


def _config_notes(first: Checkpoint, parent: Parent) -> list[str]:
    other = parent.base.config
    keys = sorted(key for key in first.config.keys() | other.keys() if first.config.get(key) != other.get(key))
    differing = [key for key in keys if key not in (*_INCIDENTAL, "vocab_size")]
    notes = [f"{', '.join(differing)} of config.json differ: taken from {first.folder}"] if differing else []
    if first.dtype != parent.base.dtype:
        notes.append(f"{first.folder} is {first.dtype}, {parent.reference} {parent.base.dtype}")
    return notes


def write_fused(parent: Parent, folder: Path) -> None:
    """The parent with its adapter added, in float32: nothing is rounded before the merge."""
    folder.mkdir(parents=True)
    tensors = parent.base.tensors

    def pieces(name: str) -> Iterator[NDArray[Any]]:
        return (from_float32(parent.rows(name, *rows), "F32") for rows in row_chunks(tensors[name]))

    write_safetensors(folder / "model.safetensors", {n: ("F32", i.shape) for n, i in tensors.items()}, pieces)
    write_config(parent.base, folder, "float32")
    copy_files(parent.base.folder, folder, TOKENIZER_FILES)


def write_config(source: Checkpoint, folder: Path, dtype: str, **changes: Any) -> None:
    """The parent's own config.json: what transformers writes anew, older readers may not understand."""
    config = {key: value for key, value in source.config.items() if key not in ("torch_dtype", "_name_or_path")}
    config |= {"dtype": dtype, **changes}
    if "torch_dtype" in source.config:
        config["torch_dtype"] = dtype  # the name before transformers 4.56, for who still reads it
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")


def copy_files(source: Path, destination: Path, names: Sequence[str]) -> None:
    for name in names:
        if (source / name).is_file():
            (destination / name).write_bytes((source / name).read_bytes())


def output_dtype(recipe: Recipe, parents: Sequence[Parent]) -> str:
    """float32, bfloat16 or float16: what the recipe asks for, or what the first parent has."""
    names = {code: name for name, code in DTYPE_NAMES.items()}
    return recipe.out_dtype or recipe.dtype or names.get(parents[0].base.dtype, "float32")
