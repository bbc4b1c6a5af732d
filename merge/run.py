"""A merge from recipe to verified checkpoint. The stages stand in `_merge`; nothing is written before all that can be
known to be wrong has been refused, and the output appears under its name in one step, whole and verified.

mergekit runs as a process of its own: it takes seconds to import, keeps what it loads for as long as it lives, and is
LGPL. Its progress is read from the bar that it draws.
"""

import importlib.util
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from merge.checkpoint import DTYPE_NAMES, ITEM_BYTES, TOKENIZER_FILES, read_json
from merge.checks import finite
from merge.child import python_code
from merge.errors import MergeError, RecipeError
from merge.output import check_disk, check_output, exclusive, publish
from merge.parents import (
    Parent,
    check_parents,
    copy_files,
    find_parents,
    output_dtype,
    write_config,
    write_fused,
)
from merge.progress import Progress
from merge.provenance import describe_parent, write_manifest, write_provenance
from merge.recipe import ACCUMULATES_IN_FLOAT32, Recipe, load_recipe
from merge.subject import Check, Depth, Failed, Subject
from merge.verify import verify

_MERGEKIT = "from mergekit.scripts.run_yaml import main; main(prog_name='mergekit')"
_BAR = re.compile(r"Executing graph:\s+(\d+)%")


@dataclass(frozen=True, slots=True)
class RunOptions:
    shard_bytes: int = 1_000_000_000
    """mergekit buffers one output shard whole. Its `--out-shard-size` says parameters and counts bytes."""
    seed: int = 0
    """Of methods that draw at random."""
    device: str = "cpu"
    depth: Depth = "full"
    """How much of the result is verified; see `merge.verify`."""
    exist_ok: bool = False
    """Leave an output that is there as it is, instead of refusing; for builds that several processes may start."""


def run(recipe_file: Path, output: Path, options: RunOptions | None = None, root: Path | None = None) -> list[Check]:
    """Merge what the recipe names into `output`, a folder that is not there yet. Relative parents are under `root`.

    Returns what verification found, nothing of it failed.

    Raises:
        RecipeError, CheckpointError: refused; nothing was written.
        MergeError: mergekit failed or its result is wrong; nothing is left at `output`.
    """
    options = options or RunOptions()
    recipe = load_recipe(recipe_file)
    _check_device(options.device)
    with Progress() as progress:
        check_output(output, exist_ok=options.exist_ok)
        parents = find_parents(recipe, root or Path.cwd())
        for note in recipe.notes() + check_parents(recipe, parents):
            progress.note(note)
        require_mergekit()
        with exclusive(output, progress.step) as work:
            if options.exist_ok and output.exists():
                return []
            check_output(output)
            _check_disk(recipe, parents, output)
            checks = _merge(recipe, parents, work, options, progress)
            finished = work / "out"
            publish(finished, output)
            return checks


def _merge(
    recipe: Recipe, parents: Sequence[Parent], work: Path, options: RunOptions, progress: Progress
) -> list[Check]:
    names = _link_parents(parents, work, progress)
    (work / "config.yml").write_text(mergekit_config(recipe, parents, names), "utf-8")
    progress.step("merging")
    _run_mergekit(work, recipe, options, progress)
    progress.step("hashing parents")
    _complete(recipe, parents, work / "out")
    write_provenance(
        work / "out",
        "merge",
        recipe=recipe.as_yaml(),
        output_dtype=output_dtype(recipe, parents),
        seed=options.seed,
        shard_bytes=options.shard_bytes,
        parents=[describe_parent(parent) for parent in parents],
    )
    write_manifest(work / "out")
    progress.step("verifying")
    checks = verify(work / "out", options.depth, parents)
    for check in checks:
        if check.status == "failed":
            raise MergeError(f"the merge is wrong, and nothing was written: {check.name}: {_blame(check, parents)}")
    return checks


def _blame(check: Check, parents: Sequence[Parent]) -> str:
    """What failed, and whose fault it is: values that are no numbers are looked for here, not before every merge."""
    for parent in parents if check.name == "finite" else ():
        try:
            finite(Subject(parent.base), "weights")
        except Failed as failure:
            return f"{parent.reference} is broken: {failure}"
    return check.text


def require_mergekit() -> None:
    """Raises MergeError where mergekit or peft is missing; looks for them without importing."""
    for name in ("mergekit", "peft", "immutables"):
        if importlib.util.find_spec(name) is None:
            raise MergeError(f"the package {name} is not installed: run `make setup`, or pip install '.[merge]'")


def _check_device(device: str) -> None:
    """Raises MergeError where mergekit could not compute there."""
    if device == "cpu":
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise MergeError(f"--device {device}: cpu, cuda or cuda:N")
    import torch

    if not torch.cuda.is_available():
        raise MergeError(f"--device {device}: this torch finds no GPU; leave --device out to merge on the CPU")


def _check_disk(recipe: Recipe, parents: Sequence[Parent], output: Path) -> None:
    """Raises MergeError where the output, or float32 copies of parents with adapters, would not fit."""
    item = ITEM_BYTES[DTYPE_NAMES[output_dtype(recipe, parents)]]
    fused = sum(4 * parent.base.num_parameters for parent in parents if parent.adapter is not None)
    why = f", of which {fused / 1e9:.1f} GB for parents with their adapters added" if fused else ""
    check_disk(output, item * parents[0].base.num_parameters + fused, why)


def _link_parents(parents: Sequence[Parent], work: Path, progress: Progress) -> dict[str, str]:
    """The name that mergekit gets for each reference: a link, or the parent with its adapter added. mergekit would take
    a `+` or `@` anywhere in a path for its own syntax."""
    (work / "parents").mkdir()
    names = {}
    for number, parent in enumerate(parents):
        name = names[parent.reference] = f"./parents/{number}"
        if parent.adapter is None:
            (work / name).symlink_to(parent.base.folder, target_is_directory=True)
        else:
            progress.step(f"adding the adapter {parent.adapter.folder.name}")
            write_fused(parent, work / name)
    return names


def mergekit_config(recipe: Recipe, parents: Sequence[Parent], names: dict[str, str]) -> str:
    """The recipe as mergekit runs it: parents by their linked names, float32 arithmetic, one rounding at the end."""
    wanted = output_dtype(recipe, parents)
    once = recipe.merge_method in ACCUMULATES_IN_FLOAT32 and all(
        parent.adapter is None and parent.base.dtype == DTYPE_NAMES[wanted] for parent in parents
    )
    changes: dict[str, object] = {
        "models": [m.model_copy(update={"model": names[m.model]}) for m in recipe.models],
        "base_model": recipe.base_model and names[recipe.base_model],
        "dtype": wanted if once else "float32",
        "out_dtype": wanted,
    }
    if recipe.tokenizer and recipe.tokenizer.source not in ("union", "base"):
        changes["tokenizer"] = recipe.tokenizer.model_copy(update={"source": names[recipe.tokenizer.source]})
    return recipe.model_copy(update=changes).as_yaml()


def _run_mergekit(work: Path, recipe: Recipe, options: RunOptions, progress: Progress) -> None:
    own_tokenizer = recipe.tokenizer is not None or recipe.chat_template is not None
    command = [
        *python_code(_MERGEKIT, "config.yml", "out", "--lazy-unpickle", "--no-write-model-card"),
        *("--out-shard-size", str(options.shard_bytes), "--random-seed", str(options.seed)),
        *("--device", options.device, "--copy-tokenizer" if own_tokenizer else "--no-copy-tokenizer"),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            assert child.stderr is not None
            last = _follow(child.stderr, progress)
            status = child.wait()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    if status:
        raise MergeError(f"mergekit failed: {last or f'it ended with status {status}'}")
    if not (work / "out" / "config.json").is_file():
        raise MergeError("mergekit ended without writing a model")


def _follow(stream: IO[bytes], progress: Progress) -> str:
    """Reads to the end; the last line that is no progress bar."""
    last, rest = "", b""
    while block := os.read(stream.fileno(), 65536):
        *lines, rest = re.split(rb"[\r\n]", rest + block)
        for line in (raw.decode("utf-8", "replace").strip() for raw in lines):
            if match := _BAR.search(line):
                progress.percent(int(match[1]))
            elif line and "it/s]" not in line:
                last = line
    return rest.decode("utf-8", "replace").strip() or last


def _complete(recipe: Recipe, parents: Sequence[Parent], folder: Path) -> None:
    """What mergekit leaves out, or takes from whichever parent comes first out of a set: config, tokenizer, generation
    settings, from the base or else the first model."""
    first = parents[0].base
    changes = {}
    if recipe.tokenizer is not None:
        changes["vocab_size"] = read_json(folder / "config.json").get("vocab_size")
    elif recipe.chat_template is None:
        copy_files(first.folder, folder, TOKENIZER_FILES)
    write_config(first, folder, output_dtype(recipe, parents), **changes)
    copy_files(first.folder, folder, ["generation_config.json"])
    (folder / "recipe.yml").write_text(recipe.as_yaml(), "utf-8")


def parse_bytes(text: str) -> int:
    """Bytes of "2GB", "500MB" or "1000000"; RecipeError otherwise."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise RecipeError(f"'{text}' is no size: write it like 2GB or 500MB")
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2] or " "))
