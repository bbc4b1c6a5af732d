"""What a linear merge costs against the disk it runs on, and whether every element is right.

Two sizes: the embedded model's base (135 million parameters) with a copy that differs a little, and a synthetic Llama
of a billion. Disk speed is measured in the same run, by writing as many bytes as the merge writes, flushed, and reading
as many as it reads, dropped from the cache before. Goals: within twice the disk's time; peak memory below 2 GB and
three times the largest tensor; every element within one rounding of exact arithmetic.

    python -m bench merge [--folder DIR] [--small]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.report import table, write_report
from merge.arithmetic import combination, count_wrong
from merge.checkpoint import TOKENIZER_FILES, Checkpoint, from_float32, read_checkpoint, to_float32, write_safetensors
from merge.parents import copy_files, find_parents, row_chunks, row_width, write_config
from merge.recipe import load_recipe
from merge.run import mergekit_config
from solver.model import convert, embedded_folder

RECIPE = """merge_method: linear
dtype: bfloat16
models:
- {model: ./cot, parameters: {weight: 0.3}}
- {model: ./tir, parameters: {weight: 0.7}}
"""
LLAMA_1B = {
    "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 20, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 64,
}  # fmt: skip
_SHARD_BYTES = 700_000_000
_BLOCK = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Cost:
    wall: float
    cpu: float
    peak: int
    """Largest resident set of any one process, mapped files included."""
    anonymous: int
    """Largest resident set without mapped files, sampled ten times a second."""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench merge")
    parser.add_argument("--folder", type=Path, help="where ten gigabytes are free; the default is the temporary folder")
    parser.add_argument("--small", action="store_true", help="the embedded model alone")
    options = parser.parse_args(arguments)
    convert(embedded_folder())
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-merge-", dir=options.folder) as place:
        for name, make in [("135M", make_135m), *([] if options.small else [("1B", make_1b)])]:
            folder = Path(place) / name
            folder.mkdir()
            make(folder)
            rows += measure(name, folder)
            shutil.rmtree(folder)
    header = (
        "merge",
        "disk alone s",
        "wall s",
        "x disk",
        "CPU s",
        "peak GB",
        "without mapped files GB",
        "goal GB",
        "wrong",
    )
    write_report("merge", _EXPLANATION + table(header, rows), [a for a in arguments if a == "--small"])


_EXPLANATION = """\
Linear 0.3/0.7 of two bfloat16 parents. Disk alone: the parents' bytes read and the output's written and flushed, in
this run, on this disk. `merge run` is the whole command: checks, mergekit with 1 GB shards, hashes of parents and
output, tensors recomputed. mergekit alone has its default shards of 5 GB. Goal GB: 2 GB and three times the largest
tensor.
Wrong: elements of the output further from float64 arithmetic than one rounding, over every element of every tensor.

"""


def measure(name: str, folder: Path) -> list[list[str]]:
    (folder / "recipe.yml").write_text(RECIPE, "utf-8")
    parents = [read_checkpoint(folder / parent) for parent in ("cot", "tir")]
    disk = disk_seconds(folder, read=sum(p.num_bytes for p in parents), written=parents[0].num_bytes)
    rows = []
    for label, command in _commands(folder):
        for parent in parents:
            drop_cache(parent)
        cost = run_measured(command, folder)
        wrong = f"{wrong_elements(folder):,} of {parents[0].num_parameters:,}" if label == "merge run" else ""
        rows.append(_row(f"{name}, {label}", disk, cost, parents[0], wrong))
        print(*rows[-1], sep="  ", flush=True)
        shutil.rmtree(folder / "out")
    return rows


def _commands(folder: Path) -> Iterator[tuple[str, list[str]]]:
    yield "merge run", [sys.executable, "-m", "merge", "run", "recipe.yml", "out", "--quick"]
    recipe = load_recipe(folder / "recipe.yml")
    parents = find_parents(recipe, folder)
    (folder / "config.yml").write_text(
        mergekit_config(recipe, parents, {p.reference: p.reference for p in parents}), "utf-8"
    )
    script = "from mergekit.scripts.run_yaml import main; main()"
    yield (
        "mergekit alone",
        [sys.executable, "-c", script, "config.yml", "out", "--lazy-unpickle", "--no-copy-tokenizer"],
    )


def _row(name: str, disk: float, cost: Cost, parent: Checkpoint, wrong: str) -> list[str]:
    goal = 2e9 + 3 * max(info.num_bytes for info in parent.tensors.values())
    sizes = (f"{value / 1e9:.2f}" for value in (cost.peak, cost.anonymous, goal))
    return [name, f"{disk:.1f}", f"{cost.wall:.1f}", f"{cost.wall / disk:.1f}", f"{cost.cpu:.1f}", *sizes, wrong]


def make_135m(folder: Path) -> None:
    """The base, and the base with every weight changed by 2 % of a normal number times its tensor's spread."""
    (folder / "cot").symlink_to(embedded_folder())
    base = read_checkpoint(embedded_folder())
    generator = np.random.default_rng(0)

    def changed(name: str) -> NDArray[np.uint16]:
        values = base.tensors[name].floats()
        noise = generator.standard_normal(len(values), dtype=np.float32)
        return from_float32(values + np.float32(0.02 * values.std()) * noise, "BF16")

    (folder / "tir").mkdir()
    shapes = {name: ("BF16", info.shape) for name, info in base.tensors.items()}
    write_safetensors(folder / "tir/model.safetensors", shapes, lambda name: [changed(name)])
    _copy_rest(base, folder / "tir")


def make_1b(folder: Path) -> None:
    base = read_checkpoint(embedded_folder())
    block = np.random.default_rng(0).standard_normal(_BLOCK, dtype=np.float32) * np.float32(0.02)
    for number, name in enumerate(("cot", "tir")):
        (folder / name).mkdir()
        stored = from_float32(block * np.float32(1 + 0.03 * number), "BF16")
        _write_shards(folder / name, dict(_shapes_1b(base.config["vocab_size"])), stored)
        _copy_rest(base, folder / name, **LLAMA_1B)


def _shapes_1b(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, inner, narrow = LLAMA_1B["hidden_size"], LLAMA_1B["intermediate_size"], 512
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(LLAMA_1B["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, out in (("q_proj", hidden), ("k_proj", narrow), ("v_proj", narrow), ("o_proj", hidden)):
            yield f"{prefix}self_attn.{name}.weight", (out, hidden)
        for name in ("gate_proj", "up_proj"):
            yield f"{prefix}mlp.{name}.weight", (inner, hidden)
        yield f"{prefix}mlp.down_proj.weight", (hidden, inner)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{name}.weight", (hidden,)
    yield "model.norm.weight", (hidden,)


def _write_shards(folder: Path, shapes: dict[str, tuple[int, ...]], block: NDArray[np.uint16]) -> None:
    shards: list[dict[str, tuple[str, tuple[int, ...]]]] = [{}]
    size = 0
    for name, shape in shapes.items():
        size += 2 * int(np.prod(shape))
        if size > _SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 2 * int(np.prod(shape))
        shards[-1][name] = ("BF16", shape)

    def pieces(name: str) -> Iterator[NDArray[np.uint16]]:
        left, start = int(np.prod(shapes[name])), len(name) * 7919 % len(block)
        while left:
            piece = block[start : start + left]
            left, start = left - len(piece), 0
            yield piece

    where: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_safetensors(folder / file, shard, pieces)
        where |= dict.fromkeys(shard, file)
    total = 2 * sum(int(np.prod(shape)) for shape in shapes.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def _copy_rest(base: Checkpoint, folder: Path, **config: object) -> None:
    copy_files(base.folder, folder, (*TOKENIZER_FILES, "generation_config.json"))
    write_config(base, folder, "bfloat16", **config)


def disk_seconds(folder: Path, *, read: int, written: int) -> float:
    """To write and flush so many bytes, and to read so many that are in no cache."""
    file, block = folder / "raw", os.urandom(_BLOCK)
    began = time.perf_counter()
    with file.open("wb", buffering=0) as stream:
        for _ in range(written // _BLOCK):
            stream.write(block)
        os.fsync(stream.fileno())
    write_rate = written / (time.perf_counter() - began)
    _drop(file)
    began = time.perf_counter()
    with file.open("rb", buffering=0) as stream:
        while stream.read(_BLOCK):
            pass
    read_rate = written / (time.perf_counter() - began)
    file.unlink()
    return read / read_rate + written / write_rate


def drop_cache(checkpoint: Checkpoint) -> None:
    for file in checkpoint.weight_files:
        _drop(file)


def _drop(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run_measured(command: list[str], folder: Path) -> Cost:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        peak: list[int] = [0]
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, stop))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        stop.set()
        watcher.join()
    if process.returncode:
        sys.exit((folder / "log").read_text("utf-8", "replace").strip().splitlines()[-1])
    wall = time.perf_counter() - began
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, peak[0])


def _watch(pid: int, peak: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.1):
        peak[0] = max(peak[0], sum(_anonymous(number) for number in _family(pid)))


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return []
    return [pid, *(number for child in children for number in _family(int(child)))]


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def wrong_elements(folder: Path) -> int:
    """Every element of the output against exact arithmetic."""
    recipe = load_recipe(folder / "recipe.yml")
    combine = combination(recipe, find_parents(recipe, folder))
    assert combine is not None
    wrong = 0
    for name, info in read_checkpoint(folder / "out").tensors.items():
        raw = info.raw()
        for start, stop in row_chunks(info, 2**20):
            width = row_width(info)
            stored = to_float32(raw[start * width : stop * width], info.dtype).reshape(-1, width)
            wrong += count_wrong(stored, combine(name, start, stop), info.dtype)
    return wrong
